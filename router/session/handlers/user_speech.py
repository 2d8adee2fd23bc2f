"""Take the user's speech, from the microphone to the transcript.

With turn detection the upstream reports `speech_started`, `speech_stopped` and `committed`, and begins the response by
itself (upstream 4.2). With `manual` the session commits and requests the response.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.deadlines import FILL_AFTER_S, Wait
from router.session.handlers import barge_in, delivery, function_calls
from router.session.state.states import ResponseState
from router.session.state.turn import ResponseRequest
from router.translation import errors, text
from router.translation.audio import LONGEST_FRAME_S

if TYPE_CHECKING:
    from actors import messages
    from router.session import inputs
    from router.session.context import Context

TIMER_TOLERANCE_S: Final = 0.001
"""A shorter rest of a wait is over: a timer of a rounding error's length would fire again and again."""

MAX_FILLED_S: Final = 30.0
"""The longest silence in place of a microphone. A detector that finds no end of speech in it never will."""

# The microphone.


def append_audio(context: Context, piece: inputs.MicrophoneAudio) -> None:
    """Forward microphone audio. Empty frames are no audio: a microphone that sends only those has stopped."""
    state, data = context.state, piece.data
    if not data:
        return
    microphone = state.microphone
    state.user_speech.last_audio_s = context.now_s
    if microphone is not None and microphone.is_too_long(data):
        _refuse_audio(context, len(data))
    elif microphone is not None:
        context.forward(*microphone.append(data))
    if state.turn_detection == "manual":
        context.wait(Wait.MANUAL_COMMIT)


def _refuse_audio(context: Context, size_bytes: int) -> None:
    # One frame is converted in one step, and holds up the sessions of its dispatcher meanwhile.
    description = f"a frame of {size_bytes} bytes is dropped: it has more than {LONGEST_FRAME_S:g} s of audio"
    context.log(logging.WARNING, description)
    context.to_client(deepgram.Error(description=description, code="AUDIO_FRAME_TOO_LONG"))


def commit(context: Context, _fired: messages.TimerFired | None = None) -> None:
    """End the user's turn, and request a response at once: the upstream handles both in their order."""
    microphone = context.state.microphone
    # Without audio the commit would be refused (upstream 4.1).
    if microphone is None or not microphone.has_uncommitted:
        return
    context.forward(*microphone.finish())
    context.to_upstream(openai.InputAudioBufferCommit())
    context.state.is_committing = True
    context.state.latency.mark("asked_s", context.now_s)
    # A commit starts no response (upstream 4.1).
    context.state.turn.request(ResponseRequest())


def force_end_turn(context: Context, _message: deepgram.ForceEndTurn) -> None:
    """End the user's turn now, where one is open. A commit by the client starts no response (upstream 4.1)."""
    state = context.state
    is_open = state.user_speech.is_detected if state.detects_turns else True
    if is_open and not state.is_committing:
        context.stop_waiting(Wait.MANUAL_COMMIT)
        stop_filling(context)
        state.user_speech.is_ended_by_client = True
        commit(context)
        if state.is_user_speaking:
            context.wait(Wait.COMMIT)


def fill_silence(context: Context, _fired: messages.TimerFired) -> None:
    """Send silence in place of a microphone that stopped in the middle of the user's speech.

    A push-to-talk client stops sending when its button is released. The detector's time is the appended audio (upstream
    4.4), so it would never find the end of the turn.
    """
    state = context.state
    if not state.user_speech.is_detected or state.microphone is None:
        return
    gap_s = context.now_s - state.user_speech.last_audio_s
    if FILL_AFTER_S - gap_s > TIMER_TOLERANCE_S:
        # Frames came since the timer was started: `append_audio` does not start it anew for each of them.
        context.wait_for(Wait.MICROPHONE, FILL_AFTER_S - gap_s)
    elif state.user_speech.filled_s < MAX_FILLED_S:
        context.forward(*state.microphone.silence(gap_s * 1000))
        state.user_speech.filled_s += gap_s
        state.user_speech.last_audio_s = context.now_s
        context.wait(Wait.MICROPHONE)
    else:
        context.log(logging.WARNING, "the upstream finds no end of the user's speech in silence")
        context.wait(Wait.COMMIT)


# Turns.


def speech_started(context: Context, _event: openai.InputAudioBufferSpeechStarted) -> None:
    """Stop the client's playback, and cut off the agent: the unheard part, and the part that is still to come."""
    state = context.state
    # The next upstream detects replayed speech again, whose start the client knows.
    if not state.is_replaying_speech:
        context.to_client(deepgram.UserStartedSpeaking())
    state.is_replaying_speech = False
    state.is_user_speaking = True
    if state.microphone is not None:
        state.microphone.is_speech = True
    if state.detects_turns:
        barge_in.interrupt(context)
        function_calls.cancel_calls(context)
        state.user_speech.is_detected = True
        state.user_speech.is_ended_by_client = False
        state.user_speech.filled_s = 0.0
        state.user_speech.last_audio_s = max(state.user_speech.last_audio_s, context.now_s)
        context.wait(Wait.MICROPHONE)


