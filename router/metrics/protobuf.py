"""Prometheus' binary exposition: `io.prometheus.client.MetricFamily`, each message with its length before it. Pure.

It exists because the text formats have no native histograms. Prometheus' `metrics.proto` defines the fields of the
messages.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from router.metrics.catalog import NATIVE_FIRST, NATIVE_SCHEMA, NATIVE_ZERO_S, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_TYPE: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_MEDIA_TYPE: Final = "application/vnd.google.protobuf"
_WANTED: Final = {"proto": "io.prometheus.client.metricfamily", "encoding": "delimited"}
_TYPES: Final = {"counter": 0, "gauge": 1, "histogram": 4}
_VALUES: Final = {"counter": 3, "gauge": 2}
"""The number of the field of `Metric` that has the value, by kind. For a histogram it is 7."""
_HISTOGRAM: Final = 7

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2


def is_wanted(accept: str) -> bool:
    """Whether a scraper accepts this format, and prefers no other format in its `Accept`."""
    best, own = 0.0, 0.0
    for entry in accept.split(","):
        media_type, *parameters = (it.strip().lower() for it in entry.split(";"))
        given = dict(it.partition("=")[::2] for it in parameters)
        weight = _weight(given.get("q", "1"))
        if media_type == _MEDIA_TYPE and _WANTED.items() <= given.items():
            own = max(own, weight)
        else:
            best = max(best, weight)
    return own > 0 and own >= best


def _weight(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        return 0.0


def family(metric: Metric, rows: Mapping[tuple[str, ...], Sequence[float]]) -> bytes:
    """Return a `MetricFamily` with all rows of a metric, preceded by its length."""
    body = _bytes(1, metric.name.encode()) + _bytes(2, metric.help.encode()) + _int(3, _TYPES[metric.kind])
    for labels, numbers in rows.items():
        pairs = zip(metric.labels, labels, strict=True)
        written = b"".join(_bytes(1, _bytes(1, name.encode()) + _bytes(2, value.encode())) for name, value in pairs)
        body += _bytes(4, written + _value(metric, numbers))
    return _varint(len(body)) + body


def _value(metric: Metric, numbers: Sequence[float]) -> bytes:
    if metric.kind == "histogram":
        return _bytes(_HISTOGRAM, _histogram(metric, numbers))
    return _bytes(_VALUES[metric.kind], _double(1, numbers[0]))


def _histogram(metric: Metric, numbers: Sequence[float]) -> bytes:
    """Return a `Histogram` with its classic and its native buckets."""
    classic, sum_s, zero, native = metric.parts(numbers)
    body, total = b"", 0
    for bound, count in zip((*metric.buckets, float("inf")), classic, strict=True):
        total += int(count)
        body += _bytes(3, _int(1, total) + _double(2, bound))
    head = _int(1, total) + _double(2, sum_s)
    about = _signed(5, NATIVE_SCHEMA) + _double(6, NATIVE_ZERO_S) + _int(7, int(zero))
    used = [at for at, count in enumerate(native) if count]
    if not used:
        return head + body + about
    first, length = used[0], used[-1] - used[0] + 1
    span = _bytes(12, _signed(1, NATIVE_FIRST + first) + _int(2, length))
    deltas, before = b"", 0
    for count in native[first : first + length]:
        deltas += _signed(13, int(count) - before)
        before = int(count)
    return head + body + about + span + deltas


# The wire of protocol buffers.


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _signed(field: int, value: int) -> bytes:
    return _int(field, value << 1 if value >= 0 else (-value << 1) - 1)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _FIXED64) + struct.pack("<d", value)
