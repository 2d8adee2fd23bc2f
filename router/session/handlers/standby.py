"""Handlers of the upstream that will follow the one in use, before that one's session expires.

It is opened, configured and told the ledger in advance, and plugged in between turns, so that nobody notices.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation, takeover, upstream_setup
from router.session.state.states import Lifecycle, SpareState

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.machine import Session


def open_spare(session: Session, _fired: Any) -> None:
    """Dial the next upstream while this one serves."""
    state = session.state
    if state.lifecycle is not Lifecycle.READY:  # there are no Settings yet, or a restart is under way
        state.line.is_overdue = True
        return
    if state.spare is not None:
        return
    session.wait_for(Wait.SPARE, session.options.deadlines.dial_s + session.options.deadlines.session_created_s)
    state.spare, state.spare_state = state.next_line(), SpareState.CONNECTING
    session.open_upstream(state.spare.generation, state.route, is_spare=True)


def spare_opened(session: Session, opened: messages.UpstreamOpened) -> None:
    """It has shaken hands."""
    if session.state.spare is not None:
        session.state.spare.opened_at, session.state.spare.position = opened.unix_s, opened.position
        session.wait_for(Wait.SPARE, session.options.deadlines.session_created_s)


def configure_spare(session: Session, event: openai.SessionCreated) -> None:
    """Configure it like the one in use."""
    spare = session.state.spare
    if spare is not None:
        spare.expires_at = event.session.expires_at
        session.wait_for(Wait.SPARE, session.options.deadlines.session_updated_s)
        upstream_setup.send_configuration(session, spare)


def seed_spare(session: Session, event: openai.SessionUpdated) -> Any:
    """Tell it the ledger, as far as it goes; what is said until it is plugged in follows then."""
    state = session.state
    if state.spare is None or not upstream_setup.is_configured(session, state.spare, event):
        return SpareState.CONFIGURING
    session.stop_waiting(Wait.SPARE)
    state.spare_sequence = state.ledger.sequence
    takeover.tell_ledger(session, state.spare, 0)
    return SpareState.SEEDED


def spare_updated(session: Session, event: openai.SessionUpdated) -> None:
    """It has taken a change that was made since it was configured."""
    spare = session.state.spare
    if spare is not None and upstream_setup.is_configured(session, spare, event):
        session.stop_waiting(Wait.SPARE)


def judge_seeded_error(session: Session, event: openai.Error) -> None:
    """It is of no use where it refuses a change; an item that it refuses is only missing."""
    if session.state.spare is not None and session.state.spare.updates > 0:
        spare_lost(session, event)
    else:
        session.state.passed_over += 1


def spare_acknowledged(session: Session, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """It has an item."""
    if session.state.spare is not None:
        session.state.spare.items.acknowledge(event.item)


def spare_lost(session: Session, _input: Any) -> None:
    """It is gone: another is tried after a while, as long as the one in use lives."""
    takeover.drop_spare(session)
    session.log(logging.WARNING, "the next upstream cannot be got ready: it is tried again")
    _warn_of_the_end(session)
    session.wait_for(Wait.ROLLOVER, session.options.deadlines.rollover_gap_s)


def judge_spare_error(session: Session, event: openai.Error) -> Any:
    """It may only refuse a format; it is of no use for any other error."""
    spare = session.state.spare
    if spare is not None and format_negotiation.is_refused(session, spare, event.error):
        upstream_setup.send_configuration(session, spare)
        return SpareState.CONFIGURING
    return spare_lost(session, event)


def _warn_of_the_end(session: Session) -> None:
    line = session.state.line
    if not line.is_warned:
        line.is_warned = True
        description = "the connection to the model ends soon, and no other could be made yet: it is tried again"
        session.to_client(deepgram.Warning(description=description, code="MAXIMUM_SESSION_LENGTH_APPROACHING"))


def can_plug_in(session: Session) -> bool:
    """Whether the spare is ready, and nothing is under way that the change would cut."""
    state = session.state
    is_seeded = state.spare is not None and state.spare_state is SpareState.SEEDED and state.spare.updates <= 0
    return is_seeded and state.lifecycle is Lifecycle.READY and not state.updates and not state.is_under_way


def plug_in(session: Session) -> None:
    """Put the spare in the place of the one in use."""
    state = session.state
    if state.spare is None:
        return
    old, state.line, state.spare = state.line, state.spare, None
    state.spare_state = SpareState.NONE
    state.rollovers += 1
    session.close_upstream(old.generation)
    state.upstream_is_gone()
    format_negotiation.adopt(session)
    takeover.tell_ledger(session, state.line, state.spare_sequence)
    takeover.append_again(session)
    takeover.tell_acks(session)
    session.log(logging.INFO, f"rolled over to upstream {state.line.generation}")
    session.wait_for_rollover()
