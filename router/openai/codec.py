"""Events to text frames of the upstream and back.

Audio is most of the bytes, so both of its events have a short cut: a delta is cut out of its frame without a JSON
parser, and an append is joined from bytes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson
import pybase64

from router.openai.events import (
    ALIASES,
    CONSUMED,
    SERVER_EVENTS,
    ClientEvent,
    PassedOver,
    ResponseOutputAudioDelta,
    ServerEvent,
)

_DELTA_HEAD: Final = '{"type":"response.output_audio.delta",'
_PASSED_OVER: Final = PassedOver()


class Malformed(msgspec.Struct, frozen=True):
    """A frame that is no event at all: the upstream is not what we take it for."""

    problem: str


class Unknown(msgspec.Struct, frozen=True):
    """An event of a type, or with a field, that we do not know: passed over, and logged once per `type`."""

    type: str
    problem: str


def decode(text: str) -> ServerEvent | Unknown | Malformed:
    """Read a text frame."""
    if text.startswith(_DELTA_HEAD):
        delta = _cut_out_delta(text)
        if delta is not None:
            return delta
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Malformed(f"not JSON: {error}")
    name = fields.get("type") if isinstance(fields, dict) else None
    if not isinstance(name, str):
        return Malformed("not an object with a type")
    return _convert(name, fields)


def _convert(name: str, fields: dict[str, Any]) -> ServerEvent | Unknown:
    name = ALIASES.get(name, name)
    event_class = SERVER_EVENTS.get(name)
    if event_class is None:
        return _PASSED_OVER if name in CONSUMED else Unknown(name, "unknown type")
    try:
        return msgspec.convert(fields, event_class)
    except msgspec.ValidationError as error:
        return Unknown(name, str(error))


def _cut_out_delta(text: str) -> ResponseOutputAudioDelta | None:
    # Base64 holds neither a quote nor a backslash, so the next quote ends it. Whatever looks otherwise goes to
    # the parser.
    delta = _string_field(text, '"delta":"')
    response_id = _string_field(text, '"response_id":"')
    if delta is None or response_id is None or "\\" in response_id:
        return None
    return ResponseOutputAudioDelta(delta, response_id)


def _string_field(text: str, key: str) -> str | None:
    start = text.find(key)
    if start < 0 or text.find(key, start + len(key)) >= 0:
        return None
    start += len(key)
    end = text.find('"', start)
    return text[start:end] if end >= 0 else None


def encode(event: ClientEvent) -> bytes:
    """Write a text frame."""
    return orjson.dumps(msgspec.to_builtins(event))


def append_event(pcm: bytes) -> bytes:
    """An `input_audio_buffer.append` with this audio."""
    return b'{"type":"input_audio_buffer.append","audio":"' + pybase64.b64encode(pcm) + b'"}'


def delta_audio(delta: str) -> bytes:
    """The audio of a delta.

    Raises:
        binascii.Error: it is not base64.
    """
    return pybase64.b64decode(delta, validate=True)
