"""The pool of threads on which upstreams are dialled."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import msgspec

from actors.pool import Pool

RECENT_OUTCOMES: Final = 64


class Outcome(msgspec.Struct, frozen=True):
    """How one dial ended."""

    at_s: float
    """On the monotonic clock."""
    is_ok: bool


class Connector(Pool):
    """A pool that remembers how its latest work ended. Everybody may wait: a dial has a deadline of its own."""

    def __init__(self, threads: int) -> None:
        super().__init__("connector", threads)
        self._recent: deque[Outcome] = deque(maxlen=RECENT_OUTCOMES)

    def outcomes(self) -> list[Outcome]:
        """The latest outcomes, oldest first: what readiness is judged by."""
        return list(self._recent)

    def _done(self, result: Any) -> None:
        self._recent.append(Outcome(time.monotonic(), not isinstance(result, BaseException)))
