"""Dispatchers that die or stall are detected; idle and busy ones are left alone."""

import logging
import threading
from types import SimpleNamespace

import pytest

from actors import watchdog as module
from actors.allocator import Allocator
from actors.dispatcher import Dispatcher
from actors.watchdog import STALLED_LOOKS, Watchdog
from tests.support.processes.children import assert_comes_back

WAIT_S = 5.0


class Abortable:
    session_id = ""
    has_last_frame = True

    def __init__(self):
        self.aborted = threading.Event()

    def abort_from_outside(self):
        self.aborted.set()


@pytest.fixture
def abortable():
    return Abortable()


@pytest.fixture
def watched(abortable):
    """A dispatcher with a registered object, and a watchdog that looks when the test calls it."""
    dispatcher = Dispatcher("patient").start()
    dispatcher.call_soon(lambda: dispatcher.register(abortable))
    yield dispatcher, Watchdog([dispatcher])
    dispatcher.stop()


def look(watchdog, times=1):
    for _ in range(times):
        watchdog._watched[0].look()


def caught_up(dispatcher):
    """Wait until every earlier call has run."""
    done = threading.Event()
    dispatcher.call_soon(done.set)
    assert done.wait(WAIT_S)


def held_up(dispatcher):
    """Block a dispatcher until the returned event is set."""
    held, go_on = threading.Event(), threading.Event()
    dispatcher.call_soon(lambda: (held.set(), go_on.wait(WAIT_S)))
    assert held.wait(WAIT_S)
    return go_on


def test_an_idle_dispatcher_is_healthy_and_is_not_woken(watched):
    dispatcher, watchdog = watched
    caught_up(dispatcher)
    turns = dispatcher.turns
    look(watchdog, 3 * STALLED_LOOKS)
    assert watchdog.problems() == []
    assert dispatcher.turns <= turns + 1


def test_a_busy_dispatcher_is_healthy(watched):
    dispatcher, watchdog = watched
    for _ in range(3 * STALLED_LOOKS):
        go_on = held_up(dispatcher)
        look(watchdog)
        go_on.set()
    assert watchdog.problems() == []


def test_a_stalled_dispatcher_is_logged_with_its_stack_and_its_objects_are_aborted(watched, abortable, caplog):
    dispatcher, watchdog = watched
    go_on = held_up(dispatcher)
    look(watchdog, STALLED_LOOKS)
    assert watchdog.problems() == []
    look(watchdog)
    assert watchdog.problems() == ["patient is stalled"]
    assert abortable.aborted.is_set()
    assert "go_on.wait(WAIT_S)" in caplog.text
    go_on.set()
    caught_up(dispatcher)
    look(watchdog)
    assert watchdog.problems() == []


def test_a_dead_dispatcher_is_logged_and_its_objects_are_aborted(watched, abortable, caplog):
    dispatcher, watchdog = watched

    def die():
        raise SystemExit("no handler catches this")

    dispatcher.call_soon(die)
    dispatcher._thread.join(WAIT_S)
    look(watchdog)
    assert watchdog.problems() == ["patient is dead"]
    assert abortable.aborted.is_set()
    assert "patient died" in caplog.text
    assert "no handler catches this" in caplog.text


def test_an_object_that_was_unregistered_is_not_aborted(watched, abortable):
    dispatcher, watchdog = watched
    dispatcher.call_soon(lambda: dispatcher.unregister(abortable))
    caught_up(dispatcher)
    go_on = held_up(dispatcher)
    look(watchdog, STALLED_LOOKS + 1)
    go_on.set()
    assert not abortable.aborted.is_set()


def test_the_watchdog_looks_by_itself_until_it_is_stopped(abortable):
    dispatcher = Dispatcher("patient").start()
    dispatcher.call_soon(lambda: dispatcher.register(abortable))
    watchdog = Watchdog([dispatcher], look_s=0.01).start()
    go_on = held_up(dispatcher)
    assert abortable.aborted.wait(WAIT_S)
    go_on.set()
    watchdog.stop()
    assert dispatcher.stop()


