"""The moments at which idle sessions end during a drain."""

from itertools import pairwise

import pytest

from actors import leaving


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [0, 1, 2, 17, 500])
def test_each_end_has_a_slot_of_its_own_and_the_first_one_is_at_once(count, jitter):
    delays_s = leaving.delays_s(count, 30.0, lambda: jitter)
    assert len(delays_s) == count
    assert delays_s[:1] == [0.0][:count]
    assert all(later_s >= sooner_s for sooner_s, later_s in pairwise(delays_s))
    assert all(delay_s <= 30.0 * leaving.SHARE for delay_s in delays_s)


def test_few_sessions_do_not_wait_for_the_whole_drain():
    assert leaving.delays_s(3, 30.0, lambda: 1.0) == [0.0, leaving.SPACING_S, 2 * leaving.SPACING_S]


def test_many_sessions_share_most_of_the_drain():
    delays_s = leaving.delays_s(1000, 10.0, lambda: 1.0)
    assert delays_s[-1] == pytest.approx(8.0, rel=0.01)
    in_a_second = [sum(second <= delay_s < second + 1 for delay_s in delays_s) for second in range(8)]
    assert max(in_a_second) <= 1.1 * min(in_a_second)


def test_without_time_each_session_ends_at_once():
    assert leaving.delays_s(3, 0.0, lambda: 1.0) == [0.0, 0.0, 0.0]
