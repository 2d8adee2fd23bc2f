"""Sessions between workers, over real sockets; tests/sockets/test_moves.py has it with a server."""

import errno
import os
import socket
from threading import Event

import msgspec
import pytest

from actors.connections.base import ConnectionLimits, Detached
from actors.lifecycle import Announcement, Departure
from actors.messages import ClientAdopted
from router.web import moves
from router.web.moves import SUFFIX, Arrivals, Departures, Parcel

pytestmark = pytest.mark.slow

WAIT_S = 5.0


class Ahead:
    """An upstream that was dialled in advance."""

    def __init__(self):
        self.closed = Event()

    def close(self):
        self.closed.set()


class Router:
    """A router that keeps what it takes over, or refuses it."""

    value_layout = "1.5eed"

    def __init__(self, *, is_full=False, cannot_dial=False):
        self.adopted, self.used, self.dialled = [], [], []
        self.ahead = Ahead()
        self._is_full = is_full
        self._cannot_dial = cannot_dial

    def limits_of_value(self, data):
        if data == b"unreadable":
            raise ValueError("the snapshot is damaged")
        return ConnectionLimits()

    def dial_ahead(self, facts, route):
        self.dialled.append((facts, route))
        if self._cannot_dial:
            raise ValueError("no upstream")
        return self.ahead

    def adopt(self, data, connection, adopted, *, ahead=None):
        if self._is_full:
            raise ValueError("the server is going away")
        connection.abort()
        self.adopted.append((data, adopted))
        self.used.append(ahead)


@pytest.fixture
def client():
    """The client's end of a TCP connection, and a duplicate of the server's descriptor."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname(), timeout=WAIT_S)
        ours, _ = listening.accept()
    with theirs:
        yield theirs, ours.detach()


@pytest.fixture
def arrivals(tmp_path, monkeypatch):
    """Start workers that take sessions over. All are this process, which is nobody's target otherwise."""
    monkeypatch.setattr(Departures, "_is_target", is_target_of_any_process)
    started = []

    def start(router, age=2):
        started.append(Arrivals(tmp_path, age, router))

    start.started = started
    yield start
    for it in started:
        it.close()


def is_target_of_any_process(self, name, wanted):
    age, _, layout = name.split("-", 2)
    return int(age) >= self._least_age and layout == wanted


def moved(tmp_path, descriptor, value=b"value", least_age=2):
    departures = Departures(tmp_path, least_age, Router())
    departures.deliver(Departure("s1", value, Detached(descriptor, b"\x81", b"rest")))
    departures.close()
    return departures


def test_a_session_is_taken_over_with_its_client_s_socket(tmp_path, arrivals, client):
    router = Router()
    arrivals(router)
    departures = moved(tmp_path, client[1])
    assert (departures.moved, departures.lost) == (1, 0)
    assert router.adopted == [(b"value", ClientAdopted(is_planned=True))]
    assert client[0].recv(1) == b""  # the stand-in has closed it, and no copy is left here


def test_a_worker_that_lacked_a_descriptor_takes_sessions_again(tmp_path, arrivals, client, monkeypatch):
    router, accept = Router(), socket.socket.accept
    arrivals(router)
    failures = [OSError(errno.EMFILE, "Too many open files")]

    def fail_at_first(listener):
        if failures:
            raise failures.pop()
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", fail_at_first)
    departures = moved(tmp_path, client[1])
    assert (departures.moved, departures.lost, failures) == (1, 0, [])


def test_a_worker_that_refuses_is_passed_over(tmp_path, arrivals, client):
    taking = Router()
    arrivals(Router(is_full=True), 2)
    arrivals(taking, 3)
    assert moved(tmp_path, client[1]).moved == 1
    assert len(taking.adopted) == 1


@pytest.mark.parametrize("value", [b"value", b"unreadable"])
def test_a_session_that_no_worker_takes_ends_typed_behind_its_unsent_bytes(tmp_path, arrivals, client, value, caplog):
    arrivals(Router(is_full=True))
    departures = moved(tmp_path, client[1], value)
    assert (departures.moved, departures.lost) == (0, 1)
    received = b""
    while part := client[0].recv(100):
        received += part
    assert received == b"rest" + b"\x88\x13\x03\xf4SERVER_GOING_AWAY"
    assert "session s1 ends: no worker takes it over" in caplog.text


