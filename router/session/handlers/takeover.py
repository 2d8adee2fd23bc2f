"""Hand the conversation to another upstream: the ledger, the uncommitted audio and the open question."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation
from router.session.handlers.items import create_item
from router.session.state.states import SpareState

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.state.turn import Want
    from router.session.state.upstream import Line


def drop_spare(session: Session) -> None:
    """Have done with the upstream that was being got ready."""
    spare, session.state.spare = session.state.spare, None
    session.state.spare_state = SpareState.NONE
    if spare is not None:
        session.stop_waiting(Wait.SPARE)
        session.close_upstream(spare.generation)


# The next upstream is ready to be told.


def take_up(session: Session, since: int = 0) -> None:
    """Give a configured upstream the ledger, the microphone's uncommitted audio, and the open question."""
    state = session.state
    want, state.resume, state.lost = state.resume, None, None
    session.log(logging.INFO, f"upstream {state.line.generation} has taken over")
    state.upstream_is_gone()
    format_negotiation.adopt(session)
    tell_acks(session)
    tell_ledger(session, state.line, since, want)
    append_again(session)


def tell_acks(session: Session) -> None:
    """Tell what only another upstream could do, now that there is one."""
    acks, session.state.acks = session.state.acks, []
    session.to_client(*acks)


def append_again(session: Session) -> None:
    """Append what another upstream had not committed; commit it where that was asked for, too."""
    state = session.state
    if state.microphone is None:
        return
    session.forward(*state.microphone.again())
    state.is_retelling = state.is_speaking
    if state.is_speaking:
        session.wait(Wait.COMMIT)
    if state.is_committing:
        session.to_upstream(openai.InputAudioBufferCommit())
    elif state.turn_detection == "manual" and state.microphone.has_uncommitted:
        session.wait(Wait.MANUAL_COMMIT)


def tell_ledger(session: Session, line: Line, since: int, want: Want | None = None) -> None:
    """Create the ledger's items; the last of them brings the response that is wanted, when it is acknowledged."""
    items = list(session.state.ledger.since(since, line.formats.input))
    last = items[-1] if items else None
    waits = want if _is_message(last) else None
    for item in items:
        create_item(session, item, line=line, want=waits if item is last else None)
    if waits is not None:
        session.wait(Wait.ITEM_ACK)
    elif want is not None:
        session.state.turn.want(want)


def _is_message(item: Any) -> bool:
    return isinstance(item, openai.MessageItem) or (isinstance(item, dict) and item.get("type") == "message")
