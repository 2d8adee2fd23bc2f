"""One response: the events that stream an answer, in the service's order. Pure.

`ResponseRun.steps` yields events, the waits between them and the fault points that are passed. The caller decides when
to take the next step. Each step also extends the items of the conversation, so a step has already happened when it is
yielded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pybase64

from router.simulator import usage
from router.simulator.answer import Answer, Text, Tokens
from router.simulator.conversation import Item
from router.simulator.faults import FaultPoint
from router.simulator.history import Call, Output, Say
from router.simulator.sound import Babble, Pending, Piece, SpeechRequest, Words
from router.simulator.speech import pace

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from router.simulator.config import SimulatorConfig
    from router.simulator.conversation import Conversation
    from router.simulator.speech.messages import Speech
    from router.simulator.state import Ids

_TOKEN_S: Final = 0.05
"""Time, in seconds, between two tokens of text at pace 1."""
_LEAD_MS: Final = 2500
"""The time, in milliseconds, by which transcript deltas precede the audio.

In recordings of the service it soon grows from 1 s to 2.5 s.
"""


class Wait(msgspec.Struct, frozen=True):
    """A pause of the stream."""

    delay_s: float


class Event(msgspec.Struct, frozen=True):
    """A server event without its `event_id`."""

    kind: str
    fields: dict[str, Any]


Step = Event | Wait | FaultPoint | Pending | SpeechRequest


class ResponseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one response. A field of the request overrides that of the session."""

    conversation_id: str | None
    modality: str
    max_output_tokens: int | str
    audio_format: dict[str, Any]
    voice: str | dict[str, Any]
    metadata: dict[str, str] | None


class _OpenItem:
    """The item that is being streamed."""

    def __init__(self, index: int, item: Item, kind: str) -> None:
        self.index = index
        self.item = item
        self.kind = kind
        self.text = ""


