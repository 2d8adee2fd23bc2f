"""The order of upstreams and keys."""

import pytest

from router.upstreams.breaker import COOL_DOWN_S, TRIAL_S, Breaker
from router.upstreams.choice import IN_COOL_DOWN, ON_TRIAL, SLOW, SLOW_S, USABLE, Candidate, Rank, choose, rank
from router.upstreams.table import Event

WELL = Rank(USABLE)


def candidate(position, found=WELL, weight=0.0, sessions=0):
    return Candidate(position, found, weight, sessions)


def test_a_key_ranks_by_its_breaker_and_its_unfinished_dials():
    breaker = Breaker()
    assert rank(breaker, None, 0.0) == rank(breaker, 0.0, SLOW_S - 0.1) == WELL
    assert rank(breaker, 0.0, SLOW_S) == Rank(SLOW)
    breaker.take(Event.TIMED_OUT, 0.0)
    assert rank(breaker, None, 1.0) == Rank(IN_COOL_DOWN, COOL_DOWN_S)
    assert rank(breaker, None, COOL_DOWN_S) == WELL
    breaker.take(Event.DIALLED, COOL_DOWN_S)
    assert rank(breaker, None, COOL_DOWN_S) == Rank(ON_TRIAL)
    assert rank(breaker, None, COOL_DOWN_S + TRIAL_S) == WELL


@pytest.mark.parametrize(
    ("candidates", "leaving", "position"),
    [
        # Without weights the list decides.
        ([candidate(0, sessions=9), candidate(1)], None, 0),
        ([candidate(1), candidate(0)], None, 1),
        # The better rank wins over the list, the weight and the upstream to leave.
        ([candidate(0, Rank(IN_COOL_DOWN, 5.0)), candidate(1)], None, 1),
        ([candidate(0, Rank(SLOW)), candidate(1)], None, 1),
        ([candidate(0, Rank(IN_COOL_DOWN, 5.0), 1.0), candidate(1)], None, 1),
        ([candidate(0), candidate(1, Rank(ON_TRIAL))], 0, 0),
        # An upstream is left where another one is as good.
        ([candidate(0), candidate(1)], 0, 1),
        ([candidate(0)], 0, 0),
        # All are open: the one that recovers first.
        ([candidate(0, Rank(IN_COOL_DOWN, 9.0)), candidate(1, Rank(IN_COOL_DOWN, 5.0))], None, 1),
        # Weights share the calls, and an upstream without one is a fallback.
        ([candidate(0), candidate(1, weight=1.0, sessions=50)], None, 1),
        ([candidate(0, weight=1.0, sessions=2), candidate(1, weight=3.0, sessions=4)], None, 1),
        ([candidate(0, weight=1.0, sessions=1), candidate(1, weight=3.0, sessions=6)], None, 0),
    ],
)
def test_the_best_upstream_is_chosen(candidates, leaving, position):
    assert choose(candidates, leaving) == position
