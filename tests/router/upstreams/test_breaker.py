"""One breaker: failures in a row, cool-downs, trials."""

import pytest

from router.upstreams.breaker import (
    COOL_DOWN_S,
    LONGEST_DEMANDED_S,
    LONGEST_S,
    REFUSED_S,
    TRIAL_S,
    Breaker,
)
from router.upstreams.table import BreakerState, Event

CLOSED, OPEN, HALF_OPEN = BreakerState


def test_two_failures_in_a_row_open_and_a_served_session_between_them_does_not():
    breaker = Breaker()
    for event in (Event.FAILED, Event.SERVED, Event.FAILED):
        assert breaker.take(event, 0.0) == (CLOSED, CLOSED)
    assert breaker.take(Event.FAILED, 10.0) == (CLOSED, OPEN)
    assert (breaker.cause, breaker.left_s(10.0)) == ("failed again", COOL_DOWN_S)


def test_a_handshake_alone_does_not_forgive_a_failure():
    breaker = Breaker()
    for event in (Event.FAILED, Event.CONNECTED, Event.FAILED):
        breaker.take(event, 0.0)
    assert breaker.state is OPEN


@pytest.mark.parametrize(
    ("event", "demanded_s", "left_s"),
    [
        (Event.TIMED_OUT, 0.0, COOL_DOWN_S),
        (Event.REFUSED, 0.0, REFUSED_S),
        (Event.TOLD, 7.5, 7.5),
        (Event.TOLD, 1e9, LONGEST_DEMANDED_S),
        (Event.WARNED, 3.0, 3.0),
    ],
)
def test_one_event_opens_for_its_time(event, demanded_s, left_s):
    breaker = Breaker()
    assert breaker.take(event, 100.0, demanded_s) == (CLOSED, OPEN)
    assert breaker.left_s(100.0) == left_s
    assert not breaker.is_due(100.0 + left_s - 0.1)
    assert breaker.is_due(100.0 + left_s)
    assert breaker.shown(100.0 + left_s) is HALF_OPEN


def test_a_trial_that_fails_doubles_the_cool_down_up_to_a_bound():
    breaker, now_s, lengths = Breaker(), 0.0, []
    for _ in range(6):
        breaker.take(Event.TIMED_OUT, now_s)
        lengths.append(breaker.left_s(now_s))
        now_s += lengths[-1]
        breaker.take(Event.DIALLED, now_s)
    assert lengths == [min(LONGEST_S, COOL_DOWN_S * 2**n) for n in range(6)]


def test_a_handshake_closes_on_trial_and_the_next_failure_opens_longer():
    breaker = Breaker()
    breaker.take(Event.TIMED_OUT, 0.0)
    breaker.take(Event.DIALLED, COOL_DOWN_S)
    assert breaker.take(Event.CONNECTED, COOL_DOWN_S) == (HALF_OPEN, CLOSED)
    assert breaker.take(Event.FAILED, COOL_DOWN_S) == (CLOSED, OPEN)
    assert breaker.left_s(COOL_DOWN_S) == 2 * COOL_DOWN_S


def test_a_served_session_forgets_the_cool_downs_before():
    breaker = Breaker()
    breaker.take(Event.TIMED_OUT, 0.0)
    breaker.take(Event.DIALLED, 10.0)
    assert breaker.take(Event.SERVED, 11.0) == (HALF_OPEN, CLOSED)
    breaker.take(Event.TIMED_OUT, 12.0)
    assert breaker.left_s(12.0) == COOL_DOWN_S


def test_a_trial_without_a_result_lets_the_next_call_try():
    breaker = Breaker()
    breaker.take(Event.TIMED_OUT, 0.0)
    breaker.take(Event.DIALLED, 10.0)
    assert not breaker.is_due(10.0 + TRIAL_S - 0.1)
    assert breaker.is_due(10.0 + TRIAL_S)
    assert breaker.take(Event.ABANDONED, 12.0) == (HALF_OPEN, OPEN)
    assert breaker.is_due(12.0)


def test_the_longest_of_several_told_times_counts():
    breaker = Breaker()
    breaker.take(Event.TOLD, 0.0, 60.0)
    breaker.take(Event.TOLD, 1.0, 5.0)
    assert breaker.left_s(1.0) == 59.0
    breaker.take(Event.REFUSED, 2.0)
    assert (breaker.cause, breaker.left_s(2.0)) == ("refused", REFUSED_S)


def test_another_machine_that_closes_its_breaker_ends_the_cool_down_here():
    breaker = Breaker()
    breaker.take(Event.WARNED, 0.0, 60.0)
    breaker.take(Event.CLEARED, 1.0)
    assert breaker.state is OPEN
    assert breaker.is_due(1.0)
