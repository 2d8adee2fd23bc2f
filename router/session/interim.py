"""Handlers of what the user is saying, while it is put into words (`/openai` only). The final words come in `turns`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.session.queues import Queue
from router.translation import text

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.session import Session

MOST_ITEMS: Final = 8
"""That are put into words at the same time, or were lately."""


class Interim:
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


def heard_more(session: Session, event: openai.InputAudioTranscriptionDelta) -> None:
    """Tell the component what the user has said so far, and a little more."""
    _tell(session, event.item_id, session.state.interim.so_far(event.item_id) + event.delta)


def heard_so_far(session: Session, event: openai.InputAudioTranscriptionUpdated) -> None:
    """Tell the component what the user has said so far: this replaces what was told before."""
    _tell(session, event.item_id, event.transcript)


def _tell(session: Session, item_id: str | None, words: str) -> None:
    if session.state.interim.heard(item_id, words) and words.strip():
        session.to_component(text.transcript(words.strip(), is_final=False))
