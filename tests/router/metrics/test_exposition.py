"""The page that Prometheus scrapes: all workers added up, in a form that its own parser reads."""

import platform

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from router.metrics import catalog
from router.metrics.catalog import MAX_LABEL_SETS
from router.metrics.exposition import page
from router.metrics.memory import Segments
from router.metrics.metrics import Metrics

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def workers(count):
    segments = Segments(count)
    found = [Metrics() for _ in range(count)]
    for metrics, segment in zip(found, segments, strict=True):
        metrics.attach(segment)
    return segments, found


class Samples(dict):
    """Samples by name and label values, in any order."""

    def __init__(self, found):
        super().__init__({(it.name, frozenset(it.labels.values())): it.value for it in found})

    def __getitem__(self, key):
        name, *labels = key
        return super().__getitem__((name, frozenset(labels)))


def samples(segments, accept="", read=parse):
    body, _ = page(segments, "1.2.3", accept)
    return Samples(it for family in read(body.decode()) for it in family.samples)


def test_counters_are_added_up_and_a_lag_is_the_longest():
    segments, (one, two) = workers(2)
    one.add(catalog.TURNS, (), 2)
    two.add(catalog.TURNS, (), 3)
    one.set(catalog.LAG, (), 0.5)
    two.set(catalog.LAG, (), 0.25)
    two.add(catalog.TOKENS, ("gpt-realtime", "audio", "output", "false"), 30)
    found = samples(segments)
    assert found["switchboard_turns_total",] == 5
    assert found["switchboard_dispatcher_lag_seconds",] == 0.5
    assert found["switchboard_tokens_total", "gpt-realtime", "audio", "output", "false"] == 30


def test_a_histogram_has_cumulative_buckets_a_count_and_a_sum():
    segments, (one, two) = workers(2)
    one.observe(catalog.TURN_SECONDS, ("first_audio",), 0.25)
    two.observe(catalog.TURN_SECONDS, ("first_audio",), 0.45)
    two.observe(catalog.TURN_SECONDS, ("first_audio",), 99.0)
    found = samples(segments)
    buckets = [found["switchboard_turn_seconds_bucket", "first_audio", le] for le in ("0.2", "0.3", "0.5", "+Inf")]
    assert buckets == [0, 1, 2, 3]
    assert found["switchboard_turn_seconds_count", "first_audio"] == 3
    assert found["switchboard_turn_seconds_sum", "first_audio"] == 99.7


def test_the_build_is_named():
    found = samples(workers(1)[0])
    assert found["switchboard_build_info", "1.2.3", platform.python_version()] == 1


def test_series_of_a_closed_list_are_there_from_the_start():
    found = samples(workers(1)[0])
    assert found["switchboard_refusals_total", "limit"] == 0
    assert found["switchboard_messages_total", "client", "received"] == 0
    assert found["switchboard_dropped_bytes_total", "upstream"] == 0


def test_a_scraper_that_accepts_openmetrics_gets_it():
    segments, (one,) = workers(1)
    one.add(catalog.TURNS)
    body, content_type = page(segments, "1", OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert samples(segments, OPENMETRICS, parse_openmetrics)["switchboard_turns_total",] == 1


def test_a_label_value_of_any_characters_is_escaped():
    segments, (one,) = workers(1)
    one.add(catalog.COST, ('a "model"\nof\\mine',))
    assert samples(segments)["switchboard_cost_usd_total", 'a "model"\nof\\mine'] == 1


def test_the_label_sets_of_all_workers_together_have_the_bound():
    segments, found = workers(3)
    for at, metrics in enumerate(found):
        for number in range(50):
            metrics.add(catalog.COST, (f"{at}-{number}",))
    costs = {key: value for key, value in samples(segments).items() if key[0] == "switchboard_cost_usd_total"}
    assert len(costs) == MAX_LABEL_SETS
    assert sum(costs.values()) == 150


def test_a_row_of_another_version_is_left_out():
    segments, (one,) = workers(1)
    segments[0].add_row(b'["switchboard_gone_total"]', 1)
    segments[0].add_row(b'["switchboard_turn_seconds","x"]', 3)
    one.add(catalog.TURNS)
    assert samples(segments)["switchboard_turns_total",] == 1
