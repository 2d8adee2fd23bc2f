"""Transcripts of the user's speech: those awaited, and the words of those in progress."""

from __future__ import annotations

from typing import Final, NamedTuple

from router.deepgram import messages as deepgram
from router.session.state.queues import Queue

MOST_ITEMS: Final = 8
"""That are put into words at the same time, or were lately."""


class InterimTranscripts:
    """The words so far, by item; an item that is complete has none any more."""

    def __init__(self) -> None:
        self._words: dict[str | None, str] = {}
        self._complete: Queue[str | None] = Queue(most=MOST_ITEMS)

    def heard(self, item_id: str | None, words: str) -> bool:
        """Remember the words so far; False where they are no news, or the item is complete."""
        if self.is_complete(item_id) or self._words.get(item_id) == words:
            return False
        self._words[item_id] = words
        while len(self._words) > MOST_ITEMS:
            del self._words[next(iter(self._words))]
        return True

    def so_far(self, item_id: str | None) -> str:
        """The words of an item so far."""
        return self._words.get(item_id, "")

    def complete(self, item_id: str | None) -> None:
        """The final words of an item are in: nothing interim follows them."""
        self._words.pop(item_id, None)
        if item_id is not None:
            self._complete.append(item_id)

    def is_complete(self, item_id: str | None) -> bool:
        """Whether the final words of an item are in."""
        return item_id is not None and item_id in self._complete


WORDS: Final = (deepgram.ConversationText,)
"""What says what the agent says: not told any more once it is cut off."""

MOST_EARLY: Final = 8


class Transcripts:
    """The user's speech that is yet to be put into words, by item; and what of the agent's waits for it."""

    def __init__(self) -> None:
        self._awaited: set[str] = set()
        self._early: Queue[str] = Queue(most=MOST_EARLY)
        """Items whose transcript came before they were committed."""
        self.held: Queue[Held] = Queue()

    @property
    def are_awaited(self) -> bool:
        """Whether any is still to come."""
        return bool(self._awaited)

    def committed(self, item_id: str | None) -> None:
        """The user's speech became an item: its words follow, unless they came before."""
        if item_id is None or item_id not in self._early:
            self._awaited.add(item_id or "")

    def came(self, item_id: str | None) -> None:
        """A transcript came, or will not."""
        if item_id is not None and item_id not in self._awaited:
            self._early.append(item_id)
        self._awaited -= {item_id, ""}

    def upstream_is_gone(self) -> None:
        """Another upstream is in use, whose items are others."""
        self._early.clear()

    def give_up(self) -> list[deepgram.ServerMessage]:
        """Wait for none any more; what was held."""
        self._awaited.clear()
        return self.take()

    def take(self) -> list[deepgram.ServerMessage]:
        """Take out what was held."""
        held = [it.message for it in self.held]
        self.held.clear()
        return held

    def forget(self, item_ids: set[str | None]) -> None:
        """Hold no words of these items: they were cut off."""
        kept = [it for it in self.held if it.item_id not in item_ids or not isinstance(it.message, WORDS)]
        self.held = Queue(kept)


class Held(NamedTuple):
    """A message that waits for a transcript, and the item whose words it says."""

    message: deepgram.ServerMessage
    item_id: str | None
