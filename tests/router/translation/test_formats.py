"""Audio formats of both sides."""

import pytest

from router.audio.formats import ALAW_8K, LINEAR16_24K, MULAW_8K, Format
from router.deepgram.codec import decode
from router.deepgram.messages import Audio, AudioFormat
from router.translation.formats import (
    Formats,
    input_format,
    native_formats,
    output_format,
    reported_formats,
    validate_formats,
    wire_format,
)


def with_input(encoding="linear16", sample_rate=None, **fields):
    return Audio(input=AudioFormat(encoding=encoding, sample_rate=sample_rate, **fields))


def with_output(encoding="linear16", sample_rate=None, **fields):
    return Audio(output=AudioFormat(encoding=encoding, sample_rate=sample_rate, **fields))


GOOD_INPUT = [
    *((encoding, rate) for encoding in ("linear16", "linear32", "mulaw", "alaw") for rate in (8_000, 12_345, 48_000)),
    ("linear16", None),
    ("mulaw", None),
]

GOOD_OUTPUT = [
    *(("linear16", rate) for rate in (8_000, 16_000, 24_000, 32_000, 44_100, 48_000, None)),
    *((encoding, rate) for encoding in ("mulaw", "alaw") for rate in (8_000, 16_000, None)),
]


@pytest.mark.parametrize(("encoding", "rate"), GOOD_INPUT)
def test_uncompressed_audio_is_taken_at_any_rate(encoding, rate):
    audio = with_input(encoding, rate)

    assert validate_formats(audio) is None
    assert input_format(audio) == Format(encoding, rate or (24_000 if encoding == "linear16" else 8_000))


@pytest.mark.parametrize(("encoding", "rate"), GOOD_OUTPUT)
@pytest.mark.parametrize("container", [None, "none", "wav"])
def test_deepgram_s_own_output_formats_are_sent(encoding, rate, container):
    audio = with_output(encoding, rate, container=container, bitrate=128_000)

    assert validate_formats(audio) is None
    assert output_format(audio) == Format(encoding, rate or (24_000 if encoding == "linear16" else 8_000))


@pytest.mark.parametrize(
    ("audio", "sentence"),
    [
        *(
            (with_input(name, 16_000), f"`audio.input.encoding` is {name}: it may be linear16, linear32, mulaw or alaw")
            for name in ("flac", "amr-nb", "amr-wb", "opus", "ogg-opus", "speex", "g729", "Linear16", "")
        ),
        *(
            (with_input("linear16", rate), f"`audio.input.sample_rate` is {rate}: it may be from 8000 to 48000")
            for rate in (0, -1, 7_999, 48_001, 96_000)
        ),
        (with_input(container="ogg"), "`audio.input.container` is ogg: it may be none or wav"),
        *(
            (with_output(name), f"`audio.output.encoding` is {name}: it may be linear16, mulaw or alaw")
            for name in ("mp3", "opus", "flac", "aac", "linear32")
        ),
        (
            with_output("linear16", 22_050),
            "`audio.output.sample_rate` is 22050: it may be 8000, 16000, 24000, 32000, 44100 or 48000 with linear16",
        ),
        (with_output("mulaw", 24_000), "`audio.output.sample_rate` is 24000: it may be 8000 or 16000 with mulaw"),
        (with_output("alaw", 0), "`audio.output.sample_rate` is 0: it may be 8000 or 16000 with alaw"),
        (with_output(container="ogg"), "`audio.output.container` is ogg: it may be none or wav"),
    ],
)
def test_a_format_that_cannot_be_obeyed_is_named_by_its_field(audio, sentence):
    assert validate_formats(audio) == sentence


@pytest.mark.parametrize(
    ("own", "upstream"),
    [
        (MULAW_8K, MULAW_8K),
        (ALAW_8K, ALAW_8K),
        (LINEAR16_24K, LINEAR16_24K),
        (Format("mulaw", 16_000), LINEAR16_24K),
        (Format("linear16", 8_000), LINEAR16_24K),
        (Format("linear32", 24_000), LINEAR16_24K),
    ],
)
def test_each_direction_is_native_where_the_upstream_has_the_client_s_format(own, upstream):
    assert native_formats(own, LINEAR16_24K) == Formats(upstream, LINEAR16_24K)
    assert native_formats(MULAW_8K, own) == Formats(MULAW_8K, upstream)


@pytest.mark.parametrize("audio_format", [LINEAR16_24K, MULAW_8K, ALAW_8K])
def test_a_requested_format_is_recognised_in_the_answer(audio_format):
    given = wire_format(audio_format)
    session = {"input": {"format": given}, "output": {"format": given, "voice": "ash"}}

    assert reported_formats(session) == (audio_format, audio_format)


@pytest.mark.parametrize(
    "audio",
    [
        None,
        "pcm16",
        [],
        {},
        {"input": None, "output": {}},
        {"input": {"format": "pcm16"}, "output": {"format": {"type": "audio/opus"}}},
        {"input": {"format": {"type": "audio/pcm", "rate": 96_000}}, "output": {"format": {"type": {}}}},
        {"input": {"format": {"type": "audio/pcm", "rate": "24000"}}, "output": {"format": {"type": None}}},
    ],
)
def test_an_unclear_answer_has_no_format(audio):
    assert reported_formats(audio) == (None, None)


def test_an_upstream_may_have_a_rate_of_its_own():
    session = {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}, "output": {"format": {"type": "audio/pcm"}}}

    assert reported_formats(session) == (Format("linear16", 16_000), LINEAR16_24K)


@pytest.mark.parametrize("rate", ["16000", "16000.0", "1.6e4"])
def test_a_rate_may_be_spelled_in_any_way_that_json_has(rate):
    text = '{"type":"Settings","agent":{},"audio":{"input":{"encoding":"linear16","sample_rate":RATE}}}'
    given = decode(text.replace("RATE", rate))
    assert input_format(given.audio) == Format("linear16", 16_000)
    assert isinstance(input_format(given.audio).rate, int)


def test_a_usual_rate_stays_an_integer():
    """A range is searched for a float: 2 ms, while every call of the dispatcher waits."""
    given = decode('{"type":"Settings","agent":{},"audio":{"input":{"sample_rate":48000}}}')
    assert isinstance(given.audio.input.sample_rate, int)
