"""Follow the user's turn, from its detected start to the response that answers it: the handlers of USER_TURN.

With turn detection the upstream reports `speech_started`, `speech_stopped` and `committed`, and begins the response by
itself (upstream 4.2). A commit by hand, which the session or the client sends itself, starts no response (upstream
4.1).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import barge_in, function_calls
from router.session.handlers.agent_output import deliver_withheld
from router.session.handlers.response_origin import echoes
from router.session.state.pending import ResponseRequest
from router.session.state.states import UserTurnState
from router.translation import text

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context
    from router.session.state.pending import SentRequest

# The speech.


def speech_started(context: Context, event: openai.InputAudioBufferSpeechStarted) -> None:
    """Stop the client's playback.

    If the turn detection interrupts, cut off the agent, and cancel the function calls.
    """
    state, turns = context.state, context.state.user_turns
    turn = turns.subject
    # Another upstream detects replayed speech again, but the client knows its start already.
    if not turn.is_replayed:
        context.to_client(deepgram.UserStartedSpeaking())
    turn.is_replayed = False
    if state.microphone is not None:
        state.microphone.is_speech = True
    if state.plan.detection.interrupts:
        barge_in.interrupt(context)
        function_calls.cancel_calls(context)
    turn.is_detected, turn.item_id = True, event.item_id
    turns.is_ended_by_hand = False
    turns.filled_s = 0.0
    turns.last_audio_s = max(turns.last_audio_s or 0.0, context.now_s)
    # Speech that had stopped continues, so its commit is not due yet.
    context.stop_waiting(Wait.COMMIT)
    context.wait(Wait.SPEECH)
    context.wait_for(Wait.MICROPHONE, turns.fill_after_s)


def speech_stopped(context: Context, event: openai.InputAudioBufferSpeechStopped) -> None:
    """Send the component UtteranceEnd, and await the commit, which makes the speech a turn."""
    context.state.user_turns.subject.asked_s = context.now_s
    context.to_component(text.utterance_end(event.audio_end_ms))


def speech_timed_out(context: Context, _signal: inputs.SpeechTimedOut) -> None:
    """Take the speech for a noise that keeps the detector on. A commit may still make a turn of it."""
    context.log(logging.WARNING, "the user's speech shows no sign of its end: nothing waits for it any more")
    end_speech(context)


def end_speech(context: Context, _signal: object = None) -> None:
    """Record that no speech is in progress. Without a detector, all audio still counts as speech."""
    if context.state.microphone is not None:
        context.state.microphone.is_speech = not context.state.plan.detection.is_on


def withdraw_clear(context: Context, event_id: str | None) -> None:
    """Withdraw the clear that the upstream refused, if the error is about a clear. The audio before it stays."""
    turns = context.state.user_turns
    if turns.withdraw_clear(event_id):
        _follow_clears(context)


def _follow_clears(context: Context) -> None:
    """Set the end of the audio that the newest clear on its way discards; None without such a clear."""
    microphone, last = context.state.microphone, context.state.user_turns.last_clear
    if microphone is not None:
        microphone.await_clear(last.place if last is not None else None)


def buffer_cleared(context: Context, _event: openai.InputAudioBufferCleared) -> UserTurnState | None:
    """Discard the audio before the client's clear, as the upstream did. A commit after the clear is still awaited.

    An upstream may send the event twice, or without a clear of the client. Then the turn stays in its state: the
    upstream's detector may still commit the speech, or else the turn's deadline expires.
    """
    turns, microphone = context.state.user_turns, context.state.microphone
    turn = turns.subject
    clear = turns.take_clear()
    if clear is None:
        return turn.phase
    if microphone is not None:
        microphone.clear(clear.place, commits=len(turns.commits))
    end_speech(context)
    if turn.phase is not UserTurnState.COMMITTING or not turns.commits:
        return None
    # The upstream no longer detects the cleared speech, so the refusal of the commit does not return to it.
    turn.is_detected = turn.is_replayed = False
    turn.item_id = None
    return UserTurnState.COMMITTING


def speech_replayed(context: Context, _signal: inputs.SpeechReplayed) -> None:
    """Await the detection of the replayed speech by another upstream.

    The wait has a deadline, because that upstream may find no speech in the audio, and then never commits.
    """
    context.state.user_turns.subject.is_replayed = True
    context.wait(Wait.COMMIT)


# The commit.


def commit_sent(context: Context, sent: inputs.CommitSent) -> None:
    """Await the upstream's answer to a commit by hand."""
    turns = context.state.user_turns
    turns.note_sent(sent)
    turns.is_ended_by_hand = context.state.plan.detection.is_on
    if turns.subject.asked_s is None:
        turns.subject.asked_s = context.now_s


def repeat_commit(context: Context, _signal: inputs.SpeechReplayed) -> None:
    """Repeat a commit that was on its way to the previous upstream."""
    if context.state.microphone is not None:
        context.state.microphone.note_commit()
    for sent in context.state.user_turns.commits:
        context.to_upstream(openai.InputAudioBufferCommit(event_id=sent.event_id))
    context.wait(Wait.COMMIT)


