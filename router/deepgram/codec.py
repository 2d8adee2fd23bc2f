"""Text frames of the client to messages and back."""

from __future__ import annotations

import sys
from typing import Any, Final

import msgspec
import orjson

from router.deepgram.messages import CLIENT_MESSAGES, ClientMessage, ServerMessage
from router.json_bounds import exceeded_bound

_SETTINGS: Final = "Settings"

_SHORT_CHARS: Final = 32
"""The longest text of Settings that is likely to be a name: an encoding, a provider, a model."""


class Unparsable(msgspec.Struct, frozen=True):
    """A frame that is no valid client message. `problem` is a sentence for the client that names the field."""

    problem: str
    is_excess: bool = False
    """Whether the frame exceeds a bound and was not parsed."""
    code: str = "UNPARSABLE_CLIENT_MESSAGE"
    """The code of the `Error` that answers the frame."""


class Foreign(msgspec.Struct, frozen=True):
    """A JSON object whose type is none of Deepgram's. It may be an event of OpenAI's."""

    type: str
    fields: dict[str, Any]
    text: str


def decode(text: str, *, is_sparse: bool = False) -> ClientMessage | Foreign | Unparsable:
    """Decode a text frame of the client. With `is_sparse`, Settings may leave out `audio` and `agent`.

    A client's mistake is returned as a value and not raised, because the session answers it.
    """
    fields = read(text, is_sparse=is_sparse)
    return fields if isinstance(fields, Unparsable) else message_of(fields, text)


def read(text: str, *, is_sparse: bool = False) -> dict[str, Any] | Unparsable:
    """Parse a text frame to an object with a type. If a key occurs twice, its last value counts.

    With `is_sparse`, Settings get an empty `audio` and `agent` if they have none.
    """
    exceeded = exceeded_bound(text)
    if exceeded is not None:
        return Unparsable(f"the message {exceeded}", is_excess=True)
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Unparsable(f"the message is not valid JSON: {error}")
    if not isinstance(fields, dict):
        return Unparsable("the message is not a JSON object")
    name = fields.get("type")
    if not isinstance(name, str):
        return Unparsable("the field `type` is missing" if name is None else "the field `type` is not a string")
    return {"audio": {}, "agent": {}, **fields} if is_sparse and name == _SETTINGS else fields


def message_of(fields: dict[str, Any], text: str) -> ClientMessage | Foreign | Unparsable:
    """Return the message of a parsed text frame."""
    name = fields["type"]
    message_class = CLIENT_MESSAGES.get(name)
    if message_class is None:
        return Foreign(name, fields, text)
    if name == _SETTINGS:
        fields = _shared(fields)
    return _convert(name, fields, message_class)


def _shared(value: Any) -> Any:
    """Return Settings in which equal short texts are one object for all sessions, which saves memory."""
    if isinstance(value, str):
        return sys.intern(value) if len(value) <= _SHORT_CHARS else value
    if isinstance(value, dict):
        return {key: _shared(each) for key, each in value.items()}
    return [_shared(each) for each in value] if isinstance(value, list) else value


def _convert(name: str, fields: dict[str, Any], message_class: type[ClientMessage]) -> ClientMessage | Unparsable:
    try:
        return msgspec.convert(fields, message_class)
    except msgspec.ValidationError as error:
        return Unparsable(f"{name}: {_name_field(str(error))}")


def _name_field(problem: str) -> str:
    # msgspec writes "... - at `$.audio.input.sample_rate`", but clients know the field without the dollar.
    return problem.replace("`$.", "`")


def encode(message: ServerMessage) -> str:
    """Encode a message as a text frame."""
    return orjson.dumps(msgspec.to_builtins(message)).decode()
