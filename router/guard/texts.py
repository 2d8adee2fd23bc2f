"""The frames of client and upstream, and the texts in them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from actors import messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.config.guard import Source

WITHHELD: Final = "The output of the function was withheld."
"""The output that the model gets in place of a blocked output, because a function call needs an output."""

MAX_LEVELS: Final = 32
"""The most nested levels in which a text is searched. An item has five."""

_TEXT_FRAMES: Final = frozenset({"ConversationText", "History"})


def decoded(frame: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object in a text frame. Return None for audio, and an empty object for other JSON."""
    if isinstance(frame, bytes):
        return None
    found = orjson.loads(frame)
    return found if isinstance(found, dict) else {}


def is_of_agent(frame: dict[str, Any] | None) -> bool:
    """Whether a frame is the agent's audio or text."""
    return frame is None or (frame.get("type") in _TEXT_FRAMES and frame.get("role") == "assistant")


def is_of_user(frame: dict[str, Any]) -> bool:
    """Whether a frame is the user's text."""
    return frame.get("type") in _TEXT_FRAMES and frame.get("role") == "user"


_ANSWER: Final = "FunctionCallResponse"
_OUTPUTS: Final = ("content", "result", "error")
"""The fields of a `FunctionCallResponse` that may have the output, which is any JSON value."""

_TEXTS: Final[dict[str, Source]] = {
    "InjectUserMessage": "user",
    _ANSWER: "function",
    "conversation.item.create": "user",
    "response.create": "user",
}
"""The client's messages with a text, each with the source of the text."""


def said_by_client(text: str) -> bool:
    """Whether a client's message may have a text to check. The message is not parsed for this.

    A message with an escaped code point may have a text, too, because the escape may hide the type of the message.
    """
    return any(f'"{name}"' in text for name in _TEXTS) or "\\u" in text


def said(message: messages.Input) -> tuple[Source | None, str]:
    """Return the source of a message, and its texts as lines; None and an empty text if its type has no text."""
    if isinstance(message, messages.WorkDone):
        return "function", str(message.result)
    if not isinstance(message, messages.ClientTextReceived):
        return None, ""
    found = _json(message.text)
    source = _TEXTS.get(str(found.get("type")))
    if source is None:
        return None, ""
    if found["type"] == _ANSWER:
        return source, "\n".join(_outputs(found))
    item = found.get("item")
    if isinstance(item, dict) and item.get("type") == "function_call_output":
        source = "function"
    return source, "\n".join(_texts(found))


def _outputs(found: dict[str, Any]) -> Iterator[str]:
    """Yield the outputs in a `FunctionCallResponse`.

    Yield a text unchanged, and any other value as the JSON that the model gets.
    """
    for name in _OUTPUTS:
        value = found.get(name)
        if value is not None:
            yield value if isinstance(value, str) else _written(value)


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # the session refuses a message with so many levels
        return ""


def _texts(found: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts in those fields of a message that hold words, at any level up to `MAX_LEVELS`."""
    if depth > MAX_LEVELS:
        return
    if isinstance(found, dict):
        for name, value in found.items():
            if isinstance(value, str) and name in ("content", "text", "output", "transcript", "instructions"):
                yield value
            elif isinstance(value, dict | list):
                yield from _texts(value, depth + 1)
    elif isinstance(found, list):
        for value in found:
            if isinstance(value, dict | list):
                yield from _texts(value, depth + 1)


def _json(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def with_text(message: messages.Input, text: str) -> messages.Input | None:
    """Return the message with `text` in place of its own texts; None if its form does not allow that."""
    if isinstance(message, messages.WorkDone):
        return msgspec.structs.replace(message, result=text)
    assert isinstance(message, messages.ClientTextReceived)  # noqa: S101 - nothing else is said
    found = _json(message.text)
    if found.get("type") == _ANSWER:
        kept = {name: value for name, value in found.items() if name not in _OUTPUTS}
        return _message({**kept, "content": text})
    if isinstance(found.get("content"), str):
        return _message({**found, "content": text})
    item = found.get("item")
    if not isinstance(item, dict):
        return None
    parts = item.get("content")
    if isinstance(item.get("output"), str):
        item = {**item, "output": text}
    elif isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict) and "text" in parts[0]:
        item = {**item, "content": [{**parts[0], "text": text}]}
    else:
        return None
    return _message({**found, "item": item})


def _message(fields: dict[str, Any]) -> messages.Input | None:
    """Return the client's message with these fields; None if it has more levels than `orjson` writes."""
    written = _written(fields)
    return messages.ClientTextReceived(written) if written else None


def withheld(message: messages.Input) -> messages.Input | None:
    """Return the message that replaces a blocked output of a function; None for any other blocked message."""
    source, _ = said(message)
    return with_text(message, WITHHELD) if source == "function" else None
