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
    from router.session.machine import Session
    from router.session.state.turn import Answer

# Its words.


Delta = openai.ResponseOutputTextDelta | openai.ResponseOutputAudioTranscriptDelta


def text_delta(session: Session, event: Delta) -> None:
    """Remember what is being said: it has to be known where an answer is cut off. Tell the sentences that it ends."""
    turn = session.state.turn
    if turn.is_suppressed(event.response_id):
        return
    turn.answer.transcript += event.delta
    turn.answer.is_spoken = isinstance(event, openai.ResponseOutputAudioTranscriptDelta)
    turn.answer.item_id = turn.answer.item_id or event.item_id
    session.state.latency.mark("token_s", session.now_s)
    start_speaking(session, event)
    if session.profile.sentences:
        _send_sentences(session, turn.answer)


def text_done(session: Session, event: openai.ResponseOutputTextDone) -> None:
    """Tell the text of an item."""
    if not session.state.turn.is_suppressed(event.response_id):
        deliver_text(session, event.item_id, event.text)


def transcript_done(session: Session, event: openai.ResponseOutputAudioTranscriptDone) -> None:
    """Tell the transcript of an item."""
    if not session.state.turn.is_suppressed(event.response_id):
        deliver_text(session, event.item_id, event.transcript)


def deliver_text(session: Session, item_id: str | None, content: str) -> None:
    """Tell what the assistant said: once an item, whichever event brings it first, or what of it was not told yet."""
    state = session.state
    if not content.strip() or not state.upstream.items.claim_text(item_id):
        return
    start_speaking(session, None)
    answer = state.turn.answer
    if not session.profile.sentences:
        _send_item_text(session, item_id, content)
    elif answer.item_id in (item_id, None):
        if not content.startswith(answer.transcript[: answer.sent_chars]):
            content = answer.transcript  # told in part, and another wording cannot be gone on with
        answer.transcript = content
        _send_sentences(session, answer, is_final=True)
    else:
        for sentence in sentences_of(content, is_final=True)[0]:
            _send_text(session, item_id, sentence)
    state.ledger.add_assistant_text(item_id, content)
    state.playback.set_text(item_id, content)
    answer.sent_text = content


def _send_item_text(session: Session, item_id: str | None, content: str) -> None:
    answer = session.state.turn.answer
    news = content[answer.resent_chars :].strip() if answer.item_id in (item_id, None) else content
    if news:
        _send_text(session, item_id, news)


def _send_sentences(session: Session, answer: Answer, *, is_final: bool = False) -> None:
    # What the client was told of the answer that this one goes on with is not told again.
    sentences, answer.sent_chars = sentences_of(answer.transcript, answer.delivered_chars, is_final=is_final)
    for sentence in sentences:
        _send_text(session, answer.item_id, sentence)


def _send_text(session: Session, item_id: str | None, content: str) -> None:
    session.state.latency.mark("text_s", session.now_s)
    delivery.send_text(session, item_id, content)


def deliver_heard(session: Session, item_id: str | None, answer: Answer, words: str) -> None:
    """Tell what a caller has heard of an answer that was cut off, as far as that is not told yet."""
    rest = words[answer.delivered_chars :].strip()
    if rest:
        delivery.send_text(session, item_id, rest)


# Its voice.


def start_speaking(session: Session, _event: Any) -> None:
    """Tell the component that a response's first output follows."""
    turn = session.state.turn
    if turn.has_started_speaking:
        return
    turn.has_started_speaking = True
    session.to_component(deepgram.AgentStartedSpeaking())
    if turn.response is ResponseState.REQUESTED:  # of an upstream that announces no response
        session.stop_waiting(Wait.FIRST_EVENT)
        session.wait(Wait.SILENCE)


def audio_delta(session: Session, event: openai.ResponseOutputAudioDelta) -> None:
    """Play a piece of the answer, unless the user has interrupted it."""
    state = session.state
    if event.response_id in state.turn.interrupted:
        state.interrupted_bytes += len(event.delta.rstrip("=")) * 3 // 4
        return
    try:
        pcm = state.speaker.convert(event.delta, event.response_id)
    except ValueError as error:
        session.log(logging.WARNING, f"a piece of audio is not base64 and dropped: {error}")
        return
    if pcm:
        _emit(session, event, pcm)


def _emit(session: Session, event: openai.ResponseOutputAudioDelta, pcm: bytes) -> None:
    state, answer = session.state, session.state.turn.answer
    start_speaking(session, event)
    if answer.sent_chars < len(answer.transcript) and _is_sentence(session, answer):
        _send_sentences(session, answer, is_final=True)  # its text is told ahead of its audio
    if state.latency.mark("audio_s", session.now_s) and _is_announced(session):
        delivery.send(session, state.latency.started_speaking())
    _schedule(session, pcm)


def _schedule(session: Session, pcm: bytes) -> None:
    answer, speaker = session.state.turn.answer, session.state.speaker
    piece = Piece(answer.item_id, pcm, speaker.duration_s(pcm))
    answer.played_s += piece.duration_s
    delivery.schedule_audio(session, piece)


def flush_audio(session: Session) -> None:
    """Play what the conversion has held back of a response, which has ended."""
    rest = session.state.speaker.finish()
    if rest:
        _schedule(session, rest)


def _is_sentence(session: Session, answer: Answer) -> bool:
    return session.profile.sentences and ends_here(answer.transcript, answer.sent_chars)


def _is_announced(session: Session) -> bool:
    given = session.state.settings
    return not session.profile.component_messages and isinstance(given, deepgram.Settings) and given.experimental


# The end of its turn.


def end_turn(session: Session) -> None:
    """Tell that the agent's turn is over, where it is."""
    turn = session.state.turn
    if not turn.is_open or session.state.calls.outstanding or turn.will_continue:
        return
    turn.is_open = False
    timeline, session.state.latency = session.state.latency, TurnLatency()
    delivery.send(session, deepgram.AgentAudioDone())
    if session.profile.component_messages:
        delivery.send(session, deepgram.AgentDone())
    report = timeline.report()
    if report != deepgram.LatencyReport():
        delivery.send(session, report)
