"""The counters of one process.

Any thread may call the methods. The code that carries frames counts in plain integers instead, and `sample` collects
these.
"""

from __future__ import annotations

import bisect
import threading
from typing import TYPE_CHECKING, Final

import orjson

from router.metrics import catalog
from router.metrics.memory import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.dispatcher import Dispatcher
    from actors.footprint import Footprint
    from router.metrics.catalog import Metric

Labels = tuple[str, ...]

MAX_VALUE_BYTES: Final = 100
"""The most bytes of a label's value. A longer one is cut, so that the segment has room for all sets of all metrics."""

_CONTROLS: Final = dict.fromkeys((it for it in range(32) if chr(it) not in "\b\t\n\f\r"), "\ufffd")
"""The control characters that take six bytes each in a segment.

Any other character takes at most twice its own bytes.
"""


class Metrics:
    """The writer of a segment. Before `attach` the writer has a private segment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[int, dict[str, float]] = {}
        """The totals of each dispatcher at the last sample, by `id(dispatcher)`."""
        self._evictions = 0
        self.attach(Segment())

    def attach(self, segment: Segment) -> None:
        """Write to a segment from now on. Counters in its rows continue; gauges begin at 0."""
        self.segment = segment
        self._places: dict[tuple[str, Labels], int | None] = {}
        self._sets: dict[str, int] = {}
        for key, place, numbers in segment.rows():
            name, *labels = orjson.loads(key)
            metric = catalog.BY_NAME.get(name)
            if metric is not None and len(numbers) != metric.size:
                continue  # another version of the router wrote this row: a write would reach the next row
            self._places[name, tuple(labels)] = place
            self._sets[name] = self._sets.get(name, 0) + 1
        clear_gauges(segment)
        for metric in catalog.METRICS:
            for labels in metric.initial:
                self.add(metric, labels, 0.0)

    def add(self, metric: Metric, labels: Labels = (), value: float = 1.0) -> None:
        """Add to a counter or a gauge."""
        with self._lock:
            place = self._place(metric, labels)
            if place is not None:
                self.segment.add(place, value)

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            place = self._place(metric, labels)
            if place is not None:
                self.segment.set(place, value)

    def observe(self, metric: Metric, labels: Labels, seconds: float) -> None:
        """Add an observation to a histogram."""
        bucket = bisect.bisect_left(metric.buckets, seconds)
        with self._lock:
            place = self._place(metric, labels)
            if place is not None:
                self.segment.add(place + 8 * bucket, 1.0)
                self.segment.add(place + 8 * metric.sum_place, seconds)
                self.segment.add(place + 8 * metric.native_place(seconds), 1.0)

    def _place(self, metric: Metric, labels: Labels) -> int | None:
        """Return the place of a metric's row, and make the row at its first use; None if the memory is full."""
        key = metric.name, labels
        place = self._places.get(key)
        if place is None and key not in self._places:
            labels = tuple(map(_shortened, labels))
            key = metric.name, labels
            if key in self._places:
                return self._places[key]
            # The last label set is reserved for `other`.
            if self._sets.get(metric.name, 0) >= catalog.MAX_LABEL_SETS - 1:
                labels = (catalog.OTHER,) * len(labels)
                key = metric.name, labels
                if key in self._places:
                    return self._places[key]
            self._sets[metric.name] = self._sets.get(metric.name, 0) + 1
            written = orjson.dumps([metric.name, *labels])
            place = self._places[key] = self.segment.add_row(written, metric.size)
        return place

    # The integers that the engine counts.

    def sample(self, dispatchers: Iterable[Dispatcher]) -> None:
        """Add the counts of the dispatchers since the last sample. Call this every second, and at each scrape."""
        lags_s = [0.0]
        for dispatcher in dispatchers:
            lags_s.append(dispatcher.lag_s)
            before = self._counted.setdefault(id(dispatcher), {})
            for metric, labels, now in _integers(dispatcher):
                name = f"{metric.name} {labels}"
                with self._lock:
                    since, before[name] = now - before.get(name, 0), now
                if since:
                    self.add(metric, labels, since)
        self.set(catalog.LAG, (), max(lags_s))

    def sample_buffers(self, footprint: Footprint) -> None:
        """Record the memory in the buffers of all peers, its share of the bound, and the number of closed peers."""
        self.set(catalog.HELD, (), footprint.total_bytes)
        self.use_limit("memory", footprint.total_bytes, footprint.max_bytes)
        with self._lock:
            since, self._evictions = footprint.evictions - self._evictions, footprint.evictions
        if since:
            self.add(catalog.EVICTIONS, (), since)

    def use_limit(self, name: str, used: float, limit: float) -> None:
        """Record the share of a limit that is in use. A limit of 0 means no limit, and records nothing."""
        if limit:
            self.set(catalog.LIMITS, (name,), used / limit)


def clear_gauges(segment: Segment) -> None:
    """Set all gauges of a segment to 0, because its worker has ended. Counters stay."""
    for key, place, _ in segment.rows():
        metric = catalog.BY_NAME.get(orjson.loads(key)[0])
        if metric is not None and metric.kind == "gauge":
            segment.set(place, 0.0)


def _shortened(label: str) -> str:
    """Return a label's value as it is written: valid UTF-8 of at most `MAX_VALUE_BYTES`, without control characters."""
    value = label[:MAX_VALUE_BYTES].translate(_CONTROLS).encode(errors="replace")
    return value[:MAX_VALUE_BYTES].decode(errors="ignore")


def _integers(dispatcher: Dispatcher) -> list[tuple[Metric, Labels, float]]:
    found: list[tuple[Metric, Labels, float]] = [
        (catalog.SLICE_SECONDS, (), dispatcher.slices_s),
        (catalog.SLICES, (), dispatcher.slices),
        (catalog.SLOW_SLICES, (), dispatcher.slow_slices),
    ]
    for leg, traffic in (("client", dispatcher.client_traffic), ("upstream", dispatcher.upstream_traffic)):
        found += [
            (catalog.MESSAGES, (leg, "received"), traffic.received_messages),
            (catalog.MESSAGES, (leg, "sent"), traffic.sent_messages),
            (catalog.BYTES, (leg, "received"), traffic.received_bytes),
            (catalog.BYTES, (leg, "sent"), traffic.sent_bytes),
            (catalog.DROPPED, (leg,), traffic.dropped_bytes),
        ]
    return found
