"""The messages of Twilio Media Streams and of similar services, and their codec. Twilio writes numbers as strings."""

from __future__ import annotations

import base64
import re
from typing import Any, Final

import msgspec
import orjson

from router.fronts.twilio.wires import TWILIO, Wire

_CONTENT_TYPE: Final = "content-type"
"""The field with the format of the audio, in a start event whose content stands at the top of the message."""

# From Twilio.


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    """The format of the caller's audio."""

    encoding: str = "audio/x-mulaw"
    sample_rate: int = 8000


class Start(msgspec.Struct, frozen=True, rename="camel"):
    """The start of the stream, with the call and the `<Parameter>`s of its TwiML."""

    stream_sid: str
    call_sid: str = ""
    custom_parameters: dict[str, str] = {}
    media_format: MediaFormat = MediaFormat()


class Media(msgspec.Struct, frozen=True):
    """A piece of the caller's audio."""

    payload: str
    track: str = "inbound"


class Mark(msgspec.Struct, frozen=True):
    """The echo of a mark. The audio before the mark was played, or dropped by a `clear`."""

    name: str


class Dtmf(msgspec.Struct, frozen=True):
    """A key that the caller pressed."""

    digit: str


class Stop(msgspec.Struct, frozen=True):
    """The end of the stream: the caller hung up, or the call was redirected."""


class Unknown(msgspec.Struct, frozen=True):
    """A message that the router ignores, and the reason."""

    problem: str


Message = Start | Media | Mark | Dtmf | Stop | Unknown

_TYPES: Final[dict[str, type[Any]]] = {"start": Start, "media": Media, "mark": Mark, "dtmf": Dtmf}
"""The classes of the events whose content is an object, by Twilio's name of the event."""


def decode(text: str, wire: Wire = TWILIO) -> Message:
    """Return the message in a text frame of the service.

    Return `Unknown` for an unreadable frame, for `connected`, and for events of a later version.
    """
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Unknown(f"the message is not valid JSON: {error}")
    event = fields.get("event") if isinstance(fields, dict) else None
    meaning = wire.events.get(event) if isinstance(event, str) else None
    if meaning == "stop":
        return Stop()
    if meaning is None:
        return Unknown(f"event {str(event)[:40]}")
    if meaning in wire.flat_events:
        content = _flat_start(fields, wire) if meaning == "start" else fields
    else:
        content = fields.get(wire.mark_key if meaning == "mark" and event not in fields else event)
        if meaning == "start" and isinstance(content, dict):
            content = _start_of(fields, content, wire)
    try:
        # Twilio writes numbers as texts.
        message: Message = msgspec.convert(content, _TYPES[meaning], strict=False)
    except msgspec.ValidationError as error:
        return Unknown(f"{event}: {error}")
    return message


def _start_of(fields: dict[str, Any], content: dict[str, Any], wire: Wire) -> dict[str, Any]:
    # Twilio writes the stream's id in both places. Another server of this protocol may leave one of them out.
    found = {
        "streamSid": content.get(wire.stream_key, fields.get(wire.stream_key)),
        "callSid": content.get(wire.call_key, ""),
        "customParameters": content.get(wire.parameters_key) or _headers_of(fields.get(wire.headers_key)),
    }
    written = content.get(wire.format_key)
    if written is None:
        return found
    if not isinstance(written, dict):
        return {**found, "mediaFormat": written}
    named = {"encoding": written.get("encoding"), "sampleRate": written.get(wire.rate_key)}
    return {**found, "mediaFormat": {key: value for key, value in named.items() if value is not None}}


def _flat_start(fields: dict[str, Any], wire: Wire) -> dict[str, Any]:
    """Return the content of a start event whose fields, with the call's parameters, stand at the top of the message."""
    encoding, _, parameters = str(fields.get(_CONTENT_TYPE, "")).partition(";")
    rate = re.search(r"\brate=(\d{1,6})\b", parameters)
    texts = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in fields.items()
        if name not in ("event", _CONTENT_TYPE) and isinstance(value, str | int | float)
    }
    return {
        # The wire has one stream, which no message names.
        "streamSid": wire.name,
        "callSid": texts.get(wire.call_key, ""),
        "customParameters": texts,
        "mediaFormat": {"encoding": encoding.strip(), "sampleRate": int(rate[1]) if rate else 0},
    }


def _headers_of(written: object) -> dict[str, str]:
    parts = re.split("[;,]", written) if isinstance(written, str) else ()
    return {name.strip(): value.strip() for name, equals, value in (part.partition("=") for part in parts) if equals}


def is_served(media_format: MediaFormat, wire: Wire) -> bool:
    """Whether the announced format of the caller's audio is the one that the wire has."""
    return media_format.sample_rate == wire.shape.sample_rate and (
        media_format.encoding in wire.encodings if wire.encodings else "mulaw" not in media_format.encoding
    )


def audio_of(media: Media) -> bytes:
    """Return the audio of a `media` event; empty for another track than the caller's, or for unreadable audio."""
    if media.track != "inbound":
        return b""
    try:
        return base64.b64decode(media.payload, validate=True)
    except ValueError:  # no base64, or no ASCII
        return b""


# To Twilio.


def media(stream_sid: str, audio: bytes, wire: Wire = TWILIO) -> str:
    """Return the message that plays a piece of audio."""
    payload = {**wire.media_fields, "payload": base64.b64encode(audio).decode()}
    return _written(wire.media_event, stream_sid, wire, media=payload)


def mark(stream_sid: str, name: str, wire: Wire = TWILIO) -> str:
    """Return the message that puts a mark after all audio so far."""
    if "mark" in wire.flat_events:
        return _written(wire.mark_event, stream_sid, wire, name=name)
    return _written(wire.mark_event, stream_sid, wire, **{wire.mark_key: {"name": name}})


def clear(stream_sid: str, wire: Wire = TWILIO) -> str:
    """Return the message that drops all audio that is not played yet."""
    return _written(wire.clear_event, stream_sid, wire)


def _written(event: str, stream_sid: str, wire: Wire, **fields: Any) -> str:
    stream = {wire.stream_key: stream_sid} if wire.names_stream else {}
    return orjson.dumps({wire.kind_key: event, **stream, **fields}).decode()
