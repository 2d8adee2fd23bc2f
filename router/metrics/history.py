"""The last hour in points of 15 s, for the administrators' page: a ring in memory that the workers share.

The first worker that sees a due point writes it. If two workers write it at once, their numbers are nearly equal.
"""

from __future__ import annotations

import itertools
import struct
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.metrics import catalog
from router.metrics.exposition import merged
from router.shared_areas import OWN, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.metrics.memory import Segment
    from router.shared_areas import Areas

STEP_S: Final = 15
POINTS: Final = 3600 // STEP_S
"""The number of points in an hour."""

FAILED: Final = ("failed", "crashed")
"""The values of the label `end` that count as failures."""

PHASE: Final = "first_audio"
"""The label of the latency that the page shows: from the end of the user's turn to the first audio."""

_BUCKETS: Final = len(catalog.LATENCY_BUCKETS) + 1
_POINT: Final = struct.Struct(f"<Q5d{_BUCKETS}d")


class Point(msgspec.Struct, frozen=True):
    """The counters of all workers at one moment."""

    step: int
    """The time of the point, as the number of 15 s steps since 1970."""
    sessions: float
    ended: float
    failed: float
    turns: float
    cost_usd: float
    latencies: tuple[float, ...]
    """The number of answers in each bucket of latency, since the start."""


class History:
    """The points of the last hour. Every process that shares the memory may read and write."""

    def __init__(self, areas: Areas = OWN) -> None:
        self._memory = areas.memory("history", POINTS * _POINT.size)

    def note(self, segments: Iterable[Segment], unix_s: float | None = None) -> None:
        """Write the point of the present 15 s step, unless the step already has one."""
        step = int((time.time() if unix_s is None else unix_s) // STEP_S)
        place = step % POINTS * _POINT.size
        if _POINT.unpack_from(self._memory, place)[0] != step:
            point = _point(step, segments)
            fields = (point.sessions, point.ended, point.failed, point.turns, point.cost_usd)
            store(self._memory, _POINT, place, step, *fields, *point.latencies)

    def series(self, unix_s: float | None = None) -> list[dict[str, Any]]:
        """Return the points of the last hour, the oldest first.

        A point has the number of sessions, and the changes of the other counters since the previous point.
        """
        newest = int((time.time() if unix_s is None else unix_s) // STEP_S)
        points = sorted((it for it in self._points() if newest - POINTS < it.step <= newest), key=lambda it: it.step)
        return [_change(before, after) for before, after in itertools.pairwise(points)]

    def _points(self) -> list[Point]:
        return [
            Point(step, sessions, ended, failed, turns, cost_usd, tuple(latencies))
            for step, sessions, ended, failed, turns, cost_usd, *latencies in _POINT.iter_unpack(bytes(self._memory))
        ]


def _point(step: int, segments: Iterable[Segment]) -> Point:
    rows = merged(segments)

    def total(metric: catalog.Metric) -> float:
        return sum(numbers[0] for numbers in rows.get(metric.name, {}).values())

    ends = rows.get(catalog.SESSIONS.name, {})
    latencies = rows.get(catalog.TURN_SECONDS.name, {}).get((PHASE,), [0.0] * catalog.TURN_SECONDS.size)
    return Point(
        step,
        total(catalog.SESSIONS_ACTIVE),
        total(catalog.SESSIONS),
        sum(numbers[0] for (_, end, _), numbers in ends.items() if end in FAILED),
        total(catalog.TURNS),
        total(catalog.COST),
        tuple(latencies[:_BUCKETS]),
    )


def _change(before: Point, after: Point) -> dict[str, Any]:
    counts = [max(0.0, now - then) for then, now in zip(before.latencies, after.latencies, strict=True)]
    return {
        "at": after.step * STEP_S,
        "sessions": int(after.sessions),
        "ended": int(after.ended - before.ended),
        "failed": int(after.failed - before.failed),
        "turns": int(after.turns - before.turns),
        "cost_usd": round(max(0.0, after.cost_usd - before.cost_usd), 6),
        "latency_p50_ms": quantile_ms(counts, 0.5),
        "latency_p95_ms": quantile_ms(counts, 0.95),
    }


def quantile_ms(counts: Sequence[float], share: float) -> int | None:
    """Return the quantile at `share` (0 to 1) of latencies that are counted in buckets, in ms; None without latencies.

    Like Prometheus, assume that the latencies in a bucket are evenly spread. A latency in the last bucket, which has no
    upper bound, counts as the lower bound.
    """
    wanted, before = sum(counts) * share, 0.0
    if not wanted:
        return None
    bounds = (0.0, *catalog.LATENCY_BUCKETS)
    for at, count in enumerate(counts):
        if count and before + count >= wanted:
            upper = bounds[at + 1] if at + 1 < len(bounds) else bounds[at]
            return round((bounds[at] + (upper - bounds[at]) * (wanted - before) / count) * 1000)
        before += count
    return round(bounds[-1] * 1000)
