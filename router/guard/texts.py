"""The frames of client and upstream, and the texts in them. Pure."""

from __future__ import annotations

import re
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from actors import messages
from router.json_bounds import MAX_RECOUNT_CHARS, MAX_WIDE_CHARS, exceeded_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.config.guard import Source

WITHHELD: Final = "The output of the function was withheld."
"""The output that the model gets in place of a blocked output, because a function call needs an output."""

MAX_LEVELS: Final = 32
"""The most nested levels in which a text is searched. An item has five."""

MAX_REWRITTEN_CHARS: Final = 4 * 1024 * 1024
"""The longest message of a client whose text can be replaced. A longer message with such a text is withheld."""

_LONG_FRAME: Final = '{"type":"FunctionCallRequest",'
"""The beginning of the session's only frame that may be long and has no text to check. It needs no parse."""

_TEXT_FRAMES: Final = frozenset({"ConversationText", "History"})


def decoded(frame: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object in a text frame. Return None for audio, and an empty object for other JSON.

    Return only the type of a `FunctionCallRequest`.
    """
    if isinstance(frame, bytes):
        return None
    if frame.startswith(_LONG_FRAME):
        return {"type": "FunctionCallRequest"}
    found = orjson.loads(frame)
    return found if isinstance(found, dict) else {}


def is_of_agent(frame: dict[str, Any] | None) -> bool:
    """Whether a frame is the agent's audio or text."""
    return frame is None or (frame.get("type") in _TEXT_FRAMES and frame.get("role") == "assistant")


_TRANSCRIPT: Final = "Transcript"
"""The type of the frame that repeats the user's spoken words for the React component, and for `/v1/listen`."""


def is_of_user(frame: dict[str, Any]) -> bool:
    """Whether a frame is the user's text."""
    return frame.get("type") == _TRANSCRIPT or (frame.get("type") in _TEXT_FRAMES and frame.get("role") == "user")


def is_interim(frame: dict[str, Any]) -> bool:
    """Whether a frame has the words of a user who still speaks."""
    return frame.get("type") == _TRANSCRIPT and frame.get("is_final") is not True


def shown(frame: dict[str, Any]) -> str | None:
    """Return the text that a frame shows the client; None if it shows none."""
    text = frame.get("transcript" if frame.get("type") == _TRANSCRIPT else "content")
    return text if isinstance(text, str) else None


def with_shown(frame: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a frame with another text. The single words of a transcript and their times are left out."""
    if frame.get("type") != _TRANSCRIPT:
        return {**frame, "content": text}
    alternatives = [{**it, "transcript": text, "words": []} for it in frame["channel"]["alternatives"]]
    return {**frame, "transcript": text, "channel": {**frame["channel"], "alternatives": alternatives}}


_ANSWER: Final = "FunctionCallResponse"
_OUTPUTS: Final = ("content", "result", "error")
"""The fields of a `FunctionCallResponse` that may have the output, which is any JSON value."""

_WORDS: Final = frozenset({"content", "text", "output", "transcript", "instructions"})
"""The fields of a message that hold words, at any level."""

_TEXTS: Final[dict[str, Source]] = {
    "InjectUserMessage": "user",
    _ANSWER: "function",
    "conversation.item.create": "user",
    "response.create": "user",
}
"""The client's messages with a text, each with the source of the text."""


_TYPE: Final = '"type"'
_WITH_TEXT: Final = re.compile(rf"\s*:\s*\"(?:{'|'.join(map(re.escape, _TEXTS))})\"")


def said_by_client(text: str) -> bool:
    """Whether a client's message may have a text to check. The message is not parsed for this.

    A message with an escaped code point may have a text, too, because the escape may hide the type of the message. So
    may a long message that has any escape, or exceeds a bound.
    """
    if len(text) > MAX_WIDE_CHARS:
        return _has_type_with_text(text) or "\\" in text or exceeded_bound(text) is not None
    return any(f'"{name}"' in text for name in _TEXTS) or "\\u" in text


def _has_type_with_text(text: str) -> bool:
    at = text.find(_TYPE)
    while at >= 0:
        at += len(_TYPE)
        if _WITH_TEXT.match(text, at):
            return True
        at = text.find(_TYPE, at)
    return False


class UncheckableError(ValueError):
    """A message or a frame whose texts are not read, because it exceeds a bound or is unreadable.

    The text of the error names the problem.
    """


def said(message: messages.Input) -> tuple[Source | None, str]:
    """Return the source of a message, and its texts as lines; None and an empty text if its type has no text.

    Raises:
        UncheckableError: the message exceeds a bound.
    """
    if isinstance(message, messages.WorkDone):
        return "function", str(message.result)
    if not isinstance(message, messages.ClientTextReceived):
        return None, ""
    exceeded = exceeded_bound(message.text)
    if exceeded is not None:
        raise UncheckableError(f"the message {exceeded}")
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


def _texts(found: dict[str, Any]) -> Iterator[str]:
    """Yield the texts in those fields of a message that hold words, at any level up to `MAX_LEVELS`."""
    # The loop needs no stack of generators. Through such a stack, each text would pass all the levels above it.
    levels: list[Iterator[tuple[str, Any]]] = [iter(found.items())]
    while levels:
        for name, value in levels[-1]:
            if isinstance(value, str):
                if name in _WORDS:
                    yield value
            elif value and isinstance(value, dict | list) and len(levels) <= MAX_LEVELS:
                levels.append(iter(value.items()) if isinstance(value, dict) else zip(repeat(""), value, strict=False))
                break
        else:
            levels.pop()


def _json(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def with_text(message: messages.Input, text: str) -> messages.Input | None:
    """Return the message with `text` in place of its only text.

    Return None if the message has several texts, is too long or too deep, or has its text in an unexpected field.
    """
    if isinstance(message, messages.WorkDone):
        return msgspec.structs.replace(message, result=text)
    assert isinstance(message, messages.ClientTextReceived)  # noqa: S101 - nothing else is said
    if len(message.text) > MAX_REWRITTEN_CHARS:
        return None
    found = _json(message.text)
    is_only = found.get("type") == _ANSWER or len(list(islice(_texts(found), 2))) == 1
    fields = _with_text_in(found, text) if is_only else None
    # A message may have more levels than `orjson` writes.
    written = _written(fields) if fields is not None else ""
    return messages.ClientTextReceived(written) if written else None


def _with_text_in(found: dict[str, Any], text: str) -> dict[str, Any] | None:
    if found.get("type") == _ANSWER:
        return {**{name: value for name, value in found.items() if name not in _OUTPUTS}, "content": text}
    if isinstance(found.get("content"), str):
        return {**found, "content": text}
    item = found.get("item")
    if not isinstance(item, dict):
        return None
    parts = item.get("content")
    if isinstance(item.get("output"), str):
        return {**found, "item": {**item, "output": text}}
    if isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict) and "text" in parts[0]:
        return {**found, "item": {**item, "content": [{**parts[0], "text": text}]}}
    return None


def event_id_of(text: str) -> str | None:
    """Return the `event_id` of a client's event. Return None if the event has none, or is long or unreadable."""
    if len(text) > MAX_RECOUNT_CHARS or exceeded_bound(text) is not None:
        return None
    given = _json(text).get("event_id")
    return given if isinstance(given, str) else None


def withheld(message: messages.Input, source: Source | None) -> messages.Input | None:
    """Return the message that replaces a blocked output of a function; None for any other blocked message."""
    if source != "function":
        return None
    return with_text(message, WITHHELD) or _bare_output(message)


def _bare_output(message: messages.Input) -> messages.Input | None:
    """Return the output of a function without any other text of its message; None if the message is too long."""
    if not isinstance(message, messages.ClientTextReceived) or len(message.text) > MAX_REWRITTEN_CHARS:
        return None
    found = _json(message.text)
    item = found.get("item")
    if not isinstance(item, dict):
        return None
    bare = {**_named(item, ("type", "id", "call_id")), "output": WITHHELD}
    written = _written({**_named(found, ("type", "event_id", "previous_item_id")), "item": bare})
    return messages.ClientTextReceived(written) if written else None


def _named(fields: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if isinstance(value := fields.get(name), str)}
