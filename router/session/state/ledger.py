"""The ledger: what a conversation has said, kept so that another upstream can be told.

Its entries are in the order of the conversation. It is bounded, by tokens estimated and by bytes: the oldest entries
go first, never one half of a call and its output; what went is counted. Where it is too many bytes, speech that nobody
has transcribed goes before what was said in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, Format, Recording
from router.openai import events as openai
from router.translation import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHARACTERS_PER_TOKEN: Final = 4
AUDIO_MS_PER_TOKEN: Final = 100
"""Of the user's speech (reference, 6)."""

SILENCE: Final = Recording(b"", LINEAR16_24K)


class Entry:
    """One item of the conversation. `sequence` counts entries, and is never given twice."""

    __slots__ = ("audio", "call_id", "item", "item_id", "sequence")

    def __init__(self, sequence: int, item_id: str) -> None:
        self.sequence = sequence
        self.item_id = item_id
        """Of the item upstream, where the upstream made it."""
        self.item: openai.NewItem | dict[str, Any] | None = None
        """None while it is speech without a transcript."""
        self.audio = SILENCE
        """What was said, until its transcript comes."""
        self.call_id: str | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        return len(self.audio.data) + self._text_bytes

    @property
    def tokens(self) -> int:
        """What it costs the model, about."""
        return int(self.audio.duration_ms // AUDIO_MS_PER_TOKEN) + self._text_bytes // CHARACTERS_PER_TOKEN

    @property
    def _text_bytes(self) -> int:
        return len(msgspec.json.encode(self.item)) if self.item is not None else 0


class Cut(NamedTuple):
    """An item that was cut short: the id by which upstreams were told it, and what is left of it."""

    known_as: str
    sequence: int
    item: openai.NewItem | dict[str, Any] | None


class Ledger:
    """What was said, in order."""

    def __init__(self, *, new_id: Callable[[], str], most_tokens: int, most_bytes: int) -> None:
        self._new_id = new_id
        self._most_tokens = most_tokens
        self._most_bytes = most_bytes
        self._entries: list[Entry] = []
        self._sequence = 0
        self._tokens = 0
        self._bytes = 0
        self.dropped = 0
        """Entries that are gone."""
        self.forgotten_bytes = 0
        """Of speech that was too long to be kept whole."""

    # What happens in the conversation.

    def add(self, item: openai.NewItem | dict[str, Any]) -> None:
        """An item that we made: a text of either side, a call, an output, or a client's own item as it is."""
        if self._is_orphan(item):
            self.dropped += 1
            return
        item_id = item.get("id") if isinstance(item, dict) else item.id
        entry = self._append(item_id if isinstance(item_id, str) else "")
        self._fill(entry, item)

    def add_assistant_text(self, item_id: str | None, content: str) -> None:
        """The assistant finished an item, or is taken to have."""
        entry = self._append(item_id or "")
        self._fill(entry, text.message_item(self._new_id(), "assistant", content))

    def cut(self, item_id: str | None, content: str) -> Cut | None:
        """The assistant was interrupted: of this item only so much was heard, or nothing.

        Returns what has changed; None where nothing has, or the item is gone already.
        """
        entry = next((it for it in reversed(self._entries) if it.item_id == item_id and it.item is not None), None)
        if entry is None or _says(entry.item, content):
            return None
        known_as = str(_field(entry.item, "id"))
        self._weigh(entry, -1)
        entry.item = None
        if content:
            self._fill(entry, text.message_item(self._new_id(), "assistant", content))
        else:
            self._entries.remove(entry)
        return Cut(known_as, entry.sequence, entry.item)

    def forget(self, item_id: Any) -> list[Cut]:
        """An item was deleted, and of a call the other half with it: what is gone."""
        entry = next((it for it in reversed(self._entries) if it.item_id == item_id), None)
        gone = self._drop(entry) if entry is not None else []
        return [Cut(str(_field(it.item, "id")), it.sequence, None) for it in gone if it.item is not None]

    def add_call(self, item_id: str | None, call_id: str, name: str, arguments: str) -> None:
        """The assistant called a function."""
        entry = self._append(item_id or "")
        item = openai.FunctionCallItem(id=self._new_id(), call_id=call_id, name=name, arguments=arguments)
        self._fill(entry, item)

    def add_speech(self, item_id: str, audio: Recording) -> None:
        """The user's speech became an item. Its transcript may come much later; its place is here."""
        entry = self._append(item_id)
        entry.audio = self._end_of(audio)
        self._weigh(entry, 1)
        self._trim()

    def set_transcript(self, item_id: str | None, content: str) -> None:
        """The transcript of the user's speech came; without an item for it, it is the newest thing said.

        An empty one is a noise, which nobody is told of.
        """
        known = (it for it in reversed(self._entries) if it.item is None and it.item_id in (item_id, ""))
        entry = next(known, None) or self._append(item_id or "")
        self._weigh(entry, -1)
        entry.audio = SILENCE
        if content:
            self._fill(entry, text.message_item(self._new_id(), "user", content))
        else:
            self._entries.remove(entry)

    # What another upstream is to be told.

    def since(
        self, sequence: int = 0, audio_format: Format = LINEAR16_24K
    ) -> Iterator[openai.NewItem | dict[str, Any]]:
        """The items behind `sequence`, in order; what was said and not transcribed in that format."""
        for entry in self._entries:
            if entry.sequence > sequence:
                item = entry.item or self._spoken(entry, audio_format)
                if item is not None:
                    yield item

    @property
    def sequence(self) -> int:
        """Of the newest entry."""
        return self._sequence

    def __len__(self) -> int:
        return len(self._entries)

    def _spoken(self, entry: Entry, audio_format: Format) -> openai.NewItem | None:
        if not entry.audio.data:
            return None
        audio = converted(entry.audio, audio_format)
        return openai.MessageItem(id=self._new_id(), role="user", content=[openai.InputAudio(audio=audio)])

    def _is_orphan(self, item: openai.NewItem | dict[str, Any]) -> bool:
        # An output whose call has been dropped: an upstream would refuse it.
        is_output = _field(item, "type") == "function_call_output" or isinstance(item, openai.FunctionCallOutputItem)
        call_id = _field(item, "call_id")
        return is_output and not any(entry.call_id == call_id for entry in self._entries)

    # Its bounds.

    def _append(self, item_id: str) -> Entry:
        self._sequence += 1
        entry = Entry(self._sequence, item_id)
        self._entries.append(entry)
        return entry

    def _fill(self, entry: Entry, item: openai.NewItem | dict[str, Any]) -> None:
        entry.item = item
        call_id = _field(item, "call_id")
        entry.call_id = call_id if isinstance(call_id, str) else None
        self._weigh(entry, 1)
        self._trim()

    def _weigh(self, entry: Entry, sign: int) -> None:
        self._tokens += sign * entry.tokens
        self._bytes += sign * entry.size_bytes

    def _end_of(self, audio: Recording) -> Recording:
        """So much of long speech as leaves room for the rest of the conversation."""
        most_bytes = self._most_bytes // 2
        excess = len(audio.data) - most_bytes + most_bytes % audio.format.sample_bytes
        if excess <= 0:
            return audio
        self.forgotten_bytes += excess
        return Recording(audio.data[excess:], audio.format)

    def _trim(self) -> None:
        while len(self._entries) > 1 and self._tokens > self._most_tokens:
            self._drop(self._entries[0])
        while len(self._entries) > 1 and self._bytes > self._most_bytes:
            speech = (entry for entry in self._entries[:-1] if entry.audio.data)  # a minute of it outweighs a long call
            self._drop(next(speech, self._entries[0]))

    def _drop(self, one: Entry) -> list[Entry]:
        # A call without its output, or an output without its call, would be refused: both halves go.
        gone = [it for it in self._entries if it is one or (it.call_id is not None and it.call_id == one.call_id)]
        for entry in gone:
            self._entries.remove(entry)
            self._weigh(entry, -1)
        self.dropped += len(gone)
        return gone


def _field(item: openai.NewItem | dict[str, Any] | None, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


def _says(item: openai.NewItem | dict[str, Any] | None, content: str) -> bool:
    return isinstance(item, openai.MessageItem) and item.content == [openai.OutputText(text=content)]
