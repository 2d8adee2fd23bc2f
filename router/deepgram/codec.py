"""Text frames of the client to messages and back."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

from router.deepgram.messages import CLIENT_MESSAGES, ClientMessage, ServerMessage

_WRITABLE_LEVELS: Final = 200
"""Levels of nesting that orjson writes in any case: it reads more of them than it writes."""


class Unparsable(msgspec.Struct, frozen=True):
    """A frame that is no client message. `problem` is a sentence for the client that names the field."""

    problem: str


class Foreign(msgspec.Struct, frozen=True):
    """A JSON object of a type that is none of Deepgram's: perhaps an event of OpenAI's."""

    type: str
    fields: dict[str, Any]
    text: str


def decode(text: str) -> ClientMessage | Foreign | Unparsable:
    """Read a text frame. A client's mistake is a value and no exception, because the session answers it."""
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
    """Whether orjson cannot write the message again, as parts of it have to go upstream."""
    # The depth is at most the number of brackets: counting them saves nearly every message the trial.
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
    # msgspec writes "... - at `$.audio.input.sample_rate`"; clients know the field without the dollar.
    return problem.replace("`$.", "`")


def encode(message: ServerMessage) -> str:
    """Write a text frame."""
    return orjson.dumps(msgspec.to_builtins(message)).decode()
