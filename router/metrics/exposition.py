"""The page that Prometheus scrapes: the sums over the segments of all workers, in prometheus-client's formats."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, Final

import orjson
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry
from prometheus_client.utils import floatToGoString

from router.metrics import catalog, protobuf
from router.metrics.catalog import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.metrics.memory import Segment

Numbers = list[float]

_BUILD_INFO: Final = Metric(
    "switchboard_build_info", "gauge", "The version of the router, and of Python.", ("version", "python")
)


def page(segments: Iterable[Segment], version: str, accept: str) -> tuple[bytes, str]:
    """Return the page and its content type, for the header `Accept` of a scraper.

    The formats are the binary format with native histograms, OpenMetrics, and the text format.
    """
    if protobuf.is_wanted(accept):
        rows = merged(segments)
        families = [protobuf.family(metric, rows[metric.name]) for metric in catalog.METRICS if metric.name in rows]
        return b"".join([*families, protobuf.family(_BUILD_INFO, _build_info(version))]), protobuf.CONTENT_TYPE
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(segments, version))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Collector:
    def __init__(self, segments: Iterable[Segment], version: str) -> None:
        self._segments = segments
        self._version = version

    def collect(self) -> Iterator[Any]:
        rows = merged(self._segments)
        for metric in catalog.METRICS:
            yield _family(metric, rows.get(metric.name, {}))
        yield _family(_BUILD_INFO, _build_info(self._version))


def _build_info(version: str) -> dict[tuple[str, ...], Numbers]:
    return {(version, platform.python_version()): [1.0]}


def merged(segments: Iterable[Segment]) -> dict[str, dict[tuple[str, ...], Numbers]]:
    """Return the numbers of each metric, by label values, merged over all segments.

    A metric has at most `MAX_LABEL_SETS` sets of label values. Numbers of further sets are counted as `other`.
    """
    found: dict[str, dict[tuple[str, ...], Numbers]] = {}
    for segment in segments:
        for key, _, numbers in segment.rows():
            name, *labels = orjson.loads(key)
            metric = catalog.BY_NAME.get(name)
            if metric is not None and len(numbers) == metric.size:
                _merge(metric, found.setdefault(name, {}), tuple(labels), numbers)
    return {name: _bounded(catalog.BY_NAME[name], rows) for name, rows in found.items()}


def _merge(
    metric: Metric, rows: dict[tuple[str, ...], Numbers], labels: tuple[str, ...], numbers: Iterable[float]
) -> None:
    before = rows.get(labels)
    if before is None:
        rows[labels] = list(numbers)
    elif metric.merge == "max":
        rows[labels] = [max(pair) for pair in zip(before, numbers, strict=True)]
    else:
        rows[labels] = [sum(pair) for pair in zip(before, numbers, strict=True)]


def _bounded(metric: Metric, rows: dict[tuple[str, ...], Numbers]) -> dict[tuple[str, ...], Numbers]:
    # Each worker keeps the bound, but together they may exceed it. The order is fixed, so that each scrape keeps the
    # same sets.
    if len(rows) <= catalog.MAX_LABEL_SETS:
        return rows
    other = (catalog.OTHER,) * len(metric.labels)
    kept: dict[tuple[str, ...], Numbers] = {}
    for labels in sorted(rows):
        is_kept = labels == other or len(kept) < catalog.MAX_LABEL_SETS - 1
        _merge(metric, kept, labels if is_kept else other, rows[labels])
    return kept


def _family(metric: Metric, rows: dict[tuple[str, ...], Numbers]) -> Any:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, numbers in rows.items():
            histogram.add_metric(labels, _cumulative(metric, numbers), sum_value=numbers[metric.sum_place])
        return histogram
    family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    plain = family(metric.name, metric.help, labels=metric.labels)
    for labels, (value,) in rows.items():
        plain.add_metric(labels, value)
    return plain


def _cumulative(metric: Metric, numbers: Numbers) -> list[tuple[str, float]]:
    buckets, total = [], 0.0
    for bound, count in zip((*metric.buckets, float("inf")), numbers, strict=False):
        total += count
        buckets.append((floatToGoString(bound), total))  # type: ignore[no-untyped-call]
    return buckets
