"""Create the requested responses, one at a time, and take the refusal of a request.

An upstream has one active response (upstream 5.1), and may begin one by itself at any time. So requests queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.handlers import user_turn, verbatim
from router.session.handlers.agent_output import end_turn
from router.session.handlers.refusals import is_fatal_error
from router.session.handlers.response_end import end_of_response
from router.session.handlers.response_origin import echoes
from router.session.state.origin import metadata_of
from router.session.state.pending import ResponseRequest, SentRequest
from router.session.state.queues import kept
from router.session.state.states import Lifecycle, ResponseState
from router.translation import errors, session_config, speech

if TYPE_CHECKING:
    from router.session.context import Context


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
    """Create the response that was requested first. Return NONE if no response was created.

    A verbatim text of an agent without a voice needs no response: send it in writing, and try the next request.
    """
    while is_due(context):
        if _create(context, context.state.pending.take_next()):
            return None
    return ResponseState.NONE


def _create(context: Context, request: ResponseRequest) -> bool:
    """Create a response. Return False if the request needs no response."""
    state, turn = context.state, context.state.turn
    # A response outside the conversation belongs to no turn of the agent.
    turn.is_open |= not request.is_outside
    turn.is_answered_by_passthrough = turn.cancels_next = False
    if request.verbatim is not None and not verbatim.has_voice(context):
        verbatim.send_in_writing(context, request.verbatim)
        return False
    turn.begin_answer(request.resent, request.before)
    if not request.is_outside:
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
    metadata = None if echoes(context) is False else metadata_of(sent.event_id, is_verbatim=False)
    if request.resume_after is None:
        return openai.ResponseParameters(metadata=metadata) if metadata is not None else None
    # As instructions, and not as an item: an item would stay in the conversation (docs/decisions/0008). They replace
    # the session's (upstream 5.2), so they repeat the prompt.
    prompt = session_config.first_think(context.state.plan.agent).prompt
    instructions = speech.continuation(prompt, request.resume_after)
    return openai.ResponseParameters(instructions=instructions, metadata=metadata)


def response_refused(context: Context, event: openai.Error) -> ResponseState | None:
    """End a response whose response.create caused this error: no other event follows for this response."""
    turn, error = context.state.turn, event.error
    sent = context.state.pending.in_flight
    if sent is None or not _is_about(error, sent):
        return turn.response
    if errors.code_of(error) == errors.ALREADY_ACTIVE:
        return _await_other_response(context)
    # A fatal error is a loss: the next upstream creates the response.
    if is_fatal_error(error):
        return turn.response
    if refuses_metadata(context, error):
        context.state.echoes = kept(context.state.echoes, context.state.upstream.position, False)
        context.state.pending.take_back()
    end_of_response(context)
    return None


def _is_about(error: openai.ErrorDetail, sent: SentRequest) -> bool:
    # Some errors name no event (upstream 8.1), but this code, or a field of a response, can only refuse the session's
    # request.
    is_of_response = (error.param or "").partition(".")[0] == "response"
    is_unnamed = error.event_id is None and (is_of_response or errors.code_of(error) == errors.ALREADY_ACTIVE)
    return is_unnamed or error.event_id == sent.event_id


def refuses_metadata(context: Context, error: openai.ErrorDetail) -> bool:
    """Whether an error refuses a request of the session's because of its metadata, which some servers do not know."""
    sent = context.state.pending.in_flight
    is_ours = sent is not None and sent.request.is_answer and error.event_id == sent.event_id
    return is_ours and (error.param or "").startswith("response.metadata") and echoes(context) is None


def _await_other_response(context: Context) -> ResponseState:
    # Repeat the request when the other response has ended. Its response.created came unnoticed, or is on its way: it
    # counts as active in either case, and the session waits for its response.done.
    turn, sent = context.state.turn, context.state.pending.in_flight
    context.state.pending.take_back()
    turn.current, turn.has_output = None, False
    turn.begin_answer()
    if sent is not None and sent.is_over:
        end_turn(context)  # the user interrupted the request, so it is not repeated
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    context.wait(Wait.RESPONSE)
    return ResponseState.ACTIVE


def refused_in_flight(context: Context, event: openai.Error) -> None:
    """Handle the upstream's refusal of a `response.create` while another response may be active.

    If another response is active, request this one again after its end. After any other refusal, drop the request. If
    the upstream returns no metadata, the session may have taken the active response for the requested one. The refusal
    corrects that.
    """
    turn, pending, error = context.state.turn, context.state.pending, event.error
    if is_fatal_error(error):
        return
    current = turn.current
    if pending.in_flight is None and current is not None and not current.is_proven:
        if error.event_id != current.event_id:
            return
        user_turn.correct_origin(context, current)
    sent = pending.in_flight
    if sent is None or not _is_about(error, sent):
        return
    if turn.current is sent:
        turn.current = None
    if errors.code_of(error) == errors.ALREADY_ACTIVE:
        pending.take_back()
    else:
        pending.give_up("REFUSED")
