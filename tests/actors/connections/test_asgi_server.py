"""The end of a passage at the server; `test_asgi.py` has whole connections over it."""

import asyncio

import pytest

from actors.connections.asgi_server import ServerEnd, close_event
from actors.connections.base import ConnectionClosed, ConnectionLimits, Ending
from actors.connections.crossing import Crossing
from actors.connections.passage import Passage

pytestmark = pytest.mark.slow  # an event loop opens a socket pair


class Connection:
    """A connection whose dispatcher never runs."""

    subprotocol = "token"
    dispatcher = None
    cut_code = None

    def __init__(self):
        self.log_fields = {}
        self.losses = 0

    def lose(self):
        self.losses += 1

    def note_arrival(self):
        return False


class Server:
    """An ASGI server that has some events for the application, and then none."""

    def __init__(self, *events, failure=None):
        self.events = list(events)
        self.failure = failure
        self.sent = []

    async def receive(self):
        if not self.events:
            await asyncio.Event().wait()
        return self.events.pop(0)

    async def send(self, event):
        if self.failure is not None:
            raise self.failure
        self.sent.append(event)


def carry(server, connection, act):
    """Carry a connection on a loop, and call `act` with its end and its passage. Return the passage."""
    passage = Passage(ConnectionLimits())

    async def run():
        end = ServerEnd(connection, Crossing(asyncio.get_running_loop()), passage, server.receive, server.send)
        carrying = asyncio.ensure_future(end.carry())
        for _ in range(10):
            await asyncio.sleep(0)
        act(end, passage)
        end.look()
        await carrying

    asyncio.run(run())
    return passage


def cut(connection, code=1012):
    def act(_end, _passage):
        connection.cut_code = code

    return act


def test_a_backlog_that_is_dropped_as_the_loop_wakes_loses_no_connection():
    server, connection = Server(), Connection()

    def put_and_drop(end, passage):
        passage.put("dropped")
        end.look()
        passage.drop_backlog()
        connection.cut_code = 1012

    passage = carry(server, connection, put_and_drop)
    assert passage.take(9) == [], "no end was reported"
    assert [event["type"] for event in server.sent] == ["websocket.accept", "websocket.close"]
    assert server.sent[-1]["code"] == 1012


def test_a_client_that_is_gone_before_it_is_accepted_is_lost():
    server, connection = Server(failure=OSError("gone")), Connection()
    carry(server, connection, cut(connection))
    assert (connection.losses, server.sent) == (1, [])


@pytest.mark.parametrize(
    ("event", "end"),
    [
        ({"code": 4001, "reason": "bye"}, ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=4001, reason="bye")),
        ({}, ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1005)),
        ({"code": 1006}, ConnectionClosed(ending=Ending.RESET, code=1006)),
    ],
)
def test_a_client_that_leaves_is_reported_with_its_code_and_not_closed_again(event, end):
    server, connection = Server({"type": "websocket.disconnect"} | event), Connection()
    passage = carry(server, connection, cut(connection))
    assert passage.take(9) == [end]
    assert [event["type"] for event in server.sent] == ["websocket.accept"]


def test_a_code_and_a_reason_that_have_no_place_in_a_close_frame_are_replaced():
    assert close_event(1005, "a" * 200) == {"type": "websocket.close", "code": 1000, "reason": "a" * 123}
    assert close_event(3000)["code"] == 3000
