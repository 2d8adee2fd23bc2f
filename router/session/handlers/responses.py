"""Create responses, one at a time, and end them.

An upstream has one active response (upstream 5.1), and may begin one by itself at any time. So requests queue, and
events about other responses than the one in progress may arrive.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.restart import Loss, LossKind
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import user_turn, verbatim
from router.session.handlers.agent_output import end_turn, flush_audio
from router.session.handlers.barge_in import cancel_active, interrupt
from router.session.handlers.items import CUT_EVENT_ID
from router.session.handlers.refusals import is_fatal_error
from router.session.handlers.resume import response_failed
from router.session.state.origin import Origin, is_marked, is_outside, metadata_of, origin_of
from router.session.state.pending import ResponseRequest, SentRequest
from router.session.state.queues import kept
from router.session.state.states import Lifecycle, ResponseState
from router.session.state.turn import MAX_UNASKED
from router.translation import errors, session_config, speech, text

if TYPE_CHECKING:
    from router.session.context import Context


Output = (
    openai.ResponseOutputItemAdded
    | openai.ResponseOutputTextDelta
    | openai.ResponseOutputAudioTranscriptDelta
    | openai.ResponseOutputAudioDelta
    | openai.ResponseFunctionCallArgumentsDone
)

TextDone = openai.ResponseOutputTextDone | openai.ResponseOutputAudioTranscriptDone

KNOWN_STATUSES: Final = frozenset({"completed", "cancelled", "incomplete", "failed", None})
"""The statuses of a finished response. Some compatible servers leave the status out."""

_MAX_REASON_CHARS: Final = 200

UNASKED_S: Final = 10.0
"""The session abandons an upstream that begins `MAX_UNASKED` unasked responses within this many seconds.

An unasked response answers neither a request nor speech.
"""

# The request.


def is_due(context: Context) -> bool:
    """Whether a response is requested, and may be created now.

    The request waits while the user speaks or awaits an answer, because the upstream answers speech by itself (upstream
    4.2), and its answer covers the request. A request also waits for updates, because the client requested them first.
    """
    state, turn = context.state, context.state.turn
    request = state.pending.next
    if request is None or turn.response is not ResponseState.NONE or state.lifecycle is not Lifecycle.READY:
        return False
    has_to_wait = state.user_turns.has_floor and state.plan.detection.owes_answers
    return not state.user_turns.owed and (request.is_urgent or not has_to_wait) and not state.updates


def create_next(context: Context) -> ResponseState | None:
    """Create the response that was requested first.

    An agent without a voice writes a verbatim text, and needs no response for it. Then try the next request.
    """
    while is_due(context):
        if _create(context, context.state.pending.take_next()):
            return None
    return ResponseState.NONE


def _create(context: Context, request: ResponseRequest) -> bool:
    """Create a response. Return False if the request needs none."""
    state, turn = context.state, context.state.turn
    # A response outside the conversation belongs to no turn of the agent.
    turn.is_open |= not request.is_outside
    turn.is_answered_by_passthrough = turn.cancels_next = False
    if request.verbatim is not None and not verbatim.has_voice(context):
        verbatim.send_in_writing(context, request.verbatim)
        return False
    turn.begin_answer(request.resent, request.before)
    context.mark_question(context.now_s)
    if request.verbatim is not None:
        request = verbatim.begin(context, request, request.verbatim)
    # A refused request causes an error with this id, and no other event (upstream 5.1).
    sent = SentRequest(request, request.event_id or state.new_id(), state.user_turns.commit_ids)
    state.pending.in_flight = turn.current = sent
    context.wait(Wait.FIRST_EVENT)
    if request.client_event is not None:
        context.forward(request.client_event)
    else:
        context.to_upstream(openai.ResponseCreate(event_id=sent.event_id, response=_parameters(context, sent)))
    return True


def _parameters(context: Context, sent: SentRequest) -> openai.ResponseParameters | None:
    request = sent.request
    if request.verbatim is not None:
        policy = context.policy
        new_id = context.state.new_id if policy is not None and policy.governs_instructions else None
        return verbatim.parameters(request.verbatim, sent.event_id, as_item_of=new_id)
    metadata = None if _echoes(context) is False else metadata_of(sent.event_id, is_verbatim=False)
    if request.resume_after is None:
        return openai.ResponseParameters(metadata=metadata) if metadata is not None else None
    # As instructions, and not as an item: an item would stay in the conversation (docs/decisions/0008). They replace
    # the session's (upstream 5.2), so they repeat the prompt.
    prompt = session_config.first_think(context.state.plan.agent).prompt
    instructions = speech.continuation(prompt, request.resume_after)
    return openai.ResponseParameters(instructions=instructions, metadata=metadata)


def _echoes(context: Context) -> bool | None:
    return context.state.echoes.get(context.state.upstream.position)


# The begin.


def begin_response(context: Context, event: openai.ResponseCreated) -> ResponseState | None:
    """Begin a response: the requested one, or one that the upstream began by itself."""
    turn, pending = context.state.turn, context.state.pending
    origin = _origin_of(context, event.response)
    if origin is Origin.LATE and not is_outside(event.response):
        _begin_rejected(context, event.response)
    elif origin in _NO_TURN:
        _pass_over(context, event.response, origin)
        # Without a request in flight no response is awaited: `_pass_over` has removed the client's request for this
        # one.
        return ResponseState.NONE if pending.in_flight is None else turn.response
    elif origin is Origin.REQUESTED:
        _begin_requested(context, event.response)
    else:
        _begin_of_upstream(context, event.response)
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    context.wait(Wait.RESPONSE)
    return None


_NO_TURN: Final = frozenset({Origin.LATE, Origin.OUTSIDE, Origin.OUTSIDE_REQUESTED})
"""The origins of responses that are not part of the agent's turn."""


