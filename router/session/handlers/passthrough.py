"""Forward the client's own OpenAI events (`/openai` alone), and record what they change in the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import early_input, items
from router.session.state.pending import ResponseRequest

if TYPE_CHECKING:
    from router.session.context import Context


def forward_event(context: Context, event: inputs.PassthroughEvent) -> None:
    """Forward an OpenAI client event unchanged.

    Only an `input_audio_buffer.clear` gets an `event_id` of the session's.
    """
    kind, text, microphone = orjson.loads(event.text).get("type"), event.text, context.state.microphone
    # The session does not request again a response that the client itself cancelled (docs/decisions/0027).
    context.state.turn.is_cancelled_by_client |= kind == "response.cancel"
    if kind == "input_audio_buffer.clear":
        text, event_id = with_event_id(context, text)
        place = microphone.note_clear() if microphone is not None else 0
        context.state.user_turns.note_sent(inputs.ClearSent(event_id, place))
    context.forward(text)


def forward_commit(context: Context, event: inputs.PassthroughCommit) -> None:
    """Forward a commit. The client requests the response itself (upstream 4.1)."""
    if context.state.microphone is not None:
        context.state.microphone.note_commit()
    text, event_id = with_event_id(context, event.text)
    context.forward(text)
    context.signal(inputs.CommitSent(is_by_client=True, event_id=event_id))


def forward_append(context: Context, event: inputs.PassthroughAppend) -> None:
    """Forward audio. The session keeps none of it for another upstream, because the client alone knows its format."""
    context.state.user_turns.record_audio(context.now_s)
    context.forward(event.text)


def forward_item(context: Context, event: inputs.PassthroughItemCreate) -> None:
    """Forward an item, which may answer a function call (`_may_answer`).

    The client wrote the item itself, so it gets no ConversationText.
    """
    item = event.item
    is_approval = item.get("type") == "mcp_approval_response"
    call_id = str(item.get("approval_request_id" if is_approval else "call_id"))
    if not _may_answer(context, item, call_id):
        return
    own_id = item.get("id")
    text, event_id = with_event_id(context, event.text)
    item_id = own_id if isinstance(own_id, str) else event_id
    # No request waits for the acknowledgement: such a client creates its responses itself.
    context.state.upstream.items.register(item_id, str(item.get("type")), item.get("role"), event_id)
    if not is_approval:
        # The ledger holds no approval, because another upstream does not know the request.
        context.state.ledger.add(_named(item, item_id), event_id=event_id)
    if call_id in context.state.calls.outstanding:
        context.state.calls.answer(call_id)
        _record_answer(context)
    context.forward(text)


def forward_delete(context: Context, event: inputs.PassthroughItemDelete) -> None:
    """Forward the deletion of an item, and delete the item from the ledger, so that no other upstream gets it."""
    items.delete_item(context, orjson.loads(event.text).get("item_id"))
    context.forward(event.text)


def _may_answer(context: Context, item: dict[str, Any], call_id: str) -> bool:
    """Whether the session may forward the item.

    The session forwards no output for a call that the router runs, and no late output for a cancelled call.
    """
    calls = context.state.calls
    call = calls.outstanding.get(call_id)
    if item.get("type") not in ("function_call_output", "mcp_approval_response"):
        return True
    if call is not None and not call.client_side:
        description = f"conversation.item.create: the server answers the function call {call_id}"
        context.to_client(deepgram.Error(description=description, code="UNKNOWN_FUNCTION_CALL"))
        return False
    return not calls.count_late_answer(call_id, None)


def _record_answer(context: Context) -> None:
    calls = context.state.calls
    if not calls.await_client:
        context.stop_waiting(Wait.TOOL_ANSWER)
    # The client creates the response. A second one, of the session's, would answer the same calls.
    if not calls.outstanding:
        context.state.turn.is_answered_by_passthrough = True


def _named(item: dict[str, Any], item_id: str) -> dict[str, Any]:
    """Return an item with its id: the error with which another upstream refuses the item has to name the item."""
    return item if item.get("id") == item_id else {**item, "id": item_id}


def forward_response_create(context: Context, event: inputs.PassthroughResponseCreate) -> None:
    """Queue a response.create until no response is active.

    Until then the upstream would refuse it (upstream 5.1). If too many requests wait already, answer with an Error
    instead.
    """
    turn = context.state.turn
    text, event_id = with_event_id(context, event.text)
    response = orjson.loads(text).get("response")
    fields = response if isinstance(response, dict) else {}
    metadata = fields.get("metadata")
    request = ResponseRequest(
        continues_turn=turn.is_answered_by_passthrough,
        client_event=text,
        event_id=event_id,
        is_outside=fields.get("conversation") == "none",
        metadata=metadata if isinstance(metadata, dict) else None,
    )
    if not early_input.refuse_excess(context, context.state.pending, request):
        context.state.pending.add(request)


def with_event_id(context: Context, text: str) -> tuple[str, str]:
    """Return a client's own event with an `event_id` of the session's, and the id.

    An error names its cause by this id alone (upstream 8.1). A client may repeat its ids, or choose one that the
    upstream refuses. The client never gets this id.
    """
    event_id = context.state.new_id()
    return orjson.dumps({**orjson.loads(text), "event_id": event_id}).decode(), event_id
