"""The events of the OpenAI Realtime API in text frames: read, changed and written."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from router.json_bounds import MAX_RECOUNT_CHARS, MAX_WIDE_CHARS, exceeded_bound, is_too_deep

Fields = dict[str, Any]

INVALID_REQUEST: Final = "invalid_request_error"
SERVER_ERROR: Final = "server_error"


MAX_ID_CHARS: Final = 512
"""The most characters of a client's `event_id`, as at OpenAI (upstream 11.1). The answer to an event repeats its id."""


class Event:
    """One event. Its frame is the text that was read, unless a field was changed."""

    __slots__ = ("fields", "is_changed", "kind", "text")

    def __init__(self, kind: str, fields: Fields, text: str) -> None:
        self.kind = kind
        self.fields = fields
        self.text = text
        self.is_changed = False

    def set(self, name: str, value: Any) -> None:
        """Set a field, and mark the event as changed."""
        self.fields[name] = value
        self.is_changed = True

    def child(self, name: str) -> Fields:
        """Return the object in a field, or an empty object if the field has none."""
        value = self.fields.get(name)
        return value if isinstance(value, dict) else {}

    def string(self, name: str) -> str | None:
        """Return the string in a field, or None if the field has none."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else None

    @property
    def frame(self) -> str:
        """The text frame, which is written anew if the event was changed."""
        return orjson.dumps(self.fields).decode() if self.is_changed else self.text

    @property
    def data(self) -> str | bytes:
        """The text frame as it costs least: if it is written anew, in UTF-8."""
        return orjson.dumps(self.fields) if self.is_changed else self.text


class OpaqueEvent(Event):
    """An event of an upstream that has too many values or levels to be read. The event passes unread."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        super().__init__("", {}, text)

    @property
    def frame(self) -> str:
        """The text frame, as the upstream sent it."""
        return self.text


class RefusedError(Exception):
    """An event of a client is refused. The attributes are the fields of the `error` that answers the event."""

    def __init__(self, code: str, message: str, *, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.param = param
        self.event_id = event_id

    @property
    def error(self) -> Fields:
        """The `error` object of the `error` event that answers the client's event."""
        return error_of(self.code, self.message, param=self.param, event_id=self.event_id)


class MalformedError(ValueError):
    """A frame of an upstream that is no event."""


def error_of(
    code: str,
    message: str,
    *,
    kind: str = INVALID_REQUEST,
    param: str | None = None,
    event_id: str | None = None,
) -> Fields:
    """Return the `error` object of an `error` event.

    `event_id` is the id of the client's event that is refused, and `param` names its wrong field.
    """
    return {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}


def read_client(text: str) -> Event:
    """Read an event of a client.

    Raises:
        RefusedError: the text is not an event, or exceeds a bound.
    """
    exceeded = exceeded_bound(text)
    if exceeded is not None:
        raise RefusedError("invalid_event", f"The event {exceeded}.")
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RefusedError("invalid_json", f"The event could not be parsed as JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RefusedError("invalid_event", "The event must be a JSON object.")
    if len(text) > MAX_RECOUNT_CHARS and is_too_deep(fields):
        raise RefusedError("invalid_event", "The event is nested too deeply.")
    kind, given = fields.get("type"), fields.get("event_id")
    event_id = given if isinstance(given, str) else None
    if event_id is not None and len(event_id) > MAX_ID_CHARS:
        message = f"The field 'event_id' has more than {MAX_ID_CHARS} characters."
        raise RefusedError("invalid_value", message, param="event_id")
    if not isinstance(kind, str):
        code = "missing_required_parameter" if kind is None else "invalid_type"
        raise RefusedError(code, "The field 'type' must be a string.", param="type", event_id=event_id)
    return Event(kind, fields, text)


def read_upstream(text: str) -> Event:
    """Read an event of an upstream. Return an `OpaqueEvent` if the event exceeds a bound.

    Raises:
        MalformedError: the text is not an event.
    """
    if exceeded_bound(text) is not None:
        return OpaqueEvent(text)
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "surrogate" not in str(error):
            raise MalformedError("not JSON") from None
        if len(text) > MAX_WIDE_CHARS:
            return OpaqueEvent(text)
        fields = _with_halves(text)
    if len(text) > MAX_RECOUNT_CHARS and isinstance(fields, dict) and is_too_deep(fields):
        return OpaqueEvent(text)
    kind = fields.get("type") if isinstance(fields, dict) else None
    if not isinstance(kind, str):
        raise MalformedError("not an object with a type")
    return Event(ALIASES.get(kind, kind), fields, text)


def _with_halves(text: str) -> Any:
    # A relay may cut a delta between the halves of a character (`router.openai.codec`).
    try:
        return orjson.loads(json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise MalformedError("not JSON") from None


ALIASES: Final = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "conversation.item.created": "conversation.item.added",
}
"""The beta API's names of events, which compatible servers use, and the present names (upstream 12.3).

The relay reads such an event by its present name. The client gets the text with the beta name.
"""


def new_event(kind: str, **fields: Any) -> Event:
    """Return an event that the router itself sends."""
    event = Event(kind, {"type": kind, **fields}, "")
    event.is_changed = True
    return event
