"""The filter itself: its size, its sums, and the samples that need no clipping."""

import numpy as np
import pytest

from router.audio.polyphase import COEFFICIENT_BITS, MAX_COEFFICIENTS, Stream, is_small, polyphase

UPSTREAM_RATE = 24_000
RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000]


def loudest(design, amplitude):
    """Return the window of samples of that amplitude whose sum is the largest possible, its output, and the sum."""
    output = int(np.abs(design.coefficients).sum(axis=0).argmax())
    coefficients = design.coefficients[:, output]
    samples = np.where(coefficients < 0, -amplitude, amplitude)
    return samples.astype("<i2"), output, float(np.abs(coefficients).sum()) * amplitude


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("amplitude", [100, 12_000, 14_000, 14_591, 14_592, 14_848, 15_000, 20_000, 32_767])
def test_the_loudest_sum_of_any_amplitude_is_clipped_and_no_other(rate, amplitude):
    """The amplitudes lie on both sides of the bound above which clipping is checked."""
    design = polyphase(rate, UPSTREAM_RATE)
    samples, output, level = loudest(design, amplitude)
    stream = Stream(rate, UPSTREAM_RATE)
    # A stream begins with a margin of silence; the samples shall be the window of a later row.
    row = -(-stream.margin // design.block_in)
    lead = np.zeros(row * design.block_in - (stream.margin - 1), "<i2")
    rest = np.zeros(design.window, "<i2")

    made = np.frombuffer(stream.convert(np.concatenate((lead, samples, rest)).tobytes()), "<i2")

    assert made[row * design.block_out + output] == min(32_767, round(level))


@pytest.mark.parametrize("rate", RATES)
def test_every_sum_is_exact(rate):
    """The sums of 16-bit samples times 24-bit coefficients fit into the 53 bits of a float64, in any order."""
    design = polyphase(rate, UPSTREAM_RATE)
    scaled = design.coefficients * (1 << COEFFICIENT_BITS)

    assert np.array_equal(scaled, np.rint(scaled))
    assert np.abs(scaled).sum(axis=0).max() * 32_768 < 2**53


@pytest.mark.parametrize("rate", RATES)
def test_the_filter_is_designed_once_and_shared(rate):
    assert polyphase(rate, UPSTREAM_RATE) is polyphase(rate, UPSTREAM_RATE)


@pytest.mark.parametrize("rate", RATES)
def test_a_filter_takes_little_memory(rate):
    assert polyphase(rate, UPSTREAM_RATE).coefficients.nbytes < (
        200_000 if rate % 8000 == 0 or rate > 40_000 else 512_000
    )


def test_no_filter_is_larger_than_the_bound():
    """Every pair that `is_small` is; the others are not designed at all."""
    small = [rate for rate in range(8_000, 48_001, 25) if is_small(rate, UPSTREAM_RATE)]

    assert len(small) > 100
    assert all(polyphase.__wrapped__(rate, UPSTREAM_RATE).coefficients.size <= MAX_COEFFICIENTS for rate in small)
