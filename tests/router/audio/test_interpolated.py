"""The filter for odd pairs of rates: its size, and its agreement with the exact filter."""

import numpy as np
import pytest

from router.audio.interpolated import InterpolatedStream, _filter
from router.audio.polyphase import COEFFICIENT_BITS, Stream
from tests.support.data.tones import decibels, levels_of, linear16, tone

UPSTREAM_RATE = 24_000


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_the_output_is_that_of_the_exact_filter(rate):
    """The two outputs agree to 75 dB, sample by sample."""
    pcm = linear16(sum(tone(frequency, rate, 0.5, amplitude=5000) for frequency in (210, 1900, 3300)))

    exact = levels_of(Stream(rate, UPSTREAM_RATE).convert(pcm))
    interpolated = levels_of(InterpolatedStream(rate, UPSTREAM_RATE).convert(pcm))

    assert len(interpolated) == len(exact)
    assert decibels(exact, interpolated - exact) > 75


@pytest.mark.parametrize("rate", [8_001, 12_347, 47_999])
def test_every_sum_is_exact(rate):
    """The samples are the same for any order of the sums, as in `polyphase`."""
    for coefficients in _filter(rate, UPSTREAM_RATE):
        scaled = coefficients * (1 << COEFFICIENT_BITS)
        assert np.array_equal(scaled, np.rint(scaled))
        assert np.abs(scaled).sum(axis=1).max() * 32_768 < 2**53


@pytest.mark.parametrize("rate", [8_001, 12_347, 47_999])
def test_a_filter_takes_little_memory_for_any_rates(rate):
    assert sum(coefficients.nbytes for coefficients in _filter(rate, UPSTREAM_RATE)) < 200_000


def test_the_filter_is_designed_once_and_shared():
    assert _filter(12_345, UPSTREAM_RATE) is _filter(12_345, UPSTREAM_RATE)
