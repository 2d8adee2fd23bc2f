"""The client's conversation: its items with their ids, in order, for an upstream that replaces a lost one.

When a bound is exceeded, the oldest items are shortened, and another upstream does not get them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pybase64

from router.session.state.item_weight import AUDIO_MS_PER_TOKEN, Weight, weight_of
from router.translation import speech

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.fronts.realtime.wire import Fields

MAX_ITEMS: Final = 2000
"""The most items that are remembered: the newest ones."""

MAX_SHORT: Final = 1000
"""The most characters that each text of an item keeps if no other upstream will get the item."""

MAX_PARTS: Final = 4

MAX_SPEECH_PARTS: Final = 16
"""The most parts that transcripts add to a user's item. The index needs a bound, because an upstream chooses it."""

ROOT: Final = "root"
_NOTHING: Final = Weight(0, 0)
_CREATED_BY_NAME: Final = frozenset({"message", "function_call", "function_call_output"})


class Item:
    """One item of the conversation."""

    __slots__ = (
        "audio",
        "awaits_transcript",
        "generation",
        "heard",
        "is_added",
        "is_done",
        "is_left_out",
        "is_upstream",
        "packed",
        "previous",
        "weight",
        "wire",
    )

    def __init__(self, wire: Fields, generation: int, previous: str | None) -> None:
        self.wire = wire
        """The item as the client knows it."""
        self.generation = generation
        """The generation of the upstream that made the item, or took it from the client."""
        self.previous = previous
        """The id of the item before this one, as the client knows it."""
        self.is_upstream = True
        """Whether the upstream in use has the item."""
        self.is_added = False
        """Whether the client has the item's `conversation.item.added`."""
        self.is_done = False
        """Whether the client has the item's `conversation.item.done`."""
        self.awaits_transcript = False
        self.audio: list[str] = []
        """The user's speech in base64, until its transcript is known."""
        self.heard: str | None = None
        """The words of an answer that the user heard; None if the whole text counts."""
        self.is_left_out = False
        """Whether no other upstream gets the item, because the client got no words of it, or because of the bounds."""
        self.weight = _NOTHING
        self.packed: tuple[Fields, list[str], tuple[Any, ...], bytes] | None = None
        """The fields and audio of the item when it was last packed, and its packed form (`layouts`).

        It is None if the item was not packed yet.
        """

    @property
    def id(self) -> str:
        """The item's id, or an empty text if it has none."""
        return str(self.wire.get("id", ""))

    @property
    def kind(self) -> str:
        """The item's type, or an empty text if it has none."""
        return str(self.wire.get("type", ""))

    def transcript(self) -> str:
        """Return the words of a message: the transcripts and texts of its parts."""
        parts = self.wire.get("content")
        found = (
            part.get("transcript") or part.get("text") or ""
            for part in (parts if isinstance(parts, list) else ())
            if isinstance(part, dict)
        )
        return " ".join(words for words in found if isinstance(words, str) and words)

    def again(self) -> Fields | None:
        """Return the fields with which another upstream creates the item, or None if no other upstream gets it."""
        if self.is_left_out or not self.id or self.kind not in _CREATED_BY_NAME:
            return None
        if self.kind != "message":
            return _call_again({**self.wire, "id": self.id})
        role = self.wire.get("role")
        content = self._answer_again() if role == "assistant" else self._question_again()
        if not content:
            return None
        return {"id": self.id, "type": "message", "role": role, "content": content}

    def _answer_again(self) -> list[Fields]:
        # An upstream takes no audio of the assistant's, only text (upstream 3.3).
        words = self.transcript() if self.heard is None else self.heard
        return [{"type": "output_text", "text": words}] if words else []

    def _question_again(self) -> list[Fields]:
        found = self.wire.get("content")
        parts = [part for part in (found if isinstance(found, list) else ()) if isinstance(part, dict)]
        made = [again for part in parts if (again := _part_again(part)) is not None]
        if made or not self.audio:
            return made
        return [{"type": "input_audio", "audio": joined(self.audio)}]


