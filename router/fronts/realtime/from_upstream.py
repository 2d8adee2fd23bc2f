"""The upstream's events: those that pass to the client, and those that only answer the router's own events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from actors.restart import LossKind
from router.fronts.realtime import recovery, requests
from router.fronts.realtime.from_client import close_response
from router.fronts.realtime.kept_items import ROOT
from router.fronts.realtime.names import AGAIN, prefix_of
from router.fronts.realtime.relay import ERROR_S, Context, Stage, Timer
from router.fronts.realtime.wire import Event, Fields
from router.openai import codec
from router.openai import events as openai
from router.session import reports
from router.translation import errors

if TYPE_CHECKING:
    from router.fronts.realtime.requests import Sent

Handler = Callable[[Context, Event], None]


def take(context: Context, event: Event) -> None:
    """Take an event of the upstream in use. First send the client the error that is held, if there is one."""
    if event.kind != "error":
        deliver_error(context)
    handler = EVENTS.get(event.kind)
    if handler is not None:
        handler(context, event)
    elif context.state.is_announced:
        pass_on(context, event)


def pass_on(context: Context, event: Event) -> None:
    """Pass an event on, with the ids that the client knows."""
    context.state.names.to_client(event)
    context.pass_on(event)


# The session.


def _session_updated(context: Context, event: Event) -> None:
    state, session = context.state, event.child("session")
    state.configuration.show(session)
    context.count_usage(event)
    if state.stage is Stage.CONFIGURING:
        if state.is_bound:
            state.is_bound = False
            pass_on(context, event)
        recovery.take_over(context)
        return
    sent = state.unanswered.take(requests.UPDATE)
    if sent is not None:
        state.configuration.apply(sent.event.child("session"))
    if state.has_restarted and state.session_id is not None:
        event.set("session", {**session, "id": state.session_id})
    pass_on(context, event)


def _conversation_created(context: Context, event: Event) -> None:
    if not context.state.has_restarted:
        pass_on(context, event)


# Errors.


def _error(context: Context, event: Event) -> None:
    deliver_error(context)
    context.withhold(event)  # now, because the last error of a session lacks the `param`
    state, error = context.state, event.child("error")
    event_id = error.get("event_id")
    sent = state.unanswered.take_id(event_id) if isinstance(event_id, str) else None
    if sent is not None:
        _refused(context, event, error, sent)
        return
    code = errors_code(error)
    if isinstance(event_id, str) and event_id == state.configuration_id:
        context.log(logging.ERROR, f"the upstream refuses the client's configuration: {code}")
        state.last_error = error
        context.abandon(context.options.redact(code), kind=LossKind.REFUSED)
        return
    if isinstance(event_id, str) and event_id.startswith(prefix_of(AGAIN)):
        context.log(logging.WARNING, f"the upstream refuses an item of the conversation: {code}")
        return
    if code in errors.FATAL | errors.EXPIRED:
        state.last_error = error
        context.abandon(context.options.redact(code), kind=LossKind.REFUSED, is_fatal=code in errors.FATAL)
        return
    is_answer = isinstance(event_id, str)
    if is_answer and state.is_announced:
        _forget_request(context, str(event_id))
        if state.names.is_own(str(event_id)):
            event.set("error", {**error, "event_id": None})
        pass_on(context, event)
        return
    # A close may follow, and then another upstream. The client need not know of the error in that case.
    state.held_error = event
    if state.is_announced:
        context.start(Timer.ERROR, ERROR_S)


def deliver_error(context: Context) -> None:
    """Send the client the held error, if there is one.

    An `error` of the upstream is held for a moment, because the upstream may close the connection right after it.
    """
    held, context.state.held_error = context.state.held_error, None
    if held is not None and context.state.is_announced:
        context.cancel(Timer.ERROR)
        pass_on(context, held)


def errors_code(error: Fields) -> str:
    """Return the code of an error, or its `type`, in which some servers put the code (upstream 12.4).

    Without either, return `server_error`.
    """
    return str(error.get("code") or error.get("type") or "server_error")


def _refused(context: Context, event: Event, error: Fields, sent: Sent) -> None:
    state, request = context.state, sent.request
    if sent.kind == requests.COMMIT:
        state.speech.uncut()
        state.unanswered.begin_next(requests.COMMIT, context.now_s)
    if request is not None and not state.unanswered.has_request:
        context.cancel(Timer.ANSWER)
    if request is not None and request.is_own:
        _own_refused(context, error, sent)
        return
    if sent.has_own_id:
        event.set("error", {**error, "event_id": None})
    pass_on(context, event)


def _own_refused(context: Context, error: Fields, sent: Sent) -> None:
    """Give up a refused request of the router's own, and end the response that the request should have continued."""
    code = errors_code(error)
    context.log(logging.WARNING, f"the upstream refuses to continue an answer: {code}")
    adopted = sent.request.adopts if sent.request is not None else None
    if adopted is not None and adopted.id in context.state.responses:
        close_response(context, response_id=adopted.id, status="failed", reason=None)


