"""The pool of threads on which upstreams are dialled.

The pool knows how dials ended, and not which upstreams were dialled.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import msgspec

from actors.pool import Pool

MAX_WAITING: Final = 32
"""The most dials that may wait for each thread: a thread makes so many dials of 0.3 s within `dial_s`, 10 s by default.

A dial behind them would reach its deadline in the queue.
"""

RECENT_OUTCOMES: Final = 64
"""The number of outcomes that are kept, because `/readyz` decides by the latest few."""


DIALS_JUDGED: Final = 3
JUDGED_WITHIN_S: Final = 60.0
"""An upstream counts as failing when the latest `DIALS_JUDGED` dials within this time all failed.

An older failure is no sign of the present state, and without a session no dial would ever correct it.
"""


class Outcome(msgspec.Struct, frozen=True):
    """The end of one dial."""

    at_s: float
    """The time of the dial's end, in seconds on the monotonic clock."""
    is_ok: bool


class Connector(Pool):
    """A pool of threads with a bounded queue, which remembers how its latest work ended."""

    def __init__(self, threads: int) -> None:
        super().__init__("connector", threads, max_waiting=MAX_WAITING * threads)
        self._recent: deque[Outcome] = deque(maxlen=RECENT_OUTCOMES)

    def outcomes(self) -> list[Outcome]:
        """Return the latest outcomes, the oldest first. `/readyz` decides by them."""
        return list(self._recent)

    def _on_result(self, result: Any) -> None:
        self._recent.append(Outcome(time.monotonic(), not isinstance(result, BaseException)))
