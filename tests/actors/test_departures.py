"""Sessions that depart to another process during a drain: their value, and the stream of their client."""

import contextlib
import heapq
import itertools
import logging
import queue
import socket
import threading
from types import SimpleNamespace

import pytest

from actors import lifecycle, translator
from actors.connections.client import ClientConnection
from actors.connections.frames import FrameParser, apply_mask
from actors.departures import Departures
from tests.support.engine import links
from tests.support.engine.dispatching import WAIT_S
from tests.support.engine.sessions import ScriptedMachine, closing

pytestmark = pytest.mark.slow


class Value:
    """The session as a value, as a test wants it."""

    snapshot_due = 0

    def __init__(self):
        self.can_move = True
        self.asked = queue.Queue()
        self.is_broken = None

    def announcement(self):
        return b"the facts"

    def snapshot(self):
        if self.is_broken:
            raise self.is_broken
        return b"the value"


class Watched(Value):
    """A value that tells each question, and may move from the third one on."""

    def __init__(self):
        self._questions = 0
        super().__init__()

    @property
    def can_move(self):
        self._questions += 1
        return self._questions > 2

    @can_move.setter
    def can_move(self, _can_move):
        pass


@pytest.fixture
def departures(engine):
    """The sessions that have departed, from the next drain on."""
    departed = queue.Queue()
    engine.supervisor.tell(lifecycle.LetDepart(lifecycle.Exit(departed.put)))
    return departed


@pytest.fixture
def announced(engine):
    """The sessions that have been announced and have departed, from the next drain on."""
    both = queue.Queue()
    engine.supervisor.tell(lifecycle.LetDepart(lifecycle.Exit(both.put, both.put)))
    return both


def text_of(sock):
    """Receive the next text message."""
    parser, events = FrameParser(is_server=False, max_message_bytes=1 << 20), []
    sock.settimeout(WAIT_S)
    while not events:
        events = parser.feed(sock.recv(4096))
    return events[0]


def masked(text):
    key = b"1234"
    return bytes([0x81, 0x80 | len(text)]) + key + apply_mask(text.encode(), key)


@pytest.fixture
def call(engine):
    """Start a session over TCP; return its machine, and the client's socket."""
    stack = contextlib.ExitStack()

    def start(value):
        ours, theirs = links.tcp_pair(stack)
        connection = ClientConnection(socket.socket(fileno=ours.detach()), subprotocol=None, limits=engine.limits)
        machine = ScriptedMachine()
        engine.start_over(connection, machine, carried=value)
        assert text_of(theirs) == "welcome"
        return machine, theirs

    with stack:
        yield start


def test_a_session_departs_with_its_value_and_its_stream_and_the_drain_is_over(engine, call, departures):
    _, client = call(Value())
    client.sendall(masked("wait long"))
    assert text_of(client) == "waiting"
    client.sendall(masked("half of a frame")[:5])
    drained = engine.drain(5.0)
    departed = departures.get(timeout=WAIT_S)
    assert drained.wait(WAIT_S)
    assert departed.value == b"the value"
    assert masked("half of a frame").startswith(departed.stream.unread)
    with socket.socket(fileno=departed.stream.descriptor) as stream:
        stream.setblocking(True)
        stream.sendall(b"\x81\x05later")
        assert text_of(client) == "later"


def test_a_session_departs_once_it_may_and_handles_messages_until_then(engine, call, departures):
    _, client = call(Watched())
    drained = engine.drain(60.0)
    client.sendall(masked("wait long"))
    assert text_of(client) == "waiting"
    departed = departures.get(timeout=WAIT_S)
    assert drained.wait(WAIT_S)
    socket.socket(fileno=departed.stream.descriptor).close()


def test_a_session_serves_its_client_until_another_process_has_dialled_for_it(engine, call, announced):
    _, client = call(Value())
    client.sendall(masked("open"))
    assert text_of(client) == "opened"
    drained = engine.drain(60.0)
    announcement = announced.get(timeout=WAIT_S)
    assert (announcement.facts, announcement.route) == (b"the facts", "somewhere")
    client.sendall(masked("wait long"))
    assert text_of(client) == "waiting"
    announcement.on_ready()
    departed = announced.get(timeout=WAIT_S)
    assert (departed.session_id, departed.value) == (announcement.session_id, b"the value")
    assert drained.wait(WAIT_S)
    socket.socket(fileno=departed.stream.descriptor).close()