def _origin_of(context: Context, response: openai.Response) -> Origin:
    state = context.state
    sent = state.pending.in_flight
    origin = origin_of(response, sent, is_echoing=_echoes(context), is_owed=_may_answer_speech(context))
    if is_marked(response):
        # An upstream that returns metadata once always does. So the order of responses decides nothing from now on.
        state.echoes = kept(state.echoes, state.upstream.position, True)
        state.turn.doubtful_id = None
        if origin is Origin.REQUESTED and sent is not None:
            sent.is_proven = True
    # If an upstream returns no metadata, only the null conversation shows that a verbatim text begins too late.
    if origin in (Origin.OUTSIDE, Origin.LATE) and state.turn.take_overtaken():
        return Origin.LATE
    if origin is not Origin.REQUESTED:
        return origin
    if _answers_doubtful_request(context, response):
        return Origin.LATE
    # An upstream takes events in order: it has the doubtful request before the item that it has not acknowledged.
    is_behind = sent is not None and sent.request.is_presumed
    return Origin.UPSTREAM if is_behind and _takes_doubtful_request(context) else origin


def _answers_doubtful_request(context: Context, response: openai.Response) -> bool:
    """Whether a response belongs to the doubtful request, and not to the verbatim text in flight.

    `Turn.doubtful_id` has that request.
    """
    sent, turn = context.state.pending.in_flight, context.state.turn
    is_text_next = sent is not None and sent.request.verbatim is not None
    if turn.doubtful_id is None or not is_text_next or response.conversation_id is None:
        return False
    turn.doubtful_id = None
    return True


def _takes_doubtful_request(context: Context) -> bool:
    """Whether a response belongs to the doubtful request. If so, forget that request.

    Then the response to the request in flight is still to begin, and the deadline of that request goes on.
    """
    sent, turn = context.state.pending.in_flight, context.state.turn
    if turn.doubtful_id is None or sent is None or sent.is_interrupted or not sent.request.is_general:
        return False
    turn.doubtful_id = None
    return True


def _take_unannounced(context: Context) -> None:
    """Leave the request in flight if a response that was not announced belongs to the doubtful request.

    The upstream announced one of two responses, the answer to speech and that to the doubtful request. So it announces
    only one kind, and this response is of the other kind (docs/decisions/0027).
    """
    turn = context.state.turn
    if turn.current is context.state.pending.in_flight and _takes_doubtful_request(context):
        turn.current = None


def _may_answer_speech(context: Context) -> bool:
    """Whether the upstream could still begin an answer to the user's speech by itself."""
    turns, pending = context.state.user_turns, context.state.pending
    return bool(turns.owed) or turns.by_hand is not None or pending.answers_speech


def _pass_over(context: Context, response: openai.Response, origin: Origin) -> None:
    if origin is Origin.LATE:
        _reject(context, response)
        return
    context.state.turn.note_outside(response.id)
    if origin is Origin.OUTSIDE_REQUESTED:
        context.state.pending.in_flight = None
        if context.state.turn.response is ResponseState.REQUESTED:
            context.state.turn.current = None
            context.stop_waiting(Wait.FIRST_EVENT)
            _await_answer_to_speech(context)


