"""Begin responses: the requested ones, and those that an upstream begins by itself.

Some upstreams announce no response: a response then begins with its first output. A response may also begin while
another response is active, or after its request was given up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.restart import Loss, LossKind
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import user_turn, verbatim
from router.session.handlers.agent_output import end_turn
from router.session.handlers.barge_in import cancel_active, interrupt
from router.session.handlers.items import CUT_EVENT_ID
from router.session.handlers.response_end import begin_beside, end_of_response
from router.session.handlers.response_origin import find_origin, may_answer_speech, rejects_overtaken, take_unannounced
from router.session.state.origin import Origin, answers_request, is_outside
from router.session.state.states import ResponseState
from router.session.state.turn import MAX_UNASKED

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.pending import SentRequest

Output = (
    openai.ResponseOutputItemAdded
    | openai.ResponseOutputTextDelta
    | openai.ResponseOutputAudioTranscriptDelta
    | openai.ResponseOutputAudioDelta
    | openai.ResponseFunctionCallArgumentsDone
)

UNASKED_S: Final = 10.0
"""The session abandons an upstream that begins `MAX_UNASKED` unasked responses within this many seconds.

An unasked response answers neither a request nor speech.
"""

_NO_TURN: Final = frozenset({Origin.LATE, Origin.OUTSIDE, Origin.OUTSIDE_REQUESTED})
"""The origins of responses that are not part of the agent's turn."""


def begin_response(context: Context, event: openai.ResponseCreated) -> ResponseState | None:
    """Begin a response: the requested one, or one that the upstream began by itself."""
    turn, pending = context.state.turn, context.state.pending
    origin = find_origin(context, event.response)
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


def _pass_over(context: Context, response: openai.Response, origin: Origin) -> None:
    if origin is Origin.LATE:
        _reject(context, response)
        return
    if origin is Origin.OUTSIDE_REQUESTED and context.state.turn.response is ResponseState.REQUESTED:
        begin_beside(context, response.id, is_announced=True)
        return
    if origin is Origin.OUTSIDE and context.state.turn.is_dropped(response.id):
        return
    context.state.turn.note_outside(response.id)
    if origin is Origin.OUTSIDE_REQUESTED:
        context.state.pending.in_flight = None


def _reject(context: Context, response: openai.Response) -> None:
    """Cancel a response that begins too late, and drop its output."""
    context.state.turn.mute(response.id)
    if response.id is None:
        context.state.turn.drop_unnamed()
    context.to_upstream(openai.ResponseCancel(response_id=response.id, event_id=CUT_EVENT_ID))


def _begin_rejected(context: Context, response: openai.Response) -> None:
    """Cancel a response of the conversation that begins too late, and await the end of this response.

    Before this end the upstream would refuse any other response.
    """
    turn = context.state.turn
    cancels_next, turn.current = turn.cancels_next, None
    turn.begin(response.id)
    turn.begin_answer()
    cancel_active(context)
    turn.is_rejected, turn.cancels_next = True, cancels_next


def _begin_requested(context: Context, response: openai.Response) -> None:
    turn, pending = context.state.turn, context.state.pending
    is_owed = may_answer_speech(context)
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


def _answer_earlier_speech(context: Context, sent: SentRequest) -> None:
    """Count an unannounced response as the answer to the user's speech, if all speech was committed before the request.

    If speech was committed later, no event tells whether the response began before or after that commit. The session
    requests another answer at the end of the response.
    """
    if any(turn.is_behind_request for turn in context.state.user_turns.owed):
        context.state.user_turns.by_hand = None
    else:
        _answer_speech(context, sent)


def _covers_speech(sent: SentRequest) -> bool:
    return not sent.is_interrupted and (sent.request.is_general or not sent.is_proven)


def _begin_of_upstream(context: Context, response: openai.Response) -> None:
    turn, sent, turns = context.state.turn, context.state.pending.in_flight, context.state.user_turns
    is_cancelled, is_owed = turn.cancels_next, may_answer_speech(context)
    user_turn.reopen_crossed(context)
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