@pytest.mark.slow
def test_reading_the_stack_of_a_thread_blocks_no_other_thread():
    assert_comes_back("actors.watchdog", "_stack_of", 0)


class OfASession(Abortable):
    """A runnable that holds its dispatcher up, and its socket."""

    def __init__(self, session_id):
        super().__init__()
        self.session_id = session_id
        self.began, self.go_on = threading.Event(), threading.Event()

    def run_slice(self, _budget):
        self.began.set()
        self.go_on.wait(WAIT_S)


@pytest.fixture
def stalling(watched):
    """Two sessions on a dispatcher, one of which holds it up."""
    dispatcher, watchdog = watched
    first, second = OfASession("first"), OfASession("second")
    for it in (first, second):
        dispatcher.call_soon(lambda it=it: dispatcher.register(it))
    caught_up(dispatcher)
    dispatcher.schedule(first)
    assert first.began.wait(WAIT_S)
    look(watchdog, STALLED_LOOKS + 1)
    yield dispatcher, watchdog, first, second
    first.go_on.set()


def test_a_session_that_stalls_its_dispatcher_is_ended_and_named(stalling, caplog):
    _, watchdog, first, second = stalling
    assert first.aborted.is_set()
    assert not second.aborted.is_set()
    assert watchdog.problems() == []
    (line,) = [it.getMessage() for it in caplog.get_records("setup")]
    assert "stalled by session first" in line
    assert "go_on.wait(WAIT_S)" in line


def test_a_dispatcher_that_comes_back_without_that_session_ends_no_other(stalling):
    dispatcher, watchdog, first, second = stalling
    first.go_on.set()
    caught_up(dispatcher)
    look(watchdog, STALLED_LOOKS)
    assert not second.aborted.is_set()


def test_a_dispatcher_that_does_not_come_back_ends_all_its_sessions(stalling):
    _, watchdog, _, second = stalling
    look(watchdog, STALLED_LOOKS)
    assert second.aborted.is_set()
    assert watchdog.problems() == ["patient is stalled"]


class Custody:
    """A channel to a keeper that has the sessions of this process, or to one that has ended."""

    def __init__(self, *, is_kept):
        self.is_kept = is_kept
        self.deaths = 0

    def end_process(self):
        self.deaths += 1


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_process_with_a_keeper_ends_in_place_of_the_sessions_that_outlive_it(is_kept, caplog):
    custody, kept, other = Custody(is_kept=is_kept), Abortable(), Abortable()
    kept.has_last_frame = False
    dispatcher = Dispatcher("patient").start()
    for it in (kept, other):
        dispatcher.call_soon(lambda it=it: dispatcher.register(it))
    watchdog = Watchdog([dispatcher], custody=lambda: custody)
    go_on = held_up(dispatcher)
    look(watchdog, 3 * STALLED_LOOKS)
    assert custody.deaths == (1 if is_kept else 0)
    assert kept.aborted.is_set() is not is_kept
    assert other.aborted.is_set()
    assert ("others continue its sessions" in caplog.text) is is_kept
    go_on.set()
    dispatcher.stop()


@pytest.fixture
def beside(watched):
    """A healthy dispatcher with a session that the keeper has, and one that it has not; a stalled one beside it."""
    stalled, _ = watched
    kept, other = Abortable(), Abortable()
    kept.has_last_frame = False
    healthy = Dispatcher("healthy").start()
    for it in (kept, other):
        healthy.call_soon(lambda it=it: healthy.register(it))
    go_on = held_up(stalled)
    yield healthy, stalled, kept, other
    go_on.set()
    healthy.stop()


def test_a_process_that_ends_first_ends_the_unkept_sessions_of_its_healthy_dispatchers(beside):
    healthy, stalled, kept, other = beside
    threads, ended = [], []
    other.abort_from_outside = lambda: threads.append(threading.get_ident())
    custody = Custody(is_kept=True)
    custody.end_process = lambda: ended.append(list(threads))
    look(Watchdog([stalled, healthy], custody=lambda: custody), STALLED_LOOKS + 1)
    assert ended == [[healthy.thread_id]], "on the thread of the dispatcher, before the end"
    assert not kept.aborted.is_set()


