"""G.711 by the tables of the recommendation itself."""

import subprocess
import sys

import pytest

from router.audio.g711 import code_table, decoded
from router.simulator import voice

EVERY_CODE = bytes(range(256))

LAWS = ("mulaw", "alaw")

LEVELS = {
    # The output values of its tables 1a and 2a at both ends of each segment, scaled to 16 bits.
    "mulaw": {
        0x80: 8031 * 4, 0x8F: 4191 * 4, 0x90: 3999 * 4, 0x9F: 2079 * 4, 0xA0: 1983 * 4, 0xAF: 1023 * 4, 0xB0: 975 * 4,
        0xBF: 495 * 4, 0xC0: 471 * 4, 0xCF: 231 * 4, 0xD0: 219 * 4, 0xDF: 99 * 4, 0xE0: 93 * 4, 0xEF: 33 * 4,
        0xF0: 30 * 4, 0xFE: 2 * 4, 0xFF: 0,
    },
    "alaw": {
        0xAA: 4032 * 8, 0xA5: 2112 * 8, 0xBA: 2016 * 8, 0xB5: 1056 * 8, 0x8A: 1008 * 8, 0x85: 528 * 8, 0x9A: 504 * 8,
        0x95: 264 * 8, 0xEA: 252 * 8, 0xE5: 132 * 8, 0xFA: 126 * 8, 0xF5: 66 * 8, 0xCA: 63 * 8, 0xD5: 1 * 8,
    },
}  # fmt: skip

SEGMENTS = {
    # The decision values between two segments.
    "mulaw": [31 * 4, 95 * 4, 223 * 4, 479 * 4, 991 * 4, 2015 * 4, 4063 * 4],
    "alaw": [64 * 8, 128 * 8, 256 * 8, 512 * 8, 1024 * 8, 2048 * 8],
}


def sample(law, code):
    return int.from_bytes(decoded(law, bytes([code])), "little", signed=True)


def code(law, level):
    return code_table(law)[level & 0xFFFF]


@pytest.mark.parametrize(("law", "number", "level"), [(law, *row) for law in LAWS for row in LEVELS[law].items()])
def test_a_code_is_the_level_of_the_recommendation(law, number, level):
    assert sample(law, number) == level
    assert sample(law, number ^ 0x80) == -level


@pytest.mark.parametrize(("law", "border"), [(law, border) for law in LAWS for border in SEGMENTS[law]])
def test_a_segment_ends_at_its_decision_value(law, border):
    below, above = (code(law, level) ^ (0x55 if law == "alaw" else 0xFF) for level in (border - 1, border))

    assert (above >> 4 & 7) == (below >> 4 & 7) + 1
    assert (below & 0x0F, above & 0x0F) == (0x0F, 0)


@pytest.mark.parametrize("law", LAWS)
def test_every_code_but_the_second_zero_survives_its_decoding(law):
    changed = [number for number in EVERY_CODE if code(law, sample(law, number)) != number]

    assert changed == ([0x7F] if law == "mulaw" else [])


@pytest.mark.parametrize("law", LAWS)
def test_a_louder_sample_never_has_a_lower_level(law):
    levels = [sample(law, code(law, level)) for level in range(-32768, 32768, 5)]

    assert levels == sorted(levels)


@pytest.mark.parametrize("law", LAWS)
def test_the_halves_mirror_each_other(law):
    assert all(code(law, ~level) == code(law, level) ^ 0x80 for level in range(0, 32768, 3))


@pytest.mark.parametrize(("law", "name"), [("mulaw", "audio/pcmu"), ("alaw", "audio/pcma")])
def test_the_simulator_which_shares_no_code_reads_the_same(law, name):
    assert decoded(law, EVERY_CODE) == voice.decoded(EVERY_CODE, name).astype("<i2").tobytes()


@pytest.mark.slow
def test_decoding_loads_no_numpy():
    program = """
import sys
from router.audio.convert import Converter
from router.audio.formats import MULAW_8K, Format
converter = Converter(MULAW_8K, Format("linear16", 8000))
assert converter.push(b"\\xff" * 160) == bytes(320)
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
