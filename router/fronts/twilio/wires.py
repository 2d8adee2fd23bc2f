"""The wires of telephone services, as a table of their differences from Twilio's. Pure data.

Sources: Telnyx, "Stream call media over WebSocket"; Plivo, "Stream Event Protocol"; Exotel, "WebSocket protocol", and
the sizes in "Working with the Stream Applet"; Vonage, "WebSockets" of the Voice API.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec resolves the annotation
from typing import Any, Final

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The audio of a wire, in both directions: mono, without a header."""

    encoding: str
    """The encoding's name in Settings."""
    bytes_per_ms: int
    frame_bytes: int
    """The size of a frame. Every piece consists of whole frames, because a cut frame is audible."""
    piece_bytes: int
    """The size of a piece, 200 ms. A mark follows each piece. Between two marks the clock estimates the playback."""
    silence: bytes
    """The byte that stands for silence."""
    sample_rate: int = 8000


MULAW: Final = Shape(encoding="mulaw", bytes_per_ms=8, frame_bytes=160, piece_bytes=1600, silence=b"\xff")
"""Mu-law. Its silence is 0xff, because a zero byte would be loud."""

LINEAR: Final = Shape(encoding="linear16", bytes_per_ms=16, frame_bytes=3200, piece_bytes=3200, silence=b"\0")
"""Exotel's audio. Its frames have 3200 bytes, because Exotel plays smaller messages badly."""

WIDE: Final = Shape(
    encoding="linear16", bytes_per_ms=32, frame_bytes=640, piece_bytes=6400, silence=b"\0", sample_rate=16_000
)
"""Vonage's audio. Each message has 20 ms."""


_EVENTS: Final = {name: name for name in ("start", "media", "mark", "dtmf", "stop")}


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """The names and shapes in one service's messages. The defaults are Twilio's."""

    name: str
    shape: Shape = MULAW
    encodings: tuple[str, ...] = ("audio/x-mulaw",)
    """The names of the encoding in the `start` event; empty if the service's documents contradict each other."""
    events: Mapping[str, str] = msgspec.field(default_factory=lambda: _EVENTS)
    """Twilio's name of each event from the service, by the service's own name."""
    stream_key: str = "streamSid"
    call_key: str = "callSid"
    parameters_key: str = "customParameters"
    headers_key: str = ""
    """The field beside `start` with the parameters in one text, `name=value;name=value`; empty if there is none."""
    format_key: str = "mediaFormat"
    rate_key: str = "sampleRate"
    media_event: str = "media"
    media_fields: Mapping[str, Any] = {}
    """The fields that the service requires beside the payload of audio."""
    mark_event: str = "mark"
    mark_key: str = "mark"
    """The field that has a mark's content, in messages of both directions, if the content is an object."""
    flat_events: frozenset[str] = frozenset()
    """Twilio's names of the events whose content stands at the top of the message, in both directions."""
    kind_key: str = "event"
    """The field that names the kind of a message to the service."""
    has_binary_audio: bool = False
    """Whether audio is in binary messages, one for each frame."""
    clear_event: str = "clear"
    names_stream: bool = True
    """Whether each message to the service contains the id of the stream."""


TWILIO: Final = Wire(name="twilio")

TELNYX: Final = Wire(
    name="telnyx",
    encodings=("PCMU",),
    stream_key="stream_id",
    call_key="call_control_id",
    parameters_key="custom_parameters",
    format_key="media_format",
    rate_key="sample_rate",
    names_stream=False,
)

PLIVO: Final = Wire(
    name="plivo",
    events={"start": "start", "media": "media", "playedStream": "mark", "dtmf": "dtmf", "stop": "stop"},
    stream_key="streamId",
    call_key="callId",
    headers_key="extra_headers",
    media_event="playAudio",
    media_fields={"contentType": "audio/x-mulaw", "sampleRate": 8000},
    mark_event="checkpoint",
    flat_events=frozenset({"mark"}),
    clear_event="clearAudio",
)

EXOTEL: Final = Wire(
    name="exotel",
    shape=LINEAR,
    encodings=(),
    stream_key="stream_sid",
    call_key="call_sid",
    parameters_key="custom_parameters",
    format_key="media_format",
    rate_key="sample_rate",
)

VONAGE: Final = Wire(
    name="vonage",
    shape=WIDE,
    encodings=("audio/l16",),
    # The end of a call is the close of its socket.
    events={"websocket:connected": "start", "websocket:notify": "mark", "websocket:dtmf": "dtmf"},
    call_key="uuid",
    mark_event="notify",
    mark_key="payload",
    flat_events=frozenset({"start", "dtmf"}),
    kind_key="action",
    names_stream=False,
    has_binary_audio=True,
)

COUSINS: Final = (TELNYX, PLIVO, EXOTEL, VONAGE)
"""The wires of the services that resemble Twilio."""
