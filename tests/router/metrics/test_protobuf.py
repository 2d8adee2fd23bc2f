"""The binary exposition, read by a decoder of the test's own."""

import math
import struct

import pytest

from router.metrics import catalog, protobuf
from router.metrics.catalog import NATIVE_FIRST, NATIVE_SCHEMA, NATIVE_ZERO_S
from router.metrics.exposition import page
from router.metrics.memory import Segments
from router.metrics.metrics import Metrics

OF_PROMETHEUS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def varint(data, at):
    number, shift = 0, 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return number, at


def decoded(data):
    """Return the values of each field of a message: numbers, doubles and bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        else:
            assert kind == 2
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        fields.setdefault(field, []).append(value)
    return fields


def signed(number):
    return number >> 1 if not number & 1 else -(number + 1 >> 1)


class Family:
    def __init__(self, data):
        fields = decoded(data)
        self.name, self.type = fields[1][0].decode(), fields[3][0]
        self.metrics = {}
        for metric in map(decoded, fields.get(4, [])):
            pairs = [decoded(it) for it in metric.get(1, [])]
            labels = tuple((it[1][0].decode(), it[2][0].decode()) for it in pairs)
            self.metrics[labels] = metric


def families(body):
    found, at = {}, 0
    while at < len(body):
        length, at = varint(body, at)
        family = Family(body[at : at + length])
        found[family.name] = family
        at += length
    return found


@pytest.fixture
def metrics():
    return Metrics()


def scraped(metrics, accept=OF_PROMETHEUS):
    body, content_type = page([metrics.segment], "1.2.3", accept)
    assert content_type == protobuf.CONTENT_TYPE
    return families(body)


def test_counters_and_gauges_have_their_type_labels_and_value(metrics):
    metrics.add(catalog.COST, ("gpt-realtime",), 0.25)
    metrics.set(catalog.LAG, (), 1.5)
    found = scraped(metrics)
    cost, lag = found["switchboard_cost_usd_total"], found["switchboard_dispatcher_lag_seconds"]
    (value,) = cost.metrics[("model", "gpt-realtime"),][3]
    assert (cost.type, decoded(value)[1]) == (0, [0.25])
    (value,) = lag.metrics[()][2]
    assert (lag.type, decoded(value)[1]) == (1, [1.5])
    assert (("version", "1.2.3") in labels for labels in found["switchboard_build_info"].metrics)


def histogram(metrics):
    family = scraped(metrics)["switchboard_turn_seconds"]
    assert family.type == 4
    return decoded(family.metrics[("phase", "first_audio"),][7][0])


def buckets_of(found):
    """Return the count of each native bucket by the bucket's index."""
    counts, count, spans = {}, 0, [decoded(it) for it in found.get(12, [])]
    deltas = iter(found.get(13, []))
    index = 0
    for span in spans:
        index += signed(span[1][0])
        for _ in range(span[2][0]):
            count += signed(next(deltas))
            counts[index] = count
            index += 1
    return {index: count for index, count in counts.items() if count}


def test_a_histogram_has_classic_and_native_buckets(metrics):
    seconds = [0.0004, 0.25, 0.3, 0.31, 1.0, 99.0]
    for it in seconds:
        metrics.observe(catalog.TURN_SECONDS, ("first_audio",), it)
    found = histogram(metrics)
    assert (found[1], found[2]) == ([6], [pytest.approx(sum(seconds))])
    assert (signed(found[5][0]), found[6], found[7]) == (NATIVE_SCHEMA, [NATIVE_ZERO_S], [1])
    classic = [decoded(it) for it in found[3]]
    assert [it[1][0] for it in classic if it[2][0] in (0.3, 1.0, math.inf)] == [3, 5, 6]
    for index, count in buckets_of(found).items():
        low, high = 2 ** ((index - 1) / 4), 2 ** (index / 4)
        held = [it for it in seconds if low < it <= high or (it > 64 and index == catalog.NATIVE_LAST)]
        assert len(held) == count
    assert sum(buckets_of(found).values()) == 5


def test_a_histogram_without_an_observation_is_a_native_one_too(metrics):
    found = histogram(metrics)
    assert (found[1], found[6], buckets_of(found)) == ([0], [NATIVE_ZERO_S], {})


@pytest.mark.parametrize("seconds", [0.0, 1e-9, NATIVE_ZERO_S, NATIVE_ZERO_S * 1.001, 1.0, 63.9, 64.1, 1e9])
def test_each_observation_has_one_native_bucket_within_its_row(seconds):
    metric = catalog.TURN_SECONDS
    place = metric.native_place(seconds)
    assert metric.sum_place < place < metric.size
    assert (place == metric.sum_place + 1) == (seconds <= NATIVE_ZERO_S)
    if seconds == 1.0:
        assert place - metric.sum_place - 2 + NATIVE_FIRST == 0


@pytest.mark.parametrize(
    ("accept", "is_wanted"),
    [
        (OF_PROMETHEUS, True),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5", True),
        ("", False),
        ("*/*", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", False),
        (f"text/plain,{OF_PROMETHEUS.split(',', maxsplit=1)[0]};q=0.6", False),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", False),
        ("application/vnd.google.protobuf;proto=other;encoding=delimited", False),
        (f"{OF_PROMETHEUS.split(',', maxsplit=1)[0]};q=much", False),
    ],
)
def test_the_format_is_for_a_scraper_that_prefers_it(accept, is_wanted):
    assert protobuf.is_wanted(accept) is is_wanted


def test_the_native_buckets_of_all_workers_are_added_up():
    segments = Segments(2)
    for at in range(2):
        worker = Metrics()
        worker.attach(segments[at])
        worker.observe(catalog.TURN_SECONDS, ("first_audio",), 1.0)
    body, _ = page(segments, "1", OF_PROMETHEUS)
    found = decoded(families(body)["switchboard_turn_seconds"].metrics[("phase", "first_audio"),][7][0])
    assert buckets_of(found) == {0: 2}
