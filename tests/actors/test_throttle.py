"""The rates of one client."""

import pytest

from actors.throttle import BURST_S, UNTIMED, Rates, Throttle


def take(throttle, size_bytes, now_s):
    """Count a message, and return the seconds for which the client is not read after it."""
    return throttle.wait_s(now_s) if throttle.count(size_bytes) else 0.0


def test_messages_within_the_rate_and_a_burst_wait_for_nothing():
    throttle = Throttle(Rates(messages_per_s=10), 100.0)
    assert [take(throttle, 10**6, 100.0) for _ in range(int(10 * BURST_S))] == [0.0] * int(10 * BURST_S)
    assert take(throttle, 1, 100.0) == pytest.approx(0.1)
    assert take(throttle, 1, 100.0) == pytest.approx(0.2)
    assert take(throttle, 1, 101.0) == 0.0


def test_bytes_have_a_rate_of_their_own():
    throttle = Throttle(Rates(bytes_per_s=1000), 100.0)
    assert take(throttle, 2000, 100.0) == 0.0
    assert take(throttle, 5000, 100.0) == pytest.approx(5.0)
    assert take(throttle, 0, 105.0) == 0.0


def test_no_rate_is_no_limit():
    assert not Rates()
    assert Rates(bytes_per_s=1)
    assert take(Throttle(Rates(), 0.0), 10**9, 0.0) == 0.0


def test_most_messages_within_the_rate_need_no_look_at_the_clock():
    throttle = Throttle(Rates(messages_per_s=1000, bytes_per_s=10**7), 100.0)
    looks = 0
    for number in range(5000):
        if throttle.count(640):
            looks += 1
            assert throttle.wait_s(100.0 + number * 0.02) == 0.0
    assert looks == pytest.approx(5000 / (1000 * BURST_S * UNTIMED), abs=1)


def test_a_client_at_its_rate_never_waits_and_one_beyond_it_gets_no_more_than_its_rate():
    for per_s in (90, 100, 200):
        throttle, waited_s, count = Throttle(Rates(messages_per_s=100), 0.0), 0.0, 100 * 60
        for number in range(count):
            waited_s += take(throttle, 1, number / per_s + waited_s)
        ended_s = count / per_s + waited_s
        assert ended_s == pytest.approx(max(count / per_s, count / 100), abs=BURST_S * (1 + UNTIMED))
        assert (waited_s > 0) == (per_s > 100)