@pytest.mark.parametrize("constant", ["AHEAD_S", "DUE_AHEAD_S"])
def test_a_session_does_not_wait_long_for_the_dial_of_another_process(engine, call, announced, monkeypatch, constant):
    monkeypatch.setattr(translator, constant, 0.2)
    _, client = call(Value())
    client.sendall(masked("open"))
    assert text_of(client) == "opened"
    drained = engine.drain(60.0 if constant == "AHEAD_S" else 1.0)
    assert isinstance(announced.get(timeout=WAIT_S), lifecycle.Announcement)
    departed = announced.get(timeout=WAIT_S)
    assert isinstance(departed, lifecycle.Departure)
    assert drained.wait(WAIT_S)
    socket.socket(fileno=departed.stream.descriptor).close()


def test_a_session_without_an_upstream_is_not_announced(engine, call, announced):
    call(Value())
    drained = engine.drain(60.0)
    departed = announced.get(timeout=WAIT_S)
    assert isinstance(departed, lifecycle.Departure)
    assert drained.wait(WAIT_S)
    socket.socket(fileno=departed.stream.descriptor).close()


def test_a_session_in_a_turn_departs_shortly_before_the_end_of_the_drain(engine, call, departures):
    value = Value()
    value.can_move = False
    call(value)
    drained = engine.drain(0.5)
    departed = departures.get(timeout=WAIT_S)
    assert drained.wait(WAIT_S)
    socket.socket(fileno=departed.stream.descriptor).close()


class Timers:
    """A dispatcher in virtual time."""

    def __init__(self):
        self.now_s = 0.0
        self._timers = []
        self._numbers = itertools.count()

    def call_later(self, delay_s, run):
        heapq.heappush(self._timers, (self.now_s + delay_s, next(self._numbers), run))

    def run(self, until_s):
        """Run the timers that are due until then."""
        while self._timers and self._timers[0][0] <= until_s:
            self.now_s, _, run = heapq.heappop(self._timers)
            run()


class Departing:
    """A session that notes when it has to depart, and whether in the middle of a turn."""

    is_live, client, spec = True, None, SimpleNamespace(carried=object())

    def __init__(self, timers):
        self._timers = timers
        self.due_s = None

    def tell(self, _client, message):
        if message.is_due:
            self.due_s = self._timers.now_s


@pytest.mark.parametrize(("drain_s", "count"), [(8.0, 200), (30.0, 200), (30.0, 5)])
def test_sessions_in_turns_depart_one_after_the_other_and_no_sooner_than_they_have_to(drain_s, count):
    timers, at_rest = Timers(), 100
    sessions = {number: Departing(timers) for number in range(count + at_rest)}
    departures = Departures(timers, sessions, lambda: True)
    departures.let_depart(lifecycle.LetDepart(lifecycle.Exit(print)))
    departures.drain(lifecycle.Drain(threading.Event(), drain_s))
    timers.run(drain_s / 4)
    for number in range(at_rest):
        del sessions[number]
    timers.run(drain_s)
    due_s = sorted(it.due_s for it in sessions.values())
    steps_s = [late - early for early, late in itertools.pairwise(due_s)]
    assert min(steps_s) == pytest.approx(max(steps_s), abs=0.01)
    assert min(steps_s) > min(0.09, drain_s / 1000)
    assert due_s[0] >= max(drain_s / 2, drain_s * 0.9 - 0.1 * count) - 0.1
    assert due_s[-1] == pytest.approx(drain_s * 0.9, abs=0.1)


@pytest.mark.parametrize("problem", [ValueError("a text waits for the guard"), ZeroDivisionError()])
def test_a_session_that_cannot_be_written_is_drained(engine, call, departures, caplog, problem):
    caplog.set_level(logging.INFO)
    value = Value()
    value.is_broken = problem
    _, client = call(value)
    engine.drain(5.0)
    assert text_of(client) == "draining"
    assert departures.empty()
    assert f"stays: {str(problem) or 'it cannot be written'}" in caplog.text
    assert ("Traceback" in caplog.text) is isinstance(problem, ZeroDivisionError)


def test_a_session_whose_stream_is_tied_to_the_process_is_drained(engine, departures):
    client, _ = engine.start(carried=Value())
    engine.drain(5.0)
    assert client.receive() == "draining"
    assert closing(client) == (1012, "drain")
    assert departures.empty()


def test_a_session_without_a_value_is_drained(engine, departures):
    client, _ = engine.start()
    engine.drain(5.0)
    assert client.receive() == "draining"
    assert departures.empty()


def test_the_last_notification_of_a_session_that_departed_says_so(engine, call, departures, caplog):
    caplog.set_level(logging.INFO)
    call(Value())
    assert engine.drain(5.0).wait(WAIT_S)
    socket.socket(fileno=departures.get(timeout=WAIT_S).stream.descriptor).close()
    assert [type(it) for it in engine.observed] == [lifecycle.SessionStarted, lifecycle.SessionMoved]
    assert "departed" in caplog.text
