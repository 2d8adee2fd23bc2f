"""The comparison of checkouts in whole runs."""

import math

import pytest

from tests.bench import laps
from tests.bench.speech import Shape
from tests.bench.stage import RELAY, ROUTER
from tests.bench.test_figures import a_row


def rows_of(*cpus_us):
    return [a_row(cpu_us_per_message=each) for each in cpus_us]


def test_a_lap_on_a_slow_machine_changes_no_ratio():
    _head, _relay, line = laps.table({"relay": rows_of(50.0, 100.0, 60.0), "router": rows_of(40.0, 80.0, 48.0)})
    assert line.split()[:5] == ["router", "48.0", "0.800", "0.800", "0.800"]


def test_a_lap_without_a_figure_gives_no_ratio():
    _head, _relay, line = laps.table({"relay": rows_of(50.0, None), "router": rows_of(40.0, 80.0)})
    assert line.split()[2:5] == ["0.800", "0.800", "0.800"]
    _head, _relay, line = laps.table({"relay": rows_of(None), "router": rows_of(40.0)})
    assert math.isnan(float(line.split()[2]))


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.usefixtures("short_talks")
def test_the_relay_and_the_router_are_measured_by_turns():
    systems = {"relay": RELAY, "router": ROUTER}
    found = laps.measure(systems, Shape(), sessions=2, laps=2, duration_s=0.3)
    assert [[row.lost for row in rows] for rows in found.values()] == [[[], []], [[], []]]
