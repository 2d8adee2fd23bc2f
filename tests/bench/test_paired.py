"""The comparison of two routers in pairs of calls."""

import os

from tests.bench import paired


def pair(without_ms, with_ms, late_ms=0.0):
    return {"open": without_ms, "safe": with_ms, "late_ms": late_ms}


def test_a_pair_beside_a_wait_for_a_core_is_dropped_as_a_whole():
    laps = [[pair(2.0, 2.2), pair(2.0, 90.0, late_ms=88.0), pair(70.0, 2.2, late_ms=68.0)], [pair(2.1, 2.3)]]
    found = paired.report(["open", "safe"], laps)
    assert (found["pairs"], found["open"]["calls"], found["safe"]["calls"]) == (4, 2, 2)
    assert (found["open"]["p99_ms"], found["safe"]["p99_ms"]) == (2.1, 2.3)
    assert (found["open"]["all_p99_ms"], found["safe"]["all_p99_ms"]) == (70.0, 90.0)
    assert round(found["more_at_p99_ms"], 6) == 0.2


def test_the_priority_is_given_back():
    before = os.sched_getscheduler(0)
    with paired.undisturbed() as is_undisturbed:
        assert (os.sched_getscheduler(0) == os.SCHED_RR) is is_undisturbed
    assert os.sched_getscheduler(0) == before
