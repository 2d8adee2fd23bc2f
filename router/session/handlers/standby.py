"""Handlers of the upstream that will follow the one in use, before that one's session expires.

It is opened, configured and told the ledger in advance, and plugged in between turns, so that nobody notices.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation, takeover, upstream_setup
from router.session.state.states import Lifecycle, StandbyState

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.machine import Session


def open_standby(session: Session, _fired: Any) -> None:
    """Dial the next upstream while this one serves."""
    state = session.state
    if state.lifecycle is not Lifecycle.READY:  # there are no Settings yet, or a restart is under way
        state.upstream.is_overdue = True
        return
    if state.standby is not None:
        return
    session.wait_for(Wait.STANDBY, session.options.deadlines.dial_s + session.options.deadlines.session_created_s)
    state.standby, state.standby_state = state.next_link(), StandbyState.CONNECTING
    session.open_upstream(state.standby.generation, state.route, is_standby=True)


def standby_opened(session: Session, opened: messages.UpstreamOpened) -> None:
    """It has shaken hands."""
    if session.state.standby is not None:
        session.state.standby.opened_at, session.state.standby.position = opened.unix_s, opened.position
        session.wait_for(Wait.STANDBY, session.options.deadlines.session_created_s)


def configure_standby(session: Session, event: openai.SessionCreated) -> None:
    """Configure it like the one in use."""
    standby = session.state.standby
    if standby is not None:
        standby.expires_at = event.session.expires_at
        session.wait_for(Wait.STANDBY, session.options.deadlines.session_updated_s)
        upstream_setup.send_configuration(session, standby)


def seed_standby(session: Session, event: openai.SessionUpdated) -> Any:
    """Tell it the ledger, as far as it goes; what is said until it is plugged in follows then."""
    state = session.state
    if state.standby is None or not upstream_setup.is_configured(session, state.standby, event):
        return StandbyState.CONFIGURING
    session.stop_waiting(Wait.STANDBY)
    state.standby_sequence = state.ledger.sequence
    takeover.replay_ledger(session, state.standby, 0)
    return StandbyState.SEEDED


def standby_updated(session: Session, event: openai.SessionUpdated) -> None:
    """It has taken a change that was made since it was configured."""
    standby = session.state.standby
    if standby is not None and upstream_setup.is_configured(session, standby, event):
        session.stop_waiting(Wait.STANDBY)


def judge_seeded_standby_error(session: Session, event: openai.Error) -> None:
    """It is of no use where it refuses a change; an item that it refuses is only missing."""
    if session.state.standby is not None and session.state.standby.updates > 0:
        standby_failed(session, event)
    else:
        session.state.ignored += 1


def standby_acknowledged(session: Session, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """It has an item."""
    if session.state.standby is not None:
        session.state.standby.items.acknowledge(event.item)


def standby_failed(session: Session, _input: Any) -> None:
    """It is gone: another is tried after a while, as long as the one in use lives."""
    takeover.release_standby(session)
    session.log(logging.WARNING, "the next upstream cannot be got ready: it is tried again")
    _warn_of_the_end(session)
    session.wait_for(Wait.ROLLOVER, session.options.deadlines.rollover_gap_s)


def judge_standby_error(session: Session, event: openai.Error) -> Any:
    """It may only refuse a format; it is of no use for any other error."""
    standby = session.state.standby
    if standby is not None and format_negotiation.is_refused(session, standby, event.error):
        upstream_setup.send_configuration(session, standby)
        return StandbyState.CONFIGURING
    return standby_failed(session, event)


def _warn_of_the_end(session: Session) -> None:
    link = session.state.upstream
    if not link.is_warned:
        link.is_warned = True
        description = "the connection to the model ends soon, and no other could be made yet: it is tried again"
        session.to_client(deepgram.Warning(description=description, code="MAXIMUM_SESSION_LENGTH_APPROACHING"))


def can_switch_over(session: Session) -> bool:
    """Whether the spare is ready, and nothing is under way that the change would cut."""
    state = session.state
    is_seeded = state.standby is not None and state.standby_state is StandbyState.SEEDED and state.standby.updates <= 0
    return is_seeded and state.lifecycle is Lifecycle.READY and not state.updates and not state.is_under_way


def switch_over(session: Session) -> None:
    """Put the spare in the place of the one in use."""
    state = session.state
    if state.standby is None:
        return
    old, state.upstream, state.standby = state.upstream, state.standby, None
    state.standby_state = StandbyState.NONE
    state.rollovers += 1
    session.close_upstream(old.generation)
    state.upstream_is_gone()
    format_negotiation.apply(session)
    takeover.replay_ledger(session, state.upstream, state.standby_sequence)
    takeover.replay_audio(session)
    takeover.send_pending_acks(session)
    session.log(logging.INFO, f"rolled over to upstream {state.upstream.generation}")
    session.schedule_rollover()
