"""Text frames of the upstream to events and back.

Audio is most of the bytes, so the two events that carry audio have a shortcut. A delta is sliced out of its frame
without a JSON parser, and an append is joined from bytes.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec
import orjson
import pybase64

from router.json_bounds import exceeded_bound
from router.openai.events import (
    ALIASES,
    CONSUMED,
    SERVER_EVENTS,
    ClientEvent,
    Ignored,
    ResponseOutputAudioDelta,
    ServerEvent,
)

# This is the first key of every recorded audio delta (upstream 10.2). A delta with another first key only costs a
# parse.
_DELTA_HEAD: Final = '{"type":"response.output_audio.delta",'
"""The beginning of a delta in every recording. A delta with another beginning goes to the parser."""
_DELTA: Final = '"delta":"'
_IGNORED: Final = Ignored()
_IDS: Final = frozenset({"id", "item_id", "response_id", "call_id", "event_id", "conversation_id"})
_TYPE: Final = re.compile(r'\s*\{\s*"type"\s*:\s*"([\w.]{1,80})"')
_OBJECT: Final = re.compile(r"\s*\{")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_MAX_UNREADABLE: Final = 8
"""The most unreadable fields of one event that are dropped. An event with more of them is ignored as a whole."""
_MAX_EVENT_CHARS: Final = 4 * 1024 * 1024
"""The most characters of an event: a minute of audio.

The bound is needed because a text of 10 MB took 0.2 s on its way to the client and to the ledger.
"""
_MAX_REPAIRED_CHARS: Final = 1024 * 1024
"""The most characters of a text in which lone surrogates are replaced.