def _reject(context: Context, response: openai.Response) -> None:
    """Cancel a response that begins too late, and drop its output."""
    context.state.turn.mute(response.id)
    context.to_upstream(openai.ResponseCancel(response_id=response.id, event_id=CUT_EVENT_ID))


def _begin_rejected(context: Context, response: openai.Response) -> None:
    """Cancel a response of the conversation that begins too late, and await its end.

    The upstream refuses any other response before this end.
    """
    turn = context.state.turn
    cancels_next, turn.current = turn.cancels_next, None
    turn.begin(response.id)
    turn.begin_answer()
    cancel_active(context)
    turn.is_rejected, turn.cancels_next = True, cancels_next


def _begin_requested(context: Context, response: openai.Response) -> None:
    turn, pending = context.state.turn, context.state.pending
    is_owed = _may_answer_speech(context)
    sent, pending.in_flight = pending.in_flight, None
    if sent is None:
        return
    # By order alone this may be the answer to the user's speech. Then the response to the request is still to begin
    # (docs/decisions/0027).
    if is_owed and not sent.is_proven and sent.request.verbatim is None:
        turn.doubtful_id = sent.event_id
    turn.current = sent
    user_turn.suspect_crossed(context, sent)
    _open(context, response)
    turn.answer.resent, turn.answer.before = sent.request.resent, sent.request.before
    if sent.request.verbatim is not None:
        verbatim.expect(context, sent.request.verbatim)
    else:
        # The response answers the whole conversation, and so every question before the speech.
        if context.state.user_turns.owed and _covers_speech(sent):
            pending.answer_with_speech()
        _answer_speech(context, sent)
    if sent.is_interrupted:
        cancel_active(context)


def _answer_speech(context: Context, sent: SentRequest) -> None:
    """Count a requested response as the answer to the user's speech, if it covers that speech.

    An answer to the conversation covers all speech before it.
    """
    if _covers_speech(sent):
        context.state.user_turns.by_hand = None
        context.signal(inputs.SpeechAnswered())


def _covers_speech(sent: SentRequest) -> bool:
    return not sent.is_interrupted and (sent.request.is_general or not sent.is_proven)


def _begin_of_upstream(context: Context, response: openai.Response) -> None:
    turn, sent, turns = context.state.turn, context.state.pending.in_flight, context.state.user_turns
    is_cancelled, is_owed = turn.cancels_next, _may_answer_speech(context)
    _judge_crossed(context)
    # A response that is cancelled at once answers nothing.
    if not is_cancelled and is_owed:
        _end_what_speech_answers(context)
    turn.current, turns.by_hand = None, None
    _open(context, response)
    turn.answers_speech = is_owed
    context.signal(inputs.SpeechAnswered())
    if is_cancelled:
        cancel_active(context)
    if not is_owed and sent is None:
        turn.doubtful_id = None  # this response may be that of the doubtful request
        _bound_unasked(context)


def _judge_crossed(context: Context) -> None:
    """Judge a commit by hand again, if a response that has begun can only be the upstream's own."""
    turn = context.state.turn
    is_next = context.state.pending.in_flight is None and turn.doubtful_id is None and not turn.overtaken_ids
    if is_next or _echoes(context):
        user_turn.reopen_crossed(context)


def _bound_unasked(context: Context) -> None:
    """Count an unasked response. Abandon an upstream that begins `MAX_UNASKED` of them within `UNASKED_S`."""
    turn = context.state.turn
    turn.note_unasked(context.now_s)
    if len(turn.unasked) == MAX_UNASKED and context.now_s - turn.unasked[0] < UNASKED_S:
        turn.unasked = ()
        context.log(logging.WARNING, f"the upstream began {MAX_UNASKED} responses by itself: it is abandoned")
        context.abandon(Loss(kind=LossKind.MALFORMED, cause="responses without a question"))


def _end_what_speech_answers(context: Context) -> None:
    pending = context.state.pending
    pending.answer_with_speech()
    if pending.in_flight is not None and pending.in_flight.is_interrupted:
        _give_up(context, "INTERRUPTED")
    elif pending.in_flight is not None and pending.in_flight.request.verbatim is not None:
        # The answer to the user replaces a verbatim text that has not begun. If that text begins later, it is rejected.
        _give_up(context, "OVERTAKEN_BY_SPEECH")
        end_turn(context)


