"""Handlers of the user's speech, from the microphone to its transcript."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.deadlines import FILL_AFTER_S, Wait
from router.session.handlers import barge_in, delivery, function_calls
from router.session.state.states import ResponseState
from router.session.state.turn import ResponseRequest
from router.translation import errors, text
from router.translation.audio import LONGEST_FRAME_S

if TYPE_CHECKING:
    from router.session import inputs
    from router.session.context import Context


def interim_delta(context: Context, event: openai.InputAudioTranscriptionDelta) -> None:
    """Tell the component what the user has said so far, and a little more."""
    _send_interim(context, event.item_id, context.state.interim_transcripts.so_far(event.item_id) + event.delta)


def interim_update(context: Context, event: openai.InputAudioTranscriptionUpdated) -> None:
    """Tell the component what the user has said so far: this replaces what was told before."""
    _send_interim(context, event.item_id, event.transcript)


def _send_interim(context: Context, item_id: str | None, words: str) -> None:
    if context.state.interim_transcripts.heard(item_id, words) and words.strip():
        context.to_component(text.transcript(words.strip(), is_final=False))


MOMENT_S: Final = 0.001
"""What is due in less is due now: a timer of a rounding error's length would run out again and again."""

MOST_FILLED_S: Final = 30.0
"""The longest silence that is put in: a detector that has heard no end by then will hear none."""

# The user speaks.


def append_audio(context: Context, piece: inputs.MicrophoneAudio) -> None:
    """Pass the microphone on. An empty frame says that it has stopped as much as none does."""
    state, data = context.state, piece.data
    if not data:
        return
    microphone = state.microphone
    state.user_speech.microphone_s = context.now_s
    if microphone is not None and microphone.is_too_long(data):
        _refuse_audio(context, len(data))
    elif microphone is not None:
        context.forward(*microphone.append(data))
    if state.turn_detection == "manual":
        context.wait(Wait.MANUAL_COMMIT)


def _refuse_audio(context: Context, size_bytes: int) -> None:
    description = f"a frame of {size_bytes} bytes is dropped: it holds more than {LONGEST_FRAME_S:g} s of audio"
    context.log(logging.WARNING, description)
    context.to_client(deepgram.Error(description=description, code="AUDIO_FRAME_TOO_LONG"))


def commit(context: Context, _fired: Any) -> None:
    """End the user's turn by hand, and ask for a response without waiting for `committed`."""
    microphone = context.state.microphone
    if microphone is None or not microphone.has_uncommitted:
        return
    context.forward(*microphone.finish())
    context.to_upstream(openai.InputAudioBufferCommit())
    context.state.is_committing = True
    context.state.latency.mark("asked_s", context.now_s)
    context.state.turn.request(ResponseRequest())


def force_end_turn(context: Context, _message: deepgram.ForceEndTurn) -> None:
    """End the user's turn now, where one is open. The upstream asks for no response itself then."""
    state = context.state
    is_open = state.user_speech.is_on if state.detects_turns else True
    if is_open and not state.is_committing:
        context.stop_waiting(Wait.MANUAL_COMMIT)
        stop_talking(context)
        state.user_speech.is_ended_by_client = True
        commit(context, None)
        if state.is_speaking:
            context.wait(Wait.COMMIT)


def fill_silence(context: Context, _fired: Any) -> None:
    """Let the detector hear time pass where the microphone has stopped in the middle of the user's speech.

    A push-to-talk client stops sending when its button is let go; the detector would never find the end of the turn.
    """
    state = context.state
    if not state.user_speech.is_on or state.microphone is None:
        return
    gap_s = context.now_s - state.user_speech.microphone_s
    if FILL_AFTER_S - gap_s > MOMENT_S:
        context.wait_for(Wait.MICROPHONE, FILL_AFTER_S - gap_s)
    elif state.user_speech.filled_s < MOST_FILLED_S:
        context.forward(*state.microphone.silence(gap_s * 1000))
        state.user_speech.filled_s += gap_s
        state.user_speech.microphone_s = context.now_s
        context.wait(Wait.MICROPHONE)
    else:
        context.log(logging.WARNING, "the upstream hears no end of the user's speech, although there is silence")
        context.wait(Wait.COMMIT)


