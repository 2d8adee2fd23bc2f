"""Handlers of a response, from its request to its end."""

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


def continuation(context: Context, words: str) -> str:
    """The instructions for a response that goes on with an answer that was cut off."""
    return speech.continuation(session_config.first_think(context.state.agent).prompt, words)


TextDone = openai.ResponseOutputTextDone | openai.ResponseOutputAudioTranscriptDone

KNOWN_STATUSES: Final = frozenset({"completed", "cancelled", "incomplete", "failed", None})
"""None: some compatible servers leave it out."""


def is_due(context: Context) -> bool:
    """Whether a response is requested, and may be created now.

    The user does not speak and does not await an answer, and no update waits. A resumed request goes first, as soon
    as it may be repeated.
    """
    state, turn = context.state, context.state.turn
    if not turn.requests or turn.response is not ResponseState.NONE or state.lifecycle is not Lifecycle.READY:
        return False
    has_to_wait = (state.is_speaking and state.detects_turns) or state.awaits_resumed
    return not turn.awaits_answer and (turn.requests[0].is_urgent or not has_to_wait) and not state.updates


def create_next(context: Context) -> ResponseState | None:
    """Create the response that was requested first. A verbatim text without a voice needs none: the next one is due."""
    while is_due(context):
        if _create(context, context.state.turn.requests.popleft()):
            return None
    return ResponseState.NONE


def _create(context: Context, request: ResponseRequest) -> bool:
    """Create a response, and return whether one is needed."""
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
    turn.event_id = request.event_id or context.state.new_id()
    context.wait(Wait.FIRST_EVENT)
    if request.verbatim is not None:
        verbatim.begin(context, request)
    if request.text is not None:
        context.forward(request.text)
    else:
        context.to_upstream(openai.ResponseCreate(event_id=turn.event_id, response=_parameters(context, request)))
    return True


def _parameters(context: Context, request: ResponseRequest) -> openai.ResponseParameters | None:
    if request.verbatim is not None:
        return verbatim.parameters(request.verbatim)
    if request.resume_after is None:
        return None
    return openai.ResponseParameters(instructions=continuation(context, request.resume_after))


def begin_response(context: Context, event: openai.ResponseCreated) -> ResponseState | None:
    """A response has begun: ours, or one that the upstream began itself."""
    turn = context.state.turn
    if verbatim.is_late(context, event):
        _drop(context, event)
        return turn.response
    if verbatim.is_another(context, event):
        turn.is_interrupted_early = True
        end_of_response(context)
    turn.is_open = True
    context.state.latency.mark("asked_s", context.now_s)
    turn.begin(event.response.id)
    turn.answer = Answer()
    if turn.response is ResponseState.NONE:  # the upstream began it itself
        turn.current_request = None
    elif turn.current_request is not None:
        turn.answer.resent_chars = turn.current_request.resent_chars
    verbatim_text = verbatim.current_verbatim(context)
    turn.has_started_speaking = turn.has_started_speaking and (turn.is_resumed or verbatim_text is not None)
    if verbatim_text is not None:
        verbatim.expect(context, verbatim_text)
    elif turn.awaits_answer:  # it answers whatever was asked meanwhile, too
        turn.requests = Queue(request for request in turn.requests if not request.is_answer)
    turn.is_resumed = turn.awaits_answer = False
    if turn.is_interrupted_early:
        cancel_active(context)
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    context.wait(Wait.RESPONSE)
    return None


def _drop(context: Context, event: openai.ResponseCreated) -> None:
    """Have nothing of a response: the user interrupted it before it began."""
    context.state.turn.interrupted.append(event.response.id)
    context.to_upstream(openai.ResponseCancel(response_id=event.response.id, event_id=CUT_EVENT_ID))


def another_begins(context: Context, event: openai.ResponseCreated) -> None:
    """A response begins beside the active one, as those outside the conversation may: one of them has to go."""
    turn = context.state.turn
    if event.response.id == turn.response_id:
        return
    if verbatim.is_marked(event):
        _drop(context, event)
    elif verbatim.current_verbatim(context) is not None:  # the user is answered now
        if not turn.is_interrupted:
            interrupt(context)
        end_of_response(context)
        begin_response(context, event)


