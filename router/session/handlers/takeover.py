"""Hand the conversation to another upstream: the ledger, the uncommitted audio and the open question."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation
from router.session.handlers.items import create_item
from router.session.state.states import StandbyState

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.state.turn import ResponseRequest
    from router.session.state.upstream import UpstreamLink


def release_standby(session: Session) -> None:
    """Have done with the upstream that was being got ready."""
    standby, session.state.standby = session.state.standby, None
    session.state.standby_state = StandbyState.NONE
    if standby is not None:
        session.stop_waiting(Wait.STANDBY)
        session.close_upstream(standby.generation)


# The next upstream is ready to be told.


def take_over(session: Session, since: int = 0) -> None:
    """Give a configured upstream the ledger, the microphone's uncommitted audio, and the open question."""
    state = session.state
    request, state.resume, state.lost = state.resume, None, None
    session.log(logging.INFO, f"upstream {state.upstream.generation} has taken over")
    state.upstream_is_gone()
    format_negotiation.apply(session)
    send_pending_acks(session)
    replay_ledger(session, state.upstream, since, request)
    replay_audio(session)


def send_pending_acks(session: Session) -> None:
    """Tell what only another upstream could do, now that there is one."""
    pending_acks, session.state.pending_acks = session.state.pending_acks, []
    session.to_client(*pending_acks)


def replay_audio(session: Session) -> None:
    """Append what another upstream had not committed; commit it where that was asked for, too."""
    state = session.state
    if state.microphone is None:
        return
    session.forward(*state.microphone.again())
    state.is_replaying_speech = state.is_speaking
    if state.is_speaking:
        session.wait(Wait.COMMIT)
    if state.is_committing:
        session.to_upstream(openai.InputAudioBufferCommit())
    elif state.turn_detection == "manual" and state.microphone.has_uncommitted:
        session.wait(Wait.MANUAL_COMMIT)


def replay_ledger(session: Session, link: UpstreamLink, since: int, request: ResponseRequest | None = None) -> None:
    """Create the ledger's items; the last of them brings the response that is wanted, when it is acknowledged."""
    items = list(session.state.ledger.since(since, link.formats.input))
    last = items[-1] if items else None
    waits = request if _is_message(last) else None
    for item in items:
        create_item(session, item, link=link, request=waits if item is last else None)
    if waits is not None:
        session.wait(Wait.ITEM_ACK)
    elif request is not None:
        session.state.turn.request(request)


def _is_message(item: Any) -> bool:
    return isinstance(item, openai.MessageItem) or (isinstance(item, dict) and item.get("type") == "message")
