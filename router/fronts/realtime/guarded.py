"""The wire of the relay of OpenAI Realtime, as the guard reads it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from actors import messages as engine
from router.fronts.realtime.wire import Fields, error_of
from router.guard.dialect import Kind, Seen
from router.guard.texts import event_id_of
from router.session.state.queues import Newest
from router.translation.speech import verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BLOCKED: Final = "guard_blocked"
ENDED: Final = "guard_ended"
_ENDED_BY_OPERATOR: Final = "session_ended"

_DELTAS: Final = ("response.output_text.delta", "response.output_audio_transcript.delta")
_ENDS: Final = ("response.output_text.done", "response.output_audio_transcript.done")
_MAX_GIVEN: Final = 64
"""The most ids of deltas that are remembered: more than the number of texts that are open at once."""
_AUDIO: Final = "response.output_audio.delta"
_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription."
_TEXTS: Final = ("text", "transcript")


class RealtimeDialect:
    """The dialect of OpenAI Realtime, for one session."""

    interrupts = False

    def __init__(self) -> None:
        self._count = 0
        self._given: Newest[str] = Newest(maxlen=_MAX_GIVEN)
        """The ids of events that the client has with a part of their text."""

    def read(self, fields: Fields | None) -> Seen:
        """Return what an event to the client means for the guard; `fields` is None for a binary frame."""
        reader = _READERS.get(str(fields.get("type"))) if fields is not None else None
        return reader(fields) if reader is not None and fields is not None else Seen()

    def with_text(self, fields: Fields, text: str) -> Fields | None:
        """Return an event with another text; None for a delta whose text would be empty."""
        if fields.get("type") in _DELTAS:
            return {**fields, "event_id": self._event_id(fields), "delta": text} if text else None
        return {**fields, **{name: text for name in _TEXTS if name in fields}}

    def _event_id(self, fields: Fields) -> object:
        """Return the `event_id` of a delta, or a new one if another part of the delta already has that id."""
        given = fields.get("event_id")
        if not isinstance(given, str):
            return given
        if given in self._given:
            self._count += 1
            return f"{given}_w{self._count}"
        self._given.add(given)
        return given

    def rewritten(self, fields: Fields, text_of: Callable[[str], str | None]) -> Fields | None:
        """Return an event with its repeated texts as the client may know them; None if no text has to change."""
        changes = False
        for key, part in _parts(fields):
            names = [name for name in _TEXTS if isinstance(part.get(name), str)]
            # Ask only for a text that the event has. Audio repeats none, and `text_of` takes time.
            text = text_of(key) if names else None
            for name in names:
                if text is not None and part[name] != text:
                    part[name] = text
                    changes = True
        return fields if changes else None

    def whole_texts(self, fields: Fields) -> list[tuple[str, str, str]]:
        """Return the agent's texts in an event that ends a part, an item or a response.

        Each text has the names of the text and of its response.
        """
        answer = _answer(fields) or _response(fields)
        return [
            (key, answer, text)
            for key, part in _parts(fields, of_agent=True)
            for text in (_text(part.get("text")) or _text(part.get("transcript")),)
            if text
        ]

    def cancel(self, answer: str) -> str | None:
        """Return the client's event that cancels a response."""
        return _written({"type": "response.cancel", "response_id": answer})

    def say(self, words: str) -> str | None:
        """Return the client's request for a response that says `words`."""
        response = {"instructions": verbatim(words), "input": [], "tool_choice": "none"}
        return _written({"type": "response.create", "response": response})

    def notice(self, description: str, message: engine.Input | None) -> str:
        """Return the guard's notice as an `error`, which names the client's event if that event was withheld."""
        event_id = event_id_of(message.text) if isinstance(message, engine.ClientTextReceived) else None
        self._count += 1
        return _error(BLOCKED, description, event_id, self._count)

    def ended(self, command: engine.Command) -> Iterable[engine.Command]:
        """Name the guard in a command that names an operator as the cause of the session's end.

        The guard has requested that end. Return any other command unchanged.
        """
        match command:
            case engine.SendToClient(str(frame)) if _ENDED_BY_OPERATOR in frame:
                return (engine.SendToClient(_error(ENDED, "the guard ended the session", None)),)
            case engine.EndSession(code, _):
                return (engine.EndSession(code, ENDED),)
            case engine.Notify(fact) if getattr(fact, "code", None) == _ENDED_BY_OPERATOR:
                return (engine.Notify(type(fact)(ENDED, "the guard ended the session")),)
        return (command,)


def _answer(fields: Fields) -> str:
    return str(fields.get("response_id") or "")


def _response(fields: Fields) -> str:
    response = fields.get("response")
    return str(response.get("id")) if isinstance(response, dict) else ""


def _read_end(fields: Fields) -> Seen:
    whole = _text(fields.get("text")) or _text(fields.get("transcript"))
    return Seen(Kind.END, _key(fields), _answer(fields), whole)


_READERS: Final[dict[str, Callable[[Fields], Seen]]] = {
    **dict.fromkeys(_DELTAS, lambda it: Seen(Kind.DELTA, _key(it), _answer(it), _text(it.get("delta")))),
    **dict.fromkeys(_ENDS, _read_end),
    _AUDIO: lambda it: Seen(Kind.AUDIO, _key(it), _answer(it)),
    "session.created": lambda _: Seen(Kind.GREETING),
    "response.created": lambda it: Seen(Kind.BEGIN, answer=_response(it)),
    "response.done": lambda it: Seen(Kind.DONE, answer=_response(it)),
    "input_audio_buffer.committed": lambda _: Seen(Kind.SPEECH),
    f"{_TRANSCRIPTION}completed": lambda it: Seen(Kind.USER, _key(it), text=_text(it.get("transcript"))),
    f"{_TRANSCRIPTION}delta": lambda _: Seen(Kind.USER_PART),
    f"{_TRANSCRIPTION}segment": lambda _: Seen(Kind.USER_PART),
}
"""The functions that read the events with a meaning for the guard, by the event's type."""


def _parts(fields: Fields, *, of_agent: bool = False) -> Iterator[tuple[str, Fields]]:
    """Yield each object that may have a text, with the name of that text: the item's id and the index of its part.

    With `of_agent` yield only the parts of the agent's items, and not the event itself.
    """
    if "item_id" in fields:
        if not of_agent:
            yield _key(fields), fields
        part = fields.get("part")
        if isinstance(part, dict):
            yield _key(fields), part
    response = fields.get("response")
    outputs = response.get("output") if isinstance(response, dict) else None
    for item in (fields.get("item"), *(outputs if isinstance(outputs, list) else ())):
        if not isinstance(item, dict) or (of_agent and item.get("role") != "assistant"):
            continue
        contents = item.get("content")
        for index, part in enumerate(contents if isinstance(contents, list) else ()):
            if isinstance(part, dict):
                yield f"{item.get('id')}/{index}", part


def _key(fields: Fields) -> str:
    return f"{fields.get('item_id')}/{fields.get('content_index') or 0}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _error(code: str, message: str, event_id: str | None, number: int = 0) -> str:
    error = error_of(code, message, event_id=event_id)
    return _written({"type": "error", "event_id": f"event_switchboard_{code}_{number}", "error": error})


def _written(fields: Fields) -> str:
    return orjson.dumps(fields).decode()
