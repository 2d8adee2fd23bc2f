"""Another upstream in place of a lost one, which gets the conversation, the cut answers and the open questions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors import messages as engine
from actors.connections.close_codes import CloseCode
from actors.restart import Decision, Loss, LossKind
from router import closes
from router.fronts.realtime import requests
from router.fronts.realtime.from_client import add, answer_about, close_response, create_again, take_waiting
from router.fronts.realtime.marks import AUDIO, read_notes
from router.fronts.realtime.names import ASK, REMARK
from router.fronts.realtime.relay import Context, Stage, Timer
from router.fronts.realtime.responses import Request, Response
from router.fronts.realtime.wire import SERVER_ERROR, Event, Fields, new_event
from router.session import reports
from router.session.deadlines import ADOPTION_S, rollover_in_s
from router.translation import errors, speech

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.fronts.realtime.kept_items import Item
    from router.fronts.realtime.marks import Progress
    from router.fronts.realtime.requests import Sent

CONTINUE: Final = "continue"

CREATED: Final = "session.created"

# The loss.


def lost(context: Context, message: engine.UpstreamLost) -> None:
    """Dial another upstream in place of a lost one, or end the session if the verdict is to tear down."""
    state = context.state
    context.stop_waiting()
    held, state.held_error = state.held_error, None
    if message.verdict.decision is Decision.TEAR_DOWN:
        error = state.last_error or (held.child("error") if held is not None else None)
        _end_lost(context, message.loss, error)
        return
    state.last_error = None
    interrupt(context)
    if context.is_noticed and state.is_announced:
        context.tell(new_event("switchboard.upstream_restarted", cause=context.options.redact(message.loss.cause)))
    dial(context, message.verdict.delay_s)


def dial(context: Context, delay_s: float = 0.0) -> None:
    """Dial the next upstream, after `delay_s`, as the upstream in use."""
    begin(context, context.state.next_generation())
    context.commands.append(engine.OpenUpstream(context.state.generation, context.model, delay_s))


def adopt(context: Context, adopted: engine.ClientAdopted) -> None:
    """Dial another upstream for a session that another process carried. The upstream of that process is lost.

    After a planned move the client gets no notice.
    """
    state = context.state
    if context.has_ended:
        context.end(*context.closing)
        return
    state.is_draining = state.stays_idle = False  # the drain concerned only the other process
    if adopted.is_new_client and state.is_announced:
        context.tell(new_event(CREATED, session=dict(state.configuration.session)))
    context.stop_waiting()
    context.commands += list(context.limits.adopt(context.now_s))
    for progress in read_notes(adopted.words, adopted.sent_bytes):
        _advance(context, progress)
    interrupt(context)
    if context.session.state.adoptions:
        context.start(Timer.ADOPTION, ADOPTION_S)
    if context.is_noticed and state.is_announced and not adopted.is_planned:
        context.tell(new_event("switchboard.session_recovered"))
    dial(context)


def _advance(context: Context, progress: Progress) -> None:
    for response in context.state.responses.values():
        response.advance(progress)
    if progress.kind == AUDIO:
        played_ms = int(progress.value) * 3 / 4 / context.state.configuration.output_bytes_per_ms
        context.limits.playback.play(played_ms / 1000, context.now_s)


def begin(context: Context, generation: int) -> None:
    """Reset the part of the memory that belongs to one upstream, for the upstream of this generation."""
    state = context.state
    state.generation = generation
    state.stage = Stage.DIALLING
    state.has_restarted = state.was_ready
    state.names.begin()
    state.replayed.clear()
    state.unacknowledged.clear()
    state.deleted.clear()


def opened(context: Context, message: engine.UpstreamOpened) -> None:
    """Wait for the upstream's `session.created`, because its handshake alone proves nothing (upstream 1.2)."""
    context.state.opened_unix_s, context.state.position = message.unix_s, message.position
    context.reports.opened(message)
    context.start(Timer.CREATED, context.config.deadlines.session_created_s)


