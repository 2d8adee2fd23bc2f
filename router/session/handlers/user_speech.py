"""Take the user's speech from the microphone, and send its transcript.

Between the two, `user_turn` follows the user's turn.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import delivery
from router.session.state.pending import ResponseRequest
from router.session.state.states import UserTurnState
from router.translation import errors, text

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context

TIMER_TOLERANCE_S: Final = 0.001
"""A remainder of a wait up to this length counts as none. Timers as short as a rounding error would fire endlessly."""

MAX_FILLED_S: Final = 30.0
"""The longest silence that the session sends for a stopped microphone.

A detector that finds no end of speech in so much silence never finds one.
"""

MAX_INTERIM_CHARS: Final = 4000
"""The length of an interim Transcript at most: it keeps the end of a longer text. The final Transcript is whole."""

# The microphone.


def append_audio(context: Context, piece: inputs.MicrophoneAudio) -> None:
    """Forward microphone audio. Empty frames are no audio: a microphone that sends only empty frames has stopped."""
    state, data = context.state, piece.data
    if not data:
        return
    microphone = state.microphone
    state.user_turns.record_audio(context.now_s)
    state.microphone_bytes += len(data)
    if microphone is not None and microphone.is_too_long(data):
        _refuse_audio(context, len(data), microphone.longest_frame_s)
    elif microphone is not None:
        context.forward_all(microphone.append(data))
    # No detector ends the turn, so a pause of the microphone does (docs/decisions/0026).
    if state.plan.detection.is_manual:
        context.wait(Wait.MANUAL_COMMIT)


def client_paused(context: Context, _paused: messages.ClientPaused) -> None:
    """Stop measuring the time since the last microphone frame, because the router has paused reading the client."""
    context.state.user_turns.pause(context.now_s)


def client_resumed(context: Context, _resumed: messages.ClientResumed) -> None:
    """Measure the time since the last microphone frame again, without the pause."""
    context.state.user_turns.resume(context.now_s)


def _refuse_audio(context: Context, size_bytes: int, longest_s: float) -> None:
    # One frame is converted in one step, and holds up the sessions of its dispatcher meanwhile.
    description = f"a frame of {size_bytes} bytes is dropped: it has more than {longest_s:g} s of audio"
    context.count_excess(description)
    context.to_client(deepgram.Error(description=description, code="AUDIO_FRAME_TOO_LONG"))


def commit(context: Context, fired: messages.TimerFired | None = None) -> None:
    """Commit the user's audio, and request a response at once: the upstream handles commit and request in their order.

    `fired` is the timer of a pause of the microphone. It is None if the client asked for the end of the turn.
    """
    microphone = context.state.microphone
    # Without audio the commit would be refused (upstream 4.1).
    if microphone is None or not microphone.has_uncommitted:
        return
    turns = context.state.user_turns
    if turns.is_committing or (fired is not None and turns.paused_s is not None):
        # The audio came after the commit on its way, and needs a commit of its own. Or the router has paused the
        # client, so the gap shows no pause of the user's.
        context.wait(Wait.MANUAL_COMMIT)
        return
    context.forward_all(microphone.finish())
    event_id = context.state.new_id()
    context.to_upstream(openai.InputAudioBufferCommit(event_id=event_id))
    context.signal(inputs.CommitSent(is_by_client=False, event_id=event_id))
    context.mark_question(context.now_s)
    # A commit starts no response (upstream 4.1).
    context.state.pending.add(ResponseRequest())


def force_end_turn(context: Context, _message: deepgram.ForceEndTurn) -> None:
    """End the user's turn now, if one is open, and request a response, because a commit starts none (upstream 4.1)."""
    turns = context.state.user_turns
    phase, is_detected = turns.current.phase, context.state.plan.detection.is_on
    # Without a detector the phase is IDLE while the user speaks, and uncommitted audio is the turn.
    if phase is (UserTurnState.SPEAKING if is_detected else UserTurnState.IDLE):
        context.stop_waiting(Wait.MANUAL_COMMIT)
        commit(context)


def fill_silence(context: Context, _fired: messages.TimerFired) -> None:
    """Send silence in place of a microphone that stopped in the middle of the user's speech.

    A push-to-talk client stops sending when its button is released. The detector measures time by the appended audio
    (upstream 4.4), so the detector would never find the end of the turn. If the network only stalls, silence would cut
    the turn in two, because the audio is still to come (docs/decisions/0026).
    """
    state, turns = context.state, context.state.user_turns
    if turns.current.phase is not UserTurnState.SPEAKING or state.microphone is None or turns.last_audio_s is None:
        return
    gap_s = context.now_s - turns.last_audio_s if turns.paused_s is None else 0.0
    if turns.fill_after_s - gap_s > TIMER_TOLERANCE_S:
        # Frames came since the timer was started: `append_audio` does not start it anew for each of them.
        context.wait_for(Wait.MICROPHONE, turns.fill_after_s - gap_s)
    elif turns.filled_s < MAX_FILLED_S:
        # If the process was suspended, the gap may have any length.
        gap_s = min(gap_s, MAX_FILLED_S)
        context.forward_all(state.microphone.silence(gap_s * 1000))
        turns.filled_s += gap_s
        # From now on `fill_after_s` is the short gap.
        turns.has_stopped_before = True
        turns.last_audio_s = context.now_s
        context.wait_for(Wait.MICROPHONE, turns.fill_after_s)
    else:
        context.log(logging.WARNING, "the upstream finds no end of the user's speech in silence")
        context.wait(Wait.COMMIT)


# Transcripts.


def interim_delta(context: Context, event: openai.InputAudioTranscriptionDelta) -> None:
    """Send the component the user's words so far, together with the new words."""
    _send_interim(context, event.item_id, context.state.interim_transcripts.so_far(event.item_id) + event.delta)


def interim_update(context: Context, event: openai.InputAudioTranscriptionUpdated) -> None:
    """Send the component the user's words so far. xAI repeats all words in each event (upstream 12.2)."""
    _send_interim(context, event.item_id, event.transcript)


def _send_interim(context: Context, item_id: str | None, words: str) -> None:
    # Each event sends all words so far again: without a bound, the bytes would grow with the square of the words.
    words = words[-MAX_INTERIM_CHARS:]
    if context.state.user_turns.current.phase is UserTurnState.SPEAKING:
        context.wait(Wait.SPEECH)
    if context.state.interim_transcripts.update(item_id, words) and words.strip():
        context.to_component(text.transcript(words.strip(), is_final=False))


def transcription_completed(context: Context, event: openai.InputAudioTranscriptionCompleted) -> None:
    """Send the user's words, and then the agent's messages that waited for them.

    The component's final Transcript follows the ConversationText at once. Otherwise the component would count the turn
    twice.
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
    if transcript:
        context.state.latency.mark("transcribed_s", context.now_s)
        context.to_client(deepgram.ConversationText(role="user", content=transcript))
        context.to_component(text.transcript(transcript, is_final=True, words=event.words))
    else:
        # Without words the speech was a noise. The upstream may answer it, but a missing answer is no loss.
        context.state.user_turns.forget_noise(event.item_id)
        context.signal(inputs.NoiseFound(event.item_id))
    delivery.transcript_arrived(context, event.item_id)


def transcription_failed(context: Context, event: openai.InputAudioTranscriptionFailed) -> None:
    """Warn that the user's words will be missing. The turn itself continues (upstream 4.7)."""
    error = errors.client_error(event.error, context.options.redact)
    context.to_client(deepgram.Warning(description=error.description, code=error.code))
    delivery.transcript_arrived(context, event.item_id)
