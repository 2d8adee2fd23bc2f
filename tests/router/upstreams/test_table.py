"""The state machine of a breaker, row by row."""

import itertools

import pytest

from router.upstreams.table import ROWS, TABLE, BreakerState, Effect, Event

CLOSED, OPEN, HALF_OPEN = BreakerState

EXPECTED = {
    (CLOSED, Event.DIALLED): (CLOSED, Effect.NONE),
    (CLOSED, Event.CONNECTED): (CLOSED, Effect.NONE),
    (CLOSED, Event.SERVED): (CLOSED, Effect.RESET),
    (CLOSED, Event.FAILED): (CLOSED, Effect.COUNT),
    (CLOSED, Event.FAILED_AGAIN): (OPEN, Effect.BACK_OFF),
    (CLOSED, Event.TIMED_OUT): (OPEN, Effect.BACK_OFF),
    (CLOSED, Event.REFUSED): (OPEN, Effect.REFUSE),
    (CLOSED, Event.TOLD): (OPEN, Effect.OBEY),
    (CLOSED, Event.ABANDONED): (CLOSED, Effect.NONE),
    (CLOSED, Event.WARNED): (OPEN, Effect.OBEY),
    (CLOSED, Event.CLEARED): (CLOSED, Effect.NONE),
    (OPEN, Event.DIALLED): (HALF_OPEN, Effect.NONE),
    (OPEN, Event.CONNECTED): (OPEN, Effect.NONE),
    (OPEN, Event.SERVED): (OPEN, Effect.NONE),
    (OPEN, Event.FAILED): (OPEN, Effect.NONE),
    (OPEN, Event.FAILED_AGAIN): (OPEN, Effect.NONE),
    (OPEN, Event.TIMED_OUT): (OPEN, Effect.NONE),
    (OPEN, Event.REFUSED): (OPEN, Effect.REFUSE),
    (OPEN, Event.TOLD): (OPEN, Effect.OBEY),
    (OPEN, Event.ABANDONED): (OPEN, Effect.NONE),
    (OPEN, Event.WARNED): (OPEN, Effect.OBEY),
    (OPEN, Event.CLEARED): (OPEN, Effect.RELEASE),
    (HALF_OPEN, Event.DIALLED): (HALF_OPEN, Effect.NONE),
    (HALF_OPEN, Event.CONNECTED): (CLOSED, Effect.TRIAL),
    (HALF_OPEN, Event.SERVED): (CLOSED, Effect.RESET),
    (HALF_OPEN, Event.FAILED): (OPEN, Effect.BACK_OFF),
    (HALF_OPEN, Event.FAILED_AGAIN): (OPEN, Effect.BACK_OFF),
    (HALF_OPEN, Event.TIMED_OUT): (OPEN, Effect.BACK_OFF),
    (HALF_OPEN, Event.REFUSED): (OPEN, Effect.REFUSE),
    (HALF_OPEN, Event.TOLD): (OPEN, Effect.OBEY),
    (HALF_OPEN, Event.ABANDONED): (OPEN, Effect.RELEASE),
    (HALF_OPEN, Event.WARNED): (HALF_OPEN, Effect.NONE),
    (HALF_OPEN, Event.CLEARED): (HALF_OPEN, Effect.NONE),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.state.value}, {row.event.value}")
def test_a_row_has_its_next_state_and_effect(row):
    assert (row.next, row.effect) == EXPECTED[row.state, row.event]


def test_every_event_has_one_row_in_every_state():
    assert len(ROWS) == len(TABLE)
    assert set(TABLE) == set(itertools.product(BreakerState, Event))
