"""The metrics: names, labels and buckets as operators' rules expect them."""

import re

import pytest

from router.metrics import catalog
from router.metrics.catalog import METRICS

CONTRACT = {
    "switchboard_sessions_total": ("route", "end", "code"),
    "switchboard_sessions_active": (),
    "switchboard_turn_seconds": ("phase",),
    "switchboard_upstream_dial_seconds": ("upstream", "result"),
    "switchboard_restarts_total": ("cause", "result"),
    "switchboard_tokens_total": ("model", "modality", "direction", "cached"),
    "switchboard_cost_usd_total": ("model",),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_metric_has_the_labels_that_rules_and_dashboards_rely_on(name):
    assert catalog.BY_NAME[name].labels == CONTRACT[name]


@pytest.mark.parametrize("word", ["messages", "bytes", "lag", "refus", "drop"])
def test_there_is_a_metric_of_each_kind_of_load(word):
    assert any(word in metric.name for metric in METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_follows_prometheus_s_rules_for_names(metric):
    assert re.fullmatch(r"switchboard_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(metric.buckets)
    assert not {"le", "session", "principal", "instance", "job"} & set(metric.labels)
    assert all(len(labels) == len(metric.labels) for labels in metric.initial)
