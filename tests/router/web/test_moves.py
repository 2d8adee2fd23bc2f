"""Sessions between workers, over real sockets; tests/sockets/test_moves.py has it with a server."""

import os
import socket

import msgspec
import pytest

from actors.connections.base import ConnectionLimits, Detached
from actors.lifecycle import Departure
from actors.messages import ClientAdopted
from router.web import moves
from router.web.moves import Arrivals, Departures, Parcel

pytestmark = pytest.mark.slow

WAIT_S = 5.0


class Router:
    """A router that keeps what it takes over, or refuses it."""

    value_layout = "1.5eed"

    def __init__(self, *, is_full=False):
        self.adopted = []
        self._is_full = is_full

    def limits_of_value(self, data):
        if data == b"unreadable":
            raise ValueError("the snapshot is damaged")
        return ConnectionLimits()

    def adopt(self, data, connection, adopted):
        if self._is_full:
            raise ValueError("the server is going away")
        connection.abort()
        self.adopted.append((data, adopted))


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


def test_only_newer_workers_with_the_same_form_of_values_are_targets(tmp_path):
    for name in ("1-7-1.5eed.moves", "3-8-1.0000.moves", "4-9-1.5eed.moves", f"5-{os.getpid()}-1.5eed.moves", "9.sock"):
        (tmp_path / name).touch()
    departures = Departures(tmp_path, 2, Router())
    assert [path.name for path in departures.targets] == ["4-9-1.5eed.moves"]
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
        one.sendall(msgspec.msgpack.encode(Parcel(b"", b"", b"")).ljust(8))
        with pytest.raises(ValueError, match="no socket"):
            moves.receive(other)
