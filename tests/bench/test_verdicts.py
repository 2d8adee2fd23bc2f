"""When a soak has found growth, and which number of sessions a search finds."""

import dataclasses

import pytest

from tests.bench import capacity, soak

LAP = soak.Lap(minute=1.0, memory_mb=60.0, threads=20, descriptors=90, p99_ms=5.0, cpu_us=80.0, calls=50, lost=[])


def laps(**series):
    count = len(next(iter(series.values())))
    return [dataclasses.replace(LAP, **{name: values[at] for name, values in series.items()}) for at in range(count)]


def test_what_stays_is_no_growth():
    assert soak.complaints([LAP] * 6) == []


def test_warming_up_is_no_growth():
    assert soak.complaints(laps(memory_mb=[50.0, 55.0, 60.0, 60.0, 60.5, 60.0], threads=[12, 16, 20, 20, 20, 20])) == []


@pytest.mark.parametrize(
    ("series", "complaint"),
    [
        ({"memory_mb": [60, 61, 62, 63, 65, 67]}, "memory in MB grew from 62.0 to 65.0"),
        ({"threads": [20, 20, 20, 20, 30, 31]}, "threads grew from 20.0 to 30.0"),
        ({"descriptors": [90, 90, 90, 90, 96, 98]}, "descriptors grew from 90.0 to 96.0"),
        ({"p99_ms": [5, 5, 5, 5, 70, 80]}, "p99 in ms grew from 5.0 to 70.0"),
    ],
)
def test_growth_is_told(series, complaint):
    assert soak.complaints(laps(**series)) == [complaint]


def test_what_a_soak_loses_is_told():
    assert soak.complaints([dataclasses.replace(LAP, lost=["gone"]), *[LAP] * 5]) == ["minute 1.0: gone"]


@pytest.mark.parametrize("limit", [0, 99, 100, 149, 150, 399, 400, 449, 450, 460, 720, 1500, 9999])
def test_the_search_finds_the_highest_that_holds(limit):
    tried = []

    def holds(sessions):
        tried.append(sessions)
        return sessions <= limit

    found = capacity.search(holds)

    assert found <= limit
    assert found == 0 or found in tried
    assert limit - found < 50 or found == 1500