class ResponseRun:
    """A response in progress. The caller performs its `steps`, or those of `end_early`."""

    def __init__(
        self,
        response_id: str,
        settings: ResponseSettings,
        *,
        conversation: Conversation | None,
        ids: Ids,
        config: SimulatorConfig,
        speaks: bool = False,
    ) -> None:
        self.id = response_id
        self.settings = settings
        self.call_ids: list[str] = []
        self.waited_s = 0.0
        self.audio_ms = 0
        self.text_tokens = 0
        self.answer = Answer()
        self._speaks = speaks
        self._ms_per_character = pace.MS_PER_CHARACTER if speaks else config.ms_per_character
        self._words: Words | None = None
        self._conversation = conversation
        self._ids = ids
        self._config = config
        self._items: list[Item] = []
        self._open: _OpenItem | None = None
        self._closing: Iterator[Step] = iter(())
        """The remaining steps that complete the item that is ending."""

    @property
    def has_calls(self) -> bool:
        """Whether the response has called a function."""
        return bool(self.call_ids)

    def give(self, outputs: list[Output]) -> None:
        """Set the whole answer, cut off at `max_output_tokens`."""
        kept, is_cut = fitted(outputs, self.settings, self._ms_per_character)
        self.answer.give(kept, is_cut=is_cut)

    def supply(self, speech: Speech | None) -> None:
        """Take the sound of the oldest `SpeechRequest`, or None if it failed."""
        if self._words is not None:
            self._words.supply(speech)

    def steps(self) -> Iterator[Step]:
        """Yield the steps between `response.created` and `response.done`."""
        if self._config.response_delay_s:
            yield Wait(self._config.response_delay_s)
        index = 0
        while index < len(self.answer.outputs) or not self.answer.is_complete:
            if index == len(self.answer.outputs):
                yield Pending()
                continue
            output = self.answer.outputs[index]
            if isinstance(output, Call):
                yield from self._call(index, output)
            elif self.settings.modality == "text":
                yield from self._write(index, output)
            else:
                yield from self._speak(index, output)
            index += 1

    def end_early(self) -> Iterator[Step]:
        """Yield the steps that close the open item as `incomplete`."""
        # First complete an item that is already closing. Otherwise half of its closing events would be missing.
        yield from self._closing
        if self._open is not None:
            yield from self._close("incomplete")

    def as_wire(self, status: str, details: dict[str, Any] | None, used: dict[str, Any] | None) -> dict[str, Any]:
        """Return the response object of `response.created` and `response.done`."""
        settings = self.settings
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [item.as_wire() for item in self._items],
            "conversation_id": settings.conversation_id,
            "output_modalities": [settings.modality],
            "max_output_tokens": settings.max_output_tokens,
            "audio": {"output": {"format": settings.audio_format, "voice": settings.voice}},
            "usage": used,
            "metadata": settings.metadata,
        }

    # The items.

    def _write(self, index: int, text: Text) -> Iterator[Step]:
        opened = yield from self._begin_message(index, "text", {"type": "text", "text": ""})
        tokens = Tokens(text)
        while not tokens.is_over:
            token = tokens.next()
            if token is None:
                yield Pending()
                continue
            yield self._delta(opened, "response.output_text.delta", token)
            yield FaultPoint.MID_TEXT
            yield from self._wait(_TOKEN_S)
        yield from self._close("completed")

    def _speak(self, index: int, text: Text) -> Iterator[Step]:
        opened = yield from self._begin_message(index, "audio", {"type": "audio", "transcript": ""})
        tokens = Tokens(text)
        for piece in self._sound(text).pieces():
            opened.item.spoken = text.text
            ahead_ms = piece.duration_ms if isinstance(piece, Piece) else 0
            yield from self._transcribe(opened, tokens, opened.item.audio_ms + ahead_ms + _LEAD_MS)
            if not isinstance(piece, Piece):
                yield piece
                continue
            yield self._audio(opened, piece)
            yield FaultPoint.MID_AUDIO
            yield from self._wait(piece.duration_ms / 1000)
        opened.item.spoken = text.text
        # The voice with words may speak slower than the usual pace.
        whole_ms = max(opened.item.audio_ms, int(len(text.text) * self._ms_per_character))
        yield from self._transcribe(opened, tokens, whole_ms + _LEAD_MS)
        yield from self._close("completed")

    def _sound(self, text: Text) -> Babble | Words:
        audio_format, chunk_ms = self.settings.audio_format["type"], self._config.chunk_ms
        self._words = None
        if self._speaks:
            self._words = Words(text, audio_format, chunk_ms=chunk_ms)
            return self._words
        return Babble(text, audio_format, ms_per_character=self._config.ms_per_character, chunk_ms=chunk_ms)

    def _transcribe(self, opened: _OpenItem, tokens: Tokens, until_ms: float) -> Iterator[Step]:
        while len(opened.text) * self._ms_per_character < until_ms:
            token = tokens.next()
            if token is None:
                return
            yield self._delta(opened, "response.output_audio_transcript.delta", token)
            yield FaultPoint.MID_TRANSCRIPT

    def _audio(self, opened: _OpenItem, piece: Piece) -> Event:
        item = opened.item
        item.audio_ms += piece.duration_ms
        self.audio_ms += piece.duration_ms
        if self._speaks:
            item.keep_sound(piece.audio, self._config.retained_audio_s)
        if self._conversation is not None:
            self._conversation.has_assistant_audio = True  # from here on the session keeps its voice (upstream 2.4)
        fields = {**self._place(opened), "delta": pybase64.b64encode_as_string(piece.audio)}
        return Event("response.output_audio.delta", fields)

    def _call(self, index: int, call: Call) -> Iterator[Step]:
        call_id = self._ids.next("call")
        fields = {"status": "in_progress", "name": call.name, "call_id": call_id, "arguments": ""}
        opened = yield from self._begin(
            index, Item(id=self._ids.next("item"), kind="function_call", fields=fields), "call"
        )
        self.call_ids.append(call_id)
        for token in usage.tokens(call.arguments):
            yield self._delta(opened, "response.function_call_arguments.delta", token)
            yield from self._wait(_TOKEN_S)
        yield from self._close("completed")

    def _begin_message(self, index: int, kind: str, part: dict[str, Any]) -> Generator[Step, None, _OpenItem]:
        item = Item(
            id=self._ids.next("item"),
            kind="message",
            fields={"status": "in_progress", "role": "assistant", "content": []},
            audio_format=self.settings.audio_format["type"],
            ms_per_character=self._ms_per_character,
        )
        opened = yield from self._begin(index, item, kind)
        yield Event("response.content_part.added", {**self._place(opened), "part": part})
        return opened

    def _begin(self, index: int, item: Item, kind: str) -> Generator[Step, None, _OpenItem]:
        self._open = opened = _OpenItem(index, item, kind)
        self._items.append(item)
        yield Event(
            "response.output_item.added", {"response_id": self.id, "output_index": index, "item": item.as_wire()}
        )
        if self._conversation is not None:
            previous = self._conversation.insert(item)
            yield Event("conversation.item.added", {"previous_item_id": previous, "item": item.as_wire()})
        return opened

    def _delta(self, opened: _OpenItem, kind: str, token: str) -> Event:
        opened.text += token
        self.text_tokens += 1
        return Event(kind, {**self._place(opened), "delta": token, "obfuscation": obfuscation(token)})

    # The end of an item.

    def _close(self, status: str) -> Iterator[Step]:
        self._closing = self._last_of_item(status)
        yield from self._closing

    def _last_of_item(self, status: str) -> Iterator[Step]:
        opened, self._open = self._open, None
        assert opened is not None  # noqa: S101 - for the type checker
        item = opened.item
        item.fields["status"] = status
        yield from _CLOSING[opened.kind](self, opened, self._place(opened))
        if self._conversation is not None:
            # As in the recordings, only the end of a text item names the item before it.
            previous = self._conversation.before(item) if opened.kind == "text" else None
            yield Event("conversation.item.done", {"previous_item_id": previous, "item": item.as_wire()})
        yield Event(
            "response.output_item.done",
            {"response_id": self.id, "output_index": opened.index, "item": item.as_wire()},
        )

    def _close_text(self, opened: _OpenItem, place: dict[str, Any]) -> Iterator[Step]:
        opened.item.fields["content"] = [{"type": "output_text", "text": opened.text}]
        yield Event("response.output_text.done", {**place, "text": opened.text})
        yield Event("response.content_part.done", {**place, "part": {"type": "text", "text": opened.text}})

    def _close_audio(self, opened: _OpenItem, place: dict[str, Any]) -> Iterator[Step]:
        # A client may truncate the item while it streams; its transcript is gone then.
        kept = "" if opened.item.is_truncated else opened.text
        opened.item.fields["content"] = [{"type": "output_audio", "transcript": kept}]
        yield Event("response.output_audio.done", place)
        yield FaultPoint.AUDIO_DONE
        yield Event("response.output_audio_transcript.done", {**place, "transcript": opened.text})
        yield Event("response.content_part.done", {**place, "part": {"type": "audio", "transcript": opened.text}})

    def _close_call(self, opened: _OpenItem, place: dict[str, Any]) -> Iterator[Step]:
        opened.item.fields["arguments"] = opened.text
        name = opened.item.fields["name"]
        yield Event("response.function_call_arguments.done", {**place, "name": name, "arguments": opened.text})
        yield FaultPoint.FUNCTION_CALL

    def _place(self, opened: _OpenItem) -> dict[str, Any]:
        place = {"response_id": self.id, "item_id": opened.item.id, "output_index": opened.index}
        if opened.kind == "call":
            return {**place, "call_id": opened.item.fields["call_id"]}
        return {**place, "content_index": 0}

    def _wait(self, real_time_s: float) -> Iterator[Step]:
        if self._config.pace:
            delay_s = real_time_s / self._config.pace
            self.waited_s += delay_s
            yield Wait(delay_s)