def interrupt(context: Context) -> None:
    """End the answers that cannot continue, and note the responses that the next upstream has to give.

    Answer the client's events about items that the lost upstream left without an answer.
    """
    state = context.state
    own = [it.request for it in state.unanswered if it.request is not None and it.request.is_own]
    asked = [*own, *state.resumes]
    adopted = {request.adopts for request in asked}
    open_responses = [response for response in state.responses.values() if response not in adopted]
    cut = [request for response in open_responses if (request := _cut(context, response)) is not None]
    state.resumes = [*own, *cut, *state.resumes]
    kept: list[Sent] = []
    for sent in state.unanswered.take_all():
        if sent.request is not None and sent.request.is_own:
            continue
        if not _answer_lost(context, sent.event):
            kept.append(sent)
    for sent in kept:
        state.unanswered.add(sent)
    for item in state.items:
        _complete(context, item)
    has_question = state.unanswered.has_request_of_the_conversation or any(not it.is_outside for it in state.resumes)
    if state.is_owed and not has_question:
        state.resumes.append(_own(context, {}))
    state.is_owed = False


def _complete(context: Context, item: Item) -> None:
    """Send the client the events of an item that the lost upstream did not send."""
    if item.wire.get("role") == "user" and not item.is_added:
        add(context, item, is_done=True)
    if item.awaits_transcript:
        item.awaits_transcript = False
        error = {"type": SERVER_ERROR, "code": "upstream_lost", "message": "the upstream was lost", "param": None}
        kind = "conversation.item.input_audio_transcription.failed"
        context.tell(new_event(kind, item_id=item.id, content_index=0, error=error))


def _answer_lost(context: Context, event: Event) -> bool:
    """Answer a client's event about an item in place of the lost upstream.

    Return False for any other event, or for an unknown item. The next upstream gets such an event again.
    """
    if event.kind not in requests.ABOUT_ITEMS:
        return False
    item = context.state.items.find(event.fields.get("item_id"))
    if item is None:
        return False  # the next upstream refuses it
    item.is_upstream = False
    answer_about(context, event, item)
    return True


def _cut(context: Context, response: Response) -> Request | None:
    """End a response that was cut off. Keep it open if it has no output yet, and the client has not cancelled it.

    Return the request for a response that continues or repeats this response; None if no other response is needed.
    """
    fields = dict(response.request.fields) if response.request is not None else {}
    if response.is_cancelled:
        close_response(context, response_id=response.id, status="cancelled", reason="client_cancelled")
        return None
    if not response.outputs:
        # The client has only `response.created`, so another response continues this one under its id.
        request = _own(context, fields)
        request.adopts = response
        return request
    is_whole = all(output.is_whole for output in response.outputs.values())
    is_over = response.calls_functions or response.is_whole
    status = "completed" if is_over and is_whole else "incomplete"
    last = next(reversed(response.outputs.values()))
    has_output, is_outside = response.has_output, response.is_outside
    heard = "" if last.is_whole else last.heard(context.state.configuration.output_bytes_per_ms)
    is_continued = context.options.interrupted_answer == CONTINUE and not context.state.speech.is_on
    is_replaced = not is_over and (is_outside or not has_output or is_continued)
    close_response(context, response_id=response.id, status=status, reason=None, is_replaced=is_replaced)
    item = context.state.items.find(last.id)
    if item is not None and not last.is_whole:
        item.heard, item.is_left_out = heard, not heard
    if not is_replaced:
        return None
    is_rest = heard and not is_outside
    return _own(context, _continued(context, fields, heard) if is_rest else fields)


