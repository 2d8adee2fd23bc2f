"""What the ledger corrects is corrected where it was told, too: upstreams that know as a text what the agent said.

A text cannot be truncated (reference, 2.4): the item is deleted, and comes again with the words that were heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.openai import events as openai
from router.session.line import SpareState
from router.session.opening import create_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.session.ledger import Cut
    from router.session.line import Line
    from router.session.playback import Played
    from router.session.session import Session

CUT_EVENT_ID: Final = "sb_cut"
"""The `event_id` of what takes back: an error that brings it back is a race that we lost, and nobody's business."""


def correct(session: Session, item_id: str | None, words: str, played: Played | None = None) -> None:
    """Of this item only `words` were heard, or nothing. `played` is its audio, where the line in use has to know."""
    cut = session.state.ledger.cut(item_id, words)
    if cut is None:
        return
    for line, known_as in _told(session, cut, played):
        session.to_upstream(openai.ConversationItemDelete(item_id=known_as, event_id=CUT_EVENT_ID), line)
        if cut.item is not None:
            create_item(session, cut.item, line=line)


def forget(session: Session, item_id: Any) -> None:
    """The client has an item deleted."""
    for cut in session.state.ledger.forget(item_id):
        for line, known_as in _told(session, cut, None):
            session.to_upstream(openai.ConversationItemDelete(item_id=known_as, event_id=CUT_EVENT_ID), line)


def _told(session: Session, cut: Cut, played: Played | None) -> Iterator[tuple[Line, str]]:
    """The lines that know the item in words, and by which id."""
    state = session.state
    if played is not None and not played.is_upstream:
        yield state.line, cut.told_as
    elif played is not None and played.is_truncated and played.item_id is not None:
        yield state.line, played.item_id
    if state.spare is not None and state.spare_state is SpareState.SEEDED and cut.sequence <= state.spare_sequence:
        yield state.spare, cut.told_as
