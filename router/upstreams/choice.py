"""The order in which upstreams and their keys are dialled. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from router.upstreams.table import BreakerState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.upstreams.breaker import Breaker

SLOW_S: Final = 2.0
"""If a dial is unfinished for this many seconds, new calls prefer another upstream."""

USABLE: Final = 0
SLOW: Final = 1
ON_TRIAL: Final = 2
IN_COOL_DOWN: Final = 3


class Rank(NamedTuple):
    """The place of a key in the order in which keys are dialled. The smallest rank comes first."""

    tier: int
    """The class of the key, from `USABLE` to `IN_COOL_DOWN`."""
    until_s: float = 0.0
    """The end of the cool-down. Of several keys in a cool-down, the one whose cool-down ends first comes first."""


class Candidate(NamedTuple):
    """An upstream that a call may dial."""

    position: int
    rank: Rank
    """The rank of its best key."""
    weight: float
    """Its share of the calls; 0 for a fallback."""
    sessions: int


def rank(breaker: Breaker, slow_since_s: float | None, now_s: float) -> Rank:
    """Return the rank of a key.

    Args:
        breaker: the breaker of the key.
        slow_since_s: the time at which the oldest unfinished dial with this key began; None if none is unfinished.
        now_s: the time.
    """
    if breaker.state is BreakerState.CLOSED:
        is_slow = slow_since_s is not None and now_s - slow_since_s >= SLOW_S
        return Rank(SLOW if is_slow else USABLE)
    if breaker.is_due(now_s):
        return Rank(USABLE)
    if breaker.state is BreakerState.HALF_OPEN:
        return Rank(ON_TRIAL)
    return Rank(IN_COOL_DOWN, breaker.until_s)


def choose(candidates: Sequence[Candidate], leaving: int | None) -> int:
    """Return the position to dial.

    The best rank wins. Among equals, an upstream other than the one that the call leaves wins. Then upstreams with a
    weight come first, and among them the one with the smallest load in relation to its weight. Then come the fallbacks,
    in the order of `candidates`.

    Args:
        candidates: at least one upstream, in the order of preference.
        leaving: the position of the upstream that the call leaves; None if it may stay.
    """

    def key(candidate: Candidate) -> tuple[Rank, bool, bool, float]:
        is_fallback = candidate.weight <= 0
        load = 0.0 if is_fallback else (candidate.sessions + 1) / candidate.weight
        return candidate.rank, candidate.position == leaving, is_fallback, load

    return min(candidates, key=key).position
