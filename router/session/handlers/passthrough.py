"""Forward the client's own OpenAI events (`/openai` alone), and record what they change in the session."""

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
    """Forward an OpenAI client event unchanged."""
    context.forward(event.text)


def forward_item(context: Context, event: inputs.PassthroughItemCreate) -> None:
    """Forward an item, which may answer a function call. The client wrote it, so it gets no ConversationText."""
    item, call_id = event.item, str(event.item.get("call_id"))
    if not _may_answer(context, item, call_id):
        return
    own_id = item.get("id")
    item_id = own_id if isinstance(own_id, str) else context.state.new_id()
    # No request waits for the acknowledgement: such a client creates its responses itself.
    context.state.upstream.items.register(item_id, str(item.get("type")), item.get("role"), None)
    context.state.ledger.add(item)
    if context.state.calls.outstanding.pop(call_id, None) is not None:
        _record_answer(context)
    context.forward(event.text)


def forward_delete(context: Context, event: inputs.PassthroughItemDelete) -> None:
    """Forward the deletion of an item, and delete it here, so that no other upstream gets it."""
    items.delete_item(context, orjson.loads(event.text).get("item_id"))
    context.forward(event.text)


def _may_answer(context: Context, item: dict[str, Any], call_id: str) -> bool:
    """Whether the item may be forwarded: it answers no call, or one that the client runs and that is not cancelled."""
    calls = context.state.calls
    call = calls.outstanding.get(call_id)
    if item.get("type") != "function_call_output":
        return True
    if call is not None and not call.client_side:
        description = f"conversation.item.create: the server answers the function call {call_id}"
        context.to_client(deepgram.Error(description=description, code="UNKNOWN_FUNCTION_CALL"))
        return False
    return not calls.count_late_answer(call_id, None)


def _record_answer(context: Context) -> None:
    calls = context.state.calls
    if not calls.of_client():
        context.stop_waiting(Wait.TOOL_ANSWER)
    # The session creates no response then: two would answer the same calls.
    if not calls.outstanding:
        context.state.turn.is_answered_by_passthrough = True


def forward_response_create(context: Context, event: inputs.PassthroughResponseCreate) -> None:
    """Queue a response.create until no response is active: the upstream would refuse it until then (upstream 5.1)."""
    turn = context.state.turn
    text, event_id = with_event_id(context, event.text)
    request = ResponseRequest(continues_turn=turn.is_answered_by_passthrough, client_event=text, event_id=event_id)
    if not early_input.refuse_excess(context, turn.requests, request):
        turn.request(request)


def with_event_id(context: Context, text: str) -> tuple[str, str]:
    """Return a client's own event with an `event_id`, and the id. Only by it can an error be matched (upstream 8.1)."""
    fields = orjson.loads(text)
    event_id = fields.get("event_id")
    if isinstance(event_id, str):
        return text, event_id
    event_id = context.state.new_id()
    return orjson.dumps({**fields, "event_id": event_id}).decode(), event_id