def _bound_unasked(context: Context) -> None:
    """Count an unasked response. Abandon an upstream that begins `MAX_UNASKED` such responses within `UNASKED_S`."""
    turn = context.state.turn
    turn.note_unasked(context.now_s)
    if len(turn.unasked) == MAX_UNASKED and context.now_s - turn.unasked[0] < UNASKED_S:
        turn.unasked = ()
        context.log(logging.WARNING, f"the upstream began {MAX_UNASKED} responses by itself: it is abandoned")
        context.abandon(Loss(kind=LossKind.MALFORMED, cause="responses without a question"))


def _end_what_speech_answers(context: Context) -> None:
    pending = context.state.pending
    pending.answer_with_speech()
    sent = pending.in_flight
    if sent is None:
        return
    if sent.is_interrupted and sent.request.is_presumed:
        # The upstream does not have the item of the request yet, so this response cannot answer that item.
        sent.is_interrupted = False
    elif sent.is_interrupted:
        _give_up(context, "INTERRUPTED")
    elif sent.request.verbatim is not None:
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
    """Take the output of an unknown response as its beginning.

    No response was awaited. But without metadata only the order of responses tells them apart, so the session may have
    taken an earlier response for the requested one. A response to a verbatim text that a rule has ended is rejected.
    """
    turn = context.state.turn
    if event.response_id is None or not turn.is_unknown(event.response_id):
        return ResponseState.NONE
    turn.is_open |= not turn.is_overtaken(event.response_id)
    return begin_unannounced(context, event)


def begin_unannounced(context: Context, event: Output) -> ResponseState | None:
    """Take the first output as the beginning of the requested response. Some servers send no response.created."""
    turn = context.state.turn
    if rejects_overtaken(context, event.response_id) or turn.is_other_response(event.response_id):
        return turn.response
    if turn.begins_beside(event.response_id):
        return begin_beside(context, event.response_id, is_announced=False)
    turn.output_id = event.response_id
    take_unannounced(context)
    if turn.current is None:
        user_turn.reopen_crossed(context)
        _answer_speech_unannounced(context)
    elif turn.current.is_interrupted:
        cancel_active(context)
    elif turn.current.request.verbatim is None:
        user_turn.suspect_crossed(context, turn.current)
        _answer_earlier_speech(context, turn.current)
    context.stop_waiting(Wait.FIRST_EVENT)
    context.wait(Wait.NEXT_EVENT)
    context.wait(Wait.RESPONSE)
    return None


def _answer_speech_unannounced(context: Context) -> None:
    # The response covers no question in `pending`, because it may have begun before the upstream had that question.
    turn = context.state.turn
    turn.answers_speech, context.state.user_turns.by_hand = may_answer_speech(context), None
    if not turn.answers_speech:
        turn.doubtful_id = None
    context.signal(inputs.SpeechAnswered())
    if turn.cancels_next:
        cancel_active(context)


def another_begins(context: Context, event: openai.ResponseCreated) -> None:
    """Begin a response while another response is active.

    Either the end of the other response was lost, or one of the two runs outside the conversation. Only one response
    may speak. The answer to the user takes precedence over a verbatim text. A verbatim text waits for the end of the
    upstream's own response.
    """
    turn, response = context.state.turn, event.response
    if turn.is_announced and response.id is not None and response.id == turn.response_id:
        return
    is_other = response.id is not None and turn.output_id not in (response.id, None)
    if is_other and context.state.pending.in_flight is turn.current:
        # The request in flight began with the output of a response that was not announced. So this one is another
        # response.
        context.state.pending.in_flight = None
    current = turn.current
    if turn.is_announced and current is not None and not current.is_proven and answers_request(response, current):
        user_turn.correct_origin(context, current)
    origin = find_origin(context, response)
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
