"""The counters of one process: rows, bounds, gauges, and the engine's integers."""

import threading

import orjson
import pytest

from actors.dispatcher import Dispatcher
from actors.footprint import Footprint
from router.metrics import catalog
from router.metrics.catalog import MAX_LABEL_SETS, OTHER
from router.metrics.memory import Segment
from router.metrics.metrics import Metrics, clear_gauges


def rows(metrics, metric):
    found = ((orjson.loads(key), numbers) for key, _, numbers in metrics.segment.rows())
    return {tuple(labels): numbers for (name, *labels), numbers in found if name == metric.name}


def test_a_counter_counts_by_labels():
    metrics = Metrics()
    metrics.add(catalog.COST, ("a",), 0.25)
    metrics.add(catalog.COST, ("a",), 0.5)
    metrics.add(catalog.COST, ("b",))
    assert rows(metrics, catalog.COST) == {("a",): (0.75,), ("b",): (1.0,)}


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.05, 0), (0.06, 1), (30.0, 15), (31.0, 16)])
def test_an_observation_counts_in_its_bucket_and_in_the_sum(seconds, bucket):
    metrics = Metrics()
    metrics.observe(catalog.TURN_SECONDS, ("function",), seconds)
    buckets, total, zero, native = catalog.TURN_SECONDS.parts(rows(metrics, catalog.TURN_SECONDS)["function",])
    assert [at for at, count in enumerate(buckets) if count] == [bucket]
    assert zero + sum(native) == 1
    assert total == seconds


def test_the_label_sets_of_a_metric_have_a_bound_and_nothing_is_lost():
    metrics = Metrics()
    for number in range(200):
        metrics.add(catalog.COST, (f"model {number}",))
    found = rows(metrics, catalog.COST)
    assert len(found) == MAX_LABEL_SETS
    assert found[OTHER,] == (200 - MAX_LABEL_SETS + 1,)
    assert sum(value for (value,) in found.values()) == 200


def test_the_next_worker_of_a_slot_continues_the_counters_and_begins_its_gauges_at_zero():
    segment, first, second = Segment(), Metrics(), Metrics()
    first.attach(segment)
    first.add(catalog.TURNS, (), 3)
    first.add(catalog.SESSIONS_ACTIVE, (), 2)
    second.attach(segment)
    second.add(catalog.TURNS)
    assert rows(second, catalog.TURNS) == {(): (4.0,)}
    assert rows(second, catalog.SESSIONS_ACTIVE) == {(): (0.0,)}


def test_the_gauges_of_a_worker_that_ended_are_cleared():
    metrics = Metrics()
    metrics.add(catalog.SESSIONS_ACTIVE)
    metrics.add(catalog.TURNS)
    clear_gauges(metrics.segment)
    assert rows(metrics, catalog.SESSIONS_ACTIVE) == {(): (0.0,)}
    assert rows(metrics, catalog.TURNS) == {(): (1.0,)}


def test_a_gauge_is_set():
    metrics = Metrics()
    metrics.set(catalog.LAG, (), 0.5)
    metrics.set(catalog.LAG, (), 0.25)
    assert rows(metrics, catalog.LAG) == {(): (0.25,)}


def test_a_full_segment_counts_no_further_label_sets(monkeypatch):
    metrics = Metrics()
    monkeypatch.setattr(metrics.segment, "add_row", lambda _key, _numbers: None)
    metrics.add(catalog.COST, ("a",))
    metrics.observe(catalog.DIAL_SECONDS, ("a", "ok"), 1.0)
    metrics.set(catalog.COST, ("a",), 1.0)
    assert rows(metrics, catalog.COST) == {}


def test_several_threads_lose_no_count():
    metrics = Metrics()
    threads = [threading.Thread(target=lambda: [metrics.add(catalog.TURNS) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(metrics, catalog.TURNS) == {(): (8000.0,)}


def test_a_sample_adds_what_the_dispatchers_counted_since_the_last_one():
    metrics, dispatcher = Metrics(), Dispatcher()
    dispatcher.client_traffic.received_messages = 5
    metrics.sample([dispatcher])
    dispatcher.client_traffic.received_messages = 7
    dispatcher.upstream_traffic.sent_bytes = 100
    dispatcher.slow_slices = 1
    metrics.sample([dispatcher])
    metrics.sample([dispatcher])
    assert rows(metrics, catalog.MESSAGES)["client", "received"] == (7.0,)
    assert rows(metrics, catalog.BYTES)["upstream", "sent"] == (100.0,)
    assert rows(metrics, catalog.SLOW_SLICES) == {(): (1.0,)}
    dispatcher.abandon()


def test_the_memory_of_all_peers_and_evictions_are_sampled():
    metrics, footprint = Metrics(), Footprint(max_bytes=1_000_000)
    footprint.holding("a peer", lambda _held_bytes: None).note(250_000)
    metrics.sample_buffers(footprint)
    assert rows(metrics, catalog.HELD) == {(): (250_000.0,)}
    assert rows(metrics, catalog.LIMITS) == {("memory",): (0.25,)}
    footprint.evictions = 1
    for _ in range(2):
        metrics.sample_buffers(footprint)
    assert rows(metrics, catalog.EVICTIONS) == {(): (1.0,)}


def test_a_limit_that_is_none_has_no_share():
    metrics = Metrics()
    metrics.use_limit("sessions", 5, 0)
    assert rows(metrics, catalog.LIMITS) == {}


def test_a_row_of_another_version_with_another_size_is_left_alone():
    segment = Segment()
    old = segment.add_row(orjson.dumps([catalog.TURN_SECONDS.name, "function"]), 18)
    neighbour = segment.add_row(b'["x"]', 1)
    metrics = Metrics()
    metrics.attach(segment)
    metrics.observe(catalog.TURN_SECONDS, ("function",), 99.0)
    found = {place: numbers for _, place, numbers in segment.rows()}
    assert (set(found[old]), found[neighbour]) == ({0.0}, (0.0,))
    assert 99.0 in [total for numbers in found.values() for total in numbers]
