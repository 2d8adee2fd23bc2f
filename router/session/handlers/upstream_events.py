"""Handlers of upstream events about items and errors in a running session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.session.deadlines import Wait
from router.session.handlers import updates
from router.session.handlers.agent_output import deliver_text
from router.session.handlers.items import CUT_EVENT_ID
from router.session.handlers.refusals import abandon_refusing_upstream
from router.translation import errors, text

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.context import Context


def item_added(context: Context, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """Take an acknowledgement."""
    context.state.calls.record_name(event.item)
    items = context.state.upstream.items
    requests = items.acknowledge(event.item)
    context.state.turn.request(*requests)
    if requests:
        context.stop_waiting(Wait.ITEM_ACK)
        if items.awaits_acknowledgement:
            context.wait(Wait.ITEM_ACK)


def item_done(context: Context, event: openai.ConversationItemDone) -> None:
    """Take an acknowledgement, or what the assistant said where nothing has told it yet."""
    item_added(context, event)
    context.state.turn.answer.note_end(event.item)
    if text.is_assistant_message(event.item) and not context.state.upstream.items.is_ours(event.item.id):
        deliver_text(context, event.item.id, text.item_text(event.item))


def ask_anyway(context: Context, _fired: Any) -> None:
    """The upstream did not acknowledge an item in time: ask for the response all the same."""
    context.log(logging.WARNING, "an item is not acknowledged: a response is asked for anyway")
    context.state.turn.request(*context.state.upstream.items.give_up_waiting())


# Errors of a running session.


def upstream_error(context: Context, event: openai.Error) -> None:
    """Pass an error on with its own code. Benign races are absorbed, but for what they tell us."""
    code = errors.code_of(event.error)
    context.log(logging.WARNING, f"the upstream says {code}: {event.error.message}")
    context.state.last_error = event.error
    if abandon_refusing_upstream(context, event.error):
        return
    if updates.is_refused(context, event.error):
        return
    if code == errors.NOTHING_TO_COMMIT:
        context.state.is_committing = False
    if event.error.event_id is not None:
        context.state.turn.request(*context.state.upstream.items.refused(event.error.event_id))
    if code not in errors.BENIGN and event.error.event_id != CUT_EVENT_ID:
        context.to_client(errors.client_error(event.error, context.options.redact))
