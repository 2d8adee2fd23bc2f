"""Timers of a dispatcher."""

import gc
import queue
import threading
import time
import weakref

import pytest

from actors.timers import MAX_DISCARDED, NamedTimers
from tests.support.engine.dispatching import WAIT_S, on


def test_timers_fire_in_the_order_of_their_due_times(dispatcher):
    order, done = [], threading.Event()

    def begin():
        dispatcher.call_later(0.03, done.set)
        dispatcher.call_later(0.02, lambda: order.append("second"))
        dispatcher.call_later(0.01, lambda: order.append("first"))

    on(dispatcher, begin)
    assert done.wait(WAIT_S)
    assert order == ["first", "second"]


def test_a_cancelled_timer_does_not_fire(dispatcher):
    fired, done = [], threading.Event()

    def begin():
        timer = dispatcher.call_later(0.01, lambda: fired.append(1))
        dispatcher.call_later(0.03, done.set)
        timer.cancel()
        return timer.is_active

    assert on(dispatcher, begin) is False
    assert done.wait(WAIT_S)
    assert fired == []


def test_a_postponed_timer_fires_once_at_its_last_due_time(dispatcher):
    times, done = [], threading.Event()

    def fire():
        times.append(time.monotonic())
        done.set()

    def begin():
        timer = dispatcher.call_later(0.01, fire)
        for _ in range(1000):
            timer.restart(0.05)
        return time.monotonic(), len(dispatcher._timers.heap)

    started, entries = on(dispatcher, begin)
    assert done.wait(WAIT_S)
    assert entries == 1
    assert times[0] - started >= 0.049
    assert len(times) == 1


def test_a_timer_that_is_brought_forward_fires_then(dispatcher):
    fired = threading.Event()
    on(dispatcher, lambda: dispatcher.call_later(60, fired.set).restart(0.01))
    assert fired.wait(WAIT_S)


def test_discarded_timers_release_their_callbacks_and_leave_the_heap(dispatcher):
    class Owner:
        def fire(self):
            pytest.fail("it was discarded")

    def begin():
        owners = [Owner() for _ in range(10 * MAX_DISCARDED)]
        timers = [dispatcher.call_later(3600, owner.fire) for owner in owners]
        kept = dispatcher.call_later(3600, lambda: None)
        for timer in timers:
            timer.discard()
        return [weakref.ref(owner) for owner in owners], kept

    owners, kept = on(dispatcher, begin)
    gc.collect()
    assert [owner for owner in owners if owner() is not None] == []
    assert len(dispatcher._timers.heap) <= 2 * MAX_DISCARDED
    assert kept.is_active


@pytest.fixture
def named(dispatcher):
    """Named timers, and the names of those that have fired."""
    fired = queue.SimpleQueue()
    timers = on(dispatcher, lambda: NamedTimers(dispatcher.timer, fired.put))
    yield timers, fired
    on(dispatcher, timers.discard)


def test_named_timers_fire_in_the_order_of_their_due_times(dispatcher, named):
    timers, fired = named
    on(dispatcher, lambda: [timers.restart(name, delay_s) for name, delay_s in (("c", 0.03), ("a", 0.01), ("b", 0.02))])
    assert [fired.get(timeout=WAIT_S) for _ in "abc"] == ["a", "b", "c"]
    assert on(dispatcher, timers.left_s) == {}


def test_a_named_timer_that_was_cancelled_or_postponed_does_not_fire_in_place_of_another(dispatcher, named):
    timers, fired = named

    def begin():
        timers.restart("cancelled", 0.001)
        timers.restart("postponed", 0.002)
        timers.restart("last", 0.02)
        timers.cancel("cancelled")
        timers.cancel("never set")
        timers.restart("postponed", 60.0)

    on(dispatcher, begin)
    assert fired.get(timeout=WAIT_S) == "last"
    assert fired.empty()
    assert 0 < on(dispatcher, timers.left_s).pop("postponed") <= 60


def test_named_timers_that_are_due_at_once_all_fire(dispatcher, named):
    timers, fired = named
    on(dispatcher, lambda: [timers.restart(name, 0.0) for name in "abc"])
    assert [fired.get(timeout=WAIT_S) for _ in "abc"] == ["a", "b", "c"]


def test_a_named_timer_may_set_itself_and_others_when_it_fires(dispatcher):
    fired = queue.SimpleQueue()

    def fire(name):
        fired.put(name)
        if name == "first":
            timers.restart("first", 60.0)
            timers.restart("second", 0.0)

    timers = on(dispatcher, lambda: NamedTimers(dispatcher.timer, fire))
    on(dispatcher, lambda: timers.restart("first", 0.0))
    assert [fired.get(timeout=WAIT_S) for _ in range(2)] == ["first", "second"]
    assert on(dispatcher, timers.left_s).keys() == {"first"}
    on(dispatcher, timers.discard)


def test_times_that_are_brought_forward_leave_the_heap(dispatcher):
    def forward():
        timers = [dispatcher.timer(lambda: None) for _ in range(2 * MAX_DISCARDED)]
        for delay_s in (300.0, 200.0, 100.0):
            for timer in timers:
                timer.restart(delay_s)
        left = len(dispatcher._timers.heap)
        for timer in timers:
            timer.discard()
        return left

    assert on(dispatcher, forward) < 4 * MAX_DISCARDED


def test_discarded_named_timers_release_their_callback_and_never_fire(dispatcher):
    class Owner:
        def fire(self, _name):
            pytest.fail("they were discarded")

    def begin():
        owner = Owner()
        timers = NamedTimers(dispatcher.timer, owner.fire)
        timers.restart("a", 0.001)
        timers.discard()
        timers.restart("b", 0.001)
        return timers, weakref.ref(owner)

    done = threading.Event()
    timers, owner = on(dispatcher, begin)
    on(dispatcher, lambda: dispatcher.call_later(0.02, done.set))
    assert done.wait(WAIT_S)
    assert owner() is None
    assert timers is not None