def shortened(wire: Fields) -> Fields:
    """Return the fields of an item with the beginnings of its texts, and without its audio and images."""
    short = {name: _beginning(value) for name, value in wire.items() if not isinstance(value, dict | list)}
    content = wire.get("content")
    if isinstance(content, list):
        names = ("type", "text", "transcript")
        parts = [part for part in content[:MAX_PARTS] if isinstance(part, dict)]
        short["content"] = [{name: _beginning(part[name]) for name in names if name in part} for part in parts]
    return short


def _beginning(value: Any) -> Any:
    return value[:MAX_SHORT] if isinstance(value, str) else value


def joined(chunks: list[str]) -> str:
    """Return one base64 text with the bytes of all readable chunks. Each chunk is a base64 text."""
    if len(chunks) == 1:
        return chunks[0]
    return pybase64.b64encode_as_string(b"".join(_decoded(chunk) for chunk in chunks))


def _decoded(chunk: str) -> bytes:
    try:
        return pybase64.b64decode(chunk)
    except ValueError:
        return b""  # the upstream has refused it


def _call_again(wire: Fields) -> Fields | None:
    names = ("id", "type", "call_id", "name", "arguments", "output")
    if wire.get("type") == "function_call" and wire.get("status") not in (None, "completed"):
        return None  # half of its arguments would be no JSON
    return {name: wire[name] for name in names if wire.get(name) is not None}


def _part_again(part: Fields) -> Fields | None:
    if part.get("type") == "input_audio":
        if part.get("transcript"):
            return {"type": "input_text", "text": part["transcript"]}
        return part if part.get("audio") else None
    return part


