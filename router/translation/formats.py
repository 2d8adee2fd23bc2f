"""The audio formats of the client (`audio` of Settings) and of the upstream (`audio` of its session)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from router.audio.formats import ALAW_8K, LINEAR16_24K, MULAW_8K, RATES, Format

if TYPE_CHECKING:
    from collections.abc import Container

    from router.audio.formats import Encoding
    from router.deepgram import messages as deepgram

# The client's formats.

_INPUT: Final[dict[str, tuple[Encoding, int]]] = {
    "linear16": ("linear16", 24_000),
    "linear32": ("linear32", 24_000),
    "mulaw": ("mulaw", 8_000),
    "alaw": ("alaw", 8_000),
}
"""Encodings that a client may send, each with its default rate.

The router does not decode compressed audio: see docs/decisions/0009.
"""

_OUTPUT: Final[dict[str, tuple[Encoding, int]]] = {name: _INPUT[name] for name in ("linear16", "mulaw", "alaw")}

_OUTPUT_RATES: Final[dict[str, tuple[int, ...]]] = {
    "linear16": (8_000, 16_000, 24_000, 32_000, 44_100, 48_000),
    "mulaw": (8_000, 16_000),
    "alaw": (8_000, 16_000),
}
"""The rates that Deepgram's Flux voices offer (client 8.2)."""

_CONTAINERS: Final = ("none", "wav")
"""The containers that a client may name.

With either container the frames are raw audio, because clients that ask for wav write its header themselves (client
8.3).
"""


def input_format(audio: deepgram.Audio) -> Format:
    """Return the format that the client sends. `audio` must have passed `validate_formats`."""
    return _format(audio.input, _INPUT)


def output_format(audio: deepgram.Audio) -> Format:
    """Return the format that the client plays. `audio` must have passed `validate_formats`."""
    return _format(audio.output, _OUTPUT)


def _format(given: deepgram.AudioFormat, table: dict[str, tuple[Encoding, int]]) -> Format:
    encoding, default_rate = table[given.encoding]
    return Format.of(encoding, default_rate if given.sample_rate is None else int(given.sample_rate))


def with_rate(audio: deepgram.Audio, linear16_rate: int) -> deepgram.Audio:
    """Return `audio`. If the microphone's format is linear16 without a rate, set `linear16_rate`."""
    given = audio.input
    if given.encoding != "linear16" or given.sample_rate is not None:
        return audio
    return msgspec.structs.replace(audio, input=msgspec.structs.replace(given, sample_rate=linear16_rate))


def validate_formats(audio: deepgram.Audio) -> str | None:
    """Return a sentence about the first field that the router cannot obey, or None."""
    heard, spoken = audio.input, audio.output
    any_rate = f"from {RATES[0]} to {RATES[-1]}"
    rates = _OUTPUT_RATES.get(spoken.encoding, ())
    # The order matters: an unknown encoding is reported before its rate, because it has no list of rates.
    checks: tuple[tuple[str, Any, Container[Any], str], ...] = (
        ("input.encoding", heard.encoding, _INPUT, _join(_INPUT)),
        ("input.sample_rate", heard.sample_rate, RATES, any_rate),
        ("input.container", heard.container, _CONTAINERS, _join(_CONTAINERS)),
        ("output.encoding", spoken.encoding, _OUTPUT, _join(_OUTPUT)),
        ("output.sample_rate", spoken.sample_rate, rates, f"{_join(rates)} with {spoken.encoding}"),
        ("output.container", spoken.container, _CONTAINERS, _join(_CONTAINERS)),
    )
    for field, value, allowed, text in checks:
        if value is not None and value not in allowed:
            shown = f"{value:g}" if isinstance(value, float) else value
            return f"`audio.{field}` is {shown}: it may be {text}"
    return None


def _join(choices: Any) -> str:
    *others, last = map(str, choices) if choices else [""]
    return f"{', '.join(others)} or {last}" if others else last


# The upstream's formats.


class Formats(NamedTuple):
    """The formats of an upstream: `input` for the user's audio, `output` for the agent's."""

    input: Format = LINEAR16_24K
    output: Format = LINEAR16_24K


_WIRE: Final[dict[Format, dict[str, Any]]] = {
    LINEAR16_24K: {"type": "audio/pcm", "rate": LINEAR16_24K.rate},
    MULAW_8K: {"type": "audio/pcmu"},
    ALAW_8K: {"type": "audio/pcma"},
}
"""The formats that the Realtime API knows (upstream 10.1)."""


def wire_format(audio_format: Format) -> dict[str, Any]:
    """Return the `format` object on the wire for an audio format."""
    return _WIRE[audio_format]


_G711: Final = {"audio/pcmu": MULAW_8K, "audio/pcma": ALAW_8K}


def native_formats(heard: Format, spoken: Format) -> Formats:
    """Choose the formats for an upstream that knows G.711. `heard` is the client's input format, `spoken` its output.

    For each direction choose the client's format if the API has that format, and otherwise linear16.
    """
    return Formats(*(own if own in _WIRE else LINEAR16_24K for own in (heard, spoken)))


def reported_formats(audio: Any) -> tuple[Format | None, Format | None]:
    """Read an upstream's formats from `session.audio`.

    Return the input and the output format. A format that is absent or unclear is None.
    """
    audio = audio if isinstance(audio, dict) else {}
    return _reported_format(audio.get("input")), _reported_format(audio.get("output"))


def _reported_format(direction: Any) -> Format | None:
    given = direction.get("format") if isinstance(direction, dict) else None
    if not isinstance(given, dict):
        return None
    kind = given.get("type")
    if kind == "audio/pcm":
        # OpenAI has only 24 kHz. A compatible server may report another rate, which then applies.
        rate = given.get("rate") or LINEAR16_24K.rate
        return Format.of("linear16", int(rate)) if rate in RATES else None
    return _G711.get(kind) if isinstance(kind, str) else None
