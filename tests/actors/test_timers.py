"""Timers of a dispatcher."""

import gc
import threading
import time
import weakref

import pytest

from actors.timers import MAX_DISCARDED
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