The replacement costs ten times as much as a parse.
"""


class Malformed(msgspec.Struct, frozen=True):
    """A frame that is no event: the upstream does not speak the Realtime API."""

    problem: str


class Unknown(msgspec.Struct, frozen=True):
    """An event of an unknown type, or one that cannot be read. It is ignored, and logged once per `type`."""

    type: str
    problem: str
    is_excess: bool = False
    """Whether the event exceeds a bound and was not parsed."""


class Partial(msgspec.Struct, frozen=True):
    """An event without its unreadable fields.

    The session handles the rest, and the `problem` is logged once per `type`.
    """

    event: ServerEvent
    type: str
    problem: str


def decode(text: str, *, is_counted: bool = False) -> ServerEvent | Partial | Unknown | Malformed:
    """Decode a text frame of the upstream. A broken frame is returned as `Malformed`, and not raised.

    `is_counted` says that the caller has found the text within the bounds of `router.json_bounds`.
    """
    if text.startswith(_DELTA_HEAD) and len(text) <= _MAX_EVENT_CHARS:
        delta = _slice_delta(text)
        if delta is not None:
            return delta
    exceeded = _exceeded_bound(text, is_counted=is_counted)
    if exceeded is not None:
        return _refuse(text, f"it {exceeded}")
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "surrogate" not in str(error):
            return Malformed(f"not JSON: {error}")
        if len(text) > _MAX_REPAIRED_CHARS:
            return _refuse(text, "it is long, and has half a character")
        return _decode_halves(text)
    return _read(fields)


def _exceeded_bound(text: str, *, is_counted: bool) -> str | None:
    if len(text) > _MAX_EVENT_CHARS:
        return f"has more than {_MAX_EVENT_CHARS} characters"
    return None if is_counted else exceeded_bound(text)


def _refuse(text: str, problem: str) -> Unknown | Malformed:
    """Return the result for an event that is not parsed, because parsing would cost too much time or memory.

    Read the event's type by a pattern, at the beginning of the text.
    """
    if _OBJECT.match(text) is None:
        return Malformed("not an object with a type")
    head = _TYPE.match(text)
    return Unknown(head[1] if head is not None else "an event", problem, is_excess=True)


def _decode_halves(text: str) -> ServerEvent | Partial | Unknown | Malformed:
    # A relay in JavaScript cuts deltas between UTF-16 units, so a delta may end within a character. Python's parser
    # accepts the half. The half is replaced, because a frame with it could not be encoded for the client.
    try:
        whole = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace")
        return _read(orjson.loads(whole))
    except (ValueError, RecursionError) as error:
        return Malformed(f"not JSON: {error}")


def _read(fields: Any) -> ServerEvent | Partial | Unknown | Malformed:
    name = fields.get("type") if isinstance(fields, dict) else None
    if not isinstance(name, str):
        return Malformed("not an object with a type")
    return _convert(name, fields)


def _convert(name: str, fields: dict[str, Any]) -> ServerEvent | Partial | Unknown:
    name = ALIASES.get(name, name)
    event_class = SERVER_EVENTS.get(name)
    for part in (fields, fields.get("item"), fields.get("response"), fields.get("error")):
        _read_numbers(part)
    if event_class is None:
        return _IGNORED if name in CONSUMED else Unknown(name, "unknown type")
    try:
        return msgspec.convert(fields, event_class)
    except msgspec.ValidationError as error:
        return _convert_readable(name, fields, event_class, str(error))


def _read_numbers(part: Any) -> None:
    """Convert the numeric ids in an object of an event to texts. Some compatible servers use numbers as ids."""
    if isinstance(part, dict):
        for key in part.keys() & _IDS:
            if type(part[key]) is int:
                part[key] = str(part[key])


def _convert_readable(
    name: str, fields: dict[str, Any], event_class: type[ServerEvent], problem: str
) -> Partial | Unknown:
    # msgspec reports one field at a time, so drop that field and try again.
    next_problem = problem
    for _ in range(_MAX_UNREADABLE):
        _drop(fields, next_problem)
        try:
            return Partial(msgspec.convert(fields, event_class), name, problem)
        except msgspec.ValidationError as error:
            next_problem = str(error)
    return Unknown(name, problem)


def _drop(fields: dict[str, Any], problem: str) -> None:
    """Drop the field that `problem` names at its end, as in "Expected ... - at `$.item.content[1].text`".

    Some servers send a string as `error`. Such a string becomes the `message` of an object.
    """
    *parents, last = (int(index) if index else key for key, index in _STEP.findall(problem.rpartition("`$")[2]))
    within: Any = fields
    for step in parents:
        within = within[step]
    if last == "error" and isinstance(within[last], str):
        within[last] = {"message": within[last]}
    else:
        del within[last]


def _slice_delta(text: str) -> ResponseOutputAudioDelta | None:
    # Base64 has neither a quote nor a backslash, so the next quote ends it. Any other text goes to the parser, because
    # some servers escape the slashes of base64, and others its plus signs.
    start = text.find(_DELTA) + len(_DELTA)
    end = text.find('"', start)
    delta = text[start:end]
    # The ids are in the much shorter text around the audio.
    beside = text[:start] + text[end:]
    response_id, item_id = _string_field(beside, '"response_id":"'), _string_field(beside, '"item_id":"')
    is_whole = start >= len(_DELTA) and end >= 0 and beside.find(_DELTA, start) < 0
    has_ids = response_id is not None and (item_id is not None or '"item_id"' not in beside)
    if not is_whole or not has_ids or "\\" in delta or "\\" in beside:
        return None
    return ResponseOutputAudioDelta(delta, response_id, item_id)


def _string_field(text: str, key: str) -> str | None:
    start = text.find(key)
    # If a key occurs twice, one of the two may be in a nested object or in a string.
    if start < 0 or text.find(key, start + len(key)) >= 0:
        return None
    start += len(key)
    end = text.find('"', start)
    return text[start:end] if end >= 0 else None


def encode(event: ClientEvent) -> bytes:
    """Encode an event as a text frame in UTF-8."""
    return orjson.dumps(msgspec.to_builtins(event))


def append_event(pcm: bytes) -> bytes:
    """Write an `input_audio_buffer.append` with this audio."""
    return b'{"type":"input_audio_buffer.append","audio":"' + pybase64.b64encode(pcm) + b'"}'


def delta_audio(delta: str) -> bytes:
    """Decode the audio of a delta.

    Raises:
        binascii.Error: the delta is not base64.
    """
    return pybase64.b64decode(delta, validate=True)