def _give_up(context: Context, rule: str) -> None:
    pending = context.state.pending
    if pending.in_flight is not None and pending.in_flight.request.verbatim is not None:
        # The upstream knows nothing of the rule, and may still begin the response, which then has to be rejected.
        context.state.turn.note_overtaken(pending.in_flight.event_id)
    pending.give_up(rule)


def _open(context: Context, response: openai.Response) -> None:
    turn = context.state.turn
    turn.is_open = True
    asked_s = context.state.user_turns.asked_s
    context.mark_question(context.now_s if asked_s is None else asked_s)
    # A turn that continues at another upstream was announced to the component before; so was a verbatim text.
    turn.has_started_speaking = turn.has_started_speaking and (turn.is_resumed or turn.verbatim is not None)
    turn.begin(response.id)
    turn.begin_answer()
    turn.is_resumed = False


def begin_unknown(context: Context, event: Output) -> ResponseState | None:
    """Take output of an unknown response for its begin, or reject it if it belongs to a verbatim text that was ended.

    No response was awaited. But the session may have taken an earlier response for the requested one, because without
    metadata only the order of responses tells them apart.
    """
    turn = context.state.turn
    if event.response_id is None or not turn.is_unknown(event.response_id):
        return ResponseState.NONE
    turn.is_open |= not turn.is_overtaken(event.response_id)
    return begin_unannounced(context, event)


def begin_unannounced(context: Context, event: Output) -> ResponseState | None:
    """Take the first output for the begin of the requested response, because some servers send no response.created."""
    turn = context.state.turn
    if _rejects_overtaken(context, event.response_id) or turn.is_other_response(event.response_id):
        return turn.response
    turn.output_id, turn.is_end_open = event.response_id, False
    _take_unannounced(context)
    if turn.current is None:
        _judge_crossed(context)
        _answer_speech_unannounced(context)
    elif turn.current.is_interrupted:
        cancel_active(context)
    elif turn.current.request.verbatim is None:
        user_turn.suspect_crossed(context, turn.current)
        _answer_speech(context, turn.current)
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    context.wait(Wait.RESPONSE)
    return None


def _answer_speech_unannounced(context: Context) -> None:
    # The response covers no question in `pending`, because it may have begun before the upstream had that question.
    turn = context.state.turn
    turn.answers_speech, context.state.user_turns.by_hand = _may_answer_speech(context), None
    if not turn.answers_speech:
        turn.doubtful_id = None
    context.signal(inputs.SpeechAnswered())
    if turn.cancels_next:
        cancel_active(context)


def _rejects_overtaken(context: Context, response_id: str | None) -> bool:
    """Cancel the response to a request that was given up, if this event is its begin. Return whether it is."""
    turn = context.state.turn
    if not turn.is_overtaken(response_id):
        return False
    if not turn.take_overtaken():
        turn.doubtful_id = None
    turn.mute(response_id)
    context.to_upstream(openai.ResponseCancel(response_id=response_id, event_id=CUT_EVENT_ID))
    return True


def another_begins(context: Context, event: openai.ResponseCreated) -> None:
    """Begin a response while another is active: the end of the other was lost, or one runs outside the conversation.

    Only one response may speak. The answer to the user takes precedence over a verbatim text. A verbatim text waits for
    the end of the upstream's own response.
    """
    turn, response = context.state.turn, event.response
    if turn.is_announced and response.id is not None and response.id == turn.response_id:
        return
    is_other = response.id is not None and turn.output_id not in (response.id, None)
    if is_other and context.state.pending.in_flight is turn.current:
        # The request in flight began with the output of a response that was not announced. So this one is another
        # response.
        context.state.pending.in_flight = None
    origin = _origin_of(context, response)
    sent, is_same = context.state.pending.in_flight, not turn.is_announced and not is_other
    is_text_next = sent is not None and sent.request.verbatim is not None
    if is_same and origin is Origin.LATE and not is_outside(response):
        _begin_rejected(context, response)
    elif origin in _NO_TURN:
        _pass_over(context, response, origin)
    elif is_same:
        _announce(context, response, origin)
    elif origin is Origin.REQUESTED and is_text_next and not turn.is_rejected:
        _reject(context, response)
        context.state.pending.take_back()
    else:
        # The last response counts. Otherwise the session would wait for an end that never comes (docs/decisions/0027).
        if turn.verbatim is not None and not turn.is_interrupted:
            interrupt(context)
        end_of_response(context)
        begin_response(context, event)


