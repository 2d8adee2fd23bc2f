"""End responses, and with them the agent's turn.

A response that the upstream announced ends with response.done. A response without an announcement ends with its whole
text, with an item, or with the outputs of its calls. Events about other responses than the one in progress may arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import user_turn, verbatim
from router.session.handlers.agent_output import end_turn, flush_audio, turn_continues
from router.session.handlers.response_origin import rejects_overtaken, take_unannounced
from router.session.handlers.resume import response_failed
from router.session.state.origin import answers_earlier_request
from router.session.state.pending import ResponseRequest
from router.session.state.states import Lifecycle, ResponseState
from router.translation import text

if TYPE_CHECKING:
    from router.session.context import Context

TextDone = openai.ResponseOutputTextDone | openai.ResponseOutputAudioTranscriptDone

KNOWN_STATUSES: Final = frozenset({"completed", "cancelled", "incomplete", "failed", None})
"""The statuses of a finished response. Some compatible servers leave the status out."""

_MAX_REASON_CHARS: Final = 200


def finish_response(context: Context, event: openai.ResponseDone) -> ResponseState | None:
    """End a response, whatever its status. The agent's turn ends, too, unless a function call is outstanding."""
    turn = context.state.turn
    if turn.ends_unseen(event.response.id):
        end_of_response(context)
        return _return_to_request(context)
    if _ends_another(context, event.response):
        return turn.response
    if turn.response is ResponseState.REQUESTED:
        take_unannounced(context)
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
        _note_answer(context)
    end_of_response(context)
    # An upstream sends events in order: the end of an earlier response does not come any more.
    turn.is_end_open = False
    # A verbatim text runs beside the conversation, so it does not keep the upstream from answering.
    if context.state.user_turns.owed and not was_verbatim and _reason_of(event.response) != "turn_detected":
        _answer_crossed_speech(context)
    return _return_to_request(context)


def _ends_another(context: Context, response: openai.Response) -> bool:
    turn = context.state.turn
    is_late = turn.ends_beside(response.id) or turn.takes_late_end(response.id, response.status)
    if is_late or turn.is_other_response(response.id):
        return True
    # A rule has ended that earlier request.
    is_awaited = turn.response is ResponseState.REQUESTED
    return is_awaited and answers_earlier_request(response, context.state.pending.in_flight)


def _fail(context: Context, error: openai.ErrorDetail) -> ResponseState | None:
    """Judge a failed response. If a request is in flight beside that response, await the request."""
    chosen = response_failed(context, error)
    return _return_to_request(context) if chosen is None else chosen


def awaits_request(context: Context) -> bool:
    """Whether a request is in flight and no response is in progress.

    The upstream's own response came before that of the request, and has ended without response.created.
    """
    state = context.state
    is_idle = state.turn.response is ResponseState.NONE and state.lifecycle is Lifecycle.READY
    return is_idle and state.pending.in_flight is not None


def return_to_request(context: Context) -> None:
    """Await the request in flight, because the response beside it has ended."""
    _return_to_request(context)


def has_answered(context: Context) -> bool:
    """Whether the response in progress answered a request or the user's speech, and brought any output.

    Only such a response restores the restart budget: an upstream that begins and ends responses by itself serves no
    caller.
    """
    turn = context.state.turn
    return (turn.current is not None or turn.answers_speech) and turn.has_output


def _note_answer(context: Context) -> None:
    """Restore the restart budget, and count the answer as a turn, unless a function call continues the turn."""
    context.reset_restart_budget()
    if context.state.turn.verbatim is None and not turn_continues(context):
        context.state.limited.spending.add_turn()


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


def _error_of(response: openai.Response) -> openai.ErrorDetail:
    # No error event announces a failed response: its status is the only report (upstream 5.5).
    details = response.status_details
    error = details.error if isinstance(details, openai.StatusDetails) else None
    return error or openai.ErrorDetail()


def finish_unannounced(context: Context, event: TextDone) -> ResponseState | None:
    """Take the whole text as the end of a response that the upstream did not announce with response.created."""
    turn = context.state.turn
    if rejects_overtaken(context, event.response_id):
        return turn.response
    if turn.begins_beside(event.response_id):
        begun = begin_beside(context, event.response_id, is_announced=False)
        turn.ends_beside_by_text(event.response_id)
        return begun
    if turn.ends_beside_by_text(event.response_id):
        return turn.response
    is_known = turn.is_seen or context.state.pending.in_flight is not None
    if turn.is_announced or not is_known or turn.is_other_response(event.response_id):
        return turn.response
    if turn.current is None and turn.output_id is None and context.state.pending.in_flight is None:
        turn.doubtful_id = None  # the upstream refused a request because of this response
    if turn.output_id is None:
        turn.output_id = event.response_id
    turn.note_output(event.response_id)
    _end_by_text(context)
    return None


def begin_beside(context: Context, response_id: str | None, *, is_announced: bool) -> ResponseState:
    """Begin a response outside the conversation that the client requested. It is no turn of the agent's."""
    turn = context.state.turn
    turn.note_outside(response_id, is_announced=is_announced)
    context.state.pending.in_flight = turn.current = None
    context.stop_waiting(Wait.FIRST_EVENT)
    await_answer_to_speech(context)
    return ResponseState.NONE


