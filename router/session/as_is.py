"""Handlers of OpenAI client events that a client sends as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.session.deadlines import Wait
from router.session.state import Want

if TYPE_CHECKING:
    from router.session import inputs
    from router.session.session import Session


def forward_event(session: Session, event: inputs.EventAsIs) -> None:
    """Forward an OpenAI client event as it is."""
    session.forward(event.text)


def forward_item(session: Session, event: inputs.ItemCreateAsIs) -> None:
    """Forward an item; the client knows what it says, and answers its calls so."""
    item = event.item
    given_id = item.get("id")
    item_id = given_id if isinstance(given_id, str) else session.state.new_id()
    session.state.line.items.created(item_id, str(item.get("type")), item.get("role"), None)
    session.state.ledger.add(item)
    if session.state.calls.outstanding.pop(str(item.get("call_id")), None) is not None:
        _answered_as_is(session)
    session.forward(event.text)


def _answered_as_is(session: Session) -> None:
    if not session.state.calls.outstanding:
        session.state.turn.is_answered_as_is = True
        session.stop_waiting(Wait.TOOL_ANSWER)


def forward_response_create(session: Session, event: inputs.ResponseCreateAsIs) -> None:
    """Forward a response.create once no response is active."""
    turn = session.state.turn
    turn.want(Want(follows_up=turn.is_answered_as_is, text=event.text))
