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
from router.session.state.states import KEEP, ResponseState
from router.session.state.turn import Answer, ResponseRequest
from router.translation import errors, session_config, speech

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.state.states import Keep


def continuation(session: Session, words: str) -> str:
    """The instructions for a response that goes on with an answer that was cut off."""
    return speech.continuation(session_config.first_think(session.state.agent).prompt, words)


TextDone = openai.ResponseOutputTextDone | openai.ResponseOutputAudioTranscriptDone

KNOWN_STATUSES: Final = frozenset({"completed", "cancelled", "incomplete", "failed", None})
"""None: some compatible servers leave it out."""


def create_response(session: Session, request: ResponseRequest) -> Keep | None:
    """Ask for a response."""
    turn = session.state.turn
    turn.is_open = True
    turn.is_answered_by_passthrough = turn.is_interrupted_early = False
    if request.verbatim is not None and not verbatim.has_voice(session):
        verbatim.send_in_writing(session, request.verbatim)
        return KEEP
    turn.current_request = request
    if request.follow_up is not None:
        turn.requests.appendleft(request.follow_up)
    turn.answer = Answer()
    session.state.latency.mark("asked_s", session.now_s)
    turn.event_id = request.event_id or session.state.new_id()
    session.wait(Wait.FIRST_EVENT)
    if request.verbatim is not None:
        verbatim.begin(session, request)
    if request.text is not None:
        session.forward(request.text)
    else:
        session.to_upstream(openai.ResponseCreate(event_id=turn.event_id, response=_parameters(session, request)))
    return None


def _parameters(session: Session, request: ResponseRequest) -> openai.ResponseParameters | None:
    if request.verbatim is not None:
        return verbatim.parameters(request.verbatim)
    if request.resume_after is None:
        return None
    return openai.ResponseParameters(instructions=continuation(session, request.resume_after))


def begin_response(session: Session, event: openai.ResponseCreated) -> Keep | None:
    """A response has begun: ours, or one that the upstream began itself."""
    turn = session.state.turn
    if verbatim.is_late(session, event):
        _drop(session, event)
        return KEEP
    if verbatim.is_another(session, event):
        turn.is_interrupted_early = True
        end_of_response(session)
        turn.response = ResponseState.NONE
    turn.is_open = True
    session.state.latency.mark("asked_s", session.now_s)
    turn.begin(event.response.id)
    turn.answer = Answer()
    if turn.response is ResponseState.NONE:  # the upstream began it itself
        turn.current_request = None
    elif turn.current_request is not None:
        turn.answer.resent_chars = turn.current_request.resent_chars
    verbatim_text = verbatim.current_verbatim(session)
    turn.has_started_speaking = turn.has_started_speaking and (turn.is_resumed or verbatim_text is not None)
    if verbatim_text is not None:
        verbatim.expect(session, verbatim_text)
    elif turn.awaits_answer:  # it answers whatever was asked meanwhile, too
        turn.requests = Queue(request for request in turn.requests if not request.is_answer)
    turn.is_resumed = turn.awaits_answer = False
    if turn.is_interrupted_early:
        cancel_active(session)
    session.stop_waiting(Wait.FIRST_EVENT)
    session.wait(Wait.SILENCE)
    session.wait(Wait.RESPONSE)
    return None


def _drop(session: Session, event: openai.ResponseCreated) -> None:
    """Have nothing of a response: the user interrupted it before it began."""
    session.state.turn.interrupted.append(event.response.id)
    session.to_upstream(openai.ResponseCancel(response_id=event.response.id, event_id=CUT_EVENT_ID))


def another_begins(session: Session, event: openai.ResponseCreated) -> None:
    """A response begins beside the active one, as those outside the conversation may: one of them has to go."""
    turn = session.state.turn
    if event.response.id == turn.response_id:
        return
    if verbatim.is_marked(event):
        _drop(session, event)
    elif verbatim.current_verbatim(session) is not None:  # the user is answered now
        if not turn.is_interrupted:
            interrupt(session)
        end_of_response(session)
        turn.response = ResponseState.NONE
        begin_response(session, event)


