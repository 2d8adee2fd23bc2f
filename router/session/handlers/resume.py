"""Interrupt the work in progress, and request its continuation, at the next upstream or after a failed response.

An answer is continued after its last delivered words. For a spoken answer these are the words whose audio has arrived.
The session estimates them at 15 characters a second, because the transcript carries no timing (docs/decisions/0008).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from actors.restart import Loss, LossKind
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import barge_in, items, refusals, verbatim
from router.session.handlers.agent_output import deliver_heard, end_turn, flush_audio, key_of
from router.session.state.pending import ResponseRequest
from router.session.state.states import ResponseState
from router.translation import errors, speech

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.context import Context
    from router.session.state.text_delivery import ItemDelivery


def interrupt_work(context: Context, *, is_lost: bool = True) -> None:
    """Interrupt the work in progress, and put the request that continues it before all others.

    `is_lost` is false if a response failed and the upstream stays in use. If the response failed, its answer is
    incomplete, even if the client has the whole text. If the upstream was lost, an answer whose whole text the client
    has is complete, and lacks only its closing events. This does not hold if two responses had failed in a row.
    """
    turn, pending = context.state.turn, context.state.pending
    has_failed = not is_lost or turn.failures > 1
    # Read this before the state of the turn is reset.
    active = _active(context)
    flush_audio(context)
    parts, answer = turn.answer.parts, turn.answer.newest
    turn.begin_answer()
    sent = pending.in_flight
    is_interrupted = turn.is_interrupted or (sent is not None and sent is turn.current and sent.is_over)
    # A rejected response is no turn. The turn that is open beside it is that of a request.
    is_turn = not turn.is_rejected or not (pending or sent)
    # The next upstream gets the client's own request outside the conversation, which belongs to no turn.
    is_own = is_lost and sent is not None and sent is turn.current and sent.request.is_outside
    if sent is turn.current and not is_own:
        # `active` is this request. Any other request in flight waits for the end of the upstream's own response.
        pending.in_flight = None
    if is_lost:
        # Not after a failed response: the upstream stays in use, and will still answer the request in flight.
        pending.take_back()
    if turn.response_id is not None:
        # A late event of this response must not end the next response.
        turn.note_ended(turn.response_id)
    turn.current = turn.response_id = turn.output_id = None
    turn.is_announced = turn.is_cut = turn.is_rejected = turn.cancels_next = False
    turn.failures = 0
    if is_lost:
        # No gate stays closed: the next upstream gets the items with the ledger, and needs no pause.
        pending.open_all()
    if context.state.user_turns.owed:
        # The upstream begins no response for speech that it gets as an item (upstream 3.1), or that was committed while
        # the failed response was active (upstream 4.3).
        pending.add(ResponseRequest())
        context.signal(inputs.AnswerRequested())
    if active is None or not is_turn or is_own:
        return
    if active.verbatim is not None and not is_interrupted:
        rest = verbatim.rest_request(context, active, active.verbatim, answer, is_lost=is_lost)
        if rest is not None:
            pending.put_first(rest)
    elif is_interrupted or (answer.sent_text and not answer.is_commentary and not has_failed):
        # Only the end of the answer is missing. A commentary is no answer: it only announces a function call.
        end_turn(context)
    else:
        _keep_earlier(context, parts[:-1])
        _begin_again(context, active, answer, has_failed=has_failed, is_lost=is_lost)


def _keep_earlier(context: Context, parts: list[ItemDelivery]) -> None:
    """Deliver the heard words of the items before the last one. The next response does not continue these items."""
    for part in parts:
        words = "" if part.sent_text else _delivered_words(part)
        if words:
            deliver_heard(context, part, words)
            context.state.ledger.add_assistant_text(key_of(context, part), words)


def _begin_again(
    context: Context, active: ResponseRequest, answer: ItemDelivery, *, has_failed: bool, is_lost: bool
) -> None:
    request: ResponseRequest | None = active
    if answer.has_output:
        request = _cut_answer(context, answer, active, has_failed=has_failed, is_lost=is_lost)
    if request is not None:
        # Request a failed response only after a pause: server errors and rate limits are often transient (upstream
        # 5.5).
        context.state.pending.begin_again(msgspec.structs.replace(request, is_paused=not is_lost))


def _active(context: Context) -> ResponseRequest | None:
    """Return the request of the response in progress.

    Return None if there is no response, if the session awaits a function's answer instead, or if the response's request
    is unknown.
    """
    turn = context.state.turn
    if turn.response is ResponseState.NONE or (context.state.calls.outstanding and turn.verbatim is None):
        return None
    if not turn.is_seen:
        # The session knows this response only from the refusal of another request, so it knows no question to ask
        # again.
        return None
    # A response that the upstream began by itself has no request, and is continued like any answer.
    return turn.current.request if turn.current is not None else ResponseRequest()


def _cut_answer(
    context: Context, answer: ItemDelivery, active: ResponseRequest, *, has_failed: bool, is_lost: bool
) -> ResponseRequest | None:
    """Deliver the heard words of an answer. Return the request that continues it, or None if the answer ends there.

    The client may have more text than audio. The continuation speaks that text, and does not send it again.
    `has_failed` means that the answer is incomplete, and `is_lost` that its upstream was lost.
    """
    is_cut = has_failed and answer.is_spoken and not answer.is_complete
    if is_cut and not is_lost and answer.item_id is not None and answer.local_id is None:
        # The conversation continues at this upstream, and must not hold words that the caller did not hear.
        barge_in.truncate(context, answer.item_id, answer.received_s)
        context.state.playback.mark_truncated(answer.key)
    words = answer.sent_text if answer.sent_text and not is_cut else _delivered_words(answer)
    if answer.received_s:
        context.state.playback.set_text(answer.key, words)
    if answer.sent_text:
        items.correct_item(context, answer.key, words)
    elif words:
        deliver_heard(context, answer, words)
        context.state.ledger.add_assistant_text(key_of(context, answer), words)
    if context.options.interrupted_answer == "stop":
        end_turn(context)
        return None
    context.state.turn.is_resumed = True
    # Strip the text, because the next answer may begin with other white space, or with none.
    resent = answer.client_has.strip()[len(words) :]
    if not words:
        # No audio arrived: the answer starts again, without the text that the client has.
        return msgspec.structs.replace(active, resent=resent)
    before = f"{active.before} {words}".strip()
    return ResponseRequest(continues_turn=True, resume_after=words, resent=resent, before=before)


def _delivered_words(answer: ItemDelivery) -> str:
    """Return the delivered words of an answer: the sent ones, or of a spoken answer those whose audio has arrived."""
    if not answer.is_spoken:
        return answer.transcript[: answer.sent_chars].strip()
    return speech.heard(answer.transcript, answer.received_s) if answer.received_s else ""


# A failed response.


def response_failed(context: Context, error: openai.ErrorDetail) -> ResponseState | None:
    """Request a failed response once more.

    Abandon the upstream if the second response fails, too, or if the error is fatal. After an abandonment return the
    present state of the response, because `UpstreamLost` follows; otherwise None.
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
    # `interrupt_work` resets the count, but a second failure in a row must be recognized.
    failures = turn.failures
    context.stop_waiting(Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE)
    interrupt_work(context, is_lost=False)
    turn.failures = failures
    if context.state.pending.is_paused:
        context.wait(Wait.ASK_AGAIN)
    return None


def request_again(context: Context, _fired: messages.TimerFired) -> None:
    """Request a failed response again, after the pause."""
    context.state.pending.end_pauses()
