"""The rates of one client."""

import pytest

from actors.throttle import BURST_S, Rates, Throttle


def test_messages_within_the_rate_and_a_burst_wait_for_nothing():
    throttle = Throttle(Rates(messages_per_s=10), 100.0)
    assert [throttle.take(10**6, 100.0) for _ in range(int(10 * BURST_S))] == [0.0] * int(10 * BURST_S)
    assert throttle.take(1, 100.0) == pytest.approx(0.1)
    assert throttle.take(1, 100.0) == pytest.approx(0.2)
    assert throttle.take(1, 101.0) == 0.0


def test_bytes_have_a_rate_of_their_own():
    throttle = Throttle(Rates(bytes_per_s=1000), 100.0)
    assert throttle.take(2000, 100.0) == 0.0
    assert throttle.take(5000, 100.0) == pytest.approx(5.0)
    assert throttle.take(0, 105.0) == 0.0


def test_no_rate_is_no_limit():
    assert not Rates()
    assert Rates(bytes_per_s=1)
    assert Throttle(Rates(), 0.0).take(10**9, 0.0) == 0.0
