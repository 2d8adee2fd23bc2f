"""In virtual time a wait costs nothing, and all who read the time read the same."""

import random
import sys
import time
import types

import pytest

import actors.connections.protocol
import actors.timers
import actors.upstream_choice
from tests.support.machine.virtual_time import STARTS_S, UNIX_S, VirtualDispatcher, VirtualPool, virtual_time

HOUR_S = 3600.0


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


@pytest.fixture
def dispatcher(clock):
    dispatcher = VirtualDispatcher(clock)
    yield dispatcher
    dispatcher.close()


def test_the_engine_reads_the_virtual_clock_and_afterwards_the_real_one():
    with virtual_time() as clock:
        clock.now_s += HOUR_S
        assert actors.timers.time.monotonic() == actors.connections.protocol.monotonic() == STARTS_S + HOUR_S
        assert actors.timers.time.time() == UNIX_S + HOUR_S
    assert actors.timers.time is time
    assert actors.connections.protocol.monotonic is time.monotonic
    assert actors.upstream_choice.random is random


@pytest.mark.parametrize(("share", "drawn"), [(0.0, -1.0), (0.5, 0.0), (1.0, 1.0)])
def test_the_dice_fall_as_the_test_says(share, drawn):
    with virtual_time(share):
        assert [actors.upstream_choice.random.uniform(-1, 1) for _ in range(3)] == [drawn] * 3


def test_a_module_that_is_imported_inside_the_block_would_read_the_real_clock(monkeypatch):
    late = types.ModuleType("actors.late")
    late.time = time

    def import_it():
        with virtual_time():
            monkeypatch.setitem(sys.modules, "actors.late", late)

    with pytest.raises(AssertionError, match=r"actors\.late\.time"):
        import_it()


def test_an_hour_passes_at_once_and_timers_fire_in_their_order(clock, dispatcher):
    fired = []
    for delay_s in (HOUR_S, 1.0, 60.0):
        dispatcher.call_later(delay_s, lambda delay_s=delay_s: fired.append((delay_s, clock.now_s - STARTS_S)))
    began_s = time.monotonic()
    assert dispatcher.run_until(lambda: len(fired) == 3, 2 * HOUR_S)
    assert fired == [(1.0, 1.0), (60.0, 60.0), (HOUR_S, HOUR_S)]
    assert clock.now_s == STARTS_S + HOUR_S
    assert time.monotonic() - began_s < 60


def test_a_wait_ends_at_its_deadline_with_what_is_due_later_still_to_come(clock, dispatcher):
    fired = []
    dispatcher.call_later(2.0, lambda: fired.append(clock.now_s))
    assert not dispatcher.run_until(lambda: bool(fired), 1.5)
    assert clock.now_s == STARTS_S + 1.5
    assert dispatcher.active_timers() == 1
    assert dispatcher.run_until(lambda: bool(fired), 1.5)
    assert fired == [STARTS_S + 2.0]


def test_a_timer_at_the_very_deadline_fires(dispatcher):
    fired = []
    dispatcher.call_later(1.0, lambda: fired.append(True))
    assert dispatcher.run_until(lambda: bool(fired), 1.0)


def test_what_arrives_during_a_stall_is_read_behind_it_and_before_a_timer(clock, dispatcher):
    happened = []
    dispatcher.call_later(0.3, lambda: happened.append(("timer", clock.now_s - STARTS_S)))
    dispatcher.arrive_later(0.5, lambda: happened.append(("arrival", clock.now_s - STARTS_S)))
    dispatcher.stall(0.8)
    assert not dispatcher.run_until(lambda: bool(happened), 0.7)
    assert dispatcher.run_until(lambda: len(happened) == 2, 0.2)
    assert happened == [("arrival", pytest.approx(0.8)), ("timer", pytest.approx(0.8))]


def test_a_module_that_is_imported_meanwhile_hides_no_other_from_the_next_block(monkeypatch):
    with virtual_time():
        monkeypatch.setitem(sys.modules, "not_one_of_ours", types.ModuleType("not_one_of_ours"))
    with virtual_time() as clock:
        assert actors.timers.time is clock


def test_a_job_takes_its_time_and_its_failure_is_its_result(clock, dispatcher):
    pool, done = VirtualPool("pool", dispatcher, 0.25), []
    pool.submit(lambda: 1 // 0, lambda result: done.append((result, clock.now_s)))
    pool.submit(lambda: "fine", lambda result: done.append((result, clock.now_s)))
    assert dispatcher.run_until(lambda: len(done) == 2, 1.0)
    (failure, _), (fine, at_s) = done
    assert isinstance(failure, ZeroDivisionError)
    assert (fine, at_s) == ("fine", STARTS_S + 0.25)


def test_a_job_that_is_withdrawn_is_never_begun(dispatcher):
    pool, done = VirtualPool("pool", dispatcher, 0.25), []
    job = pool.submit(lambda: done.append("begun"), done.append)
    assert job.withdraw()
    assert not dispatcher.run_until(lambda: bool(done), 1.0)
    assert not job.withdraw()
