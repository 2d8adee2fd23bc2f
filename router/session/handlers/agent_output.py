"""Turn the text and audio of a response into messages for the client, and end the agent's turn.

An audio delta takes five steps: decode (`router.openai.codec`), convert (`Speaker.convert`), announce
(`_announce_audio`), schedule (`delivery.schedule_audio`), emit (`Context.emit_audio`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.handlers import delivery
from router.session.state.latency import TurnLatency
from router.session.state.playback import Piece
from router.session.state.states import ResponseState
from router.translation.sentences import ends_here, sentences_of

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.turn import Answer

Delta = openai.ResponseOutputTextDelta | openai.ResponseOutputAudioTranscriptDelta

# Text.


def text_delta(context: Context, event: Delta) -> None:
    """Record the text so far, and send the sentences that it completes.

    The text is recorded where it is sent only as a whole, too: a cut answer needs the words that the caller heard.
    """
    turn = context.state.turn
    if turn.is_suppressed(event.response_id):
        return
    turn.answer.transcript += event.delta
    turn.answer.is_spoken = isinstance(event, openai.ResponseOutputAudioTranscriptDelta)
    # speech-to-speech announces no items (upstream 12.4): the first delta names the item.
    turn.answer.item_id = turn.answer.item_id or event.item_id
    context.state.latency.mark("token_s", context.now_s)
    start_speaking(context)
    if context.profile.sentences:
        _send_sentences(context, turn.answer)


def text_done(context: Context, event: openai.ResponseOutputTextDone) -> None:
    """Deliver the text of an item."""
    if not context.state.turn.is_suppressed(event.response_id):
        deliver_text(context, event.item_id, event.text)


def transcript_done(context: Context, event: openai.ResponseOutputAudioTranscriptDone) -> None:
    """Deliver the transcript of an item."""
    if not context.state.turn.is_suppressed(event.response_id):
        deliver_text(context, event.item_id, event.transcript)


def deliver_text(context: Context, item_id: str | None, content: str) -> None:
    """Send the part of an item's text that the client lacks, and add the item to the ledger.

    Up to five events repeat the text (upstream 5.7). The first one counts, whichever it is.
    """
    state = context.state
    if not content.strip() or not state.upstream.items.claim_text(item_id):
        return
    start_speaking(context)
    answer = state.turn.answer
    if not context.profile.sentences:
        _send_item_text(context, item_id, content)
    elif answer.item_id in (item_id, None):
        if not content.startswith(answer.transcript[: answer.sent_chars]):
            # The final wording differs from the sentences that were sent, and cannot continue them: the deltas count.
            content = answer.transcript
        answer.transcript = content
        _send_sentences(context, answer, is_final=True)
    else:
        for sentence in sentences_of(content, is_final=True)[0]:
            _send_text(context, item_id, sentence)
    state.ledger.add_assistant_text(item_id, content)
    state.playback.set_text(item_id, content)
    answer.sent_text = content


def _send_item_text(context: Context, item_id: str | None, content: str) -> None:
    answer = context.state.turn.answer
    unsent = content[answer.resent_chars :].strip() if answer.item_id in (item_id, None) else content
    if unsent:
        _send_text(context, item_id, unsent)


def _send_sentences(context: Context, answer: Answer, *, is_final: bool = False) -> None:
    # From `delivered_chars` on: the client has the beginning already where this answer continues another one.
    sentences, answer.sent_chars = sentences_of(answer.transcript, answer.delivered_chars, is_final=is_final)
    for sentence in sentences:
        _send_text(context, answer.item_id, sentence)


def _send_text(context: Context, item_id: str | None, content: str) -> None:
    context.state.latency.mark("text_s", context.now_s)
    delivery.send_text(context, item_id, content)


def deliver_heard(context: Context, item_id: str | None, answer: Answer, words: str) -> None:
    """Send the heard words of a cut answer, as far as the client lacks them."""
    rest = words[answer.delivered_chars :].strip()
    if rest:
        delivery.send_text(context, item_id, rest)


# Audio.


def start_speaking(context: Context) -> None:
    """Send the component AgentStartedSpeaking ahead of a response's first output."""
    turn = context.state.turn
    if turn.has_started_speaking:
        return
    turn.has_started_speaking = True
    context.to_component(deepgram.AgentStartedSpeaking())
    if turn.response is ResponseState.REQUESTED:
        # Some servers send no response.created: their first output ends the wait for it.
        context.stop_waiting(Wait.FIRST_EVENT)
        context.wait(Wait.NEXT_EVENT)


def audio_delta(context: Context, event: openai.ResponseOutputAudioDelta) -> None:
    """Decode, convert, announce, schedule and emit a piece of audio, unless the user interrupted its response.

    Deltas still arrive after a cancel (upstream 7.4). A binary frame names no response, so the client would play late
    audio as the next answer (client 4.2).
    """
    state = context.state
    if event.response_id in state.turn.interrupted:
        state.interrupted_bytes += len(event.delta.rstrip("=")) * 3 // 4
        return
    try:
        pcm = state.speaker.convert(event.delta, event.response_id)
    except ValueError as error:
        context.log(logging.WARNING, f"a piece of audio is not base64 and dropped: {error}")
        return
    if pcm:
        _announce_audio(context)
        _schedule(context, pcm)


def _announce_audio(context: Context) -> None:
    state, answer = context.state, context.state.turn.answer
    start_speaking(context)
    if answer.sent_chars < len(answer.transcript) and _is_sentence(context, answer):
        # Its full stop may yet be a decimal point, but the text of a sentence comes ahead of its audio (client 4.1).
        _send_sentences(context, answer, is_final=True)
    if state.latency.mark("audio_s", context.now_s) and _announces_speech(context):
        delivery.send(context, state.latency.started_speaking())


def _schedule(context: Context, pcm: bytes) -> None:
    answer, speaker = context.state.turn.answer, context.state.speaker
    piece = Piece(answer.item_id, pcm, speaker.duration_s(pcm))
    answer.received_s += piece.duration_s
    delivery.schedule_audio(context, piece)


def flush_audio(context: Context) -> None:
    """Schedule the last milliseconds of a response, which the converter's filter held back."""
    rest = context.state.speaker.finish()
    if rest:
        _schedule(context, rest)


def _is_sentence(context: Context, answer: Answer) -> bool:
    return context.profile.sentences and ends_here(answer.transcript, answer.sent_chars)


def _announces_speech(context: Context) -> bool:
    # Deepgram sends AgentStartedSpeaking only where `experimental` is true (client 4.4). The component always gets one.
    settings = context.state.deepgram_settings
    return not context.profile.component_messages and settings is not None and settings.experimental


# The end of the turn.


def end_turn(context: Context) -> None:
    """Send AgentAudioDone and the latency report, unless a function call or another response continues the turn."""
    turn = context.state.turn
    if not turn.is_open or context.state.calls.outstanding or turn.will_continue:
        return
    turn.is_open = False
    latency, context.state.latency = context.state.latency, TurnLatency()
    delivery.send(context, deepgram.AgentAudioDone())
    if context.profile.component_messages:
        delivery.send(context, deepgram.AgentDone())
    report = latency.report()
    # A turn without output has no latency to report.
    if report != deepgram.LatencyReport():
        delivery.send(context, report)