def committed(context: Context, event: openai.InputAudioBufferCommitted) -> UserTurnState | None:
    """Move the user's speech to the ledger, because the upstream has made an item of it. Await its transcript.

    The upstream owes an answer to a turn that its detector ended, and none to an item that was committed by hand. The
    detector's commit may cross a commit by hand, which then makes an item of the remaining audio.
    """
    state, turns, detection = context.state, context.state.user_turns, context.state.plan.detection
    turn = turns.subject
    if event.item_id is not None:
        state.upstream.items.note_speech(event.item_id)
        _withdraw_empty_commits(context, event.item_id)
    _take_audio(context, event.item_id)
    sent = turns.take_commit()
    is_behind = sent is not None and turn.phase is not UserTurnState.COMMITTING
    if is_behind and (event.item_id is None or event.item_id != turn.item_id):
        # The commit ended earlier speech, not this turn.
        return turn.phase
    if state.microphone is not None:
        state.microphone.is_speech = not detection.is_on
    turn.item_id, turn.is_behind_request = event.item_id, state.pending.in_flight is not None
    _note_by_hand(context, sent, is_behind=is_behind)
    is_owed = detection.owes_answers and not turns.is_ended_by_hand and not is_behind
    return _await_answer(context) if is_owed else UserTurnState.IDLE


def _note_by_hand(context: Context, sent: inputs.CommitSent | None, *, is_behind: bool) -> None:
    """Record the commit by hand that the upstream's `committed` event seems to answer.

    `sent` is this commit; None if no commit by hand is on its way. `is_behind` means that the turn has left the state
    COMMITTING in the meantime, because speech began after this commit.
    """
    turns, current = context.state.user_turns, context.state.turn.current
    is_second = turns.by_hand is not None
    if context.state.plan.detection.owes_answers and (sent is not None or turns.is_ended_by_hand):
        # Without a commit on its way, the last one was not answered in time.
        turns.set_by_hand()
        turns.by_hand_id = sent.event_id if sent is not None else turns.by_hand_id
    if sent is not None:
        turns.crossed = sent
        if is_behind and sent.is_reopened and not sent.is_by_client:
            # The request for this commit counted as answered with the detector's turn.
            context.state.pending.add(ResponseRequest())
        return
    if is_second:
        turns.crossed = None
    crossed = current.crossed if current is not None else None
    if crossed is None or current is None or crossed.event_id not in current.commit_ids:
        return
    if not any(turn.commit_id == crossed.event_id for turn in turns.owed):
        turns.subject.commit_id = crossed.event_id


def reopen_crossed(context: Context) -> None:
    """Await the answer to a commit by hand again, if a response that has begun can only be the upstream's own.

    The upstream begins responses by itself only for turns of its detector. If no other turn waits for an answer, the
    detector ended the turn that the commit seemed to end.
    """
    pending, turn, turns = context.state.pending, context.state.turn, context.state.user_turns
    crossed, turns.crossed = turns.crossed, None
    is_only = turns.by_hand is not None and not turns.owed and not pending.answers_speech
    # Without metadata it may be the late response to an earlier request.
    is_own = echoes(context) or (pending.in_flight is None and turn.doubtful_id is None and not turn.overtaken_ids)
    if crossed is not None and is_only and is_own:
        _reopen(context, crossed)


def _reopen(context: Context, crossed: inputs.CommitSent) -> None:
    context.state.user_turns.reopen_commit(crossed)
    if context.state.microphone is not None:
        context.state.microphone.reopen_commit()


def suspect_crossed(context: Context, sent: SentRequest) -> None:
    """Record a commit by hand that may still be unanswered.

    The commit is unanswered if the response that has begun is the upstream's own.
    """
    turns = context.state.user_turns
    crossed, turns.crossed = turns.crossed, None
    if turns.by_hand is not None and not turns.owed and not sent.is_proven:
        sent.crossed = crossed


def judge_crossed(context: Context, sent: SentRequest) -> None:
    """Decide about a commit by hand again after the upstream refused a request.

    The refusal shows that the response in progress is the upstream's own. An upstream answers events in order. If the
    commit came before the request, the first `committed` event since the response began was the answer to the commit.
    The request is repeated and covers that speech, so the upstream owes no answer to it. Otherwise await the answer to
    the commit again.
    """
    crossed, sent.crossed = sent.crossed, None
    if crossed is None:
        return
    if crossed.event_id in sent.commit_ids:
        context.signal(inputs.AnswerRequested(crossed.event_id))
    else:
        _reopen(context, crossed)


def correct_origin(context: Context, current: SentRequest) -> None:
    """Count the response in progress as one of the upstream's own. The request that it was taken for is in flight."""
    turn = context.state.turn
    context.state.pending.in_flight, turn.current = current, None
    judge_crossed(context, current)
    if current.request.verbatim is not None:
        # The audio so far is not that of the verbatim text.
        turn.begin_answer()
        context.state.playback.disown(current.request.verbatim.item_id)
        deliver_withheld(context, current)


