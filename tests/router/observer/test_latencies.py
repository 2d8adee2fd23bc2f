"""The latencies of turns: a median of the newest, and the maximum of all."""

from router.observer.latencies import MAX_KEPT, Latencies


def filled(*latencies_s):
    it = Latencies()
    for latency_s in latencies_s:
        it.add(latency_s)
    return it


def test_no_turn_has_no_latency():
    assert (Latencies().median_s, Latencies().max_s) == (None, None)


def test_the_median_and_the_maximum_are_kept():
    it = filled(0.3, 0.1, 2.0)
    assert (it.median_s, it.max_s) == (0.3, 2.0)


def test_the_median_is_of_the_newest_turns():
    it = filled(9.0, *[1.0] * MAX_KEPT, *[2.0] * MAX_KEPT)
    assert (it.median_s, it.max_s) == (2.0, 9.0)
