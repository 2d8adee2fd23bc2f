"""The client's events: those that pass to the upstream, and those that the router answers itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from router.fronts.realtime import requests
from router.fronts.realtime.kept_items import ROOT
from router.fronts.realtime.names import AGAIN
from router.fronts.realtime.responses import Request
from router.fronts.realtime.wire import Event, new_event

if TYPE_CHECKING:
    from router.fronts.realtime.kept_items import Item
    from router.fronts.realtime.relay import Context
    from router.fronts.realtime.requests import Sent

Handler = Callable[["Context", Event], None]


def take(context: Context, event: Event) -> None:
    """Take an event by the table READY if an upstream serves the client, or else by the table WAITING."""
    table = READY if context.is_ready else WAITING
    if context.is_ready and event.kind in _TRACKED and context.state.unanswered.is_full:
        _refuse_unacknowledged(context, event)
        return
    table.get(event.kind, _pass if context.is_ready else _wait)(context, event)


def _refuse_unacknowledged(context: Context, event: Event) -> None:
    message = "The upstream has left too many earlier events unacknowledged. Send the event again."
    context.refuse("too_many_waiting_events", message, event_id=event.string("event_id"))
    context.log(logging.WARNING, f"an event of the client is refused: {event.kind}, too many are unacknowledged")


def take_waiting(context: Context) -> None:
    """Take the events that waited for an upstream, in order, because an upstream serves now."""
    for event in context.state.waiting.take_all():
        take(context, event)


# With an upstream.


def _pass(context: Context, event: Event) -> None:
    context.send(event)


def _update(context: Context, event: Event) -> None:
    # A session keeps its model (upstream 1.1), and the router may have dialled another model than the client requested.
    session = event.child("session")
    effective = context.state.configuration.session.get("model")
    if "model" in session and session["model"] != effective:
        event.set("session", {key: value for key, value in session.items() if key != "model"})
    context.send_tracked(event)


def _append(context: Context, event: Event) -> None:
    audio = event.string("audio")
    if audio is not None:
        configuration = context.state.configuration
        context.reports.received(_BASE64 * len(audio) / configuration.input_bytes_per_ms / 1000)
        context.state.speech.add(
            audio,
            context.now_s,
            bytes_per_ms=configuration.input_bytes_per_ms,
            is_manual=configuration.turn_detection is None,
        )
        context.marks.was_audio = True
    context.send(event)


def _commit(context: Context, event: Event) -> None:
    context.state.speech.cut()
    context.send_tracked(event)


def _clear(context: Context, event: Event) -> None:
    context.state.speech.clear()
    context.send_tracked(event)


def _create_item(context: Context, event: Event) -> None:
    state, item = context.state, event.child("item")
    if item and not isinstance(item.get("id"), str):
        # Another upstream gets the item with the id that the client knows.
        event.set("item", {"id": state.names.new("item"), **{key: it for key, it in item.items() if key != "id"}})
    call_id = item.get("call_id")
    if item.get("type") == "function_call_output" and isinstance(call_id, str):
        context.notify(context.reports.answered(call_id, context.now_s))
    name = event.child("item").get("id")
    if isinstance(name, str):
        state.replayed.pop(name, None)
    previous = event.string("previous_item_id")
    if previous is not None and state.has_restarted:
        place = state.items.place_for(previous)
        if place != previous:
            event.set("previous_item_id", place)
    context.send_tracked(event)


def _about_item(context: Context, event: Event) -> None:
    item = context.foreign(event.fields.get("item_id"))
    if item is None:
        context.send_tracked(event)
    else:
        answer_about(context, event, item)


def _create_response(context: Context, event: Event) -> None:
    if not context.state.is_owed:
        context.notify(context.reports.asked(context.now_s))
    context.send_tracked(event, Request(event.child("response"), event_id=""))


def _cancel_response(context: Context, event: Event) -> None:
    response_id = event.string("response_id")
    response = context.active if response_id is None else context.state.responses.get(response_id)
    if response is not None:
        response.is_cancelled = True
    context.send(event)


# Without an upstream.


def _wait(context: Context, event: Event) -> None:
    if not context.state.waiting.add(event):
        message = "The upstream is being replaced, and too many events wait for the next one. Send the event again."
        context.refuse("too_many_waiting_events", message, event_id=event.string("event_id"))
        context.log(logging.WARNING, f"an event of the client is refused: {event.kind}, too many events wait")


def _about_item_waiting(context: Context, event: Event) -> None:
    item = context.foreign(event.fields.get("item_id"))
    if item is None:
        _wait(context, event)
    else:
        answer_about(context, event, item)


def _cancel_waiting(context: Context, event: Event) -> None:
    state, response_id = context.state, event.string("response_id")
    response = context.active if response_id is None else state.responses.get(response_id)
    if response is not None:
        state.resumes = [it for it in state.resumes if it.adopts is not response]
        close_response(context, response_id=response.id, status="cancelled", reason="client_cancelled")
        return
    if not state.is_announced or any(it.kind == requests.CREATE_RESPONSE for it in state.waiting):
        _wait(context, event)
        return
    # The answer that would continue at the next upstream is cancelled.
    state.resumes = [it for it in state.resumes if it.is_outside]
    message = "Cancellation failed: no active response found"
    context.refuse("response_cancel_not_active", message, event_id=event.string("event_id"))


def close_response(
    context: Context, *, response_id: str, status: str, reason: str | None, is_replaced: bool = False
) -> None:
    """End an open response with all events that the client still expects, and forget the response.

    `response.done` has the status and the reason. A response that another one replaces (`is_replaced`) ends no turn.
    """
    response = context.state.responses.pop(response_id)
    details: dict[str, object] = {"type": status}
    if reason is not None:
        details["reason"] = reason
    elif status != "completed":
        message = "the response was cut off"
        details["error"] = {"type": "server_error", "code": "response_cut_off", "message": message}
    for event in response.close(status, None if status == "completed" else details):
        item = context.state.items.find(event.child("item").get("id"))
        if item is not None:
            add(context, item)
            context.state.items.fill(item, event.child("item"))
        context.tell(event)
    if is_replaced:
        context.reports.cut(response)
    else:
        context.end_turn(response)


def add(context: Context, item: Item, *, is_done: bool = False) -> None:
    """Send the client the item's `conversation.item.added`, unless the client has it already.

    With `is_done` do the same for `conversation.item.done`.
    """
    if not item.is_added:
        item.is_added = True
        context.tell(new_event("conversation.item.added", previous_item_id=previous_of(item), item=item.wire))
    if is_done and not item.is_done:
        item.is_done = True
        context.tell(new_event("conversation.item.done", previous_item_id=previous_of(item), item=item.wire))


def previous_of(item: Item) -> str | None:
    """Return the value of `previous_item_id` in an event about an item; None for the first item."""
    return None if item.previous == ROOT else item.previous


# Events about an item that the upstream does not know.


def answer_about(context: Context, event: Event, item: Item) -> None:
    """Retrieve, truncate or delete an item as the client's event requests, and answer in place of the upstream."""
    _ANSWERS[event.kind](context, event, item)


