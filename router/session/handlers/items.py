"""Create, correct and delete conversation items upstream.

A text item cannot be truncated (upstream 7.2): the session deletes it and creates it again with the words that the
caller heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.openai import events as openai
from router.session.state.states import StandbyState
from router.translation import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.session.context import Context
    from router.session.state.item_weight import Item
    from router.session.state.ledger import Change
    from router.session.state.playback import PlayedItem
    from router.session.state.upstream import Items, UpstreamLink

CUT_EVENT_ID: Final = "sb_cut"
"""The `event_id` of each cancel, truncation and deletion. An error with this id only reports a lost race."""

AGAIN: Final = "_again"
"""The suffix of the `event_id` of an item that an upstream gets again, because it refused the item on standby."""


def correct_item(context: Context, item_id: str | None, words: str, played: PlayedItem | None = None) -> bool:
    """Shorten the assistant's item to the words that the caller heard, or delete it if the caller heard none.

    `played` is the record of the item's audio, if it has any. Return whether the ledger changed.
    """
    change = context.state.ledger.correct(item_id, words)
    if change is None:
        return False
    for link, known_id in _links_that_know(context, change, played):
        context.to_upstream(openai.ConversationItemDelete(item_id=known_id, event_id=CUT_EVENT_ID), link)
        if change.item is not None:
            create_item(context, change.item, link=link)
    return True


def delete_item(context: Context, item_id: object) -> None:
    """Delete an item from the ledger and from the standby upstream, because the client deleted the item."""
    for change in context.state.ledger.delete(item_id):
        for link, known_id in _links_that_know(context, change, None):
            context.to_upstream(openai.ConversationItemDelete(item_id=known_id, event_id=CUT_EVENT_ID), link)


def _links_that_know(context: Context, change: Change, played: PlayedItem | None) -> Iterator[tuple[UpstreamLink, str]]:
    """Yield the upstreams that have the changed item as a text, each with the item's id at that upstream."""
    state = context.state
    if played is not None and not played.is_upstream:
        # An earlier upstream generated the item, so the upstream in use got it as a text of the ledger.
        yield state.upstream, change.item_id
    elif played is not None and played.is_truncated and played.item_id is not None:
        # A second truncation is an error (upstream 7.3), so a text replaces the item.
        yield state.upstream, played.item_id
    if (
        state.standby is not None
        and state.standby_state is StandbyState.SEEDED
        and change.sequence <= state.standby_sequence
    ):
        yield state.standby, change.item_id


def create_item(context: Context, item: Item, *, link: UpstreamLink | None = None) -> str:
    """Add an item to the conversation, and return its id.

    The id is the `event_id`, too, because an error carries the `event_id` alone (upstream 8.1). If the upstream refused
    the item on standby, the item gets another `event_id`, because the upstream may report the first refusal twice.
    """
    link = link or context.state.upstream
    kind, role, item_id = _kind_of(item)
    item_id = item_id or context.state.new_id()
    link.items.register(item_id, kind, role)
    event_id = item_id + AGAIN if item_id in link.refused else item_id
    event = openai.ConversationItemCreate(item=item, event_id=event_id)  # type: ignore[arg-type] # a dict is encoded, too
    context.to_upstream(event, link)
    return item_id


def replay(context: Context, link: UpstreamLink, since: int) -> None:
    """Create the ledger's items after the number `since` at the upstream.

    Also create the items that this upstream refused before.
    """
    for item in context.state.ledger.items_after(since, link.formats.input, again=link.refused):
        _repeat(context, link, item)
    link.refused, link.repeated = (), link.refused


def seed(context: Context, link: UpstreamLink) -> None:
    """Create the ledger's items upstream, up to the first untranscribed speech.

    That speech has to wait, because its audio format is not agreed on yet.
    """
    for sequence, item in context.state.ledger.texts_after():
        _repeat(context, link, item)
        link.seeded_to = sequence


def _repeat(context: Context, link: UpstreamLink, item: Item) -> None:
    link.last_item_id = create_item(context, item, link=link)


def refuse_item(context: Context, error: openai.ErrorDetail) -> str | None:
    """Forget an item that the upstream refused. Return its id, or None if the error refuses no unacknowledged item."""
    link_items = context.state.upstream.items
    item_id = refused_id(link_items, error)
    if item_id is not None and item_id.removesuffix(AGAIN) in context.state.upstream.repeated:
        if not item_id.endswith(AGAIN):
            return None  # the refusal that the upstream sent on standby, a second time
        item_id = item_id.removesuffix(AGAIN)
    # A benign error only reports a lost race, and refuses no item (upstream 8.2).
    if item_id is not None and errors.code_of(error) not in errors.BENIGN:
        _withdraw(context, context.state.ledger.refuse(item_id))
    return link_items.reject(item_id) if item_id is not None else None


def _withdraw(context: Context, changes: list[Change]) -> None:
    """Delete the items that an upstream refused from a standby upstream that has them already."""
    for change in changes:
        for link, known_id in _links_that_know(context, change, None):
            if known_id not in link.refused:
                context.to_upstream(openai.ConversationItemDelete(item_id=known_id, event_id=CUT_EVENT_ID), link)


def refused_id(link_items: Items, error: openai.ErrorDetail) -> str | None:
    """Return the id of the event that an error refuses, or None.

    Some errors name no event (upstream 8.1). An error about an item is then about the oldest unacknowledged item.
    """
    if error.event_id is None and (error.param or "").partition(".")[0] == "item":
        return link_items.oldest
    return error.event_id


def _kind_of(item: Item) -> tuple[str, str | None, str | None]:
    if isinstance(item, dict):
        item_id = item.get("id")
        return str(item.get("type")), item.get("role"), item_id if isinstance(item_id, str) else None
    kind: Any = type(item).__struct_config__.tag
    return kind, getattr(item, "role", None), item.id