def _continued(context: Context, fields: Fields, heard: str) -> Fields:
    """Return the fields of a `response.create` that continues an answer after the words that the client got."""
    prompt = fields.get("instructions") or context.state.configuration.instructions
    given = fields.get("input")
    if isinstance(given, list):
        said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": heard}]}
        fields["input"] = [*given, said]
    # An answer may repeat words of the client, which a policy may keep out of all instructions.
    is_governed = context.policy is not None and context.policy.governs_instructions
    fields["instructions"] = speech.continuation(
        prompt if isinstance(prompt, str) else None, "" if is_governed else heard
    )
    return fields


def _own(context: Context, fields: Fields) -> Request:
    return Request(fields, event_id=context.state.names.new(ASK), is_own=True)


# The next upstream.


def created(context: Context, event: Event) -> None:
    """Configure an upstream that has begun its session, with the configuration of the call so far.

    The client gets only the first `session.created` of the call.
    """
    state = context.state
    session = event.child("session")
    if state.stage is not Stage.DIALLING:
        context.log(logging.WARNING, "the upstream has begun its session twice")
        return
    context.cancel(Timer.CREATED)
    _schedule_rollover(context, session)
    state.configuration.show(session)
    if not state.is_announced:
        state.is_announced = True
        state.session_id = session.get("id")
        context.pass_on(event)
        early, state.early = state.early, []
        for held in early:
            context.tell(held)
    if state.configuration.update:
        state.stage = Stage.CONFIGURING
        state.configuration_id = state.names.new("configure")
        update = {key: value for key, value in state.configuration.update.items() if key != "model"}
        context.send(new_event(requests.UPDATE, event_id=state.configuration_id, session=update))
        context.start(Timer.UPDATED, context.config.deadlines.session_updated_s)
    else:
        take_over(context)


def take_over(context: Context) -> None:
    """Give an upstream the conversation, the open questions, and the events that waited for it."""
    state = context.state
    context.cancel(Timer.UPDATED)
    state.configuration_id = ""
    state.stage = Stage.READY
    is_rollover, state.is_rollover = state.is_rollover, False
    fact = reports.UpstreamTookOver(generation=state.generation, position=state.position, is_rollover=is_rollover)
    context.notify(fact)
    if state.was_ready:
        for _, wire in state.items.again():
            create_again(context, wire)
        _ask_again(context)
        _send_again(context)
    state.was_ready = True
    take_waiting(context)


def _ask_again(context: Context) -> None:
    state = context.state
    resumes, state.resumes = state.resumes, []
    # A client that requests another answer does not want the rest of the earlier answer.
    has_asked = any(
        it.kind == requests.CREATE_RESPONSE and it.child("response").get("conversation") != "none"
        for it in state.waiting
    )
    for request in resumes:
        if request.adopts is not None or request.is_outside or not has_asked:
            ask(context, request)


def ask(context: Context, request: Request) -> None:
    """Send a request of the router's own for a response."""
    fields = {"response": request.fields} if request.fields else {}
    event = new_event(requests.CREATE_RESPONSE, event_id=request.event_id, **fields)
    context.send_tracked(event, request)


def remark(context: Context, text: str) -> None:
    """Let the agent say a configured text, unless no upstream serves, a question is open, or no agent speaks.

    The text becomes a part of the conversation, so that the model knows the question that a user answers.
    """
    if not context.is_ready or context.is_busy or context.state.configuration.session.get("type") == "transcription":
        return
    fields: Fields = {"instructions": speech.verbatim(text), "input": [], "tool_choice": "none"}
    ask(context, Request(fields, event_id=context.state.names.new(REMARK), is_own=True, is_remark=True))
    context.marks.record_due += 1


def _send_again(context: Context) -> None:
    """Send the events that the lost upstream did not acknowledge, and the audio of which it made no turn."""
    state = context.state
    own = [it for it in state.unanswered if it.request is not None and it.request.is_own]
    unanswered = [it for it in state.unanswered.take_all() if it not in own]
    for sent in own:
        state.unanswered.add(sent)
    segments = state.speech.take_segments()
    per_ms = state.configuration.input_bytes_per_ms
    repeated_ms = sum(len(audio) for segment in segments for audio in segment) * 3 / 4 / per_ms
    state.speech.begin_again(repeated_ms)
    for sent in unanswered:
        if sent.kind == requests.COMMIT and len(segments) > 1:
            _append_again(context, segments.pop(0))
            state.speech.cut()
        context.transmit(sent)
    for segment in segments:
        _append_again(context, segment)
    if state.speech.has_stopped:
        context.await_commit()


