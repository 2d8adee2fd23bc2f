"""The ledger: the conversation so far, for the next upstream, because no upstream resumes a session (upstream 1.6).

Entries are in the order of the conversation. They have two bounds: estimated tokens, and bytes. Beyond a bound the
ledger drops the oldest entries, a call only together with its output, and counts the dropped entries. If the bytes
exceed their bound, untranscribed speech is dropped before text. An entry over half of a bound is cut, so that no single
entry drives the others out.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, Format, Recording
from router.openai import events as openai
from router.session.state.item_weight import AUDIO_MS_PER_TOKEN, Item, Weight, cut_to, weight_of
from router.translation import text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator


SILENCE: Final = Recording(b"", LINEAR16_24K)
_NOTHING: Final = Weight(0, 0)


class Entry:
    """One item of the conversation. `sequence` numbers the entries, and no number is given twice."""

    __slots__ = ("audio", "event_id", "item", "item_id", "item_weight", "other_half", "sequence")

    def __init__(self, sequence: int, item_id: str) -> None:
        self.sequence = sequence
        self.item_id = item_id
        """The item's id at the upstream. If the upstream gave the id, another upstream does not know it."""
        self.item: Item | None = None
        """The item to create at the next upstream. Speech without a transcript has no item yet."""
        self.item_weight = _NOTHING
        self.audio = SILENCE
        """The user's speech, until its transcript arrives."""
        self.other_half: Entry | None = None
        """The output of a call, or the call of an output. Some servers give several calls the same id."""
        self.event_id: str | None = None
        """The `event_id` of a client's own item, or the id of speech that an upstream got without its transcript.

        The error that refuses the item carries this id.
        """

    @property
    def size_bytes(self) -> int:
        """The approximate size of the entry."""
        return len(self.audio.data) + self.item_weight.size_bytes

    @property
    def tokens(self) -> int:
        """The approximate number of tokens that the model counts for the entry."""
        return int(self.audio.duration_ms // AUDIO_MS_PER_TOKEN) + self.item_weight.tokens


class Change(NamedTuple):
    """A change of an item that an upstream may have already: it becomes shorter, or is deleted."""

    item_id: str
    """The id under which the session created the item upstream."""
    sequence: int
    item: Item | None
    """The item that replaces it, or None if it is deleted."""


@functools.lru_cache(maxsize=16)
def _bounds(max_tokens: int, max_bytes: int) -> tuple[Weight, Weight]:
    """Return the bounds on all entries together, and on one entry. Sessions with equal bounds share the two objects."""
    return Weight(max_tokens, max_bytes), Weight(max_tokens // 2, max_bytes // 2)


class Ledger:
    """The conversation, in order."""

    __slots__ = (
        "_bytes",
        "_entries",
        "_most",
        "_most_of_one",
        "_new_id",
        "_open_calls",
        "_sequence",
        "_speech",
        "_tokens",
        "changes",
        "cut",
        "dropped",
        "forgotten_bytes",
        "packed",
    )

    def __init__(self, *, new_id: Callable[[], str], max_tokens: int, max_bytes: int) -> None:
        self._new_id = new_id
        self._most, self._most_of_one = _bounds(max_tokens, max_bytes)
        self._entries: dict[int, Entry] = {}
        """By sequence number, the oldest first."""
        self._speech: dict[int, Entry] = {}
        """The entries with speech whose transcript is awaited."""
        self._open_calls: dict[str, list[Entry]] = {}
        """Calls without an output, by call id, in order."""
        self._sequence = 0
        self._tokens = 0
        self._bytes = 0
        self.changes = 0
        """A number that grows with each change of an entry. By it a snapshot knows whether `packed` is still valid."""
        self.packed: tuple[int, bytes] | None = None
        """The entries as the last snapshot wrote them, preceded by the value of `changes` at that time."""
        self.dropped = 0
        """The number of entries that were dropped."""
        self.cut = 0
        """The number of entries that were cut."""
        self.forgotten_bytes = 0
        """The bytes of speech that were dropped, because the speech was too long."""

    # Changes.

    def add(self, item: Item, *, event_id: str | None = None) -> None:
        """Add an item: a text of the user or the agent, a function call, the output of a call, or a client's own item.

        `event_id` is the id of the `conversation.item.create` that brought a client's own item. An output whose call
        the ledger lacks is not added, and counts as dropped.
        """
        self._add(item, event_id)
        self._trim()

    def extend(self, items: Iterable[Item]) -> None:
        """Add several items, such as the client's context, and apply the bounds once."""
        for item in items:
            self._add(item, None)
        self._trim()

    def _add(self, item: Item, event_id: str | None) -> None:
        call = None
        if _field(item, "type") == "function_call_output" or isinstance(item, openai.FunctionCallOutputItem):
            call = self._take_open_call(_field(item, "call_id"))
            if call is None:
                # The call was dropped here, and an upstream refuses an output whose call it does not know (upstream
                # 12.4).
                self.dropped += 1
                return
        item_id = _field(item, "id")
        entry = self._append(item_id if isinstance(item_id, str) else "")
        entry.event_id = event_id
        if call is not None:
            entry.other_half, call.other_half = call, entry
        self._fill(entry, item)

    def _take_open_call(self, call_id: object) -> Entry | None:
        """Return the newest call with this id that has no output yet, and count it as answered.

        Return None without such a call.
        """
        calls = self._open_calls.get(call_id) if isinstance(call_id, str) else None
        if not calls:
            return None
        call = calls.pop()
        if not calls:
            del self._open_calls[_call_id(call)]
        return call

    def add_assistant_text(self, item_id: str | None, content: str) -> None:
        """Add the text of an item that the upstream generated."""
        entry = self._append(item_id or "")
        self._fill(entry, text.message_item(self._new_id(), "assistant", content))
        self._trim()

    def forget_upstream_ids(self, retired: Callable[[str | None], str | None]) -> None:
        """Replace each id that the previous upstream gave by `retired(id)`. The next upstream may give the same ids.

        An item that the session or the client created keeps its id.
        """
        self.changes += 1
        for entry in self._entries.values():
            if entry.item is None or _field(entry.item, "id") != entry.item_id:
                entry.item_id = retired(entry.item_id) or ""

    def refuse(self, event_id: str) -> list[Change]:
        """Forget an item that an upstream refused, so that no other upstream gets it. A call takes its output along.

        The error names the event that created the item. For an item of the session's own, this event has the item's id.
        Return the change of each forgotten item.
        """
        entries = reversed(self._entries.values())
        entry = next((it for it in entries if it.item and event_id in (it.event_id, _field(it.item, "id"))), None)
        halves = filter(None, (entry, entry.other_half)) if entry is not None else ()
        return _deletions([it for it in halves if self._remove(it)])

    def output_of(self, item_id: str) -> str | None:
        """Return the id of the output of a call, or None if the item is no call or has no output yet."""
        ids = (item_id,)
        call = next((it for it in self._entries.values() if _is_call(it.item) and _has_id(it.item, ids)), None)
        output = call.other_half if call is not None else None
        output_id = _field(output.item, "id") if output is not None else None
        return output_id if isinstance(output_id, str) else None

    def correct(self, item_id: str | None, content: str) -> Change | None:
        """Shorten the assistant's item to the words that the caller heard, or delete it if the caller heard none.

        Return the change, or None if the item has these words already, or was dropped.
        """
        entries = reversed(self._entries.values())
        entry = next((it for it in entries if it.item_id == item_id and it.item is not None), None)
        # If an upstream begins its ids anew, a call may have the id of a message. A call has no words to shorten.
        if entry is None or _is_call(entry.item) or entry.other_half is not None or _has_text(entry.item, content):
            return None
        replaced_id = str(_field(entry.item, "id"))
        if content:
            self._fill(entry, text.message_item(self._new_id(), "assistant", content))
            self._trim()
        else:
            self._remove(entry)
            entry.item = None
        return Change(replaced_id, entry.sequence, entry.item)

    def delete(self, item_id: object) -> list[Change]:
        """Delete an item.

        A function call and its output are deleted together. Return the change of each deleted item.
        """
        entry = next((it for it in reversed(self._entries.values()) if it.item_id == item_id), None)
        return _deletions(self._drop(entry) if entry is not None else [])

    def add_call(self, item_id: str | None, call_id: str, name: str, arguments: str) -> None:
        """Add a function call of the model's."""
        entry = self._append(item_id or "")
        item = openai.FunctionCallItem(id=self._new_id(), call_id=call_id, name=name, arguments=arguments)
        self._fill(entry, item)
        self._trim()

    def add_finished_call(self, item_id: str | None, name: str, arguments: str, output: str) -> None:
        """Add a call that the upstream ran itself, with its output, unless the ledger has it."""
        if item_id is not None and any(it.item_id == item_id for it in reversed(self._entries.values())):
            return
        call_id = self._new_id()
        self.add_call(item_id, call_id, name, arguments)
        self.add(openai.FunctionCallOutputItem(id=self._new_id(), call_id=call_id, output=output))

    def add_speech(self, item_id: str, audio: Recording) -> None:
        """Add the user's committed speech.

        The entry has its place in the conversation from now on, although its transcript may arrive after the answer.
        """
        entry = self._append(item_id)
        audio = self._limit(audio)
        self._weigh(entry, -1)
        entry.audio = audio
        self._speech[entry.sequence] = entry
        self._weigh(entry, 1)
        self._trim()

    def set_transcript(self, item_id: str | None, content: str) -> None:
        """Replace the user's speech by its transcript.

        An empty transcript deletes the entry, because the speech was a noise. A transcript that names no item belongs
        to the oldest untranscribed speech. If the ledger has no such speech, the client itself appended the audio,
        which the session does not keep. Then the transcript becomes the newest entry.
        """
        entry = self._speech_of(item_id) or self._append(item_id or "")
        self._weigh(entry, -1)
        entry.audio = SILENCE
        self._speech.pop(entry.sequence, None)
        self._weigh(entry, 1)
        if content:
            # An upstream that refused the speech on standby gets its words under the same id.
            self._fill(entry, text.message_item(entry.event_id or self._new_id(), "user", content))
            self._trim()
        else:
            self._remove(entry)

    def _speech_of(self, item_id: str | None) -> Entry | None:
        speech = [it for it in self._entries.values() if it.item is None]
        named = (it for it in reversed(speech) if it.item_id == item_id)
        unnamed = (it for it in speech if item_id is None or not it.item_id)
        return next(named, None) or next(unnamed, None)

    # Replay.

    def items_after(
        self, sequence: int = 0, audio_format: Format = LINEAR16_24K, *, again: Container[object] = ()
    ) -> Iterator[Item]:
        """Yield the items after the number `sequence`, and those whose id is in `again`, in order.

        Untranscribed speech is converted to `audio_format`.
        """
        for entry in self._entries.values():
            is_repeated = entry.event_id in again if entry.item is None else _has_id(entry.item, again)
            if entry.sequence > sequence or is_repeated:
                item = entry.item or self._speech_item(entry, audio_format)
                if item is not None:
                    yield item

    def texts_after(self, sequence: int = 0) -> Iterator[tuple[int, Item]]:
        """Yield the items after the number `sequence`, in order, each with its number. Stop at untranscribed speech."""
        for entry in self._entries.values():
            if entry.sequence > sequence and entry.item is None:
                return
            if entry.sequence > sequence and entry.item is not None:
                yield entry.sequence, entry.item

    @property
    def sequence(self) -> int:
        """The sequence number of the newest entry."""
        return self._sequence

    @property
    def size_bytes(self) -> int:
        """The bytes of all entries."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def _speech_item(self, entry: Entry, audio_format: Format) -> openai.NewItem | None:
        if not entry.audio.data:
            return None
        audio = converted(entry.audio, audio_format)
        if entry.event_id is None:
            entry.event_id = self._new_id()
            self.changes += 1
        return openai.MessageItem(id=entry.event_id, role="user", content=[openai.InputAudio(audio=audio)])

    # Snapshots.

    def entries(self) -> Iterable[Entry]:
        """Return all entries, the oldest first."""
        return self._entries.values()

    @property
    def open_calls(self) -> dict[str, list[Entry]]:
        """The calls without an output, by call id."""
        return self._open_calls

    def refill(
        self, entries: Iterable[tuple[Entry, int | None]], open_calls: dict[str, list[int]], sequence: int
    ) -> None:
        """Fill this empty ledger with the entries of another ledger.

        Each entry comes with the sequence number of its other half: for a call its output, for an output its call; or
        None. `open_calls` has the numbers of the calls without an output, and `sequence` is the number of the newest
        entry.
        """
        halves = dict(entries)
        for entry in halves:
            self._entries[entry.sequence] = entry
            if entry.item is None and entry.audio is not SILENCE:
                self._speech[entry.sequence] = entry
            self._weigh(entry, 1)
        for entry, other in halves.items():
            # A half that was dropped has no effect any more.
            entry.other_half = self._entries.get(other) if other is not None else None
        self._open_calls = {call_id: [self._entries[it] for it in calls] for call_id, calls in open_calls.items()}
        self._sequence = sequence

    # Bounds.

    def _append(self, item_id: str) -> Entry:
        self._sequence += 1
        entry = self._entries[self._sequence] = Entry(self._sequence, item_id)
        return entry

    def _fill(self, entry: Entry, item: Item) -> None:
        weight = weight_of(item)
        if weight.exceeds(self._most_of_one):
            self.cut += 1
            item = cut_to(item, self._most_of_one)
            weight = weight_of(item)
        self._weigh(entry, -1)
        entry.item, entry.item_weight = item, weight
        self._weigh(entry, 1)
        if _is_call(item):
            self._open_calls.setdefault(_call_id(entry), []).append(entry)

    def _weigh(self, entry: Entry, sign: int) -> None:
        self.changes += 1
        self._tokens += sign * entry.tokens
        self._bytes += sign * entry.size_bytes

    def _limit(self, audio: Recording) -> Recording:
        # One speech may take half of the bound. A longer one must not push the whole conversation out.
        max_bytes = self._most_of_one.size_bytes
        excess = len(audio.data) - max_bytes + max_bytes % audio.format.sample_bytes
        if excess <= 0:
            return audio
        self.forgotten_bytes += excess
        return Recording(audio.data[excess:], audio.format)

    def _trim(self) -> None:
        """Drop the oldest entries until both bounds hold, but never the newest entry or its other half."""
        if self._tokens <= self._most.tokens and self._bytes <= self._most.size_bytes:
            return
        newest = next(reversed(self._entries.values()))
        while self._tokens > self._most.tokens and self._drop_oldest(self._entries, newest):
            pass
        # A minute of speech is larger than the text of a long call, so dropping one speech saves many texts.
        while self._bytes > self._most.size_bytes and (
            self._drop_oldest(self._speech, newest) or self._drop_oldest(self._entries, newest)
        ):
            pass

    def _drop_oldest(self, entries: dict[int, Entry], newest: Entry) -> bool:
        """Drop the oldest of `entries`, but not `newest` or its other half. Return whether an entry was dropped."""
        oldest = next((it for it in entries.values() if newest not in (it, it.other_half)), None)
        if oldest is not None:
            self._drop(oldest)
        return oldest is not None

    def _drop(self, one: Entry) -> list[Entry]:
        # An upstream refuses a call without its output, and an output without its call: both halves are dropped.
        halves = sorted(filter(None, (one, one.other_half)), key=lambda it: it.sequence)
        dropped = [it for it in halves if self._remove(it)]
        self.dropped += len(dropped)
        return dropped

    def _remove(self, entry: Entry) -> bool:
        """Remove an entry, and return whether it was there."""
        if self._entries.pop(entry.sequence, None) is None:
            return False
        self._speech.pop(entry.sequence, None)
        self._weigh(entry, -1)
        calls = self._open_calls.get(_call_id(entry)) if _is_call(entry.item) else None
        if calls is not None and entry in calls:
            calls.remove(entry)
            if not calls:
                del self._open_calls[_call_id(entry)]
        return True


def _deletions(entries: list[Entry]) -> list[Change]:
    return [Change(str(_field(it.item, "id")), it.sequence, None) for it in entries if it.item is not None]


def _call_id(entry: Entry) -> str:
    return str(_field(entry.item, "call_id"))


def _is_call(item: Item | None) -> bool:
    return isinstance(item, openai.FunctionCallItem) or _field(item, "type") == "function_call"


def _has_id(item: Item | None, ids: Container[object]) -> bool:
    item_id = _field(item, "id")
    # The `id` of a client's own item may be of any type.
    return isinstance(item_id, str) and item_id in ids


def _field(item: Item | None, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


def _has_text(item: Item | None, content: str) -> bool:
    return isinstance(item, openai.MessageItem) and item.content == [openai.OutputText(text=content)]
