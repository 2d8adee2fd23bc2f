"""Threads that run actors."""

import logging
import socket
import threading
import time

import pytest

from actors.dispatcher import READABLE, SLICE_BUDGET, Dispatcher, on_dispatcher_thread
from tests.support.engine.dispatching import WAIT_S, on


class Counter:
    """A runnable that asks for slice after slice, up to a number."""

    session_id = ""

    def __init__(self, dispatcher, slices, log, name=""):
        self.dispatcher, self.left, self.log, self.name = dispatcher, slices, log, name
        self.done = threading.Event()

    def run_slice(self, budget):
        assert budget == SLICE_BUDGET
        self.log.append(self.name)
        self.left -= 1
        if self.left:
            self.dispatcher.schedule(self)
        else:
            self.done.set()


def test_callbacks_run_on_its_thread_in_order(dispatcher):
    order = []
    for n in range(100):
        dispatcher.call_soon(lambda n=n: order.append(n))
    assert on(dispatcher, on_dispatcher_thread) is True
    assert on_dispatcher_thread() is False
    assert order == list(range(100))


def test_runnables_take_turns(dispatcher):
    log = []
    counters = [Counter(dispatcher, 50, log, name) for name in "ab"]

    def begin():
        for counter in counters:
            dispatcher.schedule(counter)

    on(dispatcher, begin)
    assert all(counter.done.wait(WAIT_S) for counter in counters)
    assert log == ["a", "b"] * 50


@pytest.mark.slow
def test_a_busy_runnable_starves_neither_timers_nor_sockets(dispatcher):
    left, right = socket.socketpair()
    readable, fired = threading.Event(), threading.Event()
    counter = Counter(dispatcher, 10**9, log := [])
    with left, right:
        on(dispatcher, lambda: dispatcher.watch(left.fileno(), READABLE, lambda _mask: readable.set()))
        on(dispatcher, lambda: dispatcher.call_later(0.01, fired.set))
        dispatcher.schedule(counter)
        right.send(b"x")
        assert readable.wait(WAIT_S)
        assert fired.wait(WAIT_S)
        counter.left = 1
        assert counter.done.wait(WAIT_S)
        on(dispatcher, lambda: dispatcher.unwatch(left.fileno()))
    assert log


class Passing:
    """A slow runnable that schedules another one behind it."""

    session_id = ""

    def __init__(self, dispatcher, log, name, then=None):
        self.dispatcher, self.log, self.name, self.then = dispatcher, log, name, then

    def run_slice(self, _budget):
        self.log.append(self.name)
        until_s = time.monotonic() + 0.01
        while time.monotonic() < until_s:
            pass
        if self.then is not None:
            self.dispatcher.schedule(self.then)


@pytest.mark.slow
def test_a_received_message_is_passed_on_to_its_end_before_more_is_received(dispatcher):
    log, done, (ours, theirs) = [], threading.Event(), socket.socketpair()
    last = Passing(dispatcher, log, "upstream")
    first = Passing(dispatcher, log, "client", Passing(dispatcher, log, "translator", last))

    def receive(_mask):
        log.append("received")
        ours.recv(1)
        dispatcher.schedule(first)
        if log.count("received") == 3:
            dispatcher.unwatch(ours.fileno())
            dispatcher.call_soon(lambda: dispatcher.call_soon(done.set))

    with ours, theirs:
        theirs.sendall(b"123")
        dispatcher.call_soon(lambda: dispatcher.watch(ours.fileno(), READABLE, receive))
        assert done.wait(WAIT_S)
    on(dispatcher, lambda: None)
    assert log == ["received", "client", "translator", "upstream"] * 3


def test_flushes_run_once_behind_the_slices_of_a_turn(dispatcher):
    log, done = [], threading.Event()
    counter = Counter(dispatcher, 3, log, "slice")

    def begin():
        dispatcher.flush_later(lambda: (log.append("flush"), done.set()))
        dispatcher.schedule(counter)

    on(dispatcher, begin)
    assert done.wait(WAIT_S)
    assert log == ["slice", "slice", "slice", "flush"]


