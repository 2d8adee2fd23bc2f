"""Handlers of what the agent says, and the end of its turn."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.state import ResponseState

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.session import Session


def tell_assistant_text(session: Session, item_id: str | None, content: str) -> None:
    """Tell what the assistant said: once an item, whichever event brings it first."""
    if content.strip() and session.state.line.items.tell_once(item_id):
        start_speaking(session, None)
        session.to_client(deepgram.ConversationText(role="assistant", content=content))
        session.state.ledger.assistant_said(item_id, content)
        session.state.turn.answer.told = content


def text_done(session: Session, event: openai.ResponseOutputTextDone) -> None:
    """Tell the text of an item."""
    tell_assistant_text(session, event.item_id, event.text)


def transcript_done(session: Session, event: openai.ResponseOutputAudioTranscriptDone) -> None:
    """Tell the transcript of an item."""
    tell_assistant_text(session, event.item_id, event.transcript)


def transcript_delta(session: Session, event: openai.ResponseOutputAudioTranscriptDelta) -> None:
    """Remember what is being said: it has to be known where an answer is cut off."""
    session.state.turn.answer.transcript += event.delta
    start_speaking(session, event)


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
        start_speaking(session, event)
        state.turn.answer.played_bytes += len(pcm)
        session.play(pcm)


def end_turn(session: Session) -> None:
    """Tell that the agent's turn is over, where it is."""
    turn = session.state.turn
    if not turn.is_open or session.state.calls.outstanding or turn.will_follow_up:
        return
    turn.is_open = False
    session.to_client(deepgram.AgentAudioDone())
    session.to_component(deepgram.AgentDone())