def _announce(context: Context, response: openai.Response, origin: Origin) -> None:
    """Record the id of the active response from its late response.created.

    The session knew of the response before, from its output or from a refusal.
    """
    turn, pending = context.state.turn, context.state.pending
    if origin is Origin.REQUESTED:
        turn.current, pending.in_flight = pending.in_flight, None
    else:
        turn.current = None
    has_output, is_cut = turn.has_output, turn.is_cut
    if is_cut:
        turn.mute(turn.output_id)
    turn.begin(response.id)
    turn.has_output, turn.is_cut = has_output, is_cut
    context.signal(inputs.SpeechAnswered())


# The end.


def finish_response(context: Context, event: openai.ResponseDone) -> ResponseState | None:
    """End a response, whatever its status. The agent's turn ends, too, unless a function call is outstanding."""
    turn = context.state.turn
    if turn.takes_late_end() or turn.is_other_response(event.response.id):
        return turn.response
    if turn.response is ResponseState.REQUESTED:
        _take_unannounced(context)
    if event.response.status == "failed" and not turn.is_interrupted:
        return _fail(context, _error_of(event.response))
    if _was_cancelled(event.response) and event.response.id is not None:
        # Its function calls may still arrive (upstream 6.3).
        turn.note_cancelled(event.response.id)
    if _is_lost(context, event.response):
        return _fail(context, openai.ErrorDetail(code="response_cancelled"))
    _report_status(context, event.response)
    turn.failures = 0
    was_verbatim = turn.verbatim is not None
    if has_answered(context):
        context.reset_restart_budget()
        # The answer after a function call belongs to the same turn.
        if not was_verbatim and not context.state.calls.outstanding:
            context.state.limited.spending.add_turn()
    end_of_response(context)
    # A verbatim text runs beside the conversation, so it does not keep the upstream from answering.
    if context.state.user_turns.owed and not was_verbatim and _reason_of(event.response) != "turn_detected":
        _answer_crossed_speech(context)
    return _return_to_request(context)


def _fail(context: Context, error: openai.ErrorDetail) -> ResponseState | None:
    """Judge a failed response, and await the request that is in flight beside it."""
    chosen = response_failed(context, error)
    return _return_to_request(context) if chosen is None else chosen


def awaits_request(context: Context) -> bool:
    """Whether a request is in flight, and a response beside it has ended without an announcement."""
    state = context.state
    is_idle = state.turn.response is ResponseState.NONE and state.lifecycle is Lifecycle.READY
    return is_idle and state.pending.in_flight is not None


def return_to_request(context: Context) -> None:
    """Await the request in flight. The end of the response beside it may still come."""
    context.state.turn.is_end_open = True
    _return_to_request(context)


def has_answered(context: Context) -> bool:
    """Whether the response in progress answered a request or the user's speech, and brought any output.

    Only such a response restores the restart budget: an upstream that begins and ends responses by itself serves no
    caller.
    """
    turn = context.state.turn
    return (turn.current is not None or turn.answers_speech) and turn.has_output


def _return_to_request(context: Context) -> ResponseState | None:
    """Await the request in flight, because the upstream's own response, which came first, has ended.

    Return REQUESTED, or None if no request is in flight.
    """
    turn, sent = context.state.turn, context.state.pending.in_flight
    if sent is None:
        return None
    turn.current = sent
    turn.is_open |= not sent.request.is_outside
    if sent.request.verbatim is not None:
        verbatim.expect(context, sent.request.verbatim)
    context.wait(Wait.FIRST_EVENT)
    return ResponseState.REQUESTED


def _answer_crossed_speech(context: Context) -> None:
    # The user's speech was committed while this response was active. The active response kept the upstream from
    # beginning one for the speech, and the upstream will not begin it later (upstream 4.3).
    context.stop_waiting(Wait.FIRST_EVENT)
    context.mark_question(context.state.user_turns.asked_s or context.now_s)
    context.signal(inputs.AnswerRequested())
    context.state.pending.add(ResponseRequest(answers_speech=True))


