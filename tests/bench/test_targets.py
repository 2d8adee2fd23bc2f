"""The bounds, and what is written of them."""

import copy
import xml.etree.ElementTree as ET

import orjson
import pytest

from tests.bench import chart, report, targets
from tests.bench.__main__ import DOCUMENTS, OUT

P99S = {"agent_p50_ms": 0.2, "agent_p99_ms": 1.0, "microphone_p50_ms": 0.2, "microphone_p99_ms": 1.0}
ROW = P99S | {"messages": 1, "memory_kb_per_session": 40.0, "late_p99_ms": 0.1, "other_cores": 0.0, "lost": []}


def a_row(system, sessions, cpu=None, **changes):
    return ROW | {"system": system, "sessions": sessions, "cpu_us_per_message": cpu} | changes


def results(**changes):
    talk = [a_row("direct", 100), a_row("relay", 100, 40.0), a_row("router", 100, 30.0)]
    talk += [a_row("relay", 200, 40.0), a_row("router", 200, 60.0)]
    found = {
        "machine": {"cores": 2, "cpu": "a <CPU>", "python": "CPython 3", "kernel": "Linux", "date": "2026-01-01"},
        "talking": talk,
        "flat": [a_row("router", 10, 60.0), a_row("router", 300, 30.0)],
        "idle": {
            "tree": {"processes": 3, "pss_mb": 50.0, "alone_mb": 60.0},
            "sessions": [{"sessions": 10, "kb_per_more_session": 40.0}, {"sessions": 100, "kb_per_more_session": 50.0}],
        },
        "capacity": {
            "workers": 2,
            "highest": 450,
            "attempts": [{"sessions": 450, "holds": True, "why": "", "row": P99S, "spread": [225, 225]}],
        },
        "unread": {
            "more_mb": 3.0,
            "ended_s": 0.5,
            "limit_s": 12.0,
            "taken_mb": 9.0,
            "p99_before_ms": 1.0,
            "p99_during_ms": 5.0,
            "lost": [],
        },
        "arrivals": {
            "lost": [],
            "welcome": {"p50_ms": 0.5, "p99_ms": 1.9},
            "applied": {"p50_ms": 0.2, "p99_ms": 2.1},
        },
        "storm": {"clients": 500, "served": 499, "all_served_s": 2.0, "p99_ms": 40.0, "lost": []},
    }
    return copy.deepcopy(found | changes)


def test_what_must_hold_and_does_not_is_told_with_both_figures():
    assert list(targets.complaints(results())) == [
        "CPU per message, 200 sessions: 60 µs, 1.50 × the relay's 40; it must be ≤ 1.0 × the relay, 1.1 × by numpy",
        "sessions on two cores, `--workers 2`, p99 < 50 ms: 450 sessions; it must be ≥ 500",
        "one more idle session, beside 1,000: 50 kB; it must be ≤ 20 kB",
        "one more idle session, from 10 to 1,000: 40 kB at 10, 50 kB at 100; it must be flat within 20 %",
        "never reads 144 MB: p99 of 20 others: 5.0 ms; before 1.0; it must be unchanged (+ 3 ms)",
        "`session.updated` to `SettingsApplied`, p99: 2.1 ms; p50 0.2; it must be ≤ 2 ms",
        "500 clients within 2 s: 499 of 500 served, the last after 2.0 s; it must be all served",
    ]


@pytest.mark.parametrize(("resampling", "is_met"), [("compiled", False), ("numpy", True)])
def test_numpy_may_take_a_tenth_more_than_the_relay(resampling, is_met):
    found = results(talking=[a_row("relay", 100, 40.0), a_row("router", 100, 43.0)])
    found["machine"]["resampling"] = resampling
    assert targets.cpu(100)(found).is_met is is_met


def test_a_figure_of_a_run_that_lost_something_is_void():
    lossy = results(talking=[a_row("relay", 100, 40.0), a_row("router", 100, 30.0, lost=["gone"])])

    assert targets.cpu(100)(lossy) is None
    assert "CPU per message, 100 sessions: void" in targets.complaints(lossy)
    assert "| 100 | router | void: 1 losses |" in report.rows(lossy["talking"])


def test_what_was_not_measured_is_not_judged():
    only = {name: it for name, it in results().items() if name in ("machine", "storm")}

    assert [target.measured for target, _ in targets.verdicts(only)] == ["storm", "storm"]


def test_of_many_losses_the_first_are_told():
    assert report.losses([a_row("router", 5, lost=["a", "b", "c", "d", "e"]), a_row("relay", 5)]) == [
        "router, 5 sessions: a",
        "router, 5 sessions: b",
        "router, 5 sessions: c",
        "router, 5 sessions: and 2 more",
    ]


def test_a_load_that_was_not_asked_for_is_not_judged():
    found = {"talking": [a_row("relay", 100, 40.0), a_row("router", 50, 30.0)]}

    assert targets.verdicts(found) == []


