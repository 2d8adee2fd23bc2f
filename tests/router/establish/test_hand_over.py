"""The hand-over of a session to its supervisor, and to the keeper."""

import contextlib
import queue
import socket

import pytest

from actors.connections.arena import Arena
from actors.connections.base import ConnectionLimits
from actors.connections.handover import HandshakeRefused
from actors.connections.kept import KeptConnection
from actors.connections.memory import memory_pair
from router import Request, RouterConfig
from router.access.session_limits import NO_TICKET
from router.establish.hand_over import hand_over, spec_of
from router.establish.parts import Parts
from router.hooks import Hooks
from tests.support.engine import links

WAIT_S = 5.0
REQUEST = Request(path="/v1/agent/converse", profile="converse", query={}, headers={}, credential=None)


class Keeper:
    """The way to a keeper, which notes what it is given."""

    def __init__(self):
        self.calls = queue.Queue()
        self.arena = Arena()

    def hold(self, session_id, _connection, _shelf):
        self.calls.put(("hold", session_id))

    def drop(self, session_id):
        self.calls.put(("drop", session_id))


@pytest.fixture
def keeper():
    """A keeper with its memory."""
    custodian = Keeper()
    yield custodian
    custodian.arena.close()


@pytest.fixture
def parts():
    """The parts of a router that has started and dials nothing."""
    parts = Parts(RouterConfig(upstream="ws://nowhere.invalid"), Hooks())
    parts.start(dials=False)
    yield parts
    parts.close(0.0)


def spec(parts, session_id="s1", ticket=NO_TICKET):
    return spec_of(parts, ticket, session_id, REQUEST, None)


def test_a_session_gives_its_place_back_at_its_end(parts):
    ended = queue.Queue()
    connection, peer = memory_pair()
    ticket = NO_TICKET._replace(release=lambda: ended.put(parts.open))
    assert hand_over(parts, spec(parts, ticket=ticket), lambda: connection) is connection
    assert parts.open == {"s1"}
    peer.close(1000, "")
    ended.get(timeout=WAIT_S)
    parts.close(0.0)
    assert parts.open == set()


def test_a_process_that_goes_away_opens_no_connection(parts):
    parts.close(0.0)
    with pytest.raises(HandshakeRefused) as caught:
        hand_over(parts, spec(parts), pytest.fail)
    assert caught.value.status == 503


@pytest.mark.slow
def test_the_keeper_holds_a_session_until_its_end(parts, keeper):
    parts.custody = keeper
    with contextlib.ExitStack() as stack:
        ours, _theirs = links.tcp_pair(stack)
        sock = socket.socket(fileno=ours.detach())
        hand_over(parts, spec(parts), lambda: KeptConnection(sock, subprotocol=None, limits=ConnectionLimits()))
        assert keeper.calls.get(timeout=WAIT_S) == ("hold", "s1")
    assert keeper.calls.get(timeout=WAIT_S) == ("drop", "s1")


@pytest.mark.slow
def test_a_session_whose_bytes_cannot_be_counted_begins_without_the_keeper(parts, keeper, caplog):
    parts.custody = keeper
    ours, theirs = socket.socketpair()
    hand_over(parts, spec(parts), lambda: KeptConnection(ours, subprotocol=None, limits=ConnectionLimits()))
    assert "session s1 cannot be kept" in caplog.text
    assert parts.open == {"s1"}
    theirs.close()
    parts.close(0.0)
    assert keeper.calls.empty()