def finish_response(session: Session, event: openai.ResponseDone) -> Keep | None:
    """A response has ended, whatever its status; so has the agent's turn, unless a function call is to be answered."""
    turn = session.state.turn
    if turn.is_of_another(event.response.id):
        return KEEP
    if event.response.status == "failed" and not turn.is_interrupted and _has_remedy(session, event.response):
        return KEEP
    if _was_cancelled(event.response):
        turn.cancelled.append(event.response.id)
    _tell_status(session, event.response)
    turn.failures = 0
    session.reset_restart_budget()
    is_aside = verbatim.current_verbatim(session) is not None
    end_of_response(session)
    if turn.awaits_answer and not is_aside and _reason_of(event.response) != "turn_detected":
        _answer_crossed_speech(session)
    return None


def _answer_crossed_speech(session: Session) -> None:
    # Speech was committed while this response was active. It was in the way: the upstream has begun none of its own,
    # and will not (reference, 4: turn_detection).
    session.stop_waiting(Wait.FIRST_EVENT)
    session.state.turn.awaits_answer = False
    session.state.turn.request(ResponseRequest())


def _was_cancelled(response: openai.Response) -> bool:
    # What the user's speech cuts off ends as `cancelled`, and at some models as `incomplete` (reference, 9).
    return response.status == "cancelled" or _reason_of(response) == "turn_detected"


def _reason_of(response: openai.Response) -> str | None:
    details = response.status_details
    return details.reason if isinstance(details, openai.StatusDetails) else details


def _tell_status(session: Session, response: openai.Response) -> None:
    """Warn of an answer that is not whole. It is not asked for again: the limit or the filter would be the same."""
    status = response.status
    if status == "incomplete" and not _was_cancelled(response):
        why = _reason_of(response) or "the upstream does not say why"
        description = session.options.redact(f"the answer is incomplete: {why[:200]}")
        session.to_client(deepgram.Warning(description=description, code="RESPONSE_INCOMPLETE"))
    elif status not in KNOWN_STATUSES:
        session.log_unknown(f"response.done of status {status}", "taken for completed")


def finish_unannounced(session: Session, event: TextDone) -> Keep | None:
    """The text of a response that the upstream never announced counts as its end."""
    if session.state.turn.is_of_another(event.response_id):
        return KEEP
    end_of_response(session)
    return None


def end_of_response(session: Session) -> None:
    """Close the books on a response."""
    turn = session.state.turn
    session.stop_waiting(Wait.FIRST_EVENT, Wait.SILENCE, Wait.RESPONSE)
    flush_audio(session)
    verbatim.conclude(session)
    turn.response_id = turn.event_id = turn.current_request = None
    turn.has_started_speaking = turn.is_interrupted_early = False
    turn.answer = Answer()
    end_turn(session)
    if not turn.is_open and session.state.transcripts.are_awaited and not session.state.transcripts.held:
        session.wait(Wait.TRANSCRIPT)
    if turn.awaits_answer:
        session.wait(Wait.FIRST_EVENT)  # what the user said meanwhile is answered by the upstream itself


def _has_remedy(session: Session, response: openai.Response) -> bool:
    # A failed response comes without an error event: its status is all there is (reference, 3.5).
    details = response.status_details
    error = details.error if isinstance(details, openai.StatusDetails) else None
    return response_failed(session, error or openai.ErrorDetail())


def response_refused(session: Session, event: openai.Error) -> Keep | None:
    """Our response.create caused this error: nothing else will come of it."""
    turn, error = session.state.turn, event.error
    if errors.code_of(error) == errors.ALREADY_ACTIVE and error.event_id in (turn.event_id, None):
        return _another_is_active(session)
    if turn.event_id is None or error.event_id != turn.event_id or is_fatal_error(error):
        return KEEP
    end_of_response(session)
    return None


def _another_is_active(session: Session) -> Keep:
    # Ask again when it has ended. Its response.created has passed us by, or is on its way.
    turn = session.state.turn
    turn.requests.appendleft(turn.current_request or ResponseRequest())
    turn.response = ResponseState.ACTIVE
    session.stop_waiting(Wait.FIRST_EVENT)
    session.wait(Wait.SILENCE)
    return KEEP