def test_the_documents_show_what_was_measured():
    found = orjson.loads((OUT / "figures.json").read_bytes())

    assert (OUT / "figures.svg").read_text() == chart.draw(found)
    for document in DOCUMENTS:
        assert document.read_text() == report.fill(document.read_text(), found), "python -m tests.bench --rewrite"


@pytest.mark.parametrize(
    ("costs", "growth"), [([40, 40, 40], 1.0), ([60, 40, 30], 0.75), ([40, 30, 36], 1.2), ([30, 45], 1.5)]
)
def test_growth_is_told_against_the_cheapest_smaller_load(costs, growth):
    assert targets.growth(costs) == pytest.approx(growth)


def test_documents_are_filled_between_their_marks():
    begin, end = (mark.format(name="capacity") for mark in report.MARKS)
    document = f"# Before\n{begin}\nold\n{end}\nafter\n"

    filled = report.fill(document, results())

    assert "old" not in filled
    assert "| 450 | 1.00 | 1.00 | 225 + 225 | carried |" in filled
    assert filled.startswith("# Before\n")
    assert filled.endswith("\nafter\n")
    assert report.fill(filled, results()) == filled


@pytest.mark.parametrize("missing", [(), ("capacity",), ("capacity", "idle")])
def test_the_chart_is_well_formed_whatever_was_measured(missing):
    found = results()
    for name in missing:
        del found[name]

    svg = ET.fromstring(chart.draw(found))  # noqa: S314 - we drew it

    assert "2 cores of a <CPU>" in " ".join(svg.itertext())


def test_the_chart_shows_what_was_lost_where_a_latency_would_be_of_the_rest_only():
    rows = [a_row("relay", 1000, lost=["one", "two"]), a_row("router", 1000)]
    svg = ET.fromstring(chart.draw(results() | {"overload": rows}))  # noqa: S314 - we drew it
    shown = [text for text in svg.itertext() if text.strip()]
    assert shown[shown.index("relay, 1,000") + 1] == "2 losses"
    assert shown[shown.index("router, 1,000") + 1].endswith(" ms")


def test_the_cost_of_safety_is_the_median_of_the_ratios_of_laps():
    without, with_all = (
        [a_row("router", 100, cpu) for cpu in cpus] for cpus in ((40.0, 50.0, 90.0), (40.4, 51.0, 99.0))
    )
    found = {"safe": {"sessions": 100, "open": without, "safe": with_all}}
    reading = targets.safe_cpu(found)
    assert (reading.is_met, reading.shown) == (True, "1.02 × (1.01–1.10), 51.0 µs")
    found["safe"]["safe"][0]["lost"] = ["something"]
    assert targets.safe_cpu(found) is None


def test_the_memory_of_the_keeper_is_the_median_of_the_differences_of_laps():
    without, with_keeper = (
        [a_row("router", 200, memory_kb_per_session=kilobytes) for kilobytes in laps]
        for laps in ((38.0, 39.0, 44.0), (45.0, 48.0, 51.5))
    )
    found = results(kept={"sessions": 200, "without": without, "kept": with_keeper})
    bare, keeper = targets.bare_memory(found), targets.keeper_memory(found)
    assert (bare.is_met, bare.shown) == (True, "39.0 kB (38.0–44.0)")
    assert (keeper.is_met, keeper.shown) == (True, "7.5 kB (7.0–9.0), so 48.0 in all")
    figures = [target.figure for target, _ in targets.verdicts(found)]
    assert "memory that the keeper adds to it" in figures
    assert "memory per live session, 200 sessions" not in figures
    found["kept"]["without"][0]["lost"] = ["something"]
    assert targets.bare_memory(found) is targets.keeper_memory(found) is None


def test_the_worst_attack_is_judged():
    rows = [
        {"attack": name, "p99_ms": p99_ms, "lost": []}
        for name, p99_ms in (("none", 1.0), ("pings", 99.0), ("junk", 5.0))
    ]
    reading = targets.attacked({"attacked": rows})
    assert (reading.is_met, reading.shown) == (True, "99 ms beside pings")
    rows[2]["lost"] = ["a caller"]
    assert targets.attacked({"attacked": rows}) is None


def test_the_cost_of_safety_for_a_welcome_is_that_of_all_calls_with_its_interval():
    def calls(p99_ms):
        return {"calls": 1800, "p50_ms": 0.5, "p99_ms": p99_ms}

    found = {"open": calls(1.2), "safe": calls(1.6), "more_at_p99_ms": 0.4, "low_ms": -0.1, "high_ms": 0.9}
    reading = targets.safe_welcome({"welcomes": found})
    assert (reading.is_met, reading.shown) == (True, "+0.40 ms (-0.10 to +0.90): 1.60 and 1.20 of 1800 calls each")
    found["safe"]["calls"] = 999
    assert targets.safe_welcome({"welcomes": found}) is None
