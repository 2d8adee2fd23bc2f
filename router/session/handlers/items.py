"""Create, correct and delete conversation items upstream.

A text item cannot be truncated (reference, 2.4): the session deletes it and creates it again with the words that the
caller heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.openai import events as openai
from router.session.state.states import StandbyState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.session.context import Context
    from router.session.state.ledger import Cut
    from router.session.state.playback import Played
    from router.session.state.turn import ResponseRequest
    from router.session.state.upstream import UpstreamLink

CUT_EVENT_ID: Final = "sb_cut"
"""The `event_id` of what takes back: an error that brings it back is a race that we lost, and nobody's business."""


def correct_item(context: Context, item_id: str | None, words: str, played: Played | None = None) -> None:
    """Of this item only `words` were heard, or nothing. `played` is its audio, where the line in use has to know."""
    cut = context.state.ledger.cut(item_id, words)
    if cut is None:
        return
    for link, known_as in _links_that_know(context, cut, played):
        context.to_upstream(openai.ConversationItemDelete(item_id=known_as, event_id=CUT_EVENT_ID), link)
        if cut.item is not None:
            create_item(context, cut.item, link=link)


def forget_item(context: Context, item_id: Any) -> None:
    """The client has an item deleted."""
    for cut in context.state.ledger.forget(item_id):
        for link, known_as in _links_that_know(context, cut, None):
            context.to_upstream(openai.ConversationItemDelete(item_id=known_as, event_id=CUT_EVENT_ID), link)


def _links_that_know(context: Context, cut: Cut, played: Played | None) -> Iterator[tuple[UpstreamLink, str]]:
    """The lines that know the item in words, and by which id."""
    state = context.state
    if played is not None and not played.is_upstream:
        yield state.upstream, cut.known_as
    elif played is not None and played.is_truncated and played.item_id is not None:
        yield state.upstream, played.item_id
    if (
        state.standby is not None
        and state.standby_state is StandbyState.SEEDED
        and cut.sequence <= state.standby_sequence
    ):
        yield state.standby, cut.known_as


def create_item(
    context: Context, item: Any, *, link: UpstreamLink | None = None, request: ResponseRequest | None = None
) -> None:
    """Add an item to the conversation. An id of ours is the `event_id`, too: an error brings it back."""
    link = link or context.state.upstream
    kind, role, item_id = _kind_of(item)
    item_id = item_id or context.state.new_id()
    link.items.created(item_id, kind, role, request)
    context.to_upstream(openai.ConversationItemCreate(item=item, event_id=item_id), link)


def _kind_of(item: Any) -> tuple[str, str | None, str | None]:
    if isinstance(item, dict):
        item_id = item.get("id")
        return str(item.get("type")), item.get("role"), item_id if isinstance(item_id, str) else None
    kind: Any = type(item).__struct_config__.tag
    return kind, getattr(item, "role", None), item.id
