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
    from router.session.machine import Session


def item_added(session: Session, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """Take an acknowledgement."""
    session.state.calls.record_name(event.item)
    items = session.state.upstream.items
    requests = items.acknowledge(event.item)
    session.state.turn.request(*requests)
    if requests:
        session.stop_waiting(Wait.ITEM_ACK)
        if items.awaits_acknowledgement:
            session.wait(Wait.ITEM_ACK)


def item_done(session: Session, event: openai.ConversationItemDone) -> None:
    """Take an acknowledgement, or what the assistant said where nothing has told it yet."""
    item_added(session, event)
    session.state.turn.answer.note_end(event.item)
    if text.is_assistant_message(event.item) and not session.state.upstream.items.is_ours(event.item.id):
        deliver_text(session, event.item.id, text.item_text(event.item))


def ask_anyway(session: Session, _fired: Any) -> None:
    """The upstream did not acknowledge an item in time: ask for the response all the same."""
    session.log(logging.WARNING, "an item is not acknowledged: a response is asked for anyway")
    session.state.turn.request(*session.state.upstream.items.give_up_waiting())


# Errors of a running session.


def upstream_error(session: Session, event: openai.Error) -> None:
    """Pass an error on with its own code. Benign races are absorbed, but for what they tell us."""
    code = errors.code_of(event.error)
    session.log(logging.WARNING, f"the upstream says {code}: {event.error.message}")
    session.state.last_error = event.error
    if abandon_refusing_upstream(session, event.error):
        return
    if updates.is_refused(session, event.error):
        return
    if code == errors.NOTHING_TO_COMMIT:
        session.state.is_committing = False
    if event.error.event_id is not None:
        session.state.turn.request(*session.state.upstream.items.refused(event.error.event_id))
    if code not in errors.BENIGN and event.error.event_id != CUT_EVENT_ID:
        session.to_client(errors.client_error(event.error, session.options.redact))
