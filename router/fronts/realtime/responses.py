"""The responses that have begun and not ended, with their items, and the events that end a response as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.fronts.realtime.marks import ARGUMENTS, TEXT
from router.fronts.realtime.wire import MAX_ID_CHARS, Event, Fields, new_event
from router.translation import speech

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.fronts.realtime.marks import Progress

MS_PER_S: Final = 1000

MAX_RESPONSES: Final = 256
"""The most responses that an upstream may run at the same time: one of the conversation, and others outside of it."""

MAX_OUTPUTS: Final = 256
"""The most items of a response that are kept for the end of the response."""

MAX_PARTS: Final = 64
"""The most parts of an item that are kept."""

SHORT_CHARS: Final = 16 * 1024
"""The characters of an event up to which its item is kept whole."""

_BRIEF: Final = ("id", "object", "type", "status", "role", "phase", "call_id", "name")
"""The fields that are kept of an item that is too long, besides the content that came in pieces."""

MAX_CHARS: Final = 4 * 1024 * 1024
"""The characters of a response behind which no further text is kept: as many as the longest event has.

A text that comes in pieces, as a whole, and in a long event that ends its item counts once, with its longest form.
"""


class Part:
    """One part of a message."""

    __slots__ = ("audio_bytes", "has_audio_ended", "has_text_ended", "is_audio", "is_done", "text")

    def __init__(self, *, is_audio: bool) -> None:
        self.is_audio = is_audio
        self.text = ""
        self.audio_bytes = 0
        self.has_text_ended = False
        self.has_audio_ended = False
        self.is_done = False

    def wire(self) -> Fields:
        """Return the `part` of a `response.content_part.…` event."""
        return {"type": "audio", "transcript": self.text} if self.is_audio else {"type": "text", "text": self.text}

    def content(self) -> Fields:
        """Return the part as an element of an item's `content`."""
        if self.is_audio:
            return {"type": "output_audio", "transcript": self.text}
        return {"type": "output_text", "text": self.text}


class Output:
    """One item of a response."""

    __slots__ = ("arguments", "has_arguments", "index", "is_done", "is_in_conversation", "item", "parts")

    def __init__(self, item: Fields, index: int) -> None:
        self.item = item
        self.index = index
        self.parts: dict[int, Part] = {}
        self.arguments = ""
        self.has_arguments = False
        """Whether the item is a function call and the client has all its arguments."""
        self.is_done = False
        """Whether the client has the item's `response.output_item.done`."""
        self.is_in_conversation = False
        """Whether the client has the item's `conversation.item.done`."""

    @property
    def id(self) -> str:
        """The item's id, or an empty text if it has none."""
        return str(self.item.get("id", ""))

    @property
    def is_call(self) -> bool:
        """Whether the item calls a function of the client's."""
        return self.item.get("type") == "function_call"

    @property
    def is_whole(self) -> bool:
        """Whether the client has the whole content of the item."""
        if self.is_done:
            return self.item.get("status") in (None, "completed")
        return self.has_arguments or (bool(self.parts) and all(part.is_done for part in self.parts.values()))

    @property
    def text(self) -> str:
        """The words of the item so far."""
        return " ".join(part.text for part in self.parts.values() if part.text)

    @property
    def text_chars(self) -> int:
        """The characters of the item's words and arguments so far."""
        return len(self.arguments) + sum(len(part.text) for part in self.parts.values())

    @property
    def audio_bytes(self) -> int:
        """The bytes of the item's audio so far."""
        return sum(part.audio_bytes for part in self.parts.values())

    def part(self, index: object, *, is_audio: bool) -> Part | None:
        """Return the part with this index, or None if there are too many parts.

        If there is no such part yet, create it as text or, with `is_audio`, as audio.
        """
        place = index if isinstance(index, int) else 0
        if place not in self.parts and len(self.parts) < MAX_PARTS:
            self.parts[place] = Part(is_audio=is_audio)
        return self.parts.get(place)

    def heard(self, bytes_per_ms: int) -> str:
        """Return the words that the client got. For a spoken item they are estimated from the length of its audio."""
        if not any(part.is_audio for part in self.parts.values()):
            return self.text.strip()
        played_s = self.audio_bytes / bytes_per_ms / MS_PER_S
        return speech.heard(self.text, played_s) if played_s else ""

    def end(self) -> Fields:
        """Return the item's fields at its end, with the status `completed` or `incomplete` and the content so far."""
        item = {**self.item, "status": "completed" if self.is_whole else "incomplete"}
        if self.is_call:
            item["arguments"] = self.arguments
        elif self.parts:
            item["content"] = [part.content() for _, part in sorted(self.parts.items())]
        elif item.get("type") == "message":
            item.setdefault("content", [])
        return item