def _was_cancelled(response: openai.Response) -> bool:
    # A response that the user's speech cuts off ends as `cancelled`, and at some models as `incomplete` (upstream 5.6).
    return response.status == "cancelled" or _reason_of(response) == "turn_detected"


def _reason_of(response: openai.Response) -> str | None:
    # xAI has a string in place of the details (upstream 12.1).
    details = response.status_details
    return details.reason if isinstance(details, openai.StatusDetails) else details


def _is_lost(context: Context, response: openai.Response) -> bool:
    """Whether an answer was cancelled without an interruption, for example by a late cancel of another response."""
    turn = context.state.turn
    is_interrupted = turn.is_interrupted or turn.is_cancelled_by_client or _reason_of(response) == "turn_detected"
    is_of_client = turn.current is not None and turn.current.request.client_event is not None
    is_wanted = (turn.current is not None and not is_of_client) or turn.answers_speech
    return response.status == "cancelled" and is_wanted and not is_interrupted


def _report_status(context: Context, response: openai.Response) -> None:
    """Warn of an incomplete answer.

    The session does not request it again, because the same limit or filter would end it again.
    """
    status = response.status
    if status == "incomplete" and not _was_cancelled(response):
        reason = _reason_of(response) or "the upstream gives no reason"
        description = context.options.redact(f"the answer is incomplete: {reason[:_MAX_REASON_CHARS]}")
        context.to_client(deepgram.Warning(description=description, code="RESPONSE_INCOMPLETE"))
    elif status not in KNOWN_STATUSES:
        context.log_unknown(f"response.done of status {status}", "it counts as completed")


def finish_unannounced(context: Context, event: TextDone) -> ResponseState | None:
    """Take the whole text for the end of a response that the upstream did not announce with response.created."""
    turn = context.state.turn
    if _rejects_overtaken(context, event.response_id):
        return turn.response
    is_known = turn.current is not None or turn.output_id is not None or context.state.pending.in_flight is not None
    if turn.is_announced or not is_known or turn.is_other_response(event.response_id):
        return turn.response
    _end_by_text(context)
    return None


def finish_by_item(context: Context, event: openai.ConversationItemDone) -> ResponseState | None:
    """Take an item with the whole text for the end of a response that the upstream did not announce."""
    turn = context.state.turn
    if turn.is_announced or not _brought_text(context, event):
        return turn.response
    _end_by_text(context)
    return None


def _end_by_text(context: Context) -> None:
    if context.state.turn.response is ResponseState.REQUESTED:
        _take_unannounced(context)
    end_of_response(context)


def _brought_text(context: Context, event: openai.ConversationItemDone) -> bool:
    """Whether the answer's text has come with this item, or before it."""
    part = context.state.turn.answer.find(event.item.id) if text.is_assistant_message(event.item) else None
    return part is not None and part.is_closed


def calls_are_answered(context: Context) -> bool:
    """Whether every call of a response without response.created has its output.

    No response.done ends such a response. It ends here, because only now no further call of it can follow
    (docs/decisions/0050). If the user interrupted it, the session has answered its calls, and drops further ones.
    """
    state, turn = context.state, context.state.turn
    is_unannounced = turn.response is ResponseState.ACTIVE and not turn.is_announced
    if not is_unannounced or not turn.has_called or state.calls.outstanding:
        return False
    is_answered = turn.is_answered_by_passthrough or state.pending.continues_turn
    is_complete = all(part.is_closed or not part.transcript for part in turn.answer.parts)
    return turn.is_cut or (is_answered and is_complete)


def finish_by_calls(context: Context) -> None:
    """End a response after the outputs of its calls. Unless speech cut the turn, it continues with their answer."""
    turn = context.state.turn
    if turn.is_cut:
        turn.mute(turn.output_id)
    end_of_response(context)
    turn.is_end_open = True


def finish_unasked_by_item(context: Context, event: openai.ConversationItemDone) -> None:
    """End the agent's turn at an item that was not requested, and whose response was never announced."""
    if context.state.turn.has_output and _brought_text(context, event):
        _end_unasked(context, None)


def finish_unasked(context: Context, event: TextDone) -> None:
    """End the agent's turn at a whole text that was not requested, and whose response was never announced.

    A late text of an ended response changes nothing: the turn of that response has ended.
    """
    turn = context.state.turn
    if turn.is_other_response(event.response_id) or not (turn.has_output and turn.answer.newest.is_closed):
        return
    _end_unasked(context, event.response_id)


