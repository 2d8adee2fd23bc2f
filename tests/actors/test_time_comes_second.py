"""Received frames are handled before a deadline that expired meanwhile is judged."""

import contextlib
import socket
import threading
import time

import pytest

from actors import messages
from actors.actor import as_ref
from actors.connections.base import ConnectionLimits
from actors.connections.frames import binary_frames, text_frames
from actors.connections.memory import memory_pair
from actors.connections.stream import StreamConnection
from actors.connector import Connector
from actors.lifecycle import StartSession
from actors.pool import Pool
from actors.spec import SessionSpec
from actors.supervisor import Supervisor
from actors.work import Pools
from tests.support.engine.dispatching import on

WAIT_S = 5.0
DEADLINE_S = 0.15
LATE_S = 0.4
"""The time that the dispatcher is busy with other work: the deadline expires meanwhile."""


class Watch:
    """A machine that restarts its deadline with every frame."""

    def __init__(self):
        self.inputs = []
        self.fired = threading.Event()
        self.began = threading.Event()

    def handle(self, message, _now_s):
        match message:
            case messages.ClientOpened():
                return []
            case messages.TimerFired():
                self.inputs.append("deadline")
                self.fired.set()
                return []
            case messages.ClientTextReceived(text):
                self.inputs.append(text)
                self.began.set()
                return [messages.StartTimer("t", DEADLINE_S)]
            case messages.ClientBinaryReceived(data):
                self.inputs.append(len(data))
                return [messages.StartTimer("t", DEADLINE_S)]
        return [messages.EndSession(1000, "")]

    def describe(self):
        return {}


class SocketClient:
    """A client over a real socket: its frames wait in the kernel while the dispatcher is late."""

    def __init__(self, sock):
        self.sock = sock

    def send_text(self, text):
        self.sock.sendall(b"".join(text_frames(text, mask=True, max_frame_bytes=1000)))

    def send_binary(self, data):
        self.sock.sendall(b"".join(binary_frames(data, mask=True, max_frame_bytes=1000)))

    def close(self):
        self.sock.close()


def over_memory():
    return memory_pair()


def over_a_socket():
    ours, theirs = socket.socketpair()
    return StreamConnection(ours, is_server=True, limits=ConnectionLimits()), SocketClient(theirs)


@pytest.fixture(params=[over_memory, pytest.param(over_a_socket, marks=pytest.mark.slow)], ids=["memory", "socket"])
def session(request, dispatcher):
    """Start a session whose deadline runs; yield its client and its machine."""
    connector, pool, over = Connector(1), Pool("worker", 1), threading.Event()
    pools = Pools(tools=pool, setup=pool, hooks=pool)
    supervisor = as_ref(Supervisor.start(dispatcher, dispatchers=[dispatcher], connector=connector, pools=pools))
    connection, client = request.param()
    machine = Watch()
    spec = SessionSpec(
        session_id="s",
        machine=machine,
        dial_target=lambda *_: None,
        dialler=lambda _: None,
        crash_frame="{}",
        restarts=0,
        deliver_timeout_s=5.0,
        on_end=over.set,
    )
    supervisor.tell(StartSession(spec, connection))
    client.send_text("begin")
    assert machine.began.wait(WAIT_S)
    yield client, machine
    client.close()
    assert over.wait(WAIT_S)
    supervisor.stop(timeout=WAIT_S)
    connector.close(WAIT_S)
    pool.close(WAIT_S)


@contextlib.contextmanager
def late(dispatcher):
    """Keep the dispatcher busy until a deadline that runs has expired."""
    held, go_on = threading.Event(), threading.Event()
    dispatcher.call_soon(lambda: (held.set(), go_on.wait(WAIT_S)))
    assert held.wait(WAIT_S)
    over_s = time.monotonic() + LATE_S
    yield
    while time.monotonic() < over_s:
        go_on.wait(0.01)
    go_on.set()


def test_what_came_in_time_is_handled_before_the_deadline_that_it_puts_off(dispatcher, session):
    client, machine = session
    with late(dispatcher):
        for _ in range(3):
            client.send_binary(bytes(640))
    assert machine.fired.wait(WAIT_S)
    assert machine.inputs == ["begin", 640, 640, 640, "deadline"]


def test_a_deadline_runs_out_once_for_a_client_that_sends_nothing(dispatcher, session):
    _, machine = session
    with late(dispatcher):
        pass
    assert machine.fired.wait(WAIT_S)
    assert machine.inputs == ["begin", "deadline"]


@pytest.mark.slow
def test_a_flood_puts_no_deadline_off_for_good(dispatcher):
    connection, client = over_a_socket()
    fired = threading.Event()

    class Deaf:
        def __getattr__(self, name):
            return lambda *_: None

    on(dispatcher, lambda: (connection.open(dispatcher, Deaf()), dispatcher.call_later(0.1, fired.set)))
    frames = b"".join(binary_frames(b"ab", mask=True, max_frame_bytes=10)) * 1000
    until_s = time.monotonic() + WAIT_S
    client.sock.settimeout(WAIT_S)
    while not fired.is_set() and time.monotonic() < until_s:
        client.sock.sendall(frames)
    assert fired.is_set()
    client.close()
    on(dispatcher, connection.abort)
