"""Take acknowledgements of items, and errors, in a running session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.session.deadlines import Wait
from router.session.handlers import updates
from router.session.handlers.agent_output import deliver_text
from router.session.handlers.items import CUT_EVENT_ID
from router.session.handlers.refusals import abandon_refusing_upstream
from router.translation import errors, text

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.context import Context


def item_added(context: Context, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """Record that the conversation holds an item, and request the response that waited for it."""
    context.state.calls.record_name(event.item)
    items = context.state.upstream.items
    requests = items.acknowledge(event.item)
    context.state.turn.request(*requests)
    if requests:
        context.stop_waiting(Wait.ITEM_ACK)
        # The next unacknowledged item has the whole deadline for itself.
        if items.awaits_acknowledgement:
            context.wait(Wait.ITEM_ACK)


def item_done(context: Context, event: openai.ConversationItemDone) -> None:
    """Record an item, and deliver the assistant's text where no earlier event had it.

    Either event acknowledges an item: xAI sends the first alone (upstream 12.1).
    """
    item_added(context, event)
    context.state.turn.answer.record_end(event.item)
    if text.is_assistant_message(event.item) and not context.state.upstream.items.is_ours(event.item.id):
        deliver_text(context, event.item.id, text.item_text(event.item))


def request_anyway(context: Context, _fired: messages.TimerFired) -> None:
    """Request the responses to unacknowledged items. An upstream that never acknowledges would never answer."""
    context.log(logging.WARNING, "an item is not acknowledged: the response is requested anyway")
    context.state.turn.request(*context.state.upstream.items.take_waiting())


# Errors of a running session.


def upstream_error(context: Context, event: openai.Error) -> None:
    """Pass an error on under its own code. Errors that only report a lost race are absorbed (upstream 8.2)."""
    code = errors.code_of(event.error)
    context.log(logging.WARNING, f"the upstream sent an error: {code}: {event.error.message}")
    context.state.last_error = event.error
    if abandon_refusing_upstream(context, event.error):
        return
    if updates.take_refusal(context, event.error):
        return
    if code == errors.NOTHING_TO_COMMIT:
        # The detector's commit has emptied the buffer (upstream 8.2), so no `committed` event answers this one.
        context.state.is_committing = False
    if event.error.event_id is not None:
        context.state.turn.request(*context.state.upstream.items.reject(event.error.event_id))
    if code not in errors.BENIGN and event.error.event_id != CUT_EVENT_ID:
        context.to_client(errors.client_error(event.error, context.options.redact))
