"""Prepare the next upstream before the session of the upstream in use expires (upstream 9.1).

The session dials and configures the standby upstream and gives it the ledger in advance. The session switches over to
it between turns, so the caller notices nothing. A failure of the standby costs no restart: the session tries again as
long as the upstream in use lives.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation, items, takeover, upstream_setup
from router.session.reports import UpstreamTookOver
from router.session.state.queues import newest
from router.session.state.states import Lifecycle, StandbyState
from router.session.state.upstream import MAX_ITEMS

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.context import Context


def request_standby(context: Context, _due: messages.TimerFired | messages.MoveRequested | None = None) -> None:
    """Request the next upstream. Before the session is ready, only record that the request is due."""
    if context.state.lifecycle is Lifecycle.READY:
        context.signal(inputs.StandbyRequested())
    else:
        context.state.upstream.is_rollover_due = True


def dial_standby(context: Context, _requested: inputs.StandbyRequested) -> None:
    """Dial the next upstream while the upstream in use serves the session."""
    state, deadlines = context.state, context.options.deadlines
    # `standby_opened` starts the wait for session.created anew, so that a slow dial does not shorten it.
    context.wait_for(Wait.STANDBY, deadlines.dial_s + deadlines.session_created_s)
    state.standby = state.next_link()
    context.open_upstream(state.standby.generation, state.model, is_standby=True)


def standby_opened(context: Context, opened: messages.UpstreamOpened) -> None:
    """Wait for the standby upstream's session.created."""
    if context.state.standby is not None:
        context.state.standby.opened_at, context.state.standby.position = opened.unix_s, opened.position
        context.wait_for(Wait.STANDBY, context.options.deadlines.session_created_s)
        context.wait(Wait.UNANNOUNCED)


def configure_standby(context: Context, event: openai.SessionCreated) -> None:
    """Configure the standby upstream like the upstream in use."""
    standby = context.state.standby
    if standby is not None:
        standby_created(context, event)
        upstream_setup.send_configuration(context, standby)


def configure_unannounced(context: Context, _silent: inputs.StandbyUnannounced) -> None:
    """Configure a standby upstream that has not sent session.created in time.

    The deadline of session.created stays, and now holds for session.updated, too.
    """
    if context.state.standby is not None:
        upstream_setup.send_configuration(context, context.state.standby)


def standby_created(context: Context, event: openai.SessionCreated) -> None:
    """Record the standby upstream's session.created, and start the deadline of its session.updated."""
    standby = context.state.standby
    if standby is not None:
        upstream_setup.record_created(context, standby, event)
        context.wait_for(Wait.STANDBY, context.options.deadlines.session_updated_s)


def standby_created_late(context: Context, event: openai.SessionCreated) -> None:
    """Record a session.created that arrives after session.updated."""
    if context.state.standby is not None:
        upstream_setup.record_created(context, context.state.standby, event)


def seed_standby(context: Context, event: openai.SessionUpdated) -> StandbyState | None:
    """Give the standby upstream the ledger so far. That upstream gets the later entries when the session switches over.

    Return CONFIGURING if an acknowledgement is still missing; None for the row's next state.
    """
    state = context.state
    if state.standby is None or not upstream_setup.record_acknowledgement(context, state.standby, event):
        return StandbyState.CONFIGURING
    context.stop_waiting(Wait.STANDBY)
    state.standby_sequence = state.ledger.sequence
    # Request no response here, because the upstream in use gives the answers.
    items.replay(context, state.standby, 0)
    return None


def standby_updated(context: Context, event: openai.SessionUpdated) -> None:
    """Record that the standby upstream took an update that came after its configuration."""
    standby = context.state.standby
    if standby is not None and upstream_setup.record_acknowledgement(context, standby, event):
        context.stop_waiting(Wait.STANDBY)


