"""The label sets of the exposition, when clients, upstreams and operators give hundreds of values, hostile ones too."""

import functools
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors import lifecycle, messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.metrics import catalog
from router.metrics.catalog import MAX_LABEL_SETS, OTHER
from router.metrics.exposition import merged, page
from router.metrics.memory import Segment
from router.metrics.metrics import Metrics
from router.observer.counter import Counter
from router.session import reports
from router.usage.prices import Price

VALUES = 300
HOSTILE = (
    'a"} 1e9\nswitchboard_turns_total 7',
    "back\\slash\\",
    "\x00" * 200,
    "\x1b[31m" * 40,
    "\U0001f600" * 150,
    "\u202e zero\u200bwidth",
    "half of a pair \ud800",
    "",
    OTHER,
    "x" * 1000,
)
WORKERS = 3


def values(worker):
    """Return the names of one worker: hostile ones, some that all workers have, and some of its own."""
    common = [f"name {n}" for n in range(VALUES // 2)]
    return [*HOSTILE, *common, *(f"name {n} of worker {worker}" for n in range(VALUES // 2))]


def usage(model, tokens):
    details = {"total_tokens": tokens, "input_tokens": tokens, "input_token_details": {"text_tokens": tokens}}
    return reports.Usage(kind="response", id="r", model=model, details=details)


def drive(metrics, name):
    """Run a session whose route, model, upstream and codes have a name, through what counts sessions."""
    counter = Counter(metrics, name, SimpleNamespace(find=lambda _model: Price(text_input=1_000_000.0)))
    counter.take(lifecycle.SessionStarted("session"))
    counter.take(usage(name, 2))
    lost = Loss(kind=LossKind.CLOSED, code=1000, reason=name)
    counter.take(messages.UpstreamLost(1, lost, Verdict(decision=Decision.TEAR_DOWN)))
    counter.end(SimpleNamespace(end="failed", code=name))
    metrics.observe(catalog.DIAL_SECONDS, (name, "ok"), 0.02)
    metrics.add(catalog.BREAKER_OPENED, (name, name))
    metrics.set(catalog.BREAKER_STATE, (name,), 2.0)


def drive_all(metrics, metric, names):
    """Count once for each name in every label of a metric."""
    for name in names:
        labels = (name,) * len(metric.labels)
        if metric.kind == "histogram":
            metrics.observe(metric, labels, 0.02)
        elif metric.kind == "gauge":
            metrics.set(metric, labels, 1.0)
        else:
            metrics.add(metric, labels)


@functools.cache
def workers():
    found = []
    for worker in range(WORKERS):
        metrics = Metrics()
        metrics.attach(Segment())
        for name in values(worker):
            drive(metrics, name)
        found.append(metrics.segment)
    return tuple(found)


def total(metric):
    rows = merged(workers())[metric.name]
    place = metric.sum_place if metric.kind == "histogram" else 0
    return sum(numbers[place] for numbers in rows.values())


SESSIONS = WORKERS * len(values(0))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (catalog.SESSIONS, SESSIONS),
        (catalog.TOKENS, 2 * SESSIONS),
        (catalog.COST, 2 * SESSIONS),
        (catalog.RESTARTS, SESSIONS),
        (catalog.DIAL_SECONDS, 0.02 * SESSIONS),
        (catalog.BREAKER_OPENED, SESSIONS),
        (catalog.SESSIONS_ACTIVE, 0),
    ],
    ids=lambda it: getattr(it, "name", ""),
)
def test_nothing_is_lost_in_the_sums(metric, expected):
    assert total(metric) == pytest.approx(expected)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_no_metric_of_the_page_has_more_than_64_label_sets_and_the_rest_is_other(accept):
    text = page(workers(), "1", accept)[0].decode()
    sets, others = {}, set()
    for family in text_string_to_metric_families(text.replace("# EOF\n", "")):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            sets.setdefault(sample.name, set()).add(tuple(sorted(labels.items())))
            if labels and set(labels.values()) == {OTHER}:
                others.add(sample.name)
    assert {name: len(found) for name, found in sets.items() if len(found) > MAX_LABEL_SETS} == {}
    assert max(map(len, sets.values())) == MAX_LABEL_SETS
    assert {"switchboard_sessions_total", "switchboard_tokens_total", "switchboard_cost_usd_total"} <= others
    assert {"switchboard_upstream_dial_seconds_sum", "switchboard_upstream_breaker"} <= others


def test_a_hostile_value_writes_no_line_of_its_own():
    lines = page(workers(), "1", "text/plain")[0].decode().split("\n")
    assert [line for line in lines if line.startswith("switchboard_turns_total")] == ["switchboard_turns_total 0.0"]


@pytest.mark.parametrize("value", [*HOSTILE, "\x00", "\x01", '"', "\\", "\U0001f600"])
def test_the_memory_of_a_worker_has_room_for_all_label_sets_of_all_metrics(value):
    metrics = Metrics()
    metrics.attach(Segment())
    for metric in catalog.METRICS:
        if metric.labels:
            drive_all(metrics, metric, [value[:60] * 20 + f" {n}" for n in range(MAX_LABEL_SETS + 40)])
            drive_all(metrics, metric, [f"{n} " + value * 200 for n in range(MAX_LABEL_SETS + 40)])
    rows = merged([metrics.segment])
    for metric in catalog.METRICS:
        if metric.labels and metric.kind == "counter":
            counted = sum(numbers[0] for numbers in rows[metric.name].values())
            assert (metric.name, counted) == (metric.name, 2 * (MAX_LABEL_SETS + 40))
        if metric.labels and metric.kind == "histogram":
            assert sum(numbers[metric.sum_place] for numbers in rows[metric.name].values()) == pytest.approx(
                0.04 * (MAX_LABEL_SETS + 40)
            )
        assert len(rows[metric.name]) <= MAX_LABEL_SETS
