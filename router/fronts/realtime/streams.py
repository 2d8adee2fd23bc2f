"""The upstream's events of responses. The client sees each response begin once and end once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors import messages as engine
from actors.restart import LossKind
from router.fronts.realtime.marks import ARGUMENTS, AUDIO, SPEECH, TEXT, Progress
from router.fronts.realtime.relay import Context, Timer
from router.fronts.realtime.responses import MAX_RESPONSES, Output, Response

if TYPE_CHECKING:
    from router.fronts.realtime.wire import Event

CREATED: Final = "response.created"
DONE: Final = "response.done"
ITEM_ADDED: Final = "response.output_item.added"

_TEXT: Final = ("response.output_text.delta", "response.output_audio_transcript.delta")
_AUDIO: Final = "response.output_audio.delta"

_DELTAS: Final = {
    "response.output_text.delta": TEXT,
    "response.output_audio_transcript.delta": SPEECH,
    _AUDIO: AUDIO,
    "response.function_call_arguments.delta": ARGUMENTS,
}
"""The events whose whole effect is a `Progress`."""


def begin(context: Context, event: Event) -> None:
    """Begin a response. The client gets no `response.created` if the response continues another one."""
    state, fields = context.state, event.child("response")
    name = str(fields.get("id", ""))
    if state.names.is_known(name):
        return  # it comes twice
    state.names.note(name)
    if _has_too_many(context):
        return
    request = state.unanswered.take_request(fields)
    # Some servers leave the conversation id out of every response, so only an explicit null counts.
    is_apart = fields.get("conversation_id", "") is None and not state.is_owed
    is_outside = request.is_outside if request is not None else is_apart
    adopted = request.adopts if request is not None else None
    if adopted is not None and adopted.id in state.responses:
        state.names.match(name, adopted.id)
        adopted.request, adopted.began_s = request, context.now_s
    else:
        if state.names.is_taken(name):
            state.names.match(name, state.names.new("resp"))
        state.names.to_client(event)
        response = Response(event.child("response"), request, is_outside=is_outside)
        response.began_s = context.now_s
        state.responses[response.id] = response
        context.pass_on(event)
    if not is_outside:
        state.is_owed = False
    if not state.unanswered.has_request and not state.is_owed:
        context.cancel(Timer.ANSWER)
    state.event_s = context.now_s
    context.start(Timer.NEXT, context.config.deadlines.next_event_s)
    context.start(Timer.RESPONSE, context.config.deadlines.response_s)


def take(context: Context, event: Event) -> None:
    """Record an event within a response, and pass it on, unless the response has ended."""
    state = context.state
    given = event.string("response_id")
    if event.kind == ITEM_ADDED:
        _name_item(context, event)
    state.names.to_client(event)
    state.event_s = context.now_s
    name = event.string("response_id")
    if given is None or name is None:
        context.pass_on(event)
        return
    response = state.responses.get(name)
    if response is None:
        if state.names.is_known(given):
            return  # it has ended
        # Some servers begin a response without response.created.
        state.names.note(given)
        if _has_too_many(context):
            return
        response = state.responses[name] = Response({"id": name, "object": "realtime.response"}, None, is_outside=False)
        state.is_owed = False
    if event.kind == ITEM_ADDED and not response.is_outside:
        state.items.put(event.child("item"), state.generation, state.items.last_id)
    # Some servers announce no item (upstream 12.4). The first delta of such an item adds the item, too.
    progress = _progress(event) if event.string("item_id") in response.outputs else None
    had_excess = response.has_excess
    response.note(event)
    if response.has_excess and not had_excess:
        problem = "a response is too long, or has too many items or parts: only its beginning is kept for a restart"
        context.log(logging.WARNING, problem)
    _report(context, event, response)
    context.pass_on(event, progress)


def _has_too_many(context: Context) -> bool:
    """Return whether the upstream runs too many responses to begin another one. If so, abandon the upstream."""
    if len(context.state.responses) < MAX_RESPONSES:
        return False
    context.log(logging.WARNING, f"the upstream begins more than {MAX_RESPONSES} responses: it is abandoned")
    context.abandon("too many responses at the same time", kind=LossKind.MALFORMED)
    return True


def _progress(event: Event) -> Progress | None:
    """Return the effect of a delta; None for any other event, which has further effects."""
    kind, name = _DELTAS.get(event.kind), event.string("item_id")
    if kind is None or name is None:
        return None
    delta, place = event.string("delta") or "", event.fields.get("content_index")
    return Progress(name, place if isinstance(place, int) else 0, kind, len(delta) if kind is AUDIO else delta)


def _report(context: Context, event: Event, response: Response) -> None:
    """Record an answer's progress: the output and the audio for the notifications, and the items for a restart."""
    state = context.state
    if event.kind in _TEXT:
        context.reports.heard("text", context.now_s)
    elif event.kind == _AUDIO:
        context.reports.heard("audio", context.now_s)
        played_ms = len(event.string("delta") or "") * 3 / 4 / state.configuration.output_bytes_per_ms
        context.limits.playback.play(played_ms / 1000, context.now_s)
        context.reports.sent(played_ms / 1000)
    elif event.kind == "response.function_call_arguments.done":
        _called(context, response.output(event))
    elif event.kind == "response.output_item.done":
        item = state.items.find(event.child("item").get("id"))
        if item is not None:
            state.items.fill(item, event.child("item"))


def _name_item(context: Context, event: Event) -> None:
    """Give a new item or call another id towards the client if its own id is already taken."""
    state, item = context.state, event.child("item")
    given = str(item.get("id", ""))
    call_id = item.get("call_id")
    if state.items.find(given) is not None or state.names.is_taken(given):
        state.names.match(given, state.names.new("item"))
    state.names.note(given)
    if isinstance(call_id, str):
        if state.names.is_taken(call_id):
            state.names.match(call_id, state.names.new("call"))
        state.names.note(call_id)


def _called(context: Context, output: Output | None) -> None:
    if output is None:
        return
    call_id, name = output.item.get("call_id"), output.item.get("name")
    context.reports.called(str(call_id), str(name), context.now_s)
    item = context.state.items.find(output.id)
    if item is not None:
        context.state.items.fill(item, output.end())


def end(context: Context, event: Event) -> None:
    """Count the usage of a response. Unless the response has ended already, end it and pass the event on."""
    state, fields = context.state, event.child("response")
    given = str(fields.get("id", ""))
    context.count_usage(event)
    state.names.to_client(event)
    response = state.responses.pop(str(event.child("response").get("id", "")), None)
    if response is None and state.names.is_known(given):
        return  # it has ended
    if response is not None:
        context.notify(context.reports.audio())
        context.end_turn(response)
    if not state.responses:
        context.cancel(Timer.NEXT)
        context.cancel(Timer.RESPONSE)
    if fields.get("status") in (None, "completed"):
        context.commands.append(engine.ResetRestartBudget())
    context.pass_on(event)