def judge_seeded_error(context: Context, event: openai.Error) -> StandbyState | None:
    """Close a standby upstream that refuses an update: any error counts as the refusal of an update on its way.

    If the standby upstream refuses an item, the session creates that item again at the takeover. A second refusal drops
    the request that waits for the item. If the item is a call, its output is created again, too, because an upstream
    refuses an output without its call. Return NONE if the standby is closed; None for the row's next state.
    """
    # With an update pending, any error is taken for its refusal: the session must not switch to an old configuration.
    if context.state.standby is not None and context.state.standby.pending_updates > 0:
        standby_failed(context, event)
        return StandbyState.NONE
    standby = context.state.standby
    item_id = items.refused_id(standby.items, event.error) if standby is not None else None
    if standby is not None and item_id is not None and standby.items.reject(item_id) is not None:
        for lacking in filter(None, (item_id, context.state.ledger.output_of(item_id))):
            standby.refused = newest(standby.refused, lacking, MAX_ITEMS)
    context.state.ignored += 1
    return None


def standby_acknowledged(context: Context, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """Record that the standby upstream has an item."""
    if context.state.standby is not None:
        context.state.standby.items.acknowledge(event.item)


def standby_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """Close a standby upstream that did not take its next step in time."""
    context.signal(inputs.StandbyTimedOut())


def close_standby(context: Context, _input: object = None) -> None:
    """Close the standby upstream."""
    standby, context.state.standby = context.state.standby, None
    if standby is not None:
        context.stop_waiting(Wait.STANDBY, Wait.UNANNOUNCED)
        context.close_upstream(standby.generation)


def standby_failed(context: Context, _input: object) -> None:
    """Close the standby upstream, and dial another one after `rollover_interval_s`.

    Warn the client at most once for each upstream in use, and not about a standby for a new voice.
    """
    close_standby(context)
    context.log(logging.WARNING, "the standby upstream failed: another one is dialled after the interval")
    # A standby for a new voice replaces no upstream that is about to end, so there is no end to warn of.
    if context.state.next_speak is None:
        _warn_of_end(context)
    # A failed standby costs no restart budget (docs/decisions/0008): this interval alone keeps the dials apart.
    context.wait_for(Wait.ROLLOVER, context.options.deadlines.rollover_interval_s)


def judge_error(context: Context, event: openai.Error) -> StandbyState | None:
    """Configure the standby upstream again without the part that the error refuses, if the part is optional.

    After any other error close the standby upstream. Return CONFIGURING if the upstream is configured again; None for
    the row's next state.
    """
    standby = context.state.standby
    if standby is not None and upstream_setup.rules_out(context, standby, event.error):
        upstream_setup.send_configuration(context, standby)
        return StandbyState.CONFIGURING
    standby_failed(context, event)
    return None


def _warn_of_end(context: Context) -> None:
    link = context.state.upstream
    if not link.has_warned:
        link.has_warned = True
        description = "the connection to the model ends soon, and its successor failed so far: it is tried again"
        context.to_client(deepgram.Warning(description=description, code="MAXIMUM_SESSION_LENGTH_APPROACHING"))


# The switch.


def can_switch_over(context: Context) -> bool:
    """Whether the standby upstream is ready, and the switch interrupts no turn and no update."""
    state = context.state
    is_seeded = (
        state.standby is not None and state.standby_state is StandbyState.SEEDED and state.standby.pending_updates <= 0
    )
    # Neither of the two upstreams would acknowledge an update that is on its way.
    return is_seeded and state.lifecycle is Lifecycle.READY and not state.updates and not state.is_busy


def switch_over(context: Context) -> None:
    """Put the standby upstream in the place of the upstream in use."""
    state = context.state
    if state.standby is None:
        return
    old, state.upstream, state.standby = state.upstream, state.standby, None
    state.rollovers += 1
    context.close_upstream(old.generation)
    state.forget_upstream_ids()
    format_negotiation.apply_formats(context)
    # The standby upstream has the entries before from `seed_standby`.
    items.replay(context, state.upstream, state.standby_sequence)
    takeover.replay_audio(context)
    takeover.send_pending_acks(context)
    context.log(logging.INFO, f"rolled over to upstream {state.upstream.generation}")
    link = state.upstream
    context.report(UpstreamTookOver(generation=link.generation, position=link.position, is_rollover=True))
    context.schedule_rollover()


def promote(context: Context, _promoted: inputs.StandbyPromoted) -> None:
    """Put the standby upstream in the place of the lost upstream, and resume the interrupted work there."""
    state = context.state
    if state.standby is None:
        return
    state.upstream, state.standby = state.standby, None
    context.stop_waiting(Wait.STANDBY)
    takeover.take_over(context, since=state.standby_sequence)
    context.schedule_rollover()