class Conversation:
    """The items of one session."""

    def __init__(self, *, max_tokens: int, max_bytes: int) -> None:
        self._items: dict[str, Item] = {}
        self._order: list[str] = []
        self._most = Weight(max_tokens, max_bytes)
        self._tokens = 0
        self._bytes = 0
        self.dropped = 0
        """The number of items that no other upstream will get because of the bounds."""

    def __len__(self) -> int:
        return len(self._order)

    def find(self, item_id: object) -> Item | None:
        """Return the item with this id, or None."""
        return self._items.get(item_id) if isinstance(item_id, str) else None

    def __iter__(self) -> Iterator[Item]:
        return iter([self._items[name] for name in self._order])

    @property
    def last_id(self) -> str | None:
        """The id of the last item, or None without items."""
        return self._order[-1] if self._order else None

    @property
    def held_bytes(self) -> int:
        """The size of the items."""
        return self._bytes

    # Changes.

    def put(self, wire: Fields, generation: int, previous: str | None) -> Item:
        """Add an item after the item `previous`, or at the end. Replace the content of an item that is there already.

        Return the item.
        """
        name = str(wire.get("id", ""))  # as `Item.id` has it
        item = self.find(name)
        if item is not None:
            self.fill(item, wire)
            return item
        item = Item({}, generation, None if previous == ROOT else previous)
        if previous == ROOT:
            self._order.insert(0, name)
        elif previous in self._items and previous != self.last_id:
            self._order.insert(self._order.index(previous) + 1, name)
        else:
            self._order.append(name)
        self._items[name] = item
        self.fill(item, wire)
        while len(self._order) > MAX_ITEMS:
            self.remove(self._order[0])
        return item

    def fill(self, item: Item, wire: Fields) -> None:
        """Set the fields of an item to those of `wire`.

        A client's message keeps its content if that content has audio, or if `wire` has no content.
        """
        known = item.wire.get("content")
        if known and isinstance(known, list) and wire.get("type") == "message" and wire.get("role") != "assistant":
            # The client's own content says more than its acknowledgement, which has no audio.
            given = wire.get("content")
            if any(isinstance(part, dict) and part.get("audio") for part in known) or not given:
                wire = {**wire, "content": known}
        item.wire = shortened(wire) if item.is_left_out else wire
        self._weigh(item)

    def keep_audio(self, item: Item, audio: list[str], bytes_per_ms: int) -> None:
        """Keep the speech of an item until its transcript is known."""
        item.audio = audio
        self._weigh(item, bytes_per_ms)

    def transcribe(self, item_id: str, index: int, transcript: str) -> None:
        """Set the transcript of a part of the user's speech, which replaces the kept audio of the item."""
        item = self.find(item_id)
        if item is None:
            return
        content = item.wire.get("content")
        parts = list(content) if isinstance(content, list) else []
        index = min(max(index, 0), MAX_SPEECH_PARTS - 1)
        parts += [{"type": "input_audio", "transcript": None}] * (index + 1 - len(parts))
        parts[index] = {"type": "input_audio", "transcript": transcript}
        item.wire = {**item.wire, "content": parts}
        item.audio, item.awaits_transcript = [], False
        self._weigh(item)

    def truncate(self, item: Item, audio_end_ms: object) -> None:
        """Cut an answer to the part that the user heard."""
        whole = item.heard if item.heard is not None else item.transcript()
        heard_s = audio_end_ms / 1000 if isinstance(audio_end_ms, int) else 0.0
        item.heard = speech.heard(whole, heard_s) if heard_s > 0 else ""
        self._weigh(item)

    def remove(self, item_id: str) -> Item | None:
        """Remove and return the item with this id; None if there is no such item."""
        item = self._items.pop(item_id, None)
        if item is not None:
            self._order.remove(item_id)
            self._tokens -= item.weight.tokens
            self._bytes -= item.weight.size_bytes
        return item

    def _weigh(self, item: Item, bytes_per_ms: int = 48) -> None:
        chars = sum(map(len, item.audio))
        weight = Weight(0, 0) if item.is_left_out else weight_of(item.wire)
        audio_tokens = chars * 3 // 4 // bytes_per_ms // AUDIO_MS_PER_TOKEN
        weight = Weight(weight.tokens + audio_tokens, weight.size_bytes + chars)
        self._tokens += weight.tokens - item.weight.tokens
        self._bytes += weight.size_bytes - item.weight.size_bytes
        item.weight = weight
        self._trim(item)

    def _trim(self, newest: Item) -> None:
        if self._tokens <= self._most.tokens and self._bytes <= self._most.size_bytes:
            return
        for item in list(self._items.values()):
            if item is not newest and not item.is_left_out:
                self._leave_out(item)
                if self._tokens <= self._most.tokens and self._bytes <= self._most.size_bytes:
                    return

    def _leave_out(self, item: Item) -> None:
        # The item's id stays known, and its words can still be retrieved.
        item.is_left_out = True
        item.audio = []
        item.wire = shortened(item.wire)
        self.dropped += 1
        self._tokens -= item.weight.tokens
        self._bytes -= item.weight.size_bytes
        item.weight = _NOTHING

    # Another process.

    @property
    def memory(self) -> tuple[list[Item], list[int] | None]:
        """The items in the order in which they came, and the places of the conversation's items in that order.

        The second value is None if both orders are the same.
        """
        names = list(self._items)
        if names == self._order:
            return list(self._items.values()), None
        places = {name: place for place, name in enumerate(names)}
        return list(self._items.values()), [places[name] for name in self._order]

    @memory.setter
    def memory(self, memory: tuple[list[Item], list[int] | None]) -> None:
        items, order = memory
        self._items = {item.id: item for item in items}
        self._order = [items[place].id for place in order] if order is not None else list(self._items)
        self._tokens = sum(item.weight.tokens for item in items)
        self._bytes = sum(item.weight.size_bytes for item in items)

    # Another upstream.

    def again(self) -> Iterator[tuple[Item, Fields]]:
        """Yield, in order, each item that another upstream gets, and the fields with which it creates the item.

        Leave out the output of a function whose call is left out.
        """
        calls: set[str] = set()
        for name in self._order:
            item = self._items[name]
            wire = item.again()
            item.is_upstream = False
            if wire is None:
                continue
            call_id = str(wire.get("call_id"))  # a client may have sent any value
            if item.kind == "function_call_output" and call_id not in calls:
                continue
            if item.kind == "function_call":
                calls.add(call_id)
            item.is_upstream = True
            yield item, wire

    def place_for(self, previous: str) -> str:
        """Return the id of the item after which the upstream has to put an item that follows `previous`.

        If the upstream lacks `previous`, return the next earlier item that the upstream has, or `root`.
        """
        if previous not in self._items:
            return previous
        for name in reversed(self._order[: self._order.index(previous) + 1]):
            if self._items[name].is_upstream:
                return name
        return ROOT

    def place_of(self, item: Item) -> str:
        """Return the id of the item after which the upstream has to put this item."""
        at = self._order.index(item.id)
        return self.place_for(self._order[at - 1]) if at else ROOT
