"""Conversions between rates keep the spectrum, the count and every byte. Encodings: test_convert_encodings.py."""

import itertools
import math
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.audio.convert import PIECE_SAMPLES, Converter
from router.audio.formats import Format, UnsupportedRates
from router.audio.interpolated import InterpolatedStream
from router.audio.polyphase import Stream, is_small
from tests.support.data.tones import cut, decibels, inner, levels_of, linear16, noise_db, tone
from tests.support.processes.further import examples, further

UPSTREAM_RATE = 24_000

RATES = (8_000, 16_000, 24_000, 32_000, 44_100, 48_000)
ODD_RATES = (8_001, 11_025, 12_345, 22_050, 23_999, 37_801, 47_999)
INPUT_RATES = [rate for rate in (*RATES, *ODD_RATES) if rate != UPSTREAM_RATE]
ROUND_AND_ODD = (8000, 44_100, ODD_RATES[0])
"""A rate with a small filter, one with a large filter, and one that is interpolated."""
PAIRS = [pair for pair in itertools.product(RATES, RATES) if pair[0] != pair[1]]
PAIRS += [(rate, UPSTREAM_RATE) for rate in ODD_RATES] + [(UPSTREAM_RATE, 12_345)]
PASS_BAND = 0.85
"""A share of the lower Nyquist frequency."""


def resampler_of(rate_in, rate_out):
    return Converter(Format("linear16", rate_in), Format("linear16", rate_out))


def resampled(data, rate_in, rate_out, seed=1):
    resampler = resampler_of(rate_in, rate_out)
    return b"".join(map(resampler.push, cut(data, seed))) + resampler.flush()


def frequencies(rate_in, rate_out):
    edge = PASS_BAND * min(rate_in, rate_out) / 2
    return [frequency for frequency in (300.0, 1000.0, 2100.0, 3400.0) if frequency < edge] + [edge]


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_a_tone_in_the_pass_band_comes_out_as_itself(rate_in, rate_out):
    """Level, phase, images and aliases at once: compared with the exact tone at the other rate."""
    for frequency in frequencies(rate_in, rate_out):
        expected = tone(frequency, rate_out)
        actual = levels_of(resampled(linear16(tone(frequency, rate_in)), rate_in, rate_out))

        assert len(actual) == len(expected)
        assert noise_db(expected, actual, rate_out) >= 60, frequency


