"""The ledger: the conversation so far, for the next upstream, because no upstream resumes a session (upstream 1.6).

Entries are in the order of the conversation. Two bounds apply, estimated tokens and bytes. The oldest entries are
dropped first, never a call without its output, and are counted. Beyond the bound on bytes, untranscribed speech is
dropped before text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, Format, Recording
from router.openai import events as openai
from router.translation import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


CHARACTERS_PER_TOKEN: Final = 4
AUDIO_MS_PER_TOKEN: Final = 100
"""The price of the user's speech (upstream 11.2)."""

SILENCE: Final = Recording(b"", LINEAR16_24K)

Item: TypeAlias = openai.NewItem | dict[str, Any]
"""An item of the router's own, or a client's own item as it wrote it."""


class Entry:
    """One item of the conversation. `sequence` counts entries, and is never given twice."""

    __slots__ = ("audio", "call_id", "item", "item_id", "sequence")

    def __init__(self, sequence: int, item_id: str) -> None:
        self.sequence = sequence
        self.item_id = item_id
        """The id that an upstream gave its own item. It means nothing to another upstream."""
        self.item: Item | None = None
        """The item to create at the next upstream. Speech without a transcript has no item yet."""
        self.audio = SILENCE
        """The user's speech, until its transcript arrives."""
        self.call_id: str | None = None

    @property
    def size_bytes(self) -> int:
        """Its approximate size."""
        return len(self.audio.data) + self._text_bytes

    @property
    def tokens(self) -> int:
        """Its approximate price at the model."""
        return int(self.audio.duration_ms // AUDIO_MS_PER_TOKEN) + self._text_bytes // CHARACTERS_PER_TOKEN

    @property
    def _text_bytes(self) -> int:
        return len(msgspec.json.encode(self.item)) if self.item is not None else 0


class Change(NamedTuple):
    """A change of an item that an upstream may have already: shorter, or deleted."""

    item_id: str
    """The id under which the ledger's item was created upstream."""
    sequence: int
    item: Item | None
    """The item that replaces it, or None where it is deleted."""


class Ledger:
    """The conversation, in order."""

    def __init__(self, *, new_id: Callable[[], str], max_tokens: int, max_bytes: int) -> None:
        self._new_id = new_id
        self._max_tokens = max_tokens
        self._max_bytes = max_bytes
        self._entries: list[Entry] = []
        self._sequence = 0
        self._tokens = 0
        self._bytes = 0
        self.dropped = 0
        """Entries that were dropped."""
        self.forgotten_bytes = 0
        """The size of speech that was too long to be kept whole."""

    # Changes.

    def add(self, item: Item) -> None:
        """Add an item that the session created: a text of either side, a call, an output, or a client's own item."""
        if self._is_orphan(item):
            self.dropped += 1
            return
        item_id = item.get("id") if isinstance(item, dict) else item.id
        entry = self._append(item_id if isinstance(item_id, str) else "")
        self._fill(entry, item)

    def add_assistant_text(self, item_id: str | None, content: str) -> None:
        """Add the text of an item that the upstream generated."""
        entry = self._append(item_id or "")
        self._fill(entry, text.message_item(self._new_id(), "assistant", content))

    def correct(self, item_id: str | None, content: str) -> Change | None:
        """Shorten the assistant's item to the words that the caller heard, or delete it where they are empty.

        Return the change, or None where the item has these words already, or was dropped.
        """
        entry = next((it for it in reversed(self._entries) if it.item_id == item_id and it.item is not None), None)
        if entry is None or _has_text(entry.item, content):
            return None
        replaced_id = str(_field(entry.item, "id"))
        self._weigh(entry, -1)
        entry.item = None
        if content:
            self._fill(entry, text.message_item(self._new_id(), "assistant", content))
        else:
            self._entries.remove(entry)
        return Change(replaced_id, entry.sequence, entry.item)

    def delete(self, item_id: object) -> list[Change]:
        """Delete an item, and the other half of a call with it. Return the changes."""
        entry = next((it for it in reversed(self._entries) if it.item_id == item_id), None)
        deleted = self._drop(entry) if entry is not None else []
        return [Change(str(_field(it.item, "id")), it.sequence, None) for it in deleted if it.item is not None]

    def add_call(self, item_id: str | None, call_id: str, name: str, arguments: str) -> None:
        """Add a function call of the model's."""
        entry = self._append(item_id or "")
        item = openai.FunctionCallItem(id=self._new_id(), call_id=call_id, name=name, arguments=arguments)
        self._fill(entry, item)

    def add_speech(self, item_id: str, audio: Recording) -> None:
        """Add the user's committed speech. Its place is here, although its transcript may arrive after the answer."""
        entry = self._append(item_id)
        entry.audio = self._limit(audio)
        self._weigh(entry, 1)
        self._trim()

    def set_transcript(self, item_id: str | None, content: str) -> None:
        """Replace the user's speech by its transcript. An empty one deletes the entry, because it was a noise.

        Without an entry for the item, the transcript becomes the newest entry: audio that the client appended itself is
        not kept.
        """
        known = (it for it in reversed(self._entries) if it.item is None and it.item_id in (item_id, ""))
        entry = next(known, None) or self._append(item_id or "")
        self._weigh(entry, -1)
        entry.audio = SILENCE
        if content:
            self._fill(entry, text.message_item(self._new_id(), "user", content))
        else:
            self._entries.remove(entry)

    # Replay.

    def items_after(self, sequence: int = 0, audio_format: Format = LINEAR16_24K) -> Iterator[Item]:
        """Yield the items behind `sequence`, in order. Untranscribed speech is converted to `audio_format`."""
        for entry in self._entries:
            if entry.sequence > sequence:
                item = entry.item or self._speech_item(entry, audio_format)
                if item is not None:
                    yield item

    @property
    def sequence(self) -> int:
        """The sequence number of the newest entry."""
        return self._sequence

    def __len__(self) -> int:
        return len(self._entries)

    def _speech_item(self, entry: Entry, audio_format: Format) -> openai.NewItem | None:
        if not entry.audio.data:
            return None
        audio = converted(entry.audio, audio_format)
        return openai.MessageItem(id=self._new_id(), role="user", content=[openai.InputAudio(audio=audio)])

    def _is_orphan(self, item: Item) -> bool:
        # An upstream refuses an output whose call it does not know (upstream 12.4), and the call was dropped here.
        is_output = _field(item, "type") == "function_call_output" or isinstance(item, openai.FunctionCallOutputItem)
        call_id = _field(item, "call_id")
        return is_output and not any(entry.call_id == call_id for entry in self._entries)

    # Bounds.

    def _append(self, item_id: str) -> Entry:
        self._sequence += 1
        entry = Entry(self._sequence, item_id)
        self._entries.append(entry)
        return entry

    def _fill(self, entry: Entry, item: Item) -> None:
        entry.item = item
        call_id = _field(item, "call_id")
        entry.call_id = call_id if isinstance(call_id, str) else None
        self._weigh(entry, 1)
        self._trim()

    def _weigh(self, entry: Entry, sign: int) -> None:
        self._tokens += sign * entry.tokens
        self._bytes += sign * entry.size_bytes

    def _limit(self, audio: Recording) -> Recording:
        # Half of the bound for one speech: a long one must not push the whole conversation out.
        max_bytes = self._max_bytes // 2
        excess = len(audio.data) - max_bytes + max_bytes % audio.format.sample_bytes
        if excess <= 0:
            return audio
        self.forgotten_bytes += excess
        return Recording(audio.data[excess:], audio.format)

    def _trim(self) -> None:
        while len(self._entries) > 1 and self._tokens > self._max_tokens:
            self._drop(self._entries[0])
        while len(self._entries) > 1 and self._bytes > self._max_bytes:
            # A minute of speech is larger than the text of a long call, so one such drop saves many texts.
            speech = (entry for entry in self._entries[:-1] if entry.audio.data)
            self._drop(next(speech, self._entries[0]))

    def _drop(self, one: Entry) -> list[Entry]:
        # An upstream refuses a call without its output, and an output without its call: both halves are dropped.
        dropped = [it for it in self._entries if it is one or (it.call_id is not None and it.call_id == one.call_id)]
        for entry in dropped:
            self._entries.remove(entry)
            self._weigh(entry, -1)
        self.dropped += len(dropped)
        return dropped


def _field(item: Item | None, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


def _has_text(item: Item | None, content: str) -> bool:
    return isinstance(item, openai.MessageItem) and item.content == [openai.OutputText(text=content)]