def _forget_request(context: Context, event_id: str) -> None:
    """Detach a refused request from the response that the relay took for its answer."""
    for response in context.state.responses.values():
        if response.request is not None and response.request.event_id == event_id:
            response.request = None


# The conversation.


def _item_added(context: Context, event: Event) -> None:
    state = context.state
    _name_repeated(context, event.child("item"))
    state.names.to_client(event)
    item = event.child("item")
    name = str(item.get("id", ""))
    if name in state.replayed:
        return
    sent = state.unanswered.take_item(requests.CREATE_ITEM, name)
    known = state.items.find(name)
    if sent is None and known is None and _is_of_client(item):
        sent = state.unanswered.take(requests.CREATE_ITEM)  # some servers give it another id
    if known is not None and (known.is_added or known.generation != state.generation):
        return  # the client has it
    previous = event.string("previous_item_id")
    named = sent.event.string("previous_item_id") if sent is not None else None
    if state.has_restarted:
        previous = _previous(context, named, known.previous if known is not None else state.items.last_id)
        if event.fields.get("previous_item_id", previous) != previous:
            event.set("previous_item_id", previous)
    given = sent.event.child("item") if sent is not None else {}
    wire = {**item, "content": given["content"]} if "content" in given else item
    state.items.put(wire, state.generation, ROOT if named == ROOT else previous).is_added = True
    context.pass_on(event)


def _name_repeated(context: Context, item: Fields) -> None:
    """Match the ids of an item that the router created again, if the upstream has given the item another id."""
    state, name = context.state, str(item.get("id", ""))
    if name in state.unacknowledged:
        state.unacknowledged.remove(name)
        return
    repeated = state.items.find(state.unacknowledged[0]) if state.unacknowledged else None
    if repeated is None or state.items.find(state.names.client_id(name)) is not None:
        return
    if all(item.get(key) == repeated.wire.get(key) for key in ("type", "role")):
        state.names.match(name, state.unacknowledged.pop(0))


def _is_of_client(item: Fields) -> bool:
    return item.get("role") in ("user", "system") or item.get("type") == "function_call_output"


def _previous(context: Context, named: str | None, otherwise: str | None) -> str | None:
    if named == ROOT:
        return None
    return named if context.state.items.find(named) is not None else otherwise


def _item_done(context: Context, event: Event) -> None:
    state = context.state
    state.names.to_client(event)
    item = event.child("item")
    name = str(item.get("id", ""))
    if name in state.replayed:
        return
    known = state.items.find(name)
    if known is not None and (known.is_done or known.generation != state.generation):
        return
    if known is not None:
        known.is_done = True
        if state.has_restarted and event.fields.get("previous_item_id") is not None:
            event.set("previous_item_id", known.previous)
        state.items.fill(known, item)
    for response in state.responses.values():
        if name in response.outputs:
            response.outputs[name].is_in_conversation = True
    context.pass_on(event)


def _item_deleted(context: Context, event: Event) -> None:
    state = context.state
    state.names.to_client(event)
    name = event.string("item_id") or ""
    if name in state.deleted:
        state.deleted.discard(name)
        return
    state.unanswered.take_item(requests.DELETE, name)
    state.items.remove(name)
    context.pass_on(event)


def _item_truncated(context: Context, event: Event) -> None:
    state = context.state
    state.names.to_client(event)
    state.unanswered.take_item(requests.TRUNCATE, event.string("item_id"))
    item = state.items.find(event.string("item_id"))
    if item is not None:
        state.items.truncate(item, event.fields.get("audio_end_ms"))
    context.pass_on(event)


def _item_retrieved(context: Context, event: Event) -> None:
    context.state.names.to_client(event)
    context.state.unanswered.take_item(requests.RETRIEVE, event.child("item").get("id"))
    context.pass_on(event)


# Speech.


def _speech_started(context: Context, event: Event) -> None:
    state, name = context.state, event.string("item_id")
    if name is None:
        pass_on(context, event)
        return
    if state.speech.is_repeated and state.speech.item_id is not None:
        # The client knows the item by the id that the lost upstream gave it.
        state.speech.is_repeated = False
        state.names.match(name, state.speech.item_id)
        return
    if state.items.find(name) is not None or state.names.is_taken(name):
        state.names.match(name, state.names.new("item"))
    state.names.note(name)
    _count_from_the_first_byte(context, event)
    state.names.to_client(event)
    state.speech.begin(event.string("item_id") or name)
    context.limits.mark_interrupted(context.now_s)
    context.limits.playback.stop()
    context.cancel(Timer.COMMIT)
    context.pass_on(event)


