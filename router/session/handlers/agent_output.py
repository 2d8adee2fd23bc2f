"""Handlers of what the agent says, and the end of its turn."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

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

# Its words.


Delta = openai.ResponseOutputTextDelta | openai.ResponseOutputAudioTranscriptDelta


def text_delta(context: Context, event: Delta) -> None:
    """Remember what is being said: it has to be known where an answer is cut off. Tell the sentences that it ends."""
    turn = context.state.turn
    if turn.is_suppressed(event.response_id):
        return
    turn.answer.transcript += event.delta
    turn.answer.is_spoken = isinstance(event, openai.ResponseOutputAudioTranscriptDelta)
    turn.answer.item_id = turn.answer.item_id or event.item_id
    context.state.latency.mark("token_s", context.now_s)
    start_speaking(context, event)
    if context.profile.sentences:
        _send_sentences(context, turn.answer)


def text_done(context: Context, event: openai.ResponseOutputTextDone) -> None:
    """Tell the text of an item."""
    if not context.state.turn.is_suppressed(event.response_id):
        deliver_text(context, event.item_id, event.text)


def transcript_done(context: Context, event: openai.ResponseOutputAudioTranscriptDone) -> None:
    """Tell the transcript of an item."""
    if not context.state.turn.is_suppressed(event.response_id):
        deliver_text(context, event.item_id, event.transcript)


def deliver_text(context: Context, item_id: str | None, content: str) -> None:
    """Tell what the assistant said: once an item, whichever event brings it first, or what of it was not told yet."""
    state = context.state
    if not content.strip() or not state.upstream.items.claim_text(item_id):
        return
    start_speaking(context, None)
    answer = state.turn.answer
    if not context.profile.sentences:
        _send_item_text(context, item_id, content)
    elif answer.item_id in (item_id, None):
        if not content.startswith(answer.transcript[: answer.sent_chars]):
            content = answer.transcript  # told in part, and another wording cannot be gone on with
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
    news = content[answer.resent_chars :].strip() if answer.item_id in (item_id, None) else content
    if news:
        _send_text(context, item_id, news)


def _send_sentences(context: Context, answer: Answer, *, is_final: bool = False) -> None:
    # What the client was told of the answer that this one goes on with is not told again.
    sentences, answer.sent_chars = sentences_of(answer.transcript, answer.delivered_chars, is_final=is_final)
    for sentence in sentences:
        _send_text(context, answer.item_id, sentence)


def _send_text(context: Context, item_id: str | None, content: str) -> None:
    context.state.latency.mark("text_s", context.now_s)
    delivery.send_text(context, item_id, content)


def deliver_heard(context: Context, item_id: str | None, answer: Answer, words: str) -> None:
    """Tell what a caller has heard of an answer that was cut off, as far as that is not told yet."""
    rest = words[answer.delivered_chars :].strip()
    if rest:
        delivery.send_text(context, item_id, rest)


# Its voice.


def start_speaking(context: Context, _event: Any) -> None:
    """Tell the component that a response's first output follows."""
    turn = context.state.turn
    if turn.has_started_speaking:
        return
    turn.has_started_speaking = True
    context.to_component(deepgram.AgentStartedSpeaking())
    if turn.response is ResponseState.REQUESTED:  # of an upstream that announces no response
        context.stop_waiting(Wait.FIRST_EVENT)
        context.wait(Wait.NEXT_EVENT)


def audio_delta(context: Context, event: openai.ResponseOutputAudioDelta) -> None:
    """Play a piece of the answer, unless the user has interrupted it."""
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
        _emit(context, event, pcm)


def _emit(context: Context, event: openai.ResponseOutputAudioDelta, pcm: bytes) -> None:
    state, answer = context.state, context.state.turn.answer
    start_speaking(context, event)
    if answer.sent_chars < len(answer.transcript) and _is_sentence(context, answer):
        _send_sentences(context, answer, is_final=True)  # its text is told ahead of its audio
    if state.latency.mark("audio_s", context.now_s) and _is_announced(context):
        delivery.send(context, state.latency.started_speaking())
    _schedule(context, pcm)


def _schedule(context: Context, pcm: bytes) -> None:
    answer, speaker = context.state.turn.answer, context.state.speaker
    piece = Piece(answer.item_id, pcm, speaker.duration_s(pcm))
    answer.played_s += piece.duration_s
    delivery.schedule_audio(context, piece)


def flush_audio(context: Context) -> None:
    """Play what the conversion has held back of a response, which has ended."""
    rest = context.state.speaker.finish()
    if rest:
        _schedule(context, rest)


def _is_sentence(context: Context, answer: Answer) -> bool:
    return context.profile.sentences and ends_here(answer.transcript, answer.sent_chars)


def _is_announced(context: Context) -> bool:
    given = context.state.settings
    return not context.profile.component_messages and isinstance(given, deepgram.Settings) and given.experimental


# The end of its turn.


def end_turn(context: Context) -> None:
    """Tell that the agent's turn is over, where it is."""
    turn = context.state.turn
    if not turn.is_open or context.state.calls.outstanding or turn.will_continue:
        return
    turn.is_open = False
    timeline, context.state.latency = context.state.latency, TurnLatency()
    delivery.send(context, deepgram.AgentAudioDone())
    if context.profile.component_messages:
        delivery.send(context, deepgram.AgentDone())
    report = timeline.report()
    if report != deepgram.LatencyReport():
        delivery.send(context, report)
