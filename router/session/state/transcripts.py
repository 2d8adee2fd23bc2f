"""Transcripts of the user's speech: the awaited ones, and the words of unfinished ones.

A transcript may arrive before, during or after the answer to its speech (upstream 4.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from router.deepgram.messages import AgentAudioDone, ConversationText
from router.session.state.queues import NO_ENTRIES, dropped, kept, newest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.deepgram import messages as deepgram

MAX_ITEMS: Final = 8
"""The most items whose interim words, or whose completion, are remembered."""

MAX_EARLY: Final = 8
"""The most early transcripts that are remembered. Some belong to speech that never becomes an item."""


MAX_AWAITED: Final = 64
"""The most transcripts that are awaited. One that comes for an older item changes no order any more."""

MAX_HELD: Final = 512
"""The most messages that wait for a transcript."""

MAX_HELD_BYTES: Final = 1_000_000
"""The most bytes of messages that wait for a transcript."""


class InterimTranscripts:
    """The words so far of the user's items. A complete item has no interim words."""

    __slots__ = ("_complete", "_words")

    def __init__(self) -> None:
        self._words: Mapping[str | None, str] = NO_ENTRIES
        self._complete: tuple[str, ...] = ()

    def update(self, item_id: str | None, words: str) -> bool:
        """Record the words so far. Return False if they are unchanged, or the item is complete."""
        if self.is_complete(item_id) or self._words.get(item_id) == words:
            return False
        self._words = kept(self._words, item_id, words, MAX_ITEMS)
        return True

    def so_far(self, item_id: str | None) -> str:
        """Return the words of an item so far."""
        return self._words.get(item_id, "")

    def complete(self, item_id: str | None) -> None:
        """Record that the final words of an item have arrived: interim words that follow are late."""
        self._words = dropped(self._words, item_id)
        # Without an id, the next item would count as complete, too.
        if item_id is not None:
            self._complete = newest(self._complete, item_id, MAX_ITEMS)

    def is_complete(self, item_id: str | None) -> bool:
        """Whether the final words of an item have arrived."""
        return item_id is not None and item_id in self._complete


class HeldMessage(NamedTuple):
    """A message for the client that waits for a transcript, and the agent's item whose text it carries."""

    message: deepgram.ServerMessage
    item_id: str | None
    size_bytes: int


class Transcripts:
    """The user's items whose transcripts are awaited, and the agent's messages that wait for them."""

    __slots__ = ("_awaited", "_early", "held")

    def __init__(self) -> None:
        self._awaited: Mapping[str, None] = NO_ENTRIES
        """Item ids, the oldest first.

        An empty id stands for an item without an id, as aimock sends it in `committed` (upstream 12.6).
        """
        self._early: tuple[str, ...] = ()
        """Items whose transcript arrived before the items were committed."""
        self.held: Sequence[HeldMessage] = ()

    def __len__(self) -> int:
        return len(self._awaited)

    @property
    def are_awaited(self) -> bool:
        """Whether any transcript is awaited."""
        return bool(self._awaited)

    @property
    def are_full(self) -> bool:
        """Whether the held messages have reached their bound, in number or in bytes."""
        return len(self.held) >= MAX_HELD or sum(it.size_bytes for it in self.held) >= MAX_HELD_BYTES

    @property
    def hold_end(self) -> bool:
        """Whether the end of an agent's turn is held."""
        return any(isinstance(it.message, AgentAudioDone) for it in self.held)

    def expect(self, item_id: str | None) -> None:
        """Await the transcript of a committed item, unless it arrived before the commit."""
        if item_id is None or item_id not in self._early:
            # In place: a copy for each of many commits would take time quadratic in their number.
            if isinstance(self._awaited, dict):
                self._awaited[item_id or ""] = None
            else:
                self._awaited = {item_id or "": None}
            if len(self._awaited) > MAX_AWAITED:
                del self._awaited[next(iter(self._awaited))]

    def resolve(self, item_id: str | None) -> None:
        """Stop awaiting a transcript, because it arrived or failed.

        An item that was committed without an id is no longer awaited either. A transcript that names no item belongs to
        the oldest item.
        """
        if item_id is None:
            item_id = next(iter(self._awaited), None)
        elif item_id not in self._awaited:
            self._early = newest(self._early, item_id, MAX_EARLY)
        if isinstance(self._awaited, dict):
            for key in (item_id, ""):
                self._awaited.pop(key or "", None)
            self._awaited = self._awaited or NO_ENTRIES

    def forget_upstream_ids(self) -> None:
        """Forget the ids that the previous upstream gave: the next upstream may give the same ids."""
        self._early = ()

    def abandon(self) -> list[deepgram.ServerMessage]:
        """Stop awaiting any transcript, and return the held messages."""
        self._awaited = NO_ENTRIES
        return self.take_held()

    def hold(self, message: deepgram.ServerMessage, size_bytes: int, item_id: str | None = None) -> None:
        """Hold a message until no transcript is awaited."""
        held = HeldMessage(message, item_id, size_bytes)
        if isinstance(self.held, list):
            self.held.append(held)
        else:
            self.held = [held]

    def take_held(self) -> list[deepgram.ServerMessage]:
        """Remove and return the held messages."""
        held, self.held = self.held, ()
        return [it.message for it in held]

    def drop_texts(self, item_ids: set[str | None]) -> None:
        """Drop the held texts of items that were cut off. Other messages stay, such as the end of the turn."""
        self.held = [
            it for it in self.held if it.item_id not in item_ids or not isinstance(it.message, ConversationText)
        ] or ()