class Request:
    """A request for a response: a client's event, or one of the router's own."""

    __slots__ = ("adopts", "event_id", "fields", "is_own", "is_remark", "sent_s")

    def __init__(self, fields: Fields, *, event_id: str, is_own: bool = False, is_remark: bool = False) -> None:
        self.fields = fields
        """The `response` field of the `response.create`."""
        self.event_id = event_id
        self.is_own = is_own
        self.is_remark = is_remark
        """Whether the agent says a configured text. Such a response answers nothing, and counts as no turn."""
        self.adopts: Response | None = None
        """The response whose id the requested response gets towards the client, because it continues that response."""
        self.sent_s = 0.0

    @property
    def is_outside(self) -> bool:
        """Whether the requested response is outside the conversation."""
        return self.fields.get("conversation") == "none"

    @property
    def metadata(self) -> Fields | None:
        """The request's `metadata`, which the response repeats; None if there is none."""
        value = self.fields.get("metadata")
        return value if isinstance(value, dict) and value else None


class Response:
    """A response that has not ended."""

    def __init__(self, fields: Fields, request: Request | None, *, is_outside: bool) -> None:
        self.fields = fields
        """The `response` object of `response.created`."""
        self.request = request
        self.is_outside = is_outside
        self.outputs: dict[str, Output] = {}
        self.kept_chars = 0
        """The characters of text and of arguments that the response has brought."""
        self.has_excess = False
        """Whether the response has brought more items, parts or text than are kept."""
        self.is_cancelled = False
        """Whether the client has cancelled the response."""
        self.began_s = 0.0

    @property
    def id(self) -> str:
        """The response's id, as the client knows it."""
        return str(self.fields.get("id", ""))

    @property
    def calls_functions(self) -> bool:
        """Whether the client has a function call of the response with all its arguments."""
        return any(it.is_call and it.has_arguments for it in self.outputs.values())

    @property
    def runs_tool(self) -> bool:
        """Whether the upstream runs a tool of an MCP server, which may last longer than the wait for the next event."""
        return any(it.item.get("type") == "mcp_call" and not it.is_done for it in self.outputs.values())

    @property
    def has_output(self) -> bool:
        """Whether the client has any words or audio of the response."""
        return any(it.text or it.audio_bytes for it in self.outputs.values())

    @property
    def is_whole(self) -> bool:
        """Whether the client has the whole answer, and lacks only the events that end it.

        If the last item is a commentary, more of the answer follows.
        """
        last = next(reversed(self.outputs.values()), None)
        is_last_said = last is not None and not last.is_call and last.item.get("phase") != "commentary"
        return is_last_said and all(it.is_whole for it in self.outputs.values())

    def output(self, event: Event) -> Output | None:
        """Return the item of an event, or None if the event names none.

        Create an item that was not announced, because some servers announce none (upstream 12.4).
        """
        name = event.string("item_id")
        if name is None:
            return None
        if name in self.outputs:
            return self.outputs[name]
        item = {"id": name, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        return self.add(name, item, event.fields.get("output_index"))

    def add(self, name: str, item: Fields, index: object) -> Output | None:
        """Return the item of this id. Add it if it is new, or return None if there are too many items."""
        if name not in self.outputs and (len(self.outputs) >= MAX_OUTPUTS or len(name) > MAX_ID_CHARS):
            self.has_excess = True
            return None
        place = index if isinstance(index, int) else len(self.outputs)
        return self.outputs.setdefault(name, Output(item, place))

    def part(self, event: Event, *, is_audio: bool) -> Part | None:
        """Return the part of an event, or None if the event names no item, or there are too many items or parts."""
        output = self.output(event)
        if output is None:
            return None
        part = output.part(event.fields.get("content_index"), is_audio=is_audio)
        self.has_excess = self.has_excess or part is None
        return part

    def keep(self, event: Event, item: Fields) -> Fields:
        """Return the fields of an event's item to keep: few of them if the response has brought too much."""
        size_chars = len(event.text)
        if size_chars <= SHORT_CHARS:
            return item
        known = self.outputs.get(str(item.get("id", "")))
        further_chars = max(0, size_chars - known.text_chars) if known is not None else size_chars
        if self.kept_chars + further_chars > MAX_CHARS:
            self.has_excess = True
            return {name: item[name] for name in _BRIEF if name in item and len(str(item[name])) <= MAX_ID_CHARS}
        self.kept_chars += further_chars
        return item

    def take(self, text: str, known: str = "") -> str:
        """Return a piece of text or of arguments, or nothing if the response has brought too much.

        A whole text replaces its pieces. They are `known`, and count already.
        """
        if text == known:
            return text
        if self.kept_chars >= MAX_CHARS:
            self.has_excess = True
            return ""
        self.kept_chars += max(0, len(text) - len(known))
        return text

    def advance(self, progress: Progress) -> None:
        """Record the content of a delta that another process has sent the client."""
        output = self.outputs.get(progress.item_id)
        if output is None:
            return
        if progress.kind == ARGUMENTS:
            output.arguments += self.take(str(progress.value))
            return
        part = output.part(progress.place, is_audio=progress.kind != TEXT)
        if part is None:
            self.has_excess = True
        elif isinstance(progress.value, int):
            part.audio_bytes += progress.value * 3 // 4
        else:
            part.text += self.take(progress.value)

    def note(self, event: Event) -> None:
        """Record the content that an event of the response adds."""
        take = _NOTES.get(event.kind)
        if take is not None:
            take(self, event)

    # Its end.

    def close(self, status: str, details: Fields | None) -> Iterator[Event]:
        """Yield the events that end all open items and the response, in the order of OpenAI's own service.

        `response.done` has the status, and the details as its `status_details`.
        """
        for output in self.outputs.values():
            if not output.is_done:
                yield from self._close_item(output)
        items = [output.item for output in self.outputs.values()]
        yield new_event(
            "response.done",
            response={**self.fields, "status": status, "status_details": details, "output": items, "usage": None},
        )

    def _close_item(self, output: Output) -> Iterator[Event]:
        place = {"response_id": self.id, "item_id": output.id, "output_index": output.index}
        output.item = output.end()
        for index, part in sorted(output.parts.items()):
            if not part.is_done:
                yield from _close_part(part, {**place, "content_index": index})
        if not self.is_outside and not output.is_in_conversation:
            yield new_event("conversation.item.done", previous_item_id=None, item=output.item)
        output.is_done = True
        yield new_event("response.output_item.done", response_id=self.id, output_index=output.index, item=output.item)


def _close_part(part: Part, place: Fields) -> Iterator[Event]:
    if part.is_audio and not part.has_audio_ended:
        yield new_event("response.output_audio.done", **place)
    if not part.has_text_ended:
        if part.is_audio:
            yield new_event("response.output_audio_transcript.done", **place, transcript=part.text)
        else:
            yield new_event("response.output_text.done", **place, text=part.text)
    part.is_done = True
    yield new_event("response.content_part.done", **place, part=part.wire())


# The events of a response.


def _item_added(response: Response, event: Event) -> None:
    item = event.child("item")
    index = event.fields.get("output_index")
    response.add(str(item.get("id", "")), response.keep(event, item), index)


def _item_done(response: Response, event: Event) -> None:
    name = str(event.child("item").get("id", ""))
    item = response.keep(event, event.child("item"))
    output = response.add(name, item, None)
    if output is None:
        return
    output.item, output.is_done = item, True
    if output.is_call and item.get("status") in (None, "completed"):
        output.has_arguments, output.arguments = True, str(item.get("arguments", output.arguments))
    if item is not event.child("item"):
        output.item = {**output.end(), **item}


def _part_added(response: Response, event: Event) -> None:
    response.part(event, is_audio=event.child("part").get("type") == "audio")


def _part_done(response: Response, event: Event) -> None:
    part = response.part(event, is_audio=event.child("part").get("type") == "audio")
    if part is not None:
        part.is_done = True


def _text(response: Response, event: Event, *, is_audio: bool) -> None:
    part = response.part(event, is_audio=is_audio)
    if part is not None:
        part.text += response.take(event.string("delta") or "")


def _text_done(response: Response, event: Event, *, is_audio: bool) -> None:
    part = response.part(event, is_audio=is_audio)
    if part is not None:
        whole = event.string("transcript" if is_audio else "text") or part.text
        part.text = response.take(whole, part.text) or part.text
        part.has_text_ended = True


def _audio(response: Response, event: Event) -> None:
    part = response.part(event, is_audio=True)
    if part is not None:
        part.audio_bytes += len(event.string("delta") or "") * 3 // 4


def _audio_done(response: Response, event: Event) -> None:
    part = response.part(event, is_audio=True)
    if part is not None:
        part.has_audio_ended = True


def _arguments(response: Response, event: Event) -> None:
    output = response.output(event)
    if output is not None:
        output.arguments += response.take(event.string("delta") or "")


def _arguments_done(response: Response, event: Event) -> None:
    output = response.output(event)
    if output is None:
        return
    whole = event.string("arguments") or output.arguments
    output.arguments = response.take(whole, output.arguments) or output.arguments
    output.has_arguments = True
    if not output.is_call:
        output.item = {**output.item, "type": "function_call"}
    for name in ("name", "call_id"):
        value = event.string(name)
        if value is not None and len(value) <= MAX_ID_CHARS:
            output.item = {**output.item, name: value}


_NOTES: Final[dict[str, Callable[[Response, Event], Any]]] = {
    "response.output_item.added": _item_added,
    "response.output_item.done": _item_done,
    "response.content_part.added": _part_added,
    "response.content_part.done": _part_done,
    "response.output_text.delta": lambda response, event: _text(response, event, is_audio=False),
    "response.output_text.done": lambda response, event: _text_done(response, event, is_audio=False),
    "response.output_audio_transcript.delta": lambda response, event: _text(response, event, is_audio=True),
    "response.output_audio_transcript.done": lambda response, event: _text_done(response, event, is_audio=True),
    "response.output_audio.delta": _audio,
    "response.output_audio.done": _audio_done,
    "response.function_call_arguments.delta": _arguments,
    "response.function_call_arguments.done": _arguments_done,
}
"""The handlers of the events that add content to a response. Any other event changes nothing here."""
