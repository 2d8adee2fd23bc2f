"""The last hour, in points."""

import pytest

from router.metrics import catalog
from router.metrics.history import POINTS, STEP_S, History, quantile_ms
from router.metrics.metrics import Metrics

NOW_S = 1_800_000_000.0


@pytest.fixture
def metrics():
    return Metrics()


def note(history, metrics, steps):
    history.note([metrics.segment], NOW_S + steps * STEP_S)


def test_each_point_has_the_changes_since_the_one_before(metrics):
    history = History()
    note(history, metrics, 0)
    metrics.add(catalog.SESSIONS_ACTIVE, (), 2)
    metrics.add(catalog.SESSIONS, ("/openai", "failed", "X"))
    metrics.add(catalog.SESSIONS, ("/openai", "client", "1000"))
    metrics.add(catalog.TURNS, (), 3)
    metrics.add(catalog.COST, ("m",), 0.5)
    metrics.observe(catalog.TURN_SECONDS, ("first_audio",), 0.7)
    note(history, metrics, 1)
    note(history, metrics, 2)
    first, second = history.series(NOW_S + 2 * STEP_S)
    assert first["at"] == NOW_S + STEP_S
    assert (first["sessions"], first["ended"], first["failed"], first["turns"]) == (2, 2, 1, 3)
    assert first["cost_usd"] == 0.5
    assert 650 < first["latency_p50_ms"] <= 800
    assert (second["sessions"], second["ended"], second["cost_usd"], second["latency_p50_ms"]) == (2, 0, 0.0, None)


def test_a_point_is_written_once(metrics):
    history = History()
    note(history, metrics, 0)
    metrics.add(catalog.SESSIONS_ACTIVE)
    note(history, metrics, 0.5)
    note(history, metrics, 1)
    assert [point["sessions"] for point in history.series(NOW_S + STEP_S)] == [1]


def test_it_holds_an_hour_and_no_more(metrics):
    history = History()
    for step in range(POINTS + 10):
        note(history, metrics, step)
    series = history.series(NOW_S + (POINTS + 9) * STEP_S)
    assert len(series) == POINTS - 1
    assert series[-1]["at"] - series[0]["at"] == (POINTS - 2) * STEP_S
    assert history.series(NOW_S + 3 * POINTS * STEP_S) == []


@pytest.mark.parametrize(
    ("counts", "share", "ms"),
    [
        ([], 0.5, None),
        ([4], 0.5, 25),
        ([0, 0, 0, 0, 0, 0, 10], 0.5, 575),
        ([10, 10], 0.95, 95),
        ([0] * len(catalog.LATENCY_BUCKETS) + [3], 0.5, 30000),
    ],
)
def test_a_quantile_lies_in_its_bucket(counts, share, ms):
    padded = [*counts, *[0] * (len(catalog.LATENCY_BUCKETS) + 1 - len(counts))]
    assert quantile_ms(padded, share) == ms