def announced(tmp_path):
    """Announce a session, and wait for the answer."""
    departures, ready = Departures(tmp_path, 2, Router()), Event()
    departures.announce(Announcement("s1", b"facts", "a model", ready.set))
    assert ready.wait(WAIT_S)
    return departures


def test_an_announced_session_goes_to_the_worker_that_has_dialled_its_upstream(tmp_path, arrivals, client):
    routers = [Router(), Router()]
    for age, router in enumerate(routers, 2):
        arrivals(router, age)
    departures = announced(tmp_path)
    departures.deliver(Departure("s1", b"value", Detached(client[1], b"", b"")))
    departures.close()
    (router,) = [it for it in routers if it.dialled]
    assert router.dialled == [(b"facts", "a model")]
    assert router.used == [router.ahead]
    assert not router.ahead.closed.is_set()
    assert departures.moved == 1


def test_a_session_whose_upstream_cannot_be_dialled_in_advance_moves_all_the_same(tmp_path, arrivals, client):
    router = Router(cannot_dial=True)
    arrivals(router)
    departures = announced(tmp_path)
    departures.deliver(Departure("s1", b"value", Detached(client[1], b"", b"")))
    departures.close()
    assert (departures.moved, router.used) == (1, [None])


def test_an_upstream_that_was_dialled_for_nothing_is_closed(tmp_path, arrivals, monkeypatch):
    router = Router()
    arrivals(router)
    departures = announced(tmp_path)
    departures.close()  # the client has left meanwhile
    assert router.ahead.closed.wait(WAIT_S)
    monkeypatch.setattr(moves, "DIALLED_S", 0.0)
    monkeypatch.setattr(moves, "LOOK_S", 0.01)
    late = Router()
    arrivals(late, 3)
    arrivals.started.pop(0).close()
    departures = announced(tmp_path)
    assert late.ahead.closed.wait(WAIT_S)
    departures.close()


def test_an_upstream_whose_session_is_refused_is_closed(tmp_path, arrivals, client):
    router = Router(is_full=True)
    arrivals(router)
    departures = announced(tmp_path)
    departures.deliver(Departure("s1", b"value", Detached(client[1], b"", b"")))
    departures.close()
    assert departures.lost == 1
    assert router.ahead.closed.wait(WAIT_S)


def test_a_worker_that_ends_does_not_wait_for_a_dial(tmp_path, arrivals):
    router, begun, may_end = Router(), Event(), Event()

    def dial_ahead(_facts, _route):
        begun.set()
        may_end.wait(WAIT_S)
        return router.ahead

    router.dial_ahead = dial_ahead
    arrivals(router)
    departures, ready = Departures(tmp_path, 2, Router()), Event()
    departures.announce(Announcement("s1", b"facts", "a model", ready.set))
    assert begun.wait(WAIT_S)
    arrivals.started.pop().close()
    assert not router.ahead.closed.is_set()
    may_end.set()
    assert router.ahead.closed.wait(WAIT_S)
    assert ready.wait(WAIT_S)
    departures.close()


def test_without_a_worker_that_dials_the_session_need_not_wait(tmp_path):
    announced(tmp_path).close()


def test_only_newer_workers_with_the_same_form_of_values_are_targets(tmp_path):
    for name in ("1-7-1.5eed", "3-8-1.0000", "4-9-1.5eed", f"5-{os.getpid()}-1.5eed"):
        (tmp_path / f"{name}{SUFFIX}").touch()
    for name in ("9.sock", "6-7-1.5eed.moves"):
        (tmp_path / name).touch()
    departures = Departures(tmp_path, 2, Router())
    assert [path.name for path in departures.targets] == [f"4-9-1.5eed{SUFFIX}"]
    departures.close()


@pytest.mark.parametrize("head", [(1 << 40).to_bytes(8, "big"), (3).to_bytes(8, "big") + b"\xff\xff\xff"])
def test_a_message_that_is_no_session_leaves_no_socket(client, head):
    one, other = socket.socketpair()
    with one, other, socket.socket(fileno=client[1]) as sock:
        socket.send_fds(one, [head], [sock.fileno()])
        with pytest.raises((ValueError, msgspec.MsgspecError)):
            moves.receive(other)
    assert client[0].recv(1) == b""


def test_a_message_without_a_socket_is_no_session():
    one, other = socket.socketpair()
    with one, other:
        moves.send(one, Parcel(b"", b"", b""))
        with pytest.raises(ValueError, match="no socket"):
            moves.receive(other)
