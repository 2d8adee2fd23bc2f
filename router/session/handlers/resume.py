"""Interrupt the work in progress, and request its continuation, at the next upstream or after a failed response.

An answer is continued behind its last delivered words. For a spoken answer these are the words whose audio was played.
They are estimated at 15 characters a second, because the transcript carries no timing (docs/decisions/0008).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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
    from actors import messages
    from router.openai import events as openai
    from router.session.context import Context


def interrupt_work(context: Context, *, is_lost: bool = True) -> None:
    """Interrupt the work in progress, and store in `State.resume` the request that continues it.

    `is_lost` is false where a response failed, and the upstream stays in use. A failed answer is incomplete even where
    its whole text was sent. An answer that was cut off by a loss is complete then: only its end is missing.
    """
    state, turn = context.state, context.state.turn
    has_failed = not is_lost or turn.failures > 1
    active = _active(context)
    # The resumed request goes first, unless a given text was to be spoken before it.
    is_first = active is not None or not turn.requests or turn.requests[0].verbatim is None
    # Before the state of the turn is reset, because both depend on it.
    pending = _pending(context)
    flush_audio(context)
    answer, turn.answer = turn.answer, Answer()
    is_interrupted, turn.is_interrupted_early = turn.is_interrupted_early or turn.is_interrupted, False
    turn.current_request, turn.response_id, turn.event_id = None, None, None
    # `pending` covers the other answers. Given texts and the client's own responses keep their places.
    turn.requests = Queue(request for request in turn.requests if not request.is_answer and request is not pending)
    turn.failures = 0
    turn.awaits_answer = False
    if active is not None and active.verbatim is not None and not is_interrupted:
        rest = verbatim.rest_request(context, active, active.verbatim, answer, is_lost=is_lost)
        if rest is not None:
            turn.requests.appendleft(rest)
        # The rest of the text is the first request now.
        active, is_first = None, False
    elif is_interrupted or (active is not None and answer.sent_text and not answer.is_commentary and not has_failed):
        # Only the end of the answer is missing. A commentary is no answer: the function call that it announces is.
        active = None
        if pending is None or not pending.continues_turn:
            end_turn(context)
    elif active is not None and (answer.received_s or answer.sent_chars or answer.sent_text):
        active = _cut_answer(context, answer, active, has_failed=has_failed, is_lost=is_lost)
    state.resume = _in_sequence(active, pending, is_first=is_first)


def _active(context: Context) -> ResponseRequest | None:
    """Return the request of the response in progress, or None where the session awaits a function's answer instead."""
    turn = context.state.turn
    is_verbatim = turn.current_request is not None and turn.current_request.verbatim is not None
    if turn.response is ResponseState.NONE or (context.state.calls.outstanding and not is_verbatim):
        return None
    # A response that the upstream began by itself has no request, and is continued like any answer.
    return turn.current_request or ResponseRequest()


def _pending(context: Context) -> ResponseRequest | None:
    """Return the request that was to follow the response in progress, from the first place that has one."""
    turn, upstream_items = context.state.turn, context.state.upstream.items
    queued = next((request for request in turn.requests if request.verbatim is None), None)
    if queued is not None:
        return queued
    waiting = upstream_items.take_waiting()
    keep_verbatim_requests(context, waiting)
    unacknowledged = next((request for request in waiting if request.verbatim is None), None)
    if unacknowledged is not None:
        return unacknowledged
    return ResponseRequest() if turn.awaits_answer else context.state.resume


def keep_verbatim_requests(context: Context, waiting: list[ResponseRequest]) -> None:
    """Request again the verbatim texts that waited for an acknowledgement.

    The other waiting requests are dropped, because the request that the session resumes answers their questions.
    """
    context.state.turn.request(*(request for request in waiting if request.verbatim is not None))


def _in_sequence(
    active: ResponseRequest | None, pending: ResponseRequest | None, *, is_first: bool
) -> ResponseRequest | None:
    # An answer that starts again covers later questions, too, since the conversation holds them by then. A continuation
    # does not, and a response that the client requested with its own event is another one in any case.
    if active is not None and pending is not None and not (active.is_general and pending.is_general):
        active = msgspec.structs.replace(active, follow_up=pending)
    request = active or pending
    return msgspec.structs.replace(request, is_resumed=is_first) if request is not None else None


def _cut_answer(
    context: Context, answer: Answer, active: ResponseRequest, *, has_failed: bool, is_lost: bool
) -> ResponseRequest | None:
    """Deliver the heard words of an answer. Return the request that continues it, or None where it is to end there.

    The client may have more text than audio. The continuation speaks that text, and does not send it again.
    """
    is_cut = has_failed and answer.is_spoken and not answer.is_complete
    if is_cut and not is_lost and answer.item_id is not None:
        # The conversation continues at this upstream, and must not hold words that the caller did not hear.
        barge_in.truncate(context, answer.item_id, answer.received_s)
        context.state.playback.mark_truncated(answer.item_id)
    words = answer.sent_text if answer.sent_text and not is_cut else _delivered_words(answer)
    if answer.received_s:
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
    if not words:
        # No audio arrived: the answer starts again, without the text that the client has.
        return msgspec.structs.replace(active, resent_chars=resent_chars)
    return ResponseRequest(continues_turn=True, resume_after=words, resent_chars=resent_chars)


def _resent_chars(answer: Answer, words: str) -> int:
    """Return the number of characters behind `words` that the client has, from this answer or an earlier one."""
    sent = answer.sent_text or answer.transcript[: answer.delivered_chars]
    # Without the white space around it: the next answer may begin with white space of its own, or with none.
    return len(sent.strip()[len(words) :]) + max(0, answer.delivered_chars - len(sent))


def _delivered_words(answer: Answer) -> str:
    """Return the words that reached the caller: as audio, where the answer is spoken."""
    if not answer.is_spoken:
        return answer.transcript[: answer.sent_chars].strip()
    return speech.heard(answer.transcript, answer.received_s) if answer.received_s else ""


# A failed response.


def response_failed(context: Context, error: openai.ErrorDetail) -> ResponseState | None:
    """Request a failed response once more. Abandon the upstream where that one fails, too.

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
    context.log(logging.WARNING, f"a response failed ({errors.code_of(error)}): it is requested again")
    # `interrupt_work` resets the count; a second failure in a row has to be seen as such.
    failures = turn.failures
    context.stop_waiting(Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE)
    interrupt_work(context, is_lost=False)
    turn.failures = failures
    # Not at once: server errors and rate limits are often transient (upstream 5.5).
    context.wait(Wait.ASK_AGAIN)
    return None


def request_again(context: Context, _fired: messages.TimerFired) -> None:
    """Request a failed response again, after the pause."""
    request, context.state.resume = context.state.resume, None
    if request is not None:
        context.state.turn.request(request)