def committed(context: Context, event: openai.InputAudioBufferCommitted) -> None:
    """The upstream has made an item of the user's speech. Its audio is kept until its transcript comes."""
    state = context.state
    is_detected = state.detects_turns
    # Where the detector's own commit crosses ours, ours makes an item of what is left. It has been asked for an answer.
    is_by_hand = state.is_committing or state.user_speech.is_ended_by_client
    stop_talking(context)
    context.stop_waiting(Wait.COMMIT)
    state.is_speaking = state.is_committing = state.is_replaying_speech = False
    if state.microphone is None:
        return
    audio = state.microphone.commit()
    state.microphone.is_speech = not is_detected
    state.turn.awaits_answer = is_detected and not is_by_hand
    if state.turn.awaits_answer and state.turn.response is ResponseState.NONE:
        context.wait(Wait.FIRST_EVENT)  # the upstream begins the response itself
    if not state.is_passthrough:
        state.transcripts.committed(event.item_id)
    if audio.data:
        state.ledger.add_speech(event.item_id or "", audio)


def speech_started(context: Context, _event: openai.InputAudioBufferSpeechStarted) -> None:
    """Tell the client to stop playing; what it has not heard, and what is still to come of it, is cut off."""
    state = context.state
    if not state.is_replaying_speech:
        context.to_client(deepgram.UserStartedSpeaking())
    state.is_replaying_speech = False
    state.is_speaking = True
    if state.microphone is not None:
        state.microphone.is_speech = True
    if state.detects_turns:
        barge_in.interrupt(context)
        function_calls.cancel_calls(context)
        state.user_speech.is_on = True
        state.user_speech.is_ended_by_client = False
        state.user_speech.filled_s = 0.0
        state.user_speech.microphone_s = max(state.user_speech.microphone_s, context.now_s)
        context.wait(Wait.MICROPHONE)


def speech_stopped(context: Context, event: openai.InputAudioBufferSpeechStopped) -> None:
    """Tell the component that the user has stopped."""
    context.state.latency.mark("asked_s", context.now_s)
    stop_talking(context)
    context.wait(Wait.COMMIT)
    context.to_component(text.utterance_end(event.audio_end_ms))


def stop_talking(context: Context) -> None:
    """The user's speech has ended: silence needs no filling any more."""
    context.state.user_speech.is_on = False
    context.stop_waiting(Wait.MICROPHONE)


def commit_timed_out(context: Context, _fired: Any) -> None:
    """What was taken for speech did not become a turn: what waited for it may go on."""
    state = context.state
    state.is_speaking = state.is_replaying_speech = state.is_committing = False


def transcription_completed(context: Context, event: openai.InputAudioTranscriptionCompleted) -> None:
    """Tell what the user said. The final Transcript follows at once: the component counts the turn twice otherwise."""
    transcript = event.transcript.strip()
    if event.status == "in_progress":
        interim_update(context, openai.InputAudioTranscriptionUpdated(event.transcript, event.item_id))
        return
    if context.state.interim_transcripts.is_complete(event.item_id):
        return  # some services complete a transcript twice
    context.state.interim_transcripts.complete(event.item_id)
    context.state.ledger.set_transcript(event.item_id, transcript)
    context.state.latency.mark("heard_s", context.now_s)
    if transcript:
        context.to_client(deepgram.ConversationText(role="user", content=transcript))
        context.to_component(text.transcript(transcript, is_final=True))
    else:
        _was_noise(context)
    delivery.transcript_arrived(context, event.item_id)


def _was_noise(context: Context) -> None:
    # It may be answered, but it need not be.
    turn = context.state.turn
    turn.awaits_answer = False
    if turn.response is ResponseState.NONE:
        context.stop_waiting(Wait.FIRST_EVENT)


def transcription_failed(context: Context, event: openai.InputAudioTranscriptionFailed) -> None:
    """Warn that there will be no text for what the user said; the turn itself goes on."""
    error = errors.client_error(event.error, context.options.redact)
    context.to_client(deepgram.Warning(description=error.description, code=error.code))
    delivery.transcript_arrived(context, event.item_id)