def _end_unasked(context: Context, response_id: str | None) -> None:
    context.state.turn.is_open = True
    context.state.turn.output_id = response_id
    _judge_crossed(context)
    context.state.user_turns.by_hand = None
    context.signal(inputs.SpeechAnswered())
    end_of_response(context)


def end_of_response(context: Context) -> None:
    """Stop the deadlines of the response, send the rest of its audio, and forget the response."""
    turn, pending = context.state.turn, context.state.pending
    context.stop_waiting(Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE)
    flush_audio(context)
    verbatim.conclude(context)
    if pending.in_flight is turn.current:
        pending.in_flight = None
    # A rejected response is no turn. The turn that is open beside it is that of a request.
    is_turn = not turn.is_rejected or not (pending or pending.in_flight)
    turn.end()
    if is_turn:
        end_turn(context)
    if not turn.is_open and context.state.transcripts.are_awaited and not context.state.transcripts.held:
        # No held text has started this deadline. A transcript that never comes would keep the session busy, and so
        # prevent a rollover and the end of a drain.
        context.wait(Wait.TRANSCRIPT)
    _await_answer_to_speech(context)


def _await_answer_to_speech(context: Context) -> None:
    if context.state.user_turns.owed:
        # The user spoke during the response, and the upstream answers that speech by itself.
        context.wait(Wait.FIRST_EVENT)


def _error_of(response: openai.Response) -> openai.ErrorDetail:
    # No error event announces a failed response: its status is the only report (upstream 5.5).
    details = response.status_details
    error = details.error if isinstance(details, openai.StatusDetails) else None
    return error or openai.ErrorDetail()


def response_refused(context: Context, event: openai.Error) -> ResponseState | None:
    """End a response whose response.create caused this error: no other event follows for this response."""
    turn, error = context.state.turn, event.error
    sent = context.state.pending.in_flight
    if sent is None or not _is_about(error, sent):
        return turn.response
    if errors.code_of(error) == errors.ALREADY_ACTIVE:
        return _await_other_response(context)
    # A fatal error is a loss: the next upstream creates the response.
    if error.event_id is None or is_fatal_error(error):
        return turn.response
    if refuses_metadata(context, error):
        context.state.echoes = kept(context.state.echoes, context.state.upstream.position, False)
        context.state.pending.take_back()
    end_of_response(context)
    return None


def _is_about(error: openai.ErrorDetail, sent: SentRequest) -> bool:
    # Some errors name no event (upstream 8.1), but this code can only refuse the session's request.
    is_unnamed = error.event_id is None and errors.code_of(error) == errors.ALREADY_ACTIVE
    return is_unnamed or error.event_id == sent.event_id


def refuses_metadata(context: Context, error: openai.ErrorDetail) -> bool:
    """Whether an error refuses a request of the session's because of its metadata, which some servers do not know."""
    sent = context.state.pending.in_flight
    is_ours = sent is not None and sent.request.is_answer and error.event_id == sent.event_id
    return is_ours and (error.param or "").startswith("response.metadata") and _echoes(context) is None


def _await_other_response(context: Context) -> ResponseState:
    # Repeat the request when the other response has ended. Its response.created came unnoticed, or is on its way: it
    # counts as active in either case, and the session waits for its response.done.
    turn = context.state.turn
    context.state.pending.take_back()
    turn.current, turn.has_output = None, False
    turn.begin_answer()
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    context.wait(Wait.RESPONSE)
    return ResponseState.ACTIVE


def refused_in_flight(context: Context, event: openai.Error) -> None:
    """Take the refusal of a request while another response is active. Repeat the request afterwards, or give it up.

    Without metadata the session may have taken the active response for the requested one. The refusal corrects that.
    """
    turn, pending, error = context.state.turn, context.state.pending, event.error
    if is_fatal_error(error):
        return
    current = turn.current
    if pending.in_flight is None and current is not None and not current.is_proven:
        if error.event_id != current.event_id:
            return
        pending.in_flight, turn.current = current, None
        user_turn.judge_crossed(context, current)
        if current.request.verbatim is not None:
            # The audio so far is not that of the verbatim text.
            turn.begin_answer()
    sent = pending.in_flight
    if sent is None or not _is_about(error, sent):
        return
    if turn.current is sent:
        turn.current = None
    if errors.code_of(error) == errors.ALREADY_ACTIVE:
        pending.take_back()
    else:
        pending.give_up("REFUSED")
