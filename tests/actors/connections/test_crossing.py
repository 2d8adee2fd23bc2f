"""The seam between an event loop and the dispatchers."""

import asyncio
import queue
import threading

import pytest

from actors.connections.crossing import Crossing
from actors.dispatcher import Dispatcher
from tests.support.engine.asgi_server import asgi_server
from tests.support.engine.dispatching import WAIT_S, on

pytestmark = pytest.mark.slow  # an event loop opens a socket pair


class Side:
    """An object that records which thread looks at it."""

    def __init__(self, dispatcher=None):
        self.dispatcher = dispatcher
        self.calls = queue.SimpleQueue()

    def deliver(self):
        self.calls.put(("deliver", threading.current_thread().name))

    def look(self):
        self.calls.put(("look", threading.current_thread().name))

    def lose(self):
        self.calls.put(("lose", threading.current_thread().name))


@pytest.fixture
def server():
    with asgi_server() as server:
        yield server


def test_either_side_is_woken_on_its_own_thread(server, dispatcher):
    side = Side(dispatcher)
    on(dispatcher, lambda: server.crossing.wake_loop(side))
    assert side.calls.get(timeout=WAIT_S) == ("look", "asgi-server")
    server.loop.call_soon_threadsafe(server.crossing.wake_dispatcher, side)
    assert side.calls.get(timeout=WAIT_S) == ("deliver", "test-dispatcher")


def test_one_wake_up_of_the_loop_serves_all_connections_of_a_turn(server, dispatcher, monkeypatch):
    sides, wakes = [Side() for _ in range(20)], []
    wake = server.loop.call_soon_threadsafe
    held = threading.Event()
    wake(held.wait)  # the loop cannot look before all have been appended
    monkeypatch.setattr(server.loop, "call_soon_threadsafe", lambda *how: wakes.append(how) or wake(*how))
    on(dispatcher, lambda: [server.crossing.wake_loop(side) for side in sides])
    held.set()
    assert [side.calls.get(timeout=WAIT_S)[0] for side in sides] == ["look"] * 20
    assert len(wakes) == 1


def test_one_wake_up_of_the_dispatcher_serves_all_connections_of_a_turn(server, dispatcher, monkeypatch):
    sides, calls = [Side(dispatcher) for _ in range(20)], []
    call_soon = Dispatcher.call_soon
    monkeypatch.setattr(Dispatcher, "call_soon", lambda it, call: calls.append(call) or call_soon(it, call))
    server.loop.call_soon_threadsafe(lambda: [server.crossing.wake_dispatcher(side) for side in sides])
    assert [side.calls.get(timeout=WAIT_S)[0] for side in sides] == ["deliver"] * 20
    assert len(calls) == 1


def test_a_connection_that_is_not_open_is_not_delivered(server, dispatcher):
    closed, open_side = Side(), Side(dispatcher)
    server.loop.call_soon_threadsafe(lambda: [server.crossing.wake_dispatcher(side) for side in (closed, open_side)])
    assert open_side.calls.get(timeout=WAIT_S)[0] == "deliver"
    assert closed.calls.empty()


def test_a_connection_of_a_closed_loop_is_lost():
    loop = asyncio.new_event_loop()
    crossing, side = Crossing(loop), Side()
    loop.close()
    crossing.wake_loop(side)
    assert side.calls.get(timeout=WAIT_S)[0] == "lose"


def test_every_connection_of_a_loop_that_is_closed_meanwhile_is_lost_and_so_are_later_ones():
    loop = asyncio.new_event_loop()
    crossing, (early, waiting, late) = Crossing(loop), (Side() for _ in range(3))
    crossing.wake_loop(early)
    crossing.wake_loop(waiting)  # behind the same wake-up, which the loop never sees
    loop.close()
    crossing.wake_loop(late)
    assert [side.calls.get(timeout=WAIT_S)[0] for side in (early, waiting, late)] == ["lose"] * 3
    crossing.wake_loop(late)
    assert late.calls.get(timeout=WAIT_S)[0] == "lose"