def _append_again(context: Context, segment: list[str]) -> None:
    configuration = context.state.configuration
    for audio in segment:
        context.state.speech.add(
            audio,
            context.now_s,
            bytes_per_ms=configuration.input_bytes_per_ms,
            is_manual=configuration.turn_detection is None,
            is_repeated=True,
        )
        context.send(new_event(requests.APPEND, audio=audio))


# The rollover.


def _schedule_rollover(context: Context, session: Fields) -> None:
    expires_at = session.get("expires_at")
    expires = float(expires_at) if isinstance(expires_at, int | float) else None
    in_s = rollover_in_s(expires, context.state.opened_unix_s, context.config.deadlines)
    context.start(Timer.ROLLOVER, in_s)


# The end.


def _end_lost(context: Context, loss: Loss, error: Fields | None) -> None:
    if error is not None and (error.get("code") in errors.FATAL or not context.state.is_announced):
        _fail_with(context, error)
        return
    fail(context, _CLOSING[loss.kind](loss, context))


def _fail_with(context: Context, error: Fields) -> None:
    """End the session with the upstream's own error."""
    code = context.options.redact(str(error.get("code") or error.get("type") or "server_error"))
    message = context.options.redact(str(error.get("message") or code))
    _fail(context, str(error.get("type") or SERVER_ERROR), code, message, closes.of_error(code).code)


def fail(context: Context, last: errors.FinalError) -> None:
    """End the session with an error of the router's own."""
    _fail(context, SERVER_ERROR, last.error.code.lower(), last.error.description, last.close_code)


def _fail(context: Context, kind: str, code: str, message: str, close_code: int) -> None:
    for response in list(context.state.responses.values()):
        close_response(context, response_id=response.id, status="failed", reason=None)
    error = {"type": kind, "code": code, "message": message, "param": None, "event_id": None}
    context.tell(new_event("error", error=error), is_last=True)
    reported = context.reports
    context.notify(reports.SessionFailed(code, message), reported.audio(), reported.turn(is_whole=False))
    context.end(closes.for_openai(close_code), f"{kind}.{code}"[:100])


def _closed(loss: Loss, context: Context) -> errors.FinalError:
    return errors.close_error(loss.code or CloseCode.ABNORMAL_CLOSURE, loss.reason, context.options.redact)


def _named(code: str, description: str) -> errors.FinalError:
    return errors.final_error(code, description)


_CLOSING: Final[dict[LossKind, Callable[[Loss, Context], errors.FinalError]]] = {
    LossKind.CLOSED: _closed,
    LossKind.NOT_DIALLED: lambda loss, _context: errors.dial_error(loss.cause),
    LossKind.HTTP: lambda loss, _context: errors.upgrade_error(loss.code or 0),
    LossKind.SILENT: lambda loss, _context: _named(
        "UPSTREAM_TIMEOUT", f"the upstream missed the deadline {loss.cause}"
    ),
    LossKind.MALFORMED: lambda _loss, _context: _named(
        "UPSTREAM_PROTOCOL_ERROR", "the upstream sent a frame that is not an event"
    ),
    LossKind.FAILED: lambda _loss, _context: _named(
        "INTERNAL_SERVER_ERROR", "the router failed to use its connection to the upstream"
    ),
    LossKind.REFUSED: lambda loss, _context: _named(
        loss.cause, f"the upstream refused to continue the session: {loss.cause}"
    ),
}
"""The functions that make a session's last error, by the kind of the loss."""
