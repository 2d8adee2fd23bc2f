"""Sizes and silence of linear16."""

from router.audio.formats import UnsupportedRates, duration_ms, linear16_bytes, silence


def test_a_duration_is_a_whole_number_of_samples():
    assert linear16_bytes(20, 16_000) == 640
    assert linear16_bytes(1, 44_100) == 90, "44.1 samples round up"
    assert linear16_bytes(0, 24_000) == 0


def test_a_size_has_a_duration():
    assert duration_ms(640, 16_000) == 20
    assert duration_ms(linear16_bytes(100, 24_000), 24_000) == 100


def test_silence_is_zeros_of_that_length():
    assert silence(100, 24_000) == b"\0" * 4800


def test_rates_without_a_filter_are_named_in_the_error():
    error = UnsupportedRates(12_345, 24_000)

    assert str(error) == "cannot resample from 12345 Hz to 24000 Hz"
    assert (error.rate_in, error.rate_out) == (12_345, 24_000)
