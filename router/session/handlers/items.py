"""Create, correct and delete conversation items upstream.

A text item cannot be truncated (reference, 2.4): the session deletes it and creates it again with the words that the
caller heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.openai import events as openai
from router.session.state.states import SpareState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.session.machine import Session
    from router.session.state.ledger import Cut
    from router.session.state.playback import Played
    from router.session.state.turn import Want
    from router.session.state.upstream import Line

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


def create_item(session: Session, item: Any, *, line: Line | None = None, want: Want | None = None) -> None:
    """Add an item to the conversation. An id of ours is the `event_id`, too: an error brings it back."""
    line = line or session.state.line
    kind, role, item_id = _kind_of(item)
    item_id = item_id or session.state.new_id()
    line.items.created(item_id, kind, role, want)
    session.to_upstream(openai.ConversationItemCreate(item=item, event_id=item_id), line)


def _kind_of(item: Any) -> tuple[str, str | None, str | None]:
    if isinstance(item, dict):
        item_id = item.get("id")
        return str(item.get("type")), item.get("role"), item_id if isinstance(item_id, str) else None
    kind: Any = type(item).__struct_config__.tag
    return kind, getattr(item, "role", None), item.id
