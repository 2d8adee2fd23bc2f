"""Interrupt the work in progress and store the request that continues it; repeat a response that failed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from router.session.handlers import barge_in, items, refusals, verbatim
from router.session.handlers.agent_output import end_turn, play_rest, tell_heard
from router.session.state.queues import Queue
from router.session.state.states import ResponseState
from router.session.state.turn import Answer, Want
from router.translation import errors, speech

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.machine import Session


def cut(session: Session, *, is_lost: bool = True) -> None:
    """Put what is under way into words that another upstream, or the same, can be asked with: `State.resume`.

    What was told of a response that failed is its beginning; of any other it is all that it says.
    """
    state, turn = session.state, session.state.turn
    has_failed = not is_lost or turn.failures > 1
    active = _active(session)
    is_first = active is not None or not turn.wants or turn.wants[0].statement is None
    pending = _pending(session)
    play_rest(session)
    answer, turn.answer = turn.answer, Answer()
    is_unwanted, turn.is_unwanted = turn.is_unwanted or turn.is_muted, False
    turn.response, turn.want_now, turn.response_id, turn.event_id = ResponseState.NONE, None, None, None
    turn.wants = Queue(want for want in turn.wants if not want.is_answer and want is not pending)
    turn.failures = 0
    turn.is_heard = False
    if active is not None and active.statement is not None and not is_unwanted:
        _requeue(session, active, answer, is_lost=is_lost)
        active, is_first = None, False
    elif is_unwanted or (active is not None and answer.told and not answer.is_commentary and not has_failed):
        active = None  # nothing is left of it but its end
        _end_turn_unless_it_goes_on(session, pending)
    elif active is not None and (answer.played_s or answer.told_to or answer.told):
        active = _cut_answer(session, answer, active, has_failed=has_failed, is_lost=is_lost)
    state.resume = _one_after_the_other(active, pending, is_first=is_first)


def _active(session: Session) -> Want | None:
    """What the response under way was asked for; None where a function's answer is waited for instead."""
    turn = session.state.turn
    is_statement = turn.want_now is not None and turn.want_now.statement is not None
    if turn.response is ResponseState.NONE or (session.state.calls.outstanding and not is_statement):
        return None
    return turn.want_now or Want()


def _requeue(session: Session, active: Want, answer: Answer, *, is_lost: bool) -> None:
    rest = verbatim.cut(session, active, answer, is_lost=is_lost)
    if rest is not None:
        session.state.turn.wants.appendleft(rest)


def _pending(session: Session) -> Want | None:
    """What is wanted beside it, or about to be."""
    turn, items = session.state.turn, session.state.line.items
    general = next((want for want in turn.wants if want.statement is None), None)
    if general is not None:
        return general
    waiting = items.give_up_waiting()
    keep_statements(session, waiting)
    asked = next((want for want in waiting if want.statement is None), None)
    if asked is not None:
        return asked
    return Want() if turn.is_heard else session.state.resume


def keep_statements(session: Session, waiting: list[Want]) -> None:
    # Of what waits behind questions: those themselves are answered with what is asked for again.
    session.state.turn.want(*(want for want in waiting if want.statement is not None))


def _one_after_the_other(active: Want | None, pending: Want | None, *, is_first: bool) -> Want | None:
    # An answer that is begun again answers what was asked meanwhile, too. One that is gone on with does not, and what
    # the client asks for in its own words is another.
    if active is not None and pending is not None and not (active.is_general and pending.is_general):
        active = msgspec.structs.replace(active, then=pending)
    want = active or pending
    return msgspec.structs.replace(want, is_resumed=is_first) if want is not None else None


def _end_turn_unless_it_goes_on(session: Session, pending: Want | None) -> None:
    if pending is None or not pending.follows_up:
        end_turn(session)


def _cut_answer(session: Session, answer: Answer, active: Want, *, has_failed: bool, is_lost: bool) -> Want | None:
    """Tell what was heard of an answer, and have the rest said, or leave it at that.

    The transcript runs ahead of the audio. What was told beyond the sound is said again, and not told again; a
    response that failed ends with the transcript so far.
    """
    is_cut = has_failed and answer.is_spoken and not answer.is_complete
    if is_cut and not is_lost and answer.item_id is not None:  # it stays in the conversation that goes on
        barge_in.truncate(session, answer.item_id, answer.played_s)
        session.state.playback.truncated(answer.item_id)
    words = answer.told if answer.told and not is_cut else _delivered(answer)
    if answer.played_s:
        session.state.playback.tell(answer.item_id, words)
    if answer.told:
        items.correct(session, answer.item_id, words)
    elif words:
        tell_heard(session, answer.item_id, answer, words)
        session.state.ledger.assistant_said(answer.item_id, words)
    if session.options.interrupted_answer == "stop":
        end_turn(session)
        return None
    session.state.turn.is_resumed = True
    told_ahead = _told_ahead(answer, words)
    if not words:  # none of its audio was there yet: it is begun again, but for the text that was told
        return msgspec.structs.replace(active, told_ahead=told_ahead)
    return Want(follows_up=True, goes_on_after=words, told_ahead=told_ahead)


def _told_ahead(answer: Answer, words: str) -> int:
    """How many characters beyond `words` the client was told, whether they came again or not."""
    told = answer.told or answer.transcript[: answer.told_until]
    # White space around it is no part of what was told, and the next answer may begin with its own, or with none.
    return len(told.strip()[len(words) :]) + max(0, answer.told_until - len(told))


def _delivered(answer: Answer) -> str:
    """The words that have reached the client: as sound, where the answer is spoken."""
    if not answer.is_spoken:
        return answer.transcript[: answer.told_to].strip()
    return speech.heard(answer.transcript, answer.played_s) if answer.played_s else ""


# A response that failed.


def response_failed(session: Session, error: openai.ErrorDetail) -> bool:
    """Ask once more in the same session; give the upstream up where that fails, too. Whether there is a remedy."""
    turn = session.state.turn
    if refusals.is_refused_by(session, error):
        return True
    turn.failures += 1
    if turn.failures > 1:
        code = session.options.redact(errors.code_of(error))
        session.abandon(Loss(kind=LossKind.REFUSED, cause=code))
        return True
    session.log(logging.WARNING, f"a response failed ({errors.code_of(error)}): it is asked for again")
    failures = turn.failures
    session.stop_waiting(Wait.FIRST_EVENT, Wait.SILENCE, Wait.RESPONSE)
    cut(session, is_lost=False)
    turn.failures = failures
    session.wait(Wait.ASK_AGAIN)
    return True


def ask_again(session: Session, _fired: Any) -> None:
    """The time has come to ask for a failed response again."""
    want, session.state.resume = session.state.resume, None
    if want is not None:
        session.state.turn.want(want)
