"""Encodings of many samples at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.audio.g711 import code_table, decoded
from router.audio.samples import g711_encoded, linear32_decoded
from tests.support.data.tones import levels_of


def floats(*values):
    return np.array(values, "<f4").tobytes()


def test_linear32_is_full_scale_at_one():
    levels = levels_of(linear32_decoded(floats(0.0, 0.5, -0.5, -1.0, 1 / 32768, 0.6 / 32768)))

    assert list(levels) == [0, 16384, -16384, -32768, 1, 1]


def test_a_sample_beyond_full_scale_is_clipped_and_never_wraps():
    levels = levels_of(linear32_decoded(floats(1.0, 1.5, 3e38, np.inf, -1.5, -3e38, -np.inf)))

    assert list(levels) == [32767] * 4 + [-32768] * 3


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF])
def test_a_sample_that_is_not_a_number_is_silence(bits):
    """Signalling ones are among them."""
    assert linear32_decoded(floats(0.5) + bits.to_bytes(4, "little") + floats(0.5)) == b"\0\x40\0\0\0\x40"


@given(st.binary(max_size=400).map(lambda data: data[: len(data) // 4 * 4]))
def test_any_float_becomes_one_sample(data):
    assert len(linear32_decoded(data)) == len(data) // 2


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_every_sample_has_the_code_of_the_table(law):
    levels = np.arange(-32768, 32768)

    codes = g711_encoded(law, levels.astype("<i2").tobytes())
    assert codes == bytes(code_table(law)[level & 0xFFFF] for level in levels.tolist())
    assert np.all(np.abs(levels_of(decoded(law, codes)) - levels) <= np.maximum(16, np.abs(levels) / 24))
