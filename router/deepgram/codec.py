"""Text frames of the client to messages and back."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

from router.deepgram.messages import CLIENT_MESSAGES, ClientMessage, ServerMessage

_WRITABLE_LEVELS: Final = 200
"""At least, by orjson."""


class Unparsable(msgspec.Struct, frozen=True):
    """A frame that is no client message. `problem` is a sentence for the client; it names the field."""

    problem: str


class Foreign(msgspec.Struct, frozen=True):
    """A JSON object of a type that is none of Deepgram's: perhaps another protocol's."""

    type: str
    fields: dict[str, Any]
    text: str


def decode(text: str) -> ClientMessage | Foreign | Unparsable:
    """Read a text frame. A client's mistake is a value here, not an exception: it is part of the protocol."""
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Unparsable(f"the message is not valid JSON: {error}")
    if not isinstance(fields, dict):
        return Unparsable("the message is not a JSON object")
    if _is_too_deep(fields, text):
        return Unparsable("the message is nested too deeply")
    name = fields.get("type")
    if not isinstance(name, str):
        return Unparsable("the field `type` is missing" if name is None else "the field `type` is not a string")
    message_class = CLIENT_MESSAGES.get(name)
    if message_class is None:
        return Foreign(name, fields, text)
    return _convert(name, fields, message_class)


def _is_too_deep(fields: dict[str, Any], text: str) -> bool:
    """Whether it cannot be written again, as what of it goes on has to be: fewer levels can than can be read."""
    if text.count("{") + text.count("[") <= _WRITABLE_LEVELS:
        return False
    try:
        orjson.dumps(fields)
    except orjson.JSONEncodeError:
        return True
    return False


def _convert(name: str, fields: dict[str, Any], message_class: type[ClientMessage]) -> ClientMessage | Unparsable:
    try:
        return msgspec.convert(fields, message_class)
    except msgspec.ValidationError as error:
        return Unparsable(f"{name}: {_name_field(str(error))}")


def _name_field(problem: str) -> str:
    # msgspec says "... - at `$.audio.input.sample_rate`"; people know the field without the dollar.
    return problem.replace("`$.", "`")


def encode(message: ServerMessage) -> str:
    """Write a text frame."""
    return orjson.dumps(msgspec.to_builtins(message)).decode()
