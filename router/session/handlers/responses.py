"""Create responses, one at a time, and end them.

An upstream has one active response (upstream 5.1), and may begin one by itself at any time. So requests queue, and
events about other responses than the one in progress may arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.handlers import verbatim
from router.session.handlers.agent_output import end_turn, flush_audio
from router.session.handlers.barge_in import cancel_active, interrupt
from router.session.handlers.items import CUT_EVENT_ID
from router.session.handlers.refusals import is_fatal_error
from router.session.handlers.resume import response_failed
from router.session.state.queues import Queue
from router.session.state.states import Lifecycle, ResponseState
from router.session.state.turn import Answer, ResponseRequest
from router.translation import errors, session_config, speech

if TYPE_CHECKING:
    from router.session.context import Context


TextDone = openai.ResponseOutputTextDone | openai.ResponseOutputAudioTranscriptDone

KNOWN_STATUSES: Final = frozenset({"completed", "cancelled", "incomplete", "failed", None})
"""The statuses of a finished response. Some compatible servers leave it out."""

_MAX_REASON_CHARS: Final = 200

# The request.


def is_due(context: Context) -> bool:
    """Whether a response is requested, and may be created now.

    It waits while the user speaks or awaits an answer: the upstream answers speech by itself (upstream 4.2), and its
    answer covers this request. It waits for updates, too, because the client requested them first. A resumed request
    goes first, once it may be repeated.
    """
    state, turn = context.state, context.state.turn
    if not turn.requests or turn.response is not ResponseState.NONE or state.lifecycle is not Lifecycle.READY:
        return False
    has_to_wait = (state.is_user_speaking and state.detects_turns) or state.awaits_resumed
    return not turn.awaits_answer and (turn.requests[0].is_urgent or not has_to_wait) and not state.updates


def create_next(context: Context) -> ResponseState | None:
    """Create the response that was requested first. A text agent needs no response for a given text: try the next."""
    while is_due(context):
        if _create(context, context.state.turn.requests.popleft()):
            return None
    return ResponseState.NONE


def _create(context: Context, request: ResponseRequest) -> bool:
    """Create a response. Return False where the request needs none."""
    turn = context.state.turn
    turn.is_open = True
    turn.is_answered_by_passthrough = turn.is_interrupted_early = False
    if request.verbatim is not None and not verbatim.has_voice(context):
        verbatim.send_in_writing(context, request.verbatim)
        return False
    turn.current_request = request
    if request.follow_up is not None:
        turn.requests.appendleft(request.follow_up)
    turn.answer = Answer()
    context.state.latency.mark("asked_s", context.now_s)
    # A refused request causes an error with this id, and no other event (upstream 5.1).
    turn.event_id = request.event_id or context.state.new_id()
    context.wait(Wait.FIRST_EVENT)
    if request.verbatim is not None:
        verbatim.begin(context, request, request.verbatim)
    if request.client_event is not None:
        context.forward(request.client_event)
    else:
        context.to_upstream(openai.ResponseCreate(event_id=turn.event_id, response=_parameters(context, request)))
    return True


def _parameters(context: Context, request: ResponseRequest) -> openai.ResponseParameters | None:
    if request.verbatim is not None:
        return verbatim.parameters(request.verbatim)
    if request.resume_after is None:
        return None
    # As instructions, and not as an item: an item would stay in the conversation (docs/decisions/0008). They replace
    # the session's (upstream 5.2), so they repeat the prompt.
    prompt = session_config.first_think(context.state.agent).prompt
    return openai.ResponseParameters(instructions=speech.continuation(prompt, request.resume_after))


# The begin.


def begin_response(context: Context, event: openai.ResponseCreated) -> ResponseState | None:
    """Begin a response: the requested one, or one that the upstream began by itself."""
    turn = context.state.turn
    if verbatim.is_late(context, event):
        _reject(context, event)
        return turn.response
    if verbatim.is_other_response(context, event):
        # The answer to the user takes the place of a given text that has not begun. Its late begin is rejected.
        turn.is_interrupted_early = True
        end_of_response(context)
    turn.is_open = True
    context.state.latency.mark("asked_s", context.now_s)
    turn.begin(event.response.id)
    turn.answer = Answer()
    if turn.response is ResponseState.NONE:
        # No response.create was sent, so the upstream began it by itself.
        turn.current_request = None
    elif turn.current_request is not None:
        turn.answer.resent_chars = turn.current_request.resent_chars
    verbatim_text = verbatim.current_verbatim(context)
    # A turn that continues at another upstream was announced to the component before; so was a given text.
    turn.has_started_speaking = turn.has_started_speaking and (turn.is_resumed or verbatim_text is not None)
    if verbatim_text is not None:
        verbatim.expect(context, verbatim_text)
    elif turn.awaits_answer:
        # The upstream's answer to the user covers every question that was asked meanwhile.
        turn.requests = Queue(request for request in turn.requests if not request.is_answer)
    turn.is_resumed = turn.awaits_answer = False
    if turn.is_interrupted_early:
        cancel_active(context)
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    context.wait(Wait.RESPONSE)
    return None


def _reject(context: Context, event: openai.ResponseCreated) -> None:
    """Cancel a response that begins too late, and drop its output."""
    context.state.turn.interrupted.append(event.response.id)
    context.to_upstream(openai.ResponseCancel(response_id=event.response.id, event_id=CUT_EVENT_ID))


def another_begins(context: Context, event: openai.ResponseCreated) -> None:
    """Keep one of two responses: a response outside the conversation may run beside the active one (upstream 5.3).

    Two voices at once are no conversation, and the answer to the user goes before a given text.
    """
    turn = context.state.turn
    if event.response.id == turn.response_id:
        return
    if verbatim.is_marked(event):
        _reject(context, event)
    elif verbatim.current_verbatim(context) is not None:
        if not turn.is_interrupted:
            interrupt(context)
        end_of_response(context)
        begin_response(context, event)


# The end.


def finish_response(context: Context, event: openai.ResponseDone) -> ResponseState | None:
    """End a response, whatever its status, and the agent's turn with it, unless a function call is outstanding."""
    turn = context.state.turn
    if turn.is_other_response(event.response.id):
        return turn.response
    if event.response.status == "failed" and not turn.is_interrupted:
        return response_failed(context, _error_of(event.response))
    if _was_cancelled(event.response):
        turn.cancelled.append(event.response.id)
    _report_status(context, event.response)
    turn.failures = 0
    context.reset_restart_budget()
    was_verbatim = verbatim.current_verbatim(context) is not None
    end_of_response(context)
    # A given text runs beside the conversation, so it does not keep the upstream from answering.
    if turn.awaits_answer and not was_verbatim and _reason_of(event.response) != "turn_detected":
        _answer_crossed_speech(context)
    return None


