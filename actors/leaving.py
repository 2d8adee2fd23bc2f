"""The moments at which idle sessions end during a drain, spread with jitter. Pure.

Their clients dial again when they are closed. If all of them did so at once, they would overload the other servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SHARE: Final = 0.8
"""The fraction of a drain in which idle sessions end. In the rest, turns that began shortly before can finish."""

SPACING_S: Final = 0.5
"""The mean time in seconds from one end to the next, if the drain is long enough for it.

So a process with few sessions does not wait for the whole drain.
"""


def delays_s(count: int, drain_s: float, jitter: Callable[[], float]) -> list[float]:
    """Return the delay in seconds of each session's end.

    The first session ends at once. For the others the beginning of the drain is divided into equal intervals, of at
    most `SPACING_S`. One session ends at a random time in each interval.

    Args:
        count: the number of sessions.
        drain_s: the length of the drain in seconds.
        jitter: a function that returns a random number from 0 to 1.
    """
    if not count:
        return []
    slot_s = min(SPACING_S, drain_s * SHARE / count)
    return [0.0, *((place + jitter()) * slot_s for place in range(count - 1))]