def finish_response(context: Context, event: openai.ResponseDone) -> ResponseState | None:
    """A response has ended, whatever its status; so has the agent's turn, unless a function call is to be answered."""
    turn = context.state.turn
    if turn.is_of_another(event.response.id):
        return turn.response
    if event.response.status == "failed" and not turn.is_interrupted:
        return response_failed(context, _error_of(event.response))
    if _was_cancelled(event.response):
        turn.cancelled.append(event.response.id)
    _tell_status(context, event.response)
    turn.failures = 0
    context.reset_restart_budget()
    is_aside = verbatim.current_verbatim(context) is not None
    end_of_response(context)
    if turn.awaits_answer and not is_aside and _reason_of(event.response) != "turn_detected":
        _answer_crossed_speech(context)
    return None


def _answer_crossed_speech(context: Context) -> None:
    # Speech was committed while this response was active. It was in the way: the upstream has begun none of its own,
    # and will not (reference, 4: turn_detection).
    context.stop_waiting(Wait.FIRST_EVENT)
    context.state.turn.awaits_answer = False
    context.state.turn.request(ResponseRequest())


def _was_cancelled(response: openai.Response) -> bool:
    # What the user's speech cuts off ends as `cancelled`, and at some models as `incomplete` (reference, 9).
    return response.status == "cancelled" or _reason_of(response) == "turn_detected"


def _reason_of(response: openai.Response) -> str | None:
    details = response.status_details
    return details.reason if isinstance(details, openai.StatusDetails) else details


def _tell_status(context: Context, response: openai.Response) -> None:
    """Warn of an answer that is not whole. It is not asked for again: the limit or the filter would be the same."""
    status = response.status
    if status == "incomplete" and not _was_cancelled(response):
        why = _reason_of(response) or "the upstream does not say why"
        description = context.options.redact(f"the answer is incomplete: {why[:200]}")
        context.to_client(deepgram.Warning(description=description, code="RESPONSE_INCOMPLETE"))
    elif status not in KNOWN_STATUSES:
        context.log_unknown(f"response.done of status {status}", "taken for completed")


def finish_unannounced(context: Context, event: TextDone) -> ResponseState | None:
    """The text of a response that the upstream never announced counts as its end."""
    if context.state.turn.is_of_another(event.response_id):
        return context.state.turn.response
    end_of_response(context)
    return None


def end_of_response(context: Context) -> None:
    """Close the books on a response."""
    turn = context.state.turn
    context.stop_waiting(Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE)
    flush_audio(context)
    verbatim.conclude(context)
    turn.response_id = turn.event_id = turn.current_request = None
    turn.has_started_speaking = turn.is_interrupted_early = False
    turn.answer = Answer()
    end_turn(context)
    if not turn.is_open and context.state.transcripts.are_awaited and not context.state.transcripts.held:
        context.wait(Wait.TRANSCRIPT)
    if turn.awaits_answer:
        context.wait(Wait.FIRST_EVENT)  # what the user said meanwhile is answered by the upstream itself


def _error_of(response: openai.Response) -> openai.ErrorDetail:
    # A failed response comes without an error event: its status is all there is (reference, 3.5).
    details = response.status_details
    error = details.error if isinstance(details, openai.StatusDetails) else None
    return error or openai.ErrorDetail()


def response_refused(context: Context, event: openai.Error) -> ResponseState | None:
    """Our response.create caused this error: nothing else will come of it."""
    turn, error = context.state.turn, event.error
    if errors.code_of(error) == errors.ALREADY_ACTIVE and error.event_id in (turn.event_id, None):
        return _another_is_active(context)
    if turn.event_id is None or error.event_id != turn.event_id or is_fatal_error(error):
        return turn.response
    end_of_response(context)
    return None


def _another_is_active(context: Context) -> ResponseState:
    # Ask again when it has ended. Its response.created has passed us by, or is on its way.
    turn = context.state.turn
    turn.requests.appendleft(turn.current_request or ResponseRequest())
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    return ResponseState.ACTIVE