def answer_late(context: Context, sent: Sent) -> None:
    """Answer an event about an item in place of an upstream that did not answer.

    If the item is unknown, the answer is an `error`.
    """
    item = context.state.items.find(sent.event.fields.get("item_id"))
    if item is not None:
        answer_about(context, sent.event, item)
        return
    name = sent.kind.rpartition(".")[2]
    event_id = None if sent.has_own_id else sent.event_id
    context.refuse(f"item_{name}_invalid_item_id", "The item does not exist.", event_id=event_id, param="item_id")


def _retrieve(context: Context, _event: Event, item: Item) -> None:
    context.tell(new_event("conversation.item.retrieved", item=item.wire))


def _truncate(context: Context, event: Event, item: Item) -> None:
    place = {name: event.fields.get(name, 0) for name in ("content_index", "audio_end_ms")}
    context.state.items.truncate(item, place["audio_end_ms"])
    _correct(context, item)
    context.tell(new_event("conversation.item.truncated", item_id=item.id, **place))


def _correct(context: Context, item: Item) -> None:
    """Replace a truncated answer at the upstream by its shorter text.

    The upstream cannot truncate this item, because the router created it there as a text.
    """
    state = context.state
    if not context.is_ready or not item.is_upstream or item.id not in state.replayed:
        return
    if state.names.is_client_only(item.id):
        return
    _delete_upstream(context, item)
    wire = item.again()
    if wire is not None:
        item.is_upstream = True
        create_again(context, wire, state.items.place_of(item))


def create_again(context: Context, wire: dict[str, object], previous: str | None = None) -> None:
    """Create an item again at the upstream in use, after the item `previous` or at the end of the conversation.

    The client already has the item, so the client does not get the acknowledgements.
    """
    state = context.state
    place = {} if previous is None else {"previous_item_id": previous}
    event_id = state.names.new(AGAIN)
    context.send(new_event(requests.CREATE_ITEM, event_id=event_id, **place, item=wire))
    state.replayed[str(wire["id"])] = state.replayed.get(str(wire["id"]), 0) + 1
    state.unacknowledged.append(str(wire["id"]))


def _delete_upstream(context: Context, item: Item) -> None:
    state = context.state
    item.is_upstream = False
    state.deleted.add(item.id)
    context.send(new_event(requests.DELETE, event_id=state.names.new(AGAIN), item_id=item.id))


def _delete(context: Context, _event: Event, item: Item) -> None:
    if context.is_ready and item.is_upstream and not context.state.names.is_client_only(item.id):
        _delete_upstream(context, item)
    context.state.items.remove(item.id)
    context.tell(new_event("conversation.item.deleted", item_id=item.id))


_BASE64: Final = 3 / 4
"""The number of bytes of audio for each character of base64."""

_ANSWERS: Final[dict[str, Callable[[Context, Event, Item], None]]] = {
    requests.RETRIEVE: _retrieve,
    requests.TRUNCATE: _truncate,
    requests.DELETE: _delete,
}

READY: Final[dict[str, Handler]] = {
    requests.UPDATE: _update,
    requests.APPEND: _append,
    requests.COMMIT: _commit,
    requests.CLEAR: _clear,
    requests.CREATE_ITEM: _create_item,
    requests.RETRIEVE: _about_item,
    requests.TRUNCATE: _about_item,
    requests.DELETE: _about_item,
    requests.CREATE_RESPONSE: _create_response,
    requests.CANCEL_RESPONSE: _cancel_response,
}
"""The handlers of the client's events while an upstream serves. Any other event passes."""

_TRACKED: Final = READY.keys() - {requests.APPEND, requests.CANCEL_RESPONSE}
"""The types of events that an upstream acknowledges."""

WAITING: Final[dict[str, Handler]] = {
    requests.RETRIEVE: _about_item_waiting,
    requests.TRUNCATE: _about_item_waiting,
    requests.DELETE: _about_item_waiting,
    requests.CANCEL_RESPONSE: _cancel_waiting,
}
"""The handlers of the client's events while no upstream serves. Any other event waits for the next upstream."""
