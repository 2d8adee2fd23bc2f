"""Conversions of every encoding, at every rate, to every format that is sent."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.audio.convert import Converter, converted
from router.audio.formats import ALAW_8K, LINEAR16_24K, MULAW_8K, Format, Recording
from router.audio.g711 import decoded
from router.audio.samples import g711_encoded
from tests.support.data.tones import cut, levels_of, linear16, linear32, noise_db, tone
from tests.support.processes.further import examples

ENCODINGS = ("linear16", "linear32", "mulaw", "alaw")
SOURCES = [
    Format(encoding, rate)
    for encoding in ENCODINGS
    for rate in (8_000, 11_025, 12_345, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
]
UPSTREAM = [LINEAR16_24K, MULAW_8K, ALAW_8K]
CLIENT = [Format("linear16", rate) for rate in (8_000, 16_000, 24_000, 32_000, 44_100, 48_000)]
CLIENT += [Format(encoding, rate) for encoding in ("mulaw", "alaw") for rate in (8_000, 16_000)]
CONVERSIONS = [*itertools.product(SOURCES, UPSTREAM), *itertools.product(UPSTREAM, CLIENT)]

LEAST_DB = {"linear16": 58, "linear32": 58, "mulaw": 34, "alaw": 34}
"""Signal to noise, by encoding. G.711 has 37 dB at any level; two conversions leave 34."""


def written(levels, audio_format):
    writers = {"linear16": linear16, "linear32": linear32}
    writer = writers.get(audio_format.encoding)
    return writer(levels) if writer else g711_encoded(audio_format.encoding, linear16(levels))


def read(data, audio_format):
    return levels_of(data if audio_format.encoding == "linear16" else decoded(audio_format.encoding, data))


def names(formats):
    return "-".join(f"{it.encoding}_{it.rate}" for it in formats)


@pytest.mark.parametrize("formats", CONVERSIONS, ids=names)
def test_a_sine_keeps_its_spectrum(formats):
    """Compared with the exact sine at the other rate, in pieces: level, time, images, aliases and clicks at once."""
    source, target = formats
    least_db = min(LEAST_DB[source.encoding], LEAST_DB[target.encoding])
    for frequency in (437.0, 0.4 * min(source.rate, target.rate)):
        expected = tone(frequency, target.rate, seconds=0.4)
        converter = Converter(source, target)
        pieces = cut(written(tone(frequency, source.rate, seconds=0.4), source), seed=3)

        actual = read(b"".join(map(converter.push, pieces)) + converter.flush(), target)
        assert len(actual) == len(expected)
        assert noise_db(expected, actual, target.rate) >= least_db, frequency


@given(
    data=st.binary(max_size=2500),
    cuts=st.lists(st.integers(0, 2500), max_size=12),
    formats=st.sampled_from(CONVERSIONS),
)
@settings(deadline=None, max_examples=examples(300))
def test_the_borders_of_the_pieces_make_no_difference(data, cuts, formats):
    """Bit for bit, and no piece ends within a sample."""
    whole, pieces = Converter(*formats), Converter(*formats)
    ends = [0, *sorted(min(end, len(data)) for end in cuts), len(data)]

    expected = whole.push(data) + whole.flush()
    actual = [*(pieces.push(data[a:b]) for a, b in itertools.pairwise(ends)), pieces.flush()]
    assert b"".join(actual) == expected
    assert all(len(piece) % formats[1].sample_bytes == 0 for piece in actual)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_part_of_a_float_waits_for_the_rest_of_it(size):
    data = np.full(400, 0.25, "<f4").tobytes()
    converter = Converter(Format("linear32", 24_000), LINEAR16_24K)

    assert converter.push(data[:size]) == b""
    assert levels_of(converter.push(data[size:])).tolist() == [8192.0] * 400


def test_a_new_stream_begins_without_the_rest_of_the_old():
    converter = Converter(LINEAR16_24K, MULAW_8K)
    converter.push(linear16(tone(440, 24_000, 0.1)) + b"\x55")

    converter.restart()
    assert set(converter.push(bytes(4800)) + converter.flush()) == {0xFF}


@pytest.mark.parametrize("same", UPSTREAM)
def test_audio_in_the_right_format_passes_unchanged(same):
    data = bytes(range(256))

    assert converted(Recording(data, same), same) == data
    assert Converter(same, same).hold_back_ms == 0


def test_a_recording_is_converted_whole():
    recording = Recording(linear16(tone(440, 24_000, 0.5)), LINEAR16_24K)

    mulaw = Recording(converted(recording, MULAW_8K), MULAW_8K)
    assert (recording.duration_ms, mulaw.duration_ms) == (500, 500)


def test_a_stream_continues_in_another_format():
    """The next upstream may take another format: a client's sample that is cut in two survives the change."""
    data = linear16(tone(440, 24_000, 0.2))
    first = Converter(LINEAR16_24K, MULAW_8K)

    before = first.push(data[:4801]) + first.flush()
    second = first.successor(LINEAR16_24K)
    assert MULAW_8K.duration_ms(len(before)) == 100
    assert second.push(data[4801:]) == data[4800:]


def test_linear32_is_never_an_output():
    with pytest.raises(ValueError, match="linear32"):
        Converter(LINEAR16_24K, Format("linear32", 24_000))