def speech_stopped(context: Context, event: openai.InputAudioBufferSpeechStopped) -> None:
    """Send the component UtteranceEnd, and wait for the commit, which makes the speech a turn."""
    context.state.latency.mark("asked_s", context.now_s)
    stop_filling(context)
    # Speech that nothing commits would hold back every response (`responses.is_due`).
    context.wait(Wait.COMMIT)
    context.to_component(text.utterance_end(event.audio_end_ms))


def stop_filling(context: Context) -> None:
    """Record that the user's speech has ended: a silent microphone is normal again."""
    context.state.user_speech.is_detected = False
    context.stop_waiting(Wait.MICROPHONE)


def committed(context: Context, event: openai.InputAudioBufferCommitted) -> None:
    """Move the user's speech to the ledger, because the upstream has made an item of it. Await its transcript."""
    state = context.state
    is_detected = state.detects_turns
    # The detector's commit may cross the session's own, which then makes an item of the rest. The session has requested
    # a response already, and the upstream must not be expected to begin one.
    is_by_session = state.is_committing or state.user_speech.is_ended_by_client
    stop_filling(context)
    context.stop_waiting(Wait.COMMIT)
    state.is_user_speaking = state.is_committing = state.is_replaying_speech = False
    if state.microphone is None:
        return
    audio = state.microphone.commit()
    state.microphone.is_speech = not is_detected
    state.turn.awaits_answer = is_detected and not is_by_session
    if state.turn.awaits_answer and state.turn.response is ResponseState.NONE:
        # The upstream begins the response. While another one is active, its end starts this deadline.
        context.wait(Wait.FIRST_EVENT)
    # A passthrough session may have transcription off (upstream 4.7), so no text may wait for it.
    if not state.is_passthrough:
        state.transcripts.expect(event.item_id)
    if audio.data:
        state.ledger.add_speech(event.item_id or "", audio)


def commit_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """Take the speech for a noise, because it did not become a turn. The requests that waited for it are due."""
    state = context.state
    state.is_user_speaking = state.is_replaying_speech = state.is_committing = False


# Transcripts.


def interim_delta(context: Context, event: openai.InputAudioTranscriptionDelta) -> None:
    """Send the component the user's words so far, with the new ones."""
    _send_interim(context, event.item_id, context.state.interim_transcripts.so_far(event.item_id) + event.delta)


def interim_update(context: Context, event: openai.InputAudioTranscriptionUpdated) -> None:
    """Send the component the user's words so far. xAI repeats all of them in each event (upstream 12.2)."""
    _send_interim(context, event.item_id, event.transcript)


def _send_interim(context: Context, item_id: str | None, words: str) -> None:
    if context.state.interim_transcripts.update(item_id, words) and words.strip():
        context.to_component(text.transcript(words.strip(), is_final=False))


def transcription_completed(context: Context, event: openai.InputAudioTranscriptionCompleted) -> None:
    """Send the user's words, and then the agent's messages that waited for them.

    The component's final Transcript follows the ConversationText at once: it would count the turn twice otherwise.
    """
    transcript = event.transcript.strip()
    if event.status == "in_progress":
        # xAI completes a transcript several times, each time whole. The last one alone is final (upstream 12.2).
        interim_update(context, openai.InputAudioTranscriptionUpdated(event.transcript, event.item_id))
        return
    if context.state.interim_transcripts.is_complete(event.item_id):
        return
    context.state.interim_transcripts.complete(event.item_id)
    context.state.ledger.set_transcript(event.item_id, transcript)
    context.state.latency.mark("transcribed_s", context.now_s)
    if transcript:
        context.to_client(deepgram.ConversationText(role="user", content=transcript))
        context.to_component(text.transcript(transcript, is_final=True))
    else:
        _expect_no_answer(context)
    delivery.transcript_arrived(context, event.item_id)


def _expect_no_answer(context: Context) -> None:
    # An empty transcript is a noise. The upstream may answer it, but a missing answer is no loss.
    turn = context.state.turn
    turn.awaits_answer = False
    if turn.response is ResponseState.NONE:
        context.stop_waiting(Wait.FIRST_EVENT)


def transcription_failed(context: Context, event: openai.InputAudioTranscriptionFailed) -> None:
    """Warn that the user's words will be missing. The turn itself continues (upstream 4.7)."""
    error = errors.client_error(event.error, context.options.redact)
    context.to_client(deepgram.Warning(description=error.description, code=error.code))
    delivery.transcript_arrived(context, event.item_id)
