"""Hand the conversation to another upstream: the ledger, the uncommitted audio, and the open questions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation, items, settings, upstream_setup
from router.session.reports import UpstreamTookOver
from router.session.state.pending import ResponseRequest
from router.session.state.states import Lifecycle

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.context import Context
    from router.session.state.upstream import UpstreamLink


def session_updated(context: Context, event: openai.SessionUpdated) -> Lifecycle | None:
    """Hand the conversation to an upstream that is configured, at the start or after a restart.

    Return CONFIGURING if an acknowledgement is still missing; None for the row's next state.
    """
    if not upstream_setup.record_acknowledgement(context, context.state.upstream, event):
        return Lifecycle.CONFIGURING
    context.stop_waiting(Wait.SESSION_UPDATED, Wait.RESTART)
    # An error from the setup does not explain a later loss.
    context.state.last_error = None
    # This adds a greeting to the ledger before the ledger is replayed. So the first upstream takes the same path as
    # every later one.
    settings.apply_settings(context)
    # It still runs if session.created did not come. Now session.updated shows that the upstream serves.
    context.stop_waiting(Wait.SESSION_CREATED)
    take_over(context, context.state.upstream.seeded_to)
    if context.state.upstream.is_rollover_due:
        context.wait_for(Wait.ROLLOVER, 0.0)
    return None


def take_over(context: Context, since: int = 0) -> None:
    """Give a configured upstream the ledger, the uncommitted audio, and the open questions.

    The upstream already has the ledger's entries up to the number `since`.
    """
    state = context.state
    context.log(logging.INFO, f"upstream {state.upstream.generation} has taken over")
    context.report(UpstreamTookOver(generation=state.upstream.generation, position=state.upstream.position))
    state.forget_upstream_ids()
    # Set the formats first: the uncommitted audio is replayed in the format of this upstream.
    format_negotiation.apply_formats(context)
    send_pending_acks(context)
    items.replay(context, state.upstream, since)
    await_item(context, state.upstream)
    # Audio comes after the items: it is the newest part of the conversation.
    replay_audio(context)


def send_pending_acks(context: Context) -> None:
    """Acknowledge a requested new voice to the client: another upstream, which applies that voice, has taken over."""
    state = context.state
    if state.next_speak is not None:
        state.plan, state.next_speak = state.next_plan, None
        context.stop_waiting(Wait.TAKEOVER)
    pending_acks, state.pending_acks = state.pending_acks, ()
    context.to_client(*pending_acks)


def replay_audio(context: Context) -> None:
    """Append the audio that the previous upstream had not committed, and repeat a commit that was on its way."""
    state = context.state
    if state.microphone is None:
        return
    is_manual, is_committing = state.plan.detection.is_manual, state.user_turns.is_committing
    # The next upstream repeats the commit on its way, and so takes the audio behind a client's commit, too. The client
    # requests no answer to that audio. The session's own request may be answered already, if the lost upstream lost the
    # commit.
    has_ours = any(not sent.is_by_client for sent in state.user_turns.commits)
    is_question = is_committing and (has_ours or state.microphone.has_uncommitted)
    context.forward_all(state.microphone.resend())
    context.signal(inputs.SpeechReplayed())
    if is_manual and is_question:
        state.pending.add(ResponseRequest())
    elif is_manual and state.microphone.has_uncommitted and not is_committing:
        # The pause that ends the turn may have passed during the restart.
        context.wait(Wait.MANUAL_COMMIT)


def await_item(context: Context, link: UpstreamLink) -> None:
    """Let the response requests wait until the upstream acknowledges the last replayed item.

    Then the upstream has all earlier items, too. If the last item is no message, but for example a function's output,
    the requests do not wait, as in a running session. But an answer of the upstream to speech may come before the
    upstream has that item. Until its acknowledgement such an answer does not count as the answer to these requests.
    """
    last, pending = link.last_item_id, context.state.pending
    if last is None or not link.items.is_awaited(last):
        return
    if not link.items.is_message(last):
        pending.presume_item(last)
    elif pending.await_item(last):
        context.wait(Wait.ITEM_ACK)
