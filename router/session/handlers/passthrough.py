"""Handlers of OpenAI client events that a client sends as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.handlers import early_input, items
from router.session.state.turn import ResponseRequest

if TYPE_CHECKING:
    from router.session import inputs
    from router.session.context import Context


def forward_event(context: Context, event: inputs.PassthroughEvent) -> None:
    """Forward an OpenAI client event as it is."""
    context.forward(event.text)


def forward_item(context: Context, event: inputs.PassthroughItemCreate) -> None:
    """Forward an item; the client knows what it says, and answers its calls so."""
    item, call_id = event.item, str(event.item.get("call_id"))
    if not _may_answer(context, item, call_id):
        return
    given_id = item.get("id")
    item_id = given_id if isinstance(given_id, str) else context.state.new_id()
    context.state.upstream.items.created(item_id, str(item.get("type")), item.get("role"), None)
    context.state.ledger.add(item)
    if context.state.calls.outstanding.pop(call_id, None) is not None:
        _answered_by_passthrough(context)
    context.forward(event.text)


def forward_delete(context: Context, event: inputs.PassthroughItemDelete) -> None:
    """Forward the deletion of an item, and forget it: no other upstream is told it again."""
    items.forget_item(context, orjson.loads(event.text).get("item_id"))
    context.forward(event.text)


def _may_answer(context: Context, item: dict[str, Any], call_id: str) -> bool:
    """Whether a call is the client's to answer, where the item is an answer. One to a cancelled call is late."""
    calls = context.state.calls
    call = calls.outstanding.get(call_id)
    if item.get("type") != "function_call_output":
        return True
    if call is not None and not call.client_side:
        description = f"conversation.item.create: the function call {call_id} is answered by the server"
        context.to_client(deepgram.Error(description=description, code="UNKNOWN_FUNCTION_CALL"))
        return False
    return not calls.is_late(call_id, None)


def _answered_by_passthrough(context: Context) -> None:
    calls = context.state.calls
    if not calls.of_client():
        context.stop_waiting(Wait.TOOL_ANSWER)
    if not calls.outstanding:
        context.state.turn.is_answered_by_passthrough = True


def forward_response_create(context: Context, event: inputs.PassthroughResponseCreate) -> None:
    """Forward a response.create once no response is active."""
    turn = context.state.turn
    text, event_id = with_event_id(context, event.text)
    request = ResponseRequest(continues_turn=turn.is_answered_by_passthrough, text=text, event_id=event_id)
    if not early_input.is_one_too_many(context, turn.requests, request):
        turn.request(request)


def with_event_id(context: Context, text: str) -> tuple[str, str]:
    """A client's own event, and its `event_id`: it gets one where it has none, so that the error it causes is known."""
    fields = orjson.loads(text)
    event_id = fields.get("event_id")
    if isinstance(event_id, str):
        return text, event_id
    event_id = context.state.new_id()
    return orjson.dumps({**fields, "event_id": event_id}).decode(), event_id