def _speech_stopped(context: Context, event: Event) -> None:
    state = context.state
    if state.speech.has_stopped:
        return  # reported by the lost upstream
    state.speech.end()
    context.await_commit()
    _count_from_the_first_byte(context, event)
    pass_on(context, event)


def _timeout_triggered(context: Context, event: Event) -> None:
    # The answer that follows does not end the silence. Otherwise a client could choose a call without an end.
    context.limits.limited.note_question(context.now_s)
    _count_from_the_first_byte(context, event)
    pass_on(context, event)


def _count_from_the_first_byte(context: Context, event: Event) -> None:
    """Change the times of an event, so that they count from the beginning of the client's session.

    The upstream counts from the first byte of audio that it got.
    """
    for name in ("audio_start_ms", "audio_end_ms"):
        value = event.fields.get(name)
        if context.state.speech.offset_ms and isinstance(value, int):
            event.set(name, value + context.state.speech.offset_ms)


def _committed(context: Context, event: Event) -> None:
    state = context.state
    context.cancel(Timer.COMMIT)
    sent = state.unanswered.take(requests.COMMIT)
    state.unanswered.begin_next(requests.COMMIT, context.now_s)
    given = event.string("item_id")
    if given is not None and state.names.client_id(given) != state.speech.item_id:
        if state.items.find(given) is not None or state.names.is_taken(given):
            state.names.match(given, state.names.new("item"))
        state.names.note(given)
    state.names.to_client(event)
    name = event.string("item_id")
    audio = state.speech.commit()
    previous = event.string("previous_item_id")
    if state.has_restarted:
        previous = state.items.last_id
        if "previous_item_id" in event.fields:
            event.set("previous_item_id", previous)
    if name is not None:
        content = [{"type": "input_audio", "transcript": None}]
        wire = {"id": name, "type": "message", "status": "completed", "role": "user", "content": content}
        item = state.items.put(wire, state.generation, previous)
        item.awaits_transcript = state.configuration.transcribes
        state.items.keep_audio(item, audio, state.configuration.input_bytes_per_ms)
    context.notify(context.reports.asked(context.now_s))
    if sent is None and state.configuration.answers_speech and context.active is None:
        state.is_owed = True
        context.start(Timer.ANSWER, context.config.deadlines.first_event_s)
    context.pass_on(event)


def _cleared(context: Context, event: Event) -> None:
    context.state.unanswered.take(requests.CLEAR)
    context.state.speech.forget()  # its start may have been on its way
    context.cancel(Timer.COMMIT)
    pass_on(context, event)


def _transcribed(context: Context, event: Event) -> None:
    state = context.state
    context.count_usage(event)
    state.names.to_client(event)
    index = event.fields.get("content_index")
    words = event.string("transcript") or ""
    state.items.transcribe(event.string("item_id") or "", index if isinstance(index, int) else 0, words)
    context.reports.said("user", words)
    context.pass_on(event)


def _not_transcribed(context: Context, event: Event) -> None:
    context.state.names.to_client(event)
    item = context.state.items.find(event.string("item_id"))
    if item is not None:
        item.awaits_transcript = False
    context.pass_on(event)


def _limits_updated(context: Context, event: Event) -> None:
    read = codec.decode(event.frame)
    if isinstance(read, openai.RateLimitsUpdated):
        context.notify(reports.limits_left(context.state.position, read))
    if context.state.is_announced:
        pass_on(context, event)


EVENTS: Final[dict[str, Handler]] = {
    recovery.CREATED: recovery.created,
    "session.updated": _session_updated,
    "conversation.created": _conversation_created,
    "rate_limits.updated": _limits_updated,
    "error": _error,
    "conversation.item.added": _item_added,
    "conversation.item.done": _item_done,
    "conversation.item.deleted": _item_deleted,
    "conversation.item.truncated": _item_truncated,
    "conversation.item.retrieved": _item_retrieved,
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "input_audio_buffer.timeout_triggered": _timeout_triggered,
    "input_audio_buffer.committed": _committed,
    "input_audio_buffer.cleared": _cleared,
    "conversation.item.input_audio_transcription.completed": _transcribed,
    "conversation.item.input_audio_transcription.failed": _not_transcribed,
}
"""The handlers of the upstream's events, except those of responses.

Any other event passes, but not before the client has got `session.created`.
"""
