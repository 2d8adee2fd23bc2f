"""Sizes, durations and silence."""

import pytest

from router.audio.formats import (
    ALAW_8K,
    LINEAR16_24K,
    MAX_SAMPLE_BYTES,
    MULAW_8K,
    SAMPLE_BYTES,
    Format,
    UnsupportedRates,
)


def test_a_duration_is_a_whole_number_of_samples():
    assert Format("linear16", 16_000).size_bytes(20) == 640
    assert Format("linear16", 44_100).size_bytes(1) == 90, "44.1 samples round up"
    assert Format("linear32", 11_025).size_bytes(1) == 48
    assert LINEAR16_24K.size_bytes(0) == 0
    assert MULAW_8K.size_bytes(100) == 800


@pytest.mark.parametrize("audio_format", [Format("linear16", 16_000), Format("linear32", 48_000), MULAW_8K])
def test_a_size_has_a_duration(audio_format):
    assert audio_format.duration_ms(audio_format.size_bytes(100)) == 100
    assert audio_format.duration_ms(audio_format.bytes_per_s) == 1000


def test_silence_is_the_code_of_zero():
    assert LINEAR16_24K.silence(100) == bytes(4800)
    assert Format("linear32", 8000).silence(1) == bytes(32)
    assert MULAW_8K.silence(1) == b"\xff" * 8
    assert ALAW_8K.silence(1) == b"\xd5" * 8


def test_audio_that_begins_with_a_whole_sample_does_so_after_any_multiple_of_the_longest():
    assert all(MAX_SAMPLE_BYTES % size == 0 for size in SAMPLE_BYTES.values())


def test_impossible_rates_are_named_in_the_error():
    error = UnsupportedRates(4_000, 24_000)

    assert str(error) == "cannot resample from 4000 Hz to 24000 Hz"
    assert (error.rate_in, error.rate_out) == (4_000, 24_000)
