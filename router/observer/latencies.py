"""The latencies of a session's turns."""

from __future__ import annotations

import statistics
from typing import Final

MAX_KEPT: Final = 256
"""The number of latencies that are kept for the median.

The bound is needed because a conversation may last for days.
"""


class Latencies:
    """The seconds from the end of each turn of the user to the agent's first output."""

    __slots__ = ("_newest_s", "_next", "max_s")

    def __init__(self) -> None:
        self._newest_s: list[float] = []
        self._next = 0
        self.max_s: float | None = None

    def add(self, latency_s: float) -> None:
        """Add the latency of a turn, in seconds. Beyond `MAX_KEPT` the oldest latency is dropped."""
        self.max_s = latency_s if self.max_s is None else max(self.max_s, latency_s)
        if len(self._newest_s) < MAX_KEPT:
            self._newest_s.append(latency_s)
            return
        self._newest_s[self._next] = latency_s
        self._next = (self._next + 1) % MAX_KEPT

    @property
    def median_s(self) -> float | None:
        """The median of the newest latencies in seconds; None if no turn had output."""
        return statistics.median(self._newest_s) if self._newest_s else None