def test_a_callback_that_raises_is_logged_and_the_dispatcher_goes_on(caplog):
    dispatcher = Dispatcher("hardened").start()
    dispatcher.call_soon(lambda: 1 / 0)
    assert on(dispatcher, lambda: "still here") == "still here"
    assert dispatcher.failures == 1
    assert "ZeroDivisionError" in caplog.text
    assert dispatcher.stop()


def test_a_slow_slice_is_counted_and_logged(dispatcher, caplog):
    class Slow:
        session_id = ""

        def run_slice(self, _budget):
            threading.Event().wait(0.06)

    with caplog.at_level(logging.INFO):
        dispatcher.schedule(Slow())
        on(dispatcher, lambda: None)
        assert on(dispatcher, lambda: dispatcher.slow_slices) == 1
    (record,) = (it for it in caplog.records if "slow slice" in it.message)
    assert "Slow" in record.message
    assert record.levelname == "INFO"


def test_stop_ends_the_thread_and_a_later_call_is_run_by_its_caller():
    """The caller may bring a connection that was dialled for a session which has ended: it has to be closed."""
    dispatcher = Dispatcher("short-lived").start()
    assert dispatcher.is_alive
    assert dispatcher.stop()
    assert not dispatcher.is_alive
    threads = []
    dispatcher.call_soon(lambda: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


class Burner:
    """A runnable of a session that uses 3 ms in each slice, and asks for more until it is stopped."""

    def __init__(self, dispatcher, session_id, log):
        self.dispatcher, self.session_id, self.log, self.is_stopped = dispatcher, session_id, log, False

    def run_slice(self, _budget):
        self.log.append((self.session_id, self.dispatcher.turns))
        until_s = time.monotonic() + 0.003
        while time.monotonic() < until_s:
            pass
        if not self.is_stopped:
            self.dispatcher.schedule(self)


@pytest.fixture
def burners(dispatcher):
    """Two heavy sessions, and the list of their slices."""
    log = []
    burners = [Burner(dispatcher, name, log) for name in ("a", "b")]
    for burner in burners:
        dispatcher.schedule(burner)
    while len(log) < 40:
        on(dispatcher, lambda: None)
    yield log
    for burner in burners:
        burner.is_stopped = True


def test_heavy_sessions_share_a_part_of_each_turn_and_alternate(dispatcher, burners):
    on(dispatcher, lambda: None)
    slices = burners[16:40]
    turns = {turn for _, turn in slices}
    assert all(sum(at == turn for _, at in slices) <= 5 for turn in turns)
    assert {name for name, _ in slices} == {"a", "b"}


@pytest.mark.usefixtures("burners")
def test_a_light_session_runs_before_the_heavy_ones(dispatcher):
    log = []

    class Light:
        session_id = "light"

        def run_slice(self, _budget):
            log.append(list(dispatcher.heavy))

    on(dispatcher, lambda: dispatcher.schedule(Light()))
    on(dispatcher, lambda: None)
    assert sorted(log[0]) == ["a", "b"]


def test_a_heavy_session_with_nothing_left_is_light_again(dispatcher):
    burner = Burner(dispatcher, "a", log := [])
    dispatcher.schedule(burner)
    while len(log) < 10:
        on(dispatcher, lambda: None)
    burner.is_stopped = True
    for _ in range(3):
        on(dispatcher, lambda: None)
    assert on(dispatcher, lambda: list(dispatcher.heavy)) == []


def test_the_dispatcher_stops_only_when_heavy_sessions_have_nothing_left():
    dispatcher = Dispatcher("heavy").start()
    burner = Burner(dispatcher, "a", log := [])
    dispatcher.schedule(burner)
    while len(log) < 10:
        on(dispatcher, lambda: None)
    burner.is_stopped = True
    assert dispatcher.stop()
    assert not dispatcher.heavy


def test_timers_wait_for_bytes_that_are_left_unread_but_not_for_good(dispatcher):
    turns, fired = [], threading.Event()

    def flood():
        dispatcher.leave_unread()
        turns.append(dispatcher.turns)
        if not fired.is_set():
            dispatcher.call_soon(flood)

    on(dispatcher, lambda: dispatcher.call_later(0.0, lambda: (fired.set(), turns.append(dispatcher.turns))))
    on(dispatcher, flood)
    assert fired.wait(WAIT_S)
