"""Handlers of a lost upstream: cut, dial again, tell the ledger, go on.

A restart is invisible but for a Warning. What was delivered is not delivered again: it stands in the ledger as the
assistant's words, and the next upstream is asked to go on from there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.restart import Decision, Loss, LossKind
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import agreement, barge_in, corrections, opening, spoken, telling
from router.session.deadlines import Wait, length_s
from router.session.endings import give_up
from router.session.line import Line, SpareState
from router.session.queues import Queue
from router.session.speaking import end_turn, play_rest, tell_heard
from router.session.stay import STAY
from router.session.turn import Answer, ResponseState, Want
from router.translation import errors, speech

if TYPE_CHECKING:
    from actors import messages
    from router.openai import codec as openai_codec
    from router.session.session import Session
    from router.session.stay import Stay

UPSTREAM_WAITS: Final = (
    Wait.SESSION_CREATED,
    Wait.SESSION_UPDATED,
    Wait.UPDATE,
    Wait.ITEM_ACK,
    Wait.FIRST_EVENT,
    Wait.SILENCE,
    Wait.RESPONSE,
    Wait.ASK_AGAIN,
    Wait.ROLLOVER,
    Wait.MICROPHONE,
    Wait.MANUAL_COMMIT,
    Wait.COMMIT,
)
"""Those that belong to the upstream that is lost; a function's answer is still waited for."""

# What makes us give an upstream up.


def upstream_silent(session: Session, fired: messages.TimerFired) -> None:
    """The upstream did not do in time what it has to."""
    wait = Wait(fired.name)
    session.log(logging.WARNING, f"the upstream is given up: {wait.value} ran out")
    session.abandon(Loss(kind=LossKind.SILENT, cause=wait.value))


def upstream_malformed(session: Session, malformed: openai_codec.Malformed) -> None:
    """The upstream sent something that is no event."""
    session.log(logging.ERROR, f"the upstream sent a malformed frame: {malformed.problem}")
    session.abandon(Loss(kind=LossKind.MALFORMED, cause=malformed.problem[:100]))


# Making it good.


def upstream_lost(session: Session, lost: messages.UpstreamLost) -> Stay | None:
    """Go on with the upstream that stands ready, or dial again, or say why not. What was under way is cut off first."""
    state = session.state
    has_spare = state.spare_state is SpareState.SEEDED
    if lost.verdict.decision is Decision.TEAR_DOWN and not has_spare:
        give_up(session, lost)
        return STAY
    session.stop_waiting(*UPSTREAM_WAITS)
    state.talk.is_on = False
    telling.stop_waiting_for_transcripts(session)  # of what this upstream heard, none will come
    cut(session)
    _keep_statements(session, state.line.items.give_up_waiting())
    _warn(session, lost)
    state.lost = lost
    if has_spare:
        _use_spare(session)
        return STAY
    drop_spare(session)
    state.line = state.next_line()
    session.wait_for(Wait.REPLUG, lost.verdict.delay_s + length_s(Wait.REPLUG, session.options.deadlines))
    session.open_upstream(state.line.generation, state.route, delay_s=lost.verdict.delay_s)
    return None


def _use_spare(session: Session) -> None:
    state = session.state
    if state.spare is not None:
        state.line, state.spare, state.spare_state = state.spare, None, SpareState.NONE
        take_up(session, since=state.spare_sequence)
        session.wait_for_rollover()


def forget_upstream(session: Session, _lost: messages.UpstreamLost) -> None:
    """The upstream that was dialled in advance is gone before it was needed: it is dialled again when it is."""
    session.stop_waiting(*UPSTREAM_WAITS)
    session.state.line = Line(0)


def _warn(session: Session, lost: messages.UpstreamLost) -> None:
    if session.state.is_applied:
        cause = session.options.redact(lost.loss.cause)
        description = (
            f"the connection to the model was lost ({cause}) and is made again; an Error follows if it cannot be"
        )
        session.to_client(deepgram.Warning(description=description, code="UPSTREAM_RESTARTED"))


def drop_spare(session: Session) -> None:
    """Have done with the upstream that was being got ready."""
    spare, session.state.spare = session.state.spare, None
    session.state.spare_state = SpareState.NONE
    if spare is not None:
        session.stop_waiting(Wait.SPARE)
        session.close_upstream(spare.generation)


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
    rest = spoken.cut(session, active, answer, is_lost=is_lost)
    if rest is not None:
        session.state.turn.wants.appendleft(rest)


def _pending(session: Session) -> Want | None:
    """What is wanted beside it, or about to be."""
    turn, items = session.state.turn, session.state.line.items
    general = next((want for want in turn.wants if want.statement is None), None)
    if general is not None:
        return general
    waiting = items.give_up_waiting()
    _keep_statements(session, waiting)
    asked = next((want for want in waiting if want.statement is None), None)
    if asked is not None:
        return asked
    return Want() if turn.is_heard else session.state.resume


def _keep_statements(session: Session, waiting: list[Want]) -> None:
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
        corrections.correct(session, answer.item_id, words)
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


# The next upstream is ready to be told.


def take_up(session: Session, since: int = 0) -> None:
    """Give a configured upstream the ledger, the microphone's uncommitted audio, and the open question."""
    state = session.state
    want, state.resume, state.lost = state.resume, None, None
    session.log(logging.INFO, f"upstream {state.line.generation} has taken over")
    state.upstream_is_gone()
    agreement.adopt(session)
    tell_acks(session)
    tell_ledger(session, state.line, since, want)
    append_again(session)


def tell_acks(session: Session) -> None:
    """Tell what only another upstream could do, now that there is one."""
    acks, session.state.acks = session.state.acks, []
    session.to_client(*acks)


def append_again(session: Session) -> None:
    """Append what another upstream had not committed; commit it where that was asked for, too."""
    state = session.state
    if state.microphone is None:
        return
    session.forward(*state.microphone.again())
    state.is_retelling = state.is_speaking
    if state.is_speaking:
        session.wait(Wait.COMMIT)
    if state.is_committing:
        session.to_upstream(openai.InputAudioBufferCommit())
    elif state.turn_detection == "manual" and state.microphone.has_uncommitted:
        session.wait(Wait.MANUAL_COMMIT)


def tell_ledger(session: Session, line: Line, since: int, want: Want | None = None) -> None:
    """Create the ledger's items; the last of them brings the response that is wanted, when it is acknowledged."""
    items = list(session.state.ledger.since(since, line.formats.input))
    last = items[-1] if items else None
    waits = want if _is_message(last) else None
    for item in items:
        opening.create_item(session, item, line=line, want=waits if item is last else None)
    if waits is not None:
        session.wait(Wait.ITEM_ACK)
    elif want is not None:
        session.state.turn.want(want)


def _is_message(item: Any) -> bool:
    return isinstance(item, openai.MessageItem) or (isinstance(item, dict) and item.get("type") == "message")


# A response that failed.


def response_failed(session: Session, error: openai.ErrorDetail) -> bool:
    """Ask once more in the same session; give the upstream up where that fails, too. Whether there is a remedy."""
    turn = session.state.turn
    if opening.is_refused_by(session, error):
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