def test_a_process_ends_although_another_dispatcher_has_no_time_to_end_its_sessions(beside, monkeypatch):
    healthy, stalled, _, other = beside
    monkeypatch.setattr(module, "LAST_WORD_S", 0.01)
    custody, go_on = Custody(is_kept=True), held_up(healthy)
    look(Watchdog([stalled, healthy], custody=lambda: custody), STALLED_LOOKS + 1)
    assert custody.deaths == 1
    assert not other.aborted.is_set()
    go_on.set()


class Blocked(logging.Handler):
    """A log handler whose lock another thread holds."""

    def __init__(self):
        super().__init__()
        self.go_on, self.is_held = threading.Event(), threading.Event()
        self.tried = threading.Event()
        self.holder = threading.Thread(target=self._hold, daemon=True)
        self.holder.start()
        assert self.is_held.wait(WAIT_S)

    def _hold(self):
        with self.lock:
            self.is_held.set()
            self.go_on.wait(WAIT_S)

    def emit(self, _record):
        self.tried.set()


@pytest.fixture
def blocked(monkeypatch):
    monkeypatch.setattr(module, "LOG_S", 0.01)
    handler = Blocked()
    logging.getLogger().addHandler(handler)
    yield handler
    handler.go_on.set()
    assert handler.tried.wait(WAIT_S)
    handler.holder.join(WAIT_S)
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_held_lock_of_the_log_delays_the_end_only_briefly(is_kept, blocked, watched, abortable):
    dispatcher, _ = watched
    custody, go_on = Custody(is_kept=is_kept), held_up(dispatcher)
    watchdog = Watchdog([dispatcher], custody=lambda: custody)
    look(watchdog, STALLED_LOOKS + 1)
    assert not blocked.tried.is_set()
    assert custody.deaths == is_kept
    assert abortable.aborted.is_set()
    go_on.set()
    blocked.go_on.set()
    watchdog._log._writing.join(WAIT_S)


def test_a_process_ends_although_an_abort_does_not_return(watched, abortable, monkeypatch):
    dispatcher, _ = watched
    monkeypatch.setattr(module, "END_S", 0.01)
    custody, ended = Custody(is_kept=True), threading.Event()
    custody.end_process = ended.set
    deaths = []
    abortable.abort_from_outside = lambda: deaths.append(ended.wait(WAIT_S))
    go_on = held_up(dispatcher)
    look(Watchdog([dispatcher], custody=lambda: custody), STALLED_LOOKS + 1)
    assert deaths == [True]
    go_on.set()


def test_lines_that_come_while_one_is_blocked_need_no_further_thread(blocked):
    log = module._Log()
    log.write(logging.ERROR, "one")
    first = log._writing
    log.write(logging.ERROR, "two")
    assert log._writing is first
    blocked.go_on.set()
    first.join(WAIT_S)
    log.write(logging.ERROR, "three")
    assert log._writing is not first


def test_the_watchdog_has_the_allocator_look():
    looked = threading.Event()
    allocator = Allocator()
    allocator.look = looked.set
    watchdog = Watchdog([], look_s=0.01, allocator=allocator).start()
    assert looked.wait(WAIT_S)
    watchdog.stop()


def test_the_watchdog_has_the_memory_of_kept_sessions_look():
    looked, custody = threading.Event(), Custody(is_kept=True)
    custody.arena = SimpleNamespace(look=looked.set)
    watchdog = Watchdog([], look_s=0.01, custody=lambda: custody).start()
    assert looked.wait(WAIT_S)
    watchdog.stop()


def test_a_failure_of_the_allocator_is_logged_and_ends_no_watch(caplog):
    failures, failed_twice = [], threading.Event()

    def fail():
        failures.append(1)
        if len(failures) > 1:
            failed_twice.set()
        raise OSError("no such function")

    allocator = Allocator()
    allocator.look = fail
    watchdog = Watchdog([], look_s=0.01, allocator=allocator).start()
    assert failed_twice.wait(WAIT_S)
    watchdog.stop()
    assert "the watchdog failed at the allocator" in caplog.text
