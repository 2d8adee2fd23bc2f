"""Hand the conversation to another upstream: the ledger, the uncommitted audio and the open question."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation, settings, upstream_setup
from router.session.handlers.items import create_item
from router.session.state.states import Lifecycle

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.turn import ResponseRequest
    from router.session.state.upstream import UpstreamLink


def session_updated(context: Context, event: openai.SessionUpdated) -> Lifecycle | None:
    """Hand the conversation to an upstream that is configured, at the start or after a restart."""
    if not upstream_setup.is_configured(context, context.state.upstream, event):
        return Lifecycle.CONFIGURING
    context.stop_waiting(Wait.SESSION_UPDATED, Wait.RESTART)
    context.state.last_error = None
    settings.apply_settings(context)
    take_over(context)
    if context.state.upstream.is_overdue:
        context.wait_for(Wait.ROLLOVER, 0.0)
    return None


def take_over(context: Context, since: int = 0) -> None:
    """Give a configured upstream the ledger, the microphone's uncommitted audio, and the open question."""
    state = context.state
    request, state.resume = state.resume, None
    context.log(logging.INFO, f"upstream {state.upstream.generation} has taken over")
    state.upstream_is_gone()
    format_negotiation.apply(context)
    send_pending_acks(context)
    replay_ledger(context, state.upstream, since, request)
    replay_audio(context)


def send_pending_acks(context: Context) -> None:
    """Tell what only another upstream could do, now that there is one."""
    pending_acks, context.state.pending_acks = context.state.pending_acks, []
    context.to_client(*pending_acks)


def replay_audio(context: Context) -> None:
    """Append what another upstream had not committed; commit it where that was asked for, too."""
    state = context.state
    if state.microphone is None:
        return
    context.forward(*state.microphone.resend())
    state.is_replaying_speech = state.is_speaking
    if state.is_speaking:
        context.wait(Wait.COMMIT)
    if state.is_committing:
        context.to_upstream(openai.InputAudioBufferCommit())
    elif state.turn_detection == "manual" and state.microphone.has_uncommitted:
        context.wait(Wait.MANUAL_COMMIT)


def replay_ledger(context: Context, link: UpstreamLink, since: int, request: ResponseRequest | None = None) -> None:
    """Create the ledger's items; the last of them brings the response that is wanted, when it is acknowledged."""
    items = list(context.state.ledger.since(since, link.formats.input))
    last = items[-1] if items else None
    waits = request if _is_message(last) else None
    for item in items:
        create_item(context, item, link=link, request=waits if item is last else None)
    if waits is not None:
        context.wait(Wait.ITEM_ACK)
    elif request is not None:
        context.state.turn.request(request)


def _is_message(item: Any) -> bool:
    return isinstance(item, openai.MessageItem) or (isinstance(item, dict) and item.get("type") == "message")