def _answer_crossed_speech(context: Context) -> None:
    # The user's speech was committed while this response was active. The active response kept the upstream from
    # beginning one for the speech, and the upstream will not begin it later (upstream 4.3).
    context.stop_waiting(Wait.FIRST_EVENT)
    context.state.turn.awaits_answer = False
    context.state.turn.request(ResponseRequest())


def _was_cancelled(response: openai.Response) -> bool:
    # A response that the user's speech cuts off ends as `cancelled`, and at some models as `incomplete` (upstream 5.6).
    return response.status == "cancelled" or _reason_of(response) == "turn_detected"


def _reason_of(response: openai.Response) -> str | None:
    # xAI has a string in place of the details (upstream 12.1).
    details = response.status_details
    return details.reason if isinstance(details, openai.StatusDetails) else details


def _report_status(context: Context, response: openai.Response) -> None:
    """Warn of an incomplete answer. It is not requested again: the limit or the filter would be the same."""
    status = response.status
    if status == "incomplete" and not _was_cancelled(response):
        reason = _reason_of(response) or "the upstream gives no reason"
        description = context.options.redact(f"the answer is incomplete: {reason[:_MAX_REASON_CHARS]}")
        context.to_client(deepgram.Warning(description=description, code="RESPONSE_INCOMPLETE"))
    elif status not in KNOWN_STATUSES:
        context.log_unknown(f"response.done of status {status}", "it counts as completed")


def finish_unannounced(context: Context, event: TextDone) -> ResponseState | None:
    """Take the whole text for the end of a response that the upstream did not announce with response.created."""
    if context.state.turn.is_other_response(event.response_id):
        return context.state.turn.response
    end_of_response(context)
    return None


def end_of_response(context: Context) -> None:
    """Stop the deadlines of the response, send the rest of its audio, and forget it."""
    turn = context.state.turn
    context.stop_waiting(Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE)
    flush_audio(context)
    verbatim.conclude(context)
    turn.response_id = turn.event_id = turn.current_request = None
    turn.has_started_speaking = turn.is_interrupted_early = False
    turn.answer = Answer()
    end_turn(context)
    if not turn.is_open and context.state.transcripts.are_awaited and not context.state.transcripts.held:
        # No held text has started this deadline. A transcript that never comes would keep the session busy, and so
        # prevent a rollover and the end of a drain.
        context.wait(Wait.TRANSCRIPT)
    if turn.awaits_answer:
        # The user spoke during the response, and the upstream answers that by itself.
        context.wait(Wait.FIRST_EVENT)


def _error_of(response: openai.Response) -> openai.ErrorDetail:
    # No error event announces a failed response: its status is the only report (upstream 5.5).
    details = response.status_details
    error = details.error if isinstance(details, openai.StatusDetails) else None
    return error or openai.ErrorDetail()


def response_refused(context: Context, event: openai.Error) -> ResponseState | None:
    """End a response whose response.create caused this error: no other event follows for it."""
    turn, error = context.state.turn, event.error
    # Some errors name no event (upstream 8.1); this code fits our request alone.
    if errors.code_of(error) == errors.ALREADY_ACTIVE and error.event_id in (turn.event_id, None):
        return _await_other_response(context)
    # A fatal error is a loss: the next upstream creates the response.
    if turn.event_id is None or error.event_id != turn.event_id or is_fatal_error(error):
        return turn.response
    end_of_response(context)
    return None


def _await_other_response(context: Context) -> ResponseState:
    # Repeat the request when the other response has ended. Its response.created came unnoticed, or is on its way: it
    # counts as active in either case, and the session waits for its response.done.
    turn = context.state.turn
    turn.requests.appendleft(turn.current_request or ResponseRequest())
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    return ResponseState.ACTIVE