@pytest.mark.parametrize(("rate_in", "rate_out"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_a_tone_beyond_the_lower_nyquist_frequency_is_suppressed(rate_in, rate_out):
    tones = [beyond * rate_out / 2 for beyond in (1.02, 1.05, 1.2, 1.6, 2.5)]
    for frequency in [frequency for frequency in tones if frequency < rate_in / 2]:
        source = tone(frequency, rate_in)

        alias = levels_of(resampled(linear16(source), rate_in, rate_out))

        assert decibels(source, inner(alias, rate_out)) >= 45, frequency


@pytest.mark.parametrize("rate_in", INPUT_RATES)
def test_several_tones_at_once_stay_apart(rate_in):
    """The spectrum has the tones that were put in, and no other."""
    tones = [312.0, 997.0, 1811.0, 3361.0]
    mixed = sum(tone(frequency, rate_in, amplitude=7000) for frequency in tones)

    actual = inner(levels_of(resampled(linear16(mixed), rate_in, UPSTREAM_RATE)), UPSTREAM_RATE)
    spectrum = np.abs(np.fft.rfft(actual * np.blackman(len(actual))))
    bins = np.arange(len(spectrum)) * UPSTREAM_RATE / len(actual)
    elsewhere = np.all([np.abs(bins - frequency) > 10 for frequency in tones], axis=0)

    assert 20 * math.log10(spectrum.max() / spectrum[elsewhere].max()) >= 50


@given(
    data=st.binary(max_size=3000),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    pair=st.sampled_from(PAIRS),
)
@settings(deadline=None, max_examples=examples(150))
def test_the_borders_of_the_pieces_make_no_difference(data, cuts, pair):
    """Bit for bit."""
    whole, pieces = resampler_of(*pair), resampler_of(*pair)
    ends = [0, *sorted(min(end, len(data)) for end in cuts), len(data)]

    expected = whole.push(data) + whole.flush()
    actual = b"".join(pieces.push(data[a:b]) for a, b in itertools.pairwise(ends)) + pieces.flush()

    assert actual == expected


@given(lengths=st.lists(st.integers(0, 999), max_size=30), pair=st.sampled_from(PAIRS))
@settings(deadline=None, max_examples=examples(100))
def test_the_count_is_exact_within_the_hold_back_at_any_time(lengths, pair):
    rate_in, rate_out = pair
    resampler = resampler_of(rate_in, rate_out)
    samples_in = samples_out = 0
    for length in lengths:
        samples_in += length
        samples_out += len(resampler.push(bytes(2 * length))) // 2
        missing_ms = 1000 * (samples_in / rate_in - samples_out / rate_out)
        assert -1000 / rate_out < missing_ms <= resampler.hold_back_ms + 1e-9

    samples_out += len(resampler.flush()) // 2

    assert samples_out == -(-samples_in * rate_out // rate_in)


@pytest.mark.parametrize("rate_in", [rate if rate in ROUND_AND_ODD else further(rate) for rate in INPUT_RATES])
def test_the_phase_has_not_moved_after_a_minute(rate_in):
    """The last second of a minute of a tone lies where it should."""
    seconds, frequency = 60, 1234.5
    resampler = resampler_of(rate_in, UPSTREAM_RATE)
    data = linear16(tone(frequency, rate_in, seconds))

    actual = levels_of(b"".join(map(resampler.push, cut(data, seed=7, longest=20_000))) + resampler.flush())

    expected = tone(frequency, UPSTREAM_RATE, seconds)
    assert len(actual) == len(expected)
    last = slice(-UPSTREAM_RATE, -UPSTREAM_RATE // 100)
    assert decibels(expected[last], actual[last] - expected[last]) >= 50


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_full_scale_is_clipped_and_never_wraps(rate_in, rate_out):
    """A square wave overshoots at its edges; a wrapped sample would turn its sign."""
    half_period = rate_in // 100
    square = np.tile(np.repeat([32_767, -32_768], half_period), 20)

    actual = levels_of(resampled(square.astype("<i2").tobytes(), rate_in, rate_out))

    steps = np.abs(np.diff(actual))
    middles = actual[((np.arange(40) + 0.5) * half_period * rate_out / rate_in).astype(int)]
    assert np.all(np.sign(middles) == np.tile([1, -1], 20))
    assert np.count_nonzero(steps > 60_000) <= 40, "as many jumps as the wave has edges"
    assert actual.max() == 32_767
    assert actual.min() == -32_768


def test_silence_and_a_constant_do_not_change():
    assert resampled(bytes(6400), 16_000, 24_000) == bytes(9600)
    constant = levels_of(resampled(linear16(np.full(16_000, 1234.0)), 44_100, 24_000))
    assert np.all(inner(constant, 24_000) == 1234)


@pytest.mark.parametrize("pair", PAIRS)
def test_no_more_than_3_ms_are_held_back(pair):
    assert 0 < resampler_of(*pair).hold_back_ms < 3.1


def test_half_a_sample_waits_for_its_other_half():
    resampler = resampler_of(24_000, 24_000)

    assert resampler.push(b"abc") == b"ab"
    assert resampler.push(b"") == b""
    assert resampler.push(b"d") == b"cd"
    assert resampler.push(b"e") == b""
    assert resampler.flush() == b"", "a flush is no reason to cut a sample in two"
    assert resampler.push(b"fgh") == b"efgh"


def test_a_flush_ends_one_stream_and_begins_another():
    first, second = linear16(tone(440, 16_000, 0.3)), linear16(tone(880, 16_000, 0.2))
    resampler = resampler_of(16_000, 24_000)

    turns = [resampler.push(turn) + resampler.flush() for turn in (first, second)]

    assert turns == [resampled(first, 16_000, 24_000), resampled(second, 16_000, 24_000)]
    assert resampler.flush() == b"", "nothing is held back"


@pytest.mark.parametrize(("rate", "kind"), [(11_025, Stream), (22_050, Stream), (12_345, InterpolatedStream)])
def test_a_pair_without_a_small_ratio_is_interpolated(rate, kind):
    assert is_small(rate, UPSTREAM_RATE) is (kind is Stream)
    assert isinstance(resampler_of(rate, UPSTREAM_RATE)._stream, kind)


@pytest.mark.parametrize("rate", [0, -16_000, 7_999, 48_001])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(UnsupportedRates, match=f"from {rate} Hz to 24000 Hz"):
        resampler_of(rate, UPSTREAM_RATE)


def test_a_very_long_push_works_in_pieces():
    """A push of 16 MB allocates its output and pieces, and next to nothing else."""
    data = bytes(16 << 20)
    resampler = resampler_of(16_000, 24_000)
    tracemalloc.start()
    try:
        output_bytes = len(resampler.push(data)) + len(resampler.flush())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert output_bytes == len(data) * 3 // 2
    assert peak_bytes < 2 * output_bytes + 200 * PIECE_SAMPLES


def test_a_session_costs_little_memory():
    frame = bytes(640)
    resampler_of(16_000, 24_000)  # the filter is shared
    tracemalloc.start()
    try:
        resamplers = [resampler_of(16_000, 24_000) for _ in range(100)]
        for resampler in resamplers:
            resampler.push(frame)
        session_bytes = tracemalloc.get_traced_memory()[0] / len(resamplers)
    finally:
        tracemalloc.stop()

    assert session_bytes < 2_000


@pytest.mark.slow
def test_equal_rates_do_not_load_numpy():
    program = """
import sys
from router.audio.convert import Converter
from router.audio.formats import LINEAR16_24K
resampler = Converter(LINEAR16_24K, LINEAR16_24K)
assert resampler.push(bytes(960)) == bytes(960)
assert resampler.hold_back_ms == 0
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