_CLOSING: Final = {
    "text": ResponseRun._close_text,  # noqa: SLF001 - the class's own table
    "audio": ResponseRun._close_audio,  # noqa: SLF001
    "call": ResponseRun._close_call,  # noqa: SLF001
}


def obfuscation(delta: str) -> str:
    """Return padding that hides a delta's length, as the service sends it. Here the padding is deterministic."""
    return "abcdefghijklmnop"[: -len(delta) % 16]


def fitted(outputs: list[Output], settings: ResponseSettings, ms_per_character: float) -> tuple[list[Output], bool]:
    """Return the part of an answer that `max_output_tokens` allows, and whether the limit cut the answer."""
    if not isinstance(settings.max_output_tokens, int):
        return outputs, False
    left = settings.max_output_tokens
    kept: list[Output] = []
    for output in outputs:
        text = output.text if isinstance(output, Say) else output.arguments
        is_spoken = isinstance(output, Say) and settings.modality == "audio"
        part, left = _fitted_text(text, left, ms_per_character if is_spoken else 0)
        if part != text:
            # Leave a cut call out, because its arguments would be broken JSON.
            return [*kept, Say(part)] if isinstance(output, Say) and part else kept, True
        kept.append(output)
    return kept, False


def _fitted_text(text: str, left: int, ms_per_character: float) -> tuple[str, int]:
    kept: list[str] = []
    characters = 0
    for count, token in enumerate(usage.tokens(text), start=1):
        characters += len(token)
        if count + int(characters * ms_per_character) // usage.MS_PER_ASSISTANT_TOKEN > left:
            return "".join(kept), 0
        kept.append(token)
    return text, left - len(kept) - int(characters * ms_per_character) // usage.MS_PER_ASSISTANT_TOKEN
