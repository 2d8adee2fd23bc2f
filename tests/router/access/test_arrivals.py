"""Arrivals of each address within a period."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access import arrivals as module
from router.access.arrivals import CELLS, Arrivals
from router.shared_areas import CAN_LAST, LastingAreas

A, B = b"address1", b"address2"


def admitted(arrivals, key, now_s):
    look = arrivals.look(key, now_s)
    if arrivals.wait_s(look, now_s):
        return False
    arrivals.add(look)
    return True


def wait_of(arrivals, key, now_s):
    return arrivals.wait_s(arrivals.look(key, now_s), now_s)


def test_so_many_arrivals_come_in_and_the_next_learns_when_to_come_back():
    arrivals = Arrivals(5, 60.0)
    assert all(admitted(arrivals, A, 1000.0 + n) for n in range(5))
    wait_s = wait_of(arrivals, A, 1010.0)
    assert 50.0 <= wait_s <= 52.0
    assert not admitted(arrivals, A, 1010.0 + wait_s - 1.5)
    assert admitted(arrivals, A, 1010.0 + wait_s)


def test_addresses_do_not_share_a_count():
    arrivals = Arrivals(1, 60.0)
    assert admitted(arrivals, A, 1000.0)
    assert not admitted(arrivals, A, 1000.0)
    assert admitted(arrivals, B, 1000.0)


def test_a_count_of_long_ago_is_forgotten():
    arrivals = Arrivals(1, 60.0)
    assert admitted(arrivals, A, 1000.0)
    assert admitted(arrivals, A, 100_000.0)


@given(st.lists(st.floats(0.0, 30.0), max_size=80), st.integers(1, 6))
def test_no_period_has_more_arrivals_than_allowed(gaps_s, most):
    arrivals, now_s, times_s = Arrivals(most, 60.0), 1000.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        if admitted(arrivals, A, now_s):
            times_s.append(now_s)
    for at, first_s in enumerate(times_s):
        assert sum(first_s <= time_s < first_s + 60.0 for time_s in times_s[at:]) <= most


def test_a_flood_of_addresses_displaces_the_oldest_of_them():
    arrivals = Arrivals(1, 60.0)
    for n in range(CELLS * 2):
        arrivals.add(arrivals.look(n.to_bytes(8, "little"), 1000.0 + n / 1000))
    assert wait_of(arrivals, (CELLS * 2 - 1).to_bytes(8, "little"), 1000.0 + CELLS * 2 / 1000) > 0


@pytest.mark.parametrize("period_s", [1.0, 3600.0])
def test_a_period_may_have_any_length(period_s):
    arrivals = Arrivals(2, period_s)
    assert [admitted(arrivals, A, 1000.0) for _ in range(3)] == [True, True, False]
    assert admitted(arrivals, A, 1000.0 + period_s * 62 / 60)


@pytest.mark.skipif(not CAN_LAST, reason="needs Linux")
def test_arrivals_that_were_counted_in_other_buckets_are_forgotten():
    areas = LastingAreas()
    module.reserve(areas)
    before = Arrivals(1, 60.0, areas)
    before.add(before.look(A, 1000.0))
    assert wait_of(Arrivals(1, 60.0, areas), A, 1001.0) > 0.0
    assert wait_of(Arrivals(1, 3600.0, areas), A, 1001.0) == 0.0
    areas.close()
