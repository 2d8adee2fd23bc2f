"""Handlers of what the agent says, and the end of its turn."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.handlers import delivery
from router.session.state.latency import Timeline
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
    if turn.is_untold(event.response_id):
        return
    turn.answer.transcript += event.delta
    turn.answer.is_spoken = isinstance(event, openai.ResponseOutputAudioTranscriptDelta)
    turn.answer.item_id = turn.answer.item_id or event.item_id
    session.state.timeline.mark("token_s", session.now_s)
    start_speaking(session, event)
    if session.profile.sentences:
        _tell_sentences(session, turn.answer)


def text_done(session: Session, event: openai.ResponseOutputTextDone) -> None:
    """Tell the text of an item."""
    if not session.state.turn.is_untold(event.response_id):
        tell_assistant_text(session, event.item_id, event.text)


def transcript_done(session: Session, event: openai.ResponseOutputAudioTranscriptDone) -> None:
    """Tell the transcript of an item."""
    if not session.state.turn.is_untold(event.response_id):
        tell_assistant_text(session, event.item_id, event.transcript)


def tell_assistant_text(session: Session, item_id: str | None, content: str) -> None:
    """Tell what the assistant said: once an item, whichever event brings it first, or what of it was not told yet."""
    state = session.state
    if not content.strip() or not state.line.items.tell_once(item_id):
        return
    start_speaking(session, None)
    answer = state.turn.answer
    if not session.profile.sentences:
        _tell_item(session, item_id, content)
    elif answer.item_id in (item_id, None):
        if not content.startswith(answer.transcript[: answer.told_to]):
            content = answer.transcript  # told in part, and another wording cannot be gone on with
        answer.transcript = content
        _tell_sentences(session, answer, is_final=True)
    else:
        for sentence in sentences_of(content, is_final=True)[0]:
            _tell(session, item_id, sentence)
    state.ledger.assistant_said(item_id, content)
    state.playback.tell(item_id, content)
    answer.told = content


def _tell_item(session: Session, item_id: str | None, content: str) -> None:
    answer = session.state.turn.answer
    news = content[answer.told_ahead :].strip() if answer.item_id in (item_id, None) else content
    if news:
        _tell(session, item_id, news)


def _tell_sentences(session: Session, answer: Answer, *, is_final: bool = False) -> None:
    # What the client was told of the answer that this one goes on with is not told again.
    sentences, answer.told_to = sentences_of(answer.transcript, answer.told_until, is_final=is_final)
    for sentence in sentences:
        _tell(session, answer.item_id, sentence)


def _tell(session: Session, item_id: str | None, content: str) -> None:
    session.state.timeline.mark("text_s", session.now_s)
    delivery.say_words(session, item_id, content)


def tell_heard(session: Session, item_id: str | None, answer: Answer, words: str) -> None:
    """Tell what a caller has heard of an answer that was cut off, as far as that is not told yet."""
    rest = words[answer.told_until :].strip()
    if rest:
        delivery.say_words(session, item_id, rest)


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


def play(session: Session, event: openai.ResponseOutputAudioDelta) -> None:
    """Play a piece of the answer, unless the user has interrupted it."""
    state = session.state
    if event.response_id in state.turn.muted:
        state.muted_bytes += len(event.delta.rstrip("=")) * 3 // 4
        return
    try:
        pcm = state.speaker.play(event.delta, event.response_id)
    except ValueError as error:
        session.log(logging.WARNING, f"a piece of audio is not base64 and dropped: {error}")
        return
    if pcm:
        _play(session, event, pcm)


def _play(session: Session, event: openai.ResponseOutputAudioDelta, pcm: bytes) -> None:
    state, answer = session.state, session.state.turn.answer
    start_speaking(session, event)
    if answer.told_to < len(answer.transcript) and _is_sentence(session, answer):
        _tell_sentences(session, answer, is_final=True)  # its text is told ahead of its audio
    if state.timeline.mark("audio_s", session.now_s) and _is_announced(session):
        delivery.say(session, state.timeline.started_speaking())
    _send(session, pcm)


def _send(session: Session, pcm: bytes) -> None:
    answer, speaker = session.state.turn.answer, session.state.speaker
    piece = Piece(answer.item_id, pcm, speaker.duration_s(pcm))
    answer.played_s += piece.duration_s
    delivery.play(session, piece)


def play_rest(session: Session) -> None:
    """Play what the conversion has held back of a response, which has ended."""
    rest = session.state.speaker.finish()
    if rest:
        _send(session, rest)


def _is_sentence(session: Session, answer: Answer) -> bool:
    return session.profile.sentences and ends_here(answer.transcript, answer.told_to)


def _is_announced(session: Session) -> bool:
    given = session.state.settings
    return not session.profile.component_messages and isinstance(given, deepgram.Settings) and given.experimental


# The end of its turn.


def end_turn(session: Session) -> None:
    """Tell that the agent's turn is over, where it is."""
    turn = session.state.turn
    if not turn.is_open or session.state.calls.outstanding or turn.will_follow_up:
        return
    turn.is_open = False
    timeline, session.state.timeline = session.state.timeline, Timeline()
    delivery.say(session, deepgram.AgentAudioDone())
    if session.profile.component_messages:
        delivery.say(session, deepgram.AgentDone())
    report = timeline.report()
    if report != deepgram.LatencyReport():
        delivery.say(session, report)