def finish_by_item(context: Context, event: openai.ConversationItemDone) -> ResponseState | None:
    """Take an item with the whole text as the end of a response that the upstream did not announce."""
    turn = context.state.turn
    if turn.is_announced or not _brought_text(context, event):
        return turn.response
    _end_by_text(context)
    return None


def _end_by_text(context: Context) -> None:
    if context.state.turn.response is ResponseState.REQUESTED:
        take_unannounced(context)
    _end_unannounced(context)


def _end_unannounced(context: Context) -> None:
    """End a response without its response.done, and request an answer to speech that was committed meanwhile.

    The response may have begun before that commit: no event tells (docs/decisions/0050).
    """
    turn = context.state.turn
    is_answer = turn.current is not None and turn.verbatim is None and not turn.is_cut
    if has_answered(context):
        _note_answer(context)
    end_of_response(context, is_announced=False)
    if is_answer and context.state.user_turns.owed:
        _answer_crossed_speech(context)


def _brought_text(context: Context, event: openai.ConversationItemDone) -> bool:
    """Whether the answer's text has come with this item, or before it."""
    part = context.state.turn.answer.find(event.item.id) if text.is_assistant_message(event.item) else None
    return part is not None and part.is_closed


def calls_are_answered(context: Context) -> bool:
    """Whether a response without response.created ends now, because each of its calls has an output.

    No response.done ends such a response. Until the last output is there, another call of the response could follow
    (docs/decisions/0050). If the user interrupted the response, the session has answered its calls, and drops further
    ones.
    """
    state, turn = context.state, context.state.turn
    is_unannounced = turn.response is ResponseState.ACTIVE and not turn.is_announced
    if not is_unannounced or not turn.has_called or state.calls.outstanding:
        return False
    is_answered = turn.is_answered_by_passthrough or state.pending.continues_turn
    is_complete = all(part.is_closed or not part.transcript for part in turn.answer.parts)
    return turn.is_cut or (is_answered and is_complete)


def finish_by_calls(context: Context) -> None:
    """End a response without response.created after the outputs of its calls.

    The agent's turn continues with the answer to these outputs, unless the user's speech cut the turn off.
    """
    turn = context.state.turn
    if turn.is_cut:
        turn.mute(turn.output_id)
    _end_unannounced(context)


def note_late_end(context: Context, event: openai.ResponseDone) -> None:
    """Record the end of the previous response: no later response.done is that of this response."""
    turn = context.state.turn
    if not turn.ends_beside(event.response.id):
        turn.takes_late_end(event.response.id, event.response.status)


def finish_unasked_by_item(context: Context, event: openai.ConversationItemDone) -> None:
    """End the agent's turn at an item of a response that was neither requested nor announced."""
    if context.state.turn.has_output and _brought_text(context, event):
        _end_unasked(context, None)


def finish_unasked(context: Context, event: TextDone) -> None:
    """End the agent's turn at the whole text of a response that was neither requested nor announced.

    A late text of an ended response changes nothing, because the turn of that response has ended.
    """
    turn = context.state.turn
    is_other = turn.ends_beside_by_text(event.response_id) or turn.is_other_response(event.response_id)
    if is_other or not (turn.has_output and turn.answer.newest.is_closed):
        return
    _end_unasked(context, event.response_id)


def _end_unasked(context: Context, response_id: str | None) -> None:
    if context.state.user_turns.owed:
        _note_answer(context)
    context.state.turn.is_open = True
    context.state.turn.output_id = response_id
    user_turn.reopen_crossed(context)
    context.state.user_turns.by_hand = None
    context.signal(inputs.SpeechAnswered())
    end_of_response(context, is_announced=False)


def end_of_response(context: Context, *, is_announced: bool = True) -> None:
    """Stop the deadlines of the response, send the rest of its audio, and forget the response.

    `is_announced` is false if no response.done ends it. That event may come later.
    """
    turn, pending = context.state.turn, context.state.pending
    context.stop_waiting(Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE)
    flush_audio(context)
    verbatim.conclude(context)
    if pending.in_flight is turn.current:
        pending.in_flight = None
    # A rejected response is no turn. Neither is the mere end of the previous response, because of which the upstream
    # refused a request. The turn that is open beside it is that of a request.
    is_no_turn = turn.is_rejected or (turn.is_end_open and not turn.is_seen)
    is_turn = not is_no_turn or not (pending or pending.in_flight)
    if is_announced:
        turn.end()
    else:
        turn.end_unannounced()
    if is_turn:
        end_turn(context)
    if not turn.is_open and context.state.transcripts.are_awaited and not context.state.transcripts.held:
        # No held text has started this deadline. A transcript that never comes would keep the session busy, and so
        # prevent a rollover and the end of a drain.
        context.wait(Wait.TRANSCRIPT)
    await_answer_to_speech(context)


def await_answer_to_speech(context: Context) -> None:
    """Start the deadline of the upstream's answer, if the user spoke during the response.

    The upstream answers that speech by itself.
    """
    if context.state.user_turns.owed:
        context.wait(Wait.FIRST_EVENT)