def forget_crossed(context: Context, event_id: str | None) -> None:
    """Forget that a commit by hand may be unanswered, because the upstream has refused it."""
    current = context.state.turn.current
    crossed = current.crossed if current is not None else None
    if current is None or crossed is None or event_id not in (None, crossed.event_id):
        return
    current.crossed = None
    for turn in context.state.user_turns.owed:
        turn.commit_id = None


def _withdraw_empty_commits(context: Context, item_id: str) -> None:
    """Withdraw commits by hand that had no audio, if the speech that began after them is committed.

    An upstream commits no empty buffer (upstream 4.1), so none of these commits has ended that speech.
    """
    microphone, turns = context.state.microphone, context.state.user_turns
    is_behind = turns.subject.item_id == item_id and turns.subject.phase is not UserTurnState.COMMITTING
    if is_behind and microphone is not None and microphone.is_committing_nothing:
        microphone.keep_commits(0)
        turns.give_up_commits()


def _await_answer(context: Context) -> UserTurnState:
    # The next response answers this turn, too, so the session must not cancel it.
    context.state.turn.cancels_next = False
    return UserTurnState.AWAITING_ANSWER


def _take_audio(context: Context, item_id: str | None) -> None:
    state = context.state
    # A client's own session.update may have switched transcription off (upstream 4.7). Then no text may wait for it.
    if state.plan.transcribes:
        state.transcripts.expect(item_id)
    # Some servers detect speech although they shall not.
    is_detected = state.plan.detection.is_on or state.user_turns.subject.is_detected
    audio = state.microphone.commit(is_detected=is_detected) if state.microphone is not None else None
    if audio is not None and audio.data:
        state.ledger.add_speech(item_id or "", audio)


def commit_withdrawn(context: Context, signal: inputs.CommitRefused) -> UserTurnState | None:
    """Withdraw a commit that the upstream refused.

    If the commit seemed to end earlier speech, the detector has ended that speech: await the answer to it.
    """
    had_crossed = _had_crossed(context, signal)
    _withdraw(context, signal)
    return _owe_answer(context) if had_crossed else None


def _withdraw(context: Context, signal: inputs.CommitRefused) -> bool:
    """Withdraw the refused commit. Return whether it is the commit that seemed to end the last turn."""
    turns, microphone = context.state.user_turns, context.state.microphone
    is_last = turns.withdraw_commit(signal.event_id)
    if microphone is not None:
        microphone.keep_commits(len(turns.commits))
    _follow_clears(context)
    return is_last


def _had_crossed(context: Context, signal: inputs.CommitRefused) -> bool:
    turns = context.state.user_turns
    return turns.by_hand is not None and signal.event_id is not None and signal.event_id == turns.by_hand_id


def commit_failed(context: Context, signal: inputs.CommitRefused) -> UserTurnState | None:
    """Withdraw a refused commit by hand.

    If the upstream still detects the speech that the commit was to end, return to that speech.
    """
    turns = context.state.user_turns
    if _had_crossed(context, signal):
        # A later commit by hand is on its way. The refused commit had crossed the detector's commit.
        return _owe_answer(context)
    commit_withdrawn(context, signal)
    if turns.commits:
        return UserTurnState.COMMITTING
    turns.is_ended_by_hand = False
    if signal.is_empty or not turns.subject.is_detected:
        # Also if the upstream lost the speech's commit, or a clear before this commit.
        end_speech(context)
        return None
    context.stop_waiting(Wait.COMMIT)
    context.wait_for(Wait.MICROPHONE, turns.fill_after_s)
    return UserTurnState.SPEAKING


def commit_refused(context: Context, signal: inputs.CommitRefused) -> UserTurnState:
    """Decide again about a turn that a commit by hand seemed to end: the refusal shows that the detector ended it.

    Return IDLE if the refused commit is another one.
    """
    turns = context.state.user_turns
    if not _withdraw(context, signal):
        return UserTurnState.IDLE
    # The next commit is the detector's, unless another one by hand is on its way.
    turns.is_ended_by_hand &= bool(turns.commits)
    return _owe_answer(context)


def _owe_answer(context: Context) -> UserTurnState:
    """Await the answer to the turn that a commit by hand only seemed to end."""
    turns = context.state.user_turns
    ended, turns.by_hand = turns.by_hand, None
    if ended is None or not context.state.plan.detection.owes_answers:
        return turns.subject.phase
    turns.subject = ended
    return _await_answer(context)


def commit_timed_out(context: Context, _signal: inputs.CommitTimedOut) -> None:
    """Take the speech for a noise, because it did not become a turn.

    The requests that waited for the end of the speech are due.
    """
    turns = context.state.user_turns
    if turns.commits:
        turns.crossed = turns.commits[-1]
        turns.by_hand_id = turns.crossed.event_id
    turns.give_up_commits()
    if context.state.microphone is not None:
        context.state.microphone.give_up_commits()
    end_speech(context)


# Deadlines.


def speech_deadline(context: Context, _fired: messages.TimerFired) -> None:
    """Send the signal that the user's speech shows no sign of its end."""
    context.signal(inputs.SpeechTimedOut())


def commit_deadline(context: Context, _fired: messages.TimerFired) -> None:
    """Send the signal that the end of the user's speech is not committed."""
    context.signal(inputs.CommitTimedOut())
