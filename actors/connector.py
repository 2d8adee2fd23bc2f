"""The pool of threads on which upstreams are dialled. It knows how dials ended, and not whom they called."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import msgspec

from actors.pool import Pool

RECENT_OUTCOMES: Final = 64
"""The number of outcomes that are kept: readiness is judged by the latest few."""


class Outcome(msgspec.Struct, frozen=True):
    """The end of one dial."""

    at_s: float
    """Its time, on the monotonic clock."""
    is_ok: bool


class Connector(Pool):
    """A pool that remembers how its latest work ended. Its queue has no bound: every dial has a deadline of its own."""

    def __init__(self, threads: int) -> None:
        super().__init__("connector", threads)
        self._recent: deque[Outcome] = deque(maxlen=RECENT_OUTCOMES)

    def outcomes(self) -> list[Outcome]:
        """Return the latest outcomes, the oldest first. `/readyz` judges by them."""
        return list(self._recent)

    def _on_result(self, result: Any) -> None:
        self._recent.append(Outcome(time.monotonic(), not isinstance(result, BaseException)))
