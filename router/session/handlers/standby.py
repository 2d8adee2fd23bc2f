"""Handlers of the upstream that will follow the one in use, before that one's session expires.

It is opened, configured and told the ledger in advance, and plugged in between turns, so that nobody notices.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation, takeover, upstream_setup
from router.session.state.states import Lifecycle, StandbyState

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.context import Context


def request_standby(context: Context, _fired: object) -> None:
    """Request the next upstream; later where the session has no Settings yet or restarts."""
    if context.state.lifecycle is Lifecycle.READY:
        context.signal(inputs.StandbyRequested())
    else:
        context.state.upstream.is_overdue = True


def dial_standby(context: Context, _requested: inputs.StandbyRequested) -> None:
    """Dial the next upstream while this one serves."""
    state, deadlines = context.state, context.options.deadlines
    context.wait_for(Wait.STANDBY, deadlines.dial_s + deadlines.session_created_s)
    state.standby = state.next_link()
    context.open_upstream(state.standby.generation, state.route, is_standby=True)


def standby_opened(context: Context, opened: messages.UpstreamOpened) -> None:
    """It has shaken hands."""
    if context.state.standby is not None:
        context.state.standby.opened_at, context.state.standby.position = opened.unix_s, opened.position
        context.wait_for(Wait.STANDBY, context.options.deadlines.session_created_s)


def configure_standby(context: Context, event: openai.SessionCreated) -> None:
    """Configure it like the one in use."""
    standby = context.state.standby
    if standby is not None:
        standby.expires_at = event.session.expires_at
        context.wait_for(Wait.STANDBY, context.options.deadlines.session_updated_s)
        upstream_setup.send_configuration(context, standby)


def seed_standby(context: Context, event: openai.SessionUpdated) -> StandbyState | None:
    """Tell it the ledger, as far as it goes; what is said until it is plugged in follows then."""
    state = context.state
    if state.standby is None or not upstream_setup.is_configured(context, state.standby, event):
        return StandbyState.CONFIGURING
    context.stop_waiting(Wait.STANDBY)
    state.standby_sequence = state.ledger.sequence
    takeover.replay_ledger(context, state.standby, 0)
    return None


def standby_updated(context: Context, event: openai.SessionUpdated) -> None:
    """It has taken a change that was made since it was configured."""
    standby = context.state.standby
    if standby is not None and upstream_setup.is_configured(context, standby, event):
        context.stop_waiting(Wait.STANDBY)


def judge_seeded_error(context: Context, event: openai.Error) -> StandbyState | None:
    """It is of no use where it refuses a change; an item that it refuses is only missing."""
    if context.state.standby is not None and context.state.standby.updates > 0:
        standby_failed(context, event)
        return StandbyState.NONE
    context.state.ignored += 1
    return None


def standby_acknowledged(context: Context, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """It has an item."""
    if context.state.standby is not None:
        context.state.standby.items.acknowledge(event.item)


def timed_out(context: Context, _fired: object) -> None:
    """Give the standby upstream up: it did not take its next step in time."""
    context.signal(inputs.StandbyTimedOut())


def close_standby(context: Context, _input: object) -> None:
    """Close the standby upstream."""
    standby, context.state.standby = context.state.standby, None
    if standby is not None:
        context.stop_waiting(Wait.STANDBY)
        context.close_upstream(standby.generation)


def standby_failed(context: Context, _input: object) -> None:
    """It is gone: another is tried after a while, as long as the one in use lives."""
    close_standby(context, None)
    context.log(logging.WARNING, "the next upstream cannot be got ready: it is tried again")
    _warn_of_the_end(context)
    context.wait_for(Wait.ROLLOVER, context.options.deadlines.rollover_interval_s)


def judge_error(context: Context, event: openai.Error) -> StandbyState | None:
    """It may only refuse a format; it is of no use for any other error."""
    standby = context.state.standby
    if standby is not None and format_negotiation.is_refused(context, standby, event.error):
        upstream_setup.send_configuration(context, standby)
        return StandbyState.CONFIGURING
    standby_failed(context, event)
    return None


def _warn_of_the_end(context: Context) -> None:
    link = context.state.upstream
    if not link.is_warned:
        link.is_warned = True
        description = "the connection to the model ends soon, and no other could be made yet: it is tried again"
        context.to_client(deepgram.Warning(description=description, code="MAXIMUM_SESSION_LENGTH_APPROACHING"))


def can_switch_over(context: Context) -> bool:
    """Whether the standby upstream is ready, and nothing is under way that the change would cut."""
    state = context.state
    is_seeded = state.standby is not None and state.standby_state is StandbyState.SEEDED and state.standby.updates <= 0
    return is_seeded and state.lifecycle is Lifecycle.READY and not state.updates and not state.is_under_way


def switch_over(context: Context) -> None:
    """Put the spare in the place of the one in use."""
    state = context.state
    if state.standby is None:
        return
    old, state.upstream, state.standby = state.upstream, state.standby, None
    state.rollovers += 1
    context.close_upstream(old.generation)
    state.upstream_is_gone()
    format_negotiation.apply(context)
    takeover.replay_ledger(context, state.upstream, state.standby_sequence)
    takeover.replay_audio(context)
    takeover.send_pending_acks(context)
    context.log(logging.INFO, f"rolled over to upstream {state.upstream.generation}")
    context.schedule_rollover()


def promote(context: Context, _promoted: inputs.StandbyPromoted) -> None:
    """Put the standby upstream in the place of the one that was lost."""
    state = context.state
    if state.standby is None:
        return
    state.upstream, state.standby = state.standby, None
    takeover.take_over(context, since=state.standby_sequence)
    context.schedule_rollover()
