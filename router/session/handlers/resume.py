"""Interrupt the work in progress and store the request that continues it; repeat a response that failed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from router.session.handlers import barge_in, items, refusals, verbatim
from router.session.handlers.agent_output import deliver_heard, end_turn, flush_audio
from router.session.state.queues import Queue
from router.session.state.states import ResponseState
from router.session.state.turn import Answer, ResponseRequest
from router.translation import errors, speech

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.context import Context


def interrupt_work(context: Context, *, is_lost: bool = True) -> None:
    """Put what is under way into words that another upstream, or the same, can be asked with: `State.resume`.

    What was told of a response that failed is its beginning; of any other it is all that it says.
    """
    state, turn = context.state, context.state.turn
    has_failed = not is_lost or turn.failures > 1
    active = _active(context)
    is_first = active is not None or not turn.requests or turn.requests[0].verbatim is None
    pending = _pending(context)
    flush_audio(context)
    answer, turn.answer = turn.answer, Answer()
    is_interrupted_early, turn.is_interrupted_early = turn.is_interrupted_early or turn.is_interrupted, False
    turn.current_request, turn.response_id, turn.event_id = None, None, None
    turn.requests = Queue(request for request in turn.requests if not request.is_answer and request is not pending)
    turn.failures = 0
    turn.awaits_answer = False
    if active is not None and active.verbatim is not None and not is_interrupted_early:
        _requeue(context, active, answer, is_lost=is_lost)
        active, is_first = None, False
    elif is_interrupted_early or (
        active is not None and answer.sent_text and not answer.is_commentary and not has_failed
    ):
        active = None  # nothing is left of it but its end
        _end_turn_unless_it_goes_on(context, pending)
    elif active is not None and (answer.played_s or answer.sent_chars or answer.sent_text):
        active = _interrupt_answer(context, answer, active, has_failed=has_failed, is_lost=is_lost)
    state.resume = _one_after_the_other(active, pending, is_first=is_first)


def _active(context: Context) -> ResponseRequest | None:
    """What the response under way was asked for; None where a function's answer is waited for instead."""
    turn = context.state.turn
    is_verbatim_item = turn.current_request is not None and turn.current_request.verbatim is not None
    if turn.response is ResponseState.NONE or (context.state.calls.outstanding and not is_verbatim_item):
        return None
    return turn.current_request or ResponseRequest()


def _requeue(context: Context, active: ResponseRequest, answer: Answer, *, is_lost: bool) -> None:
    rest = verbatim.interrupt(context, active, answer, is_lost=is_lost)
    if rest is not None:
        context.state.turn.requests.appendleft(rest)


def _pending(context: Context) -> ResponseRequest | None:
    """What is wanted beside it, or about to be."""
    turn, items = context.state.turn, context.state.upstream.items
    general = next((request for request in turn.requests if request.verbatim is None), None)
    if general is not None:
        return general
    waiting = items.give_up_waiting()
    keep_verbatim_requests(context, waiting)
    asked = next((request for request in waiting if request.verbatim is None), None)
    if asked is not None:
        return asked
    return ResponseRequest() if turn.awaits_answer else context.state.resume


def keep_verbatim_requests(context: Context, waiting: list[ResponseRequest]) -> None:
    """Request again the verbatim texts that waited for an acknowledgement.

    The other waiting requests are dropped, because the request that the session resumes answers their questions.
    """
    context.state.turn.request(*(request for request in waiting if request.verbatim is not None))


def _one_after_the_other(
    active: ResponseRequest | None, pending: ResponseRequest | None, *, is_first: bool
) -> ResponseRequest | None:
    # An answer that is begun again answers what was asked meanwhile, too. One that is gone on with does not, and what
    # the client asks for in its own words is another.
    if active is not None and pending is not None and not (active.is_general and pending.is_general):
        active = msgspec.structs.replace(active, follow_up=pending)
    request = active or pending
    return msgspec.structs.replace(request, is_resumed=is_first) if request is not None else None


def _end_turn_unless_it_goes_on(context: Context, pending: ResponseRequest | None) -> None:
    if pending is None or not pending.continues_turn:
        end_turn(context)


def _interrupt_answer(
    context: Context, answer: Answer, active: ResponseRequest, *, has_failed: bool, is_lost: bool
) -> ResponseRequest | None:
    """Tell what was heard of an answer, and have the rest said, or leave it at that.

    The transcript runs ahead of the audio. What was told beyond the sound is said again, and not told again; a
    response that failed ends with the transcript so far.
    """
    is_cut = has_failed and answer.is_spoken and not answer.is_complete
    if is_cut and not is_lost and answer.item_id is not None:  # it stays in the conversation that goes on
        barge_in.truncate(context, answer.item_id, answer.played_s)
        context.state.playback.truncated(answer.item_id)
    words = answer.sent_text if answer.sent_text and not is_cut else _delivered(answer)
    if answer.played_s:
        context.state.playback.set_text(answer.item_id, words)
    if answer.sent_text:
        items.correct_item(context, answer.item_id, words)
    elif words:
        deliver_heard(context, answer.item_id, answer, words)
        context.state.ledger.add_assistant_text(answer.item_id, words)
    if context.options.interrupted_answer == "stop":
        end_turn(context)
        return None
    context.state.turn.is_resumed = True
    resent_chars = _resent_chars(answer, words)
    if not words:  # none of its audio was there yet: it is begun again, but for the text that was told
        return msgspec.structs.replace(active, resent_chars=resent_chars)
    return ResponseRequest(continues_turn=True, resume_after=words, resent_chars=resent_chars)


def _resent_chars(answer: Answer, words: str) -> int:
    """How many characters beyond `words` the client was told, whether they came again or not."""
    sent = answer.sent_text or answer.transcript[: answer.delivered_chars]
    # White space around it is no part of what was told, and the next answer may begin with its own, or with none.
    return len(sent.strip()[len(words) :]) + max(0, answer.delivered_chars - len(sent))


def _delivered(answer: Answer) -> str:
    """The words that have reached the client: as sound, where the answer is spoken."""
    if not answer.is_spoken:
        return answer.transcript[: answer.sent_chars].strip()
    return speech.heard(answer.transcript, answer.played_s) if answer.played_s else ""


# A response that failed.


def response_failed(context: Context, error: openai.ErrorDetail) -> ResponseState | None:
    """Request a failed response once more; abandon the upstream where that one fails, too.

    Return the response's state where it stays, because `UpstreamLost` follows.
    """
    turn = context.state.turn
    if refusals.abandon_refusing_upstream(context, error):
        return turn.response
    turn.failures += 1
    if turn.failures > 1:
        code = context.options.redact(errors.code_of(error))
        context.abandon(Loss(kind=LossKind.REFUSED, cause=code))
        return turn.response
    context.log(logging.WARNING, f"a response failed ({errors.code_of(error)}): it is asked for again")
    failures = turn.failures
    context.stop_waiting(Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE)
    interrupt_work(context, is_lost=False)
    turn.failures = failures
    context.wait(Wait.ASK_AGAIN)
    return None


def ask_again(context: Context, _fired: Any) -> None:
    """The time has come to ask for a failed response again."""
    request, context.state.resume = context.state.resume, None
    if request is not None:
        context.state.turn.request(request)
