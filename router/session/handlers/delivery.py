"""The way of the agent's words and audio to the client: in order, behind the user's words, and not too far ahead.

Two things may hold a turn up. Its text waits for the transcript of what the user said, which may come later than the
answer. Its audio waits while the client has more than enough to play (`playback`). What belongs behind either, such as
the end of the turn, goes behind it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.state.transcripts import Held

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.state.playback import Piece


def send(session: Session, *messages: deepgram.ServerMessage) -> None:
    """Tell the client something of the agent's turn, behind what is held up."""
    transcripts = session.state.transcripts
    for message in messages:
        if transcripts.held:
            transcripts.held.append(Held(message, None))
        else:
            _send_behind_audio(session, message)


def send_text(session: Session, item_id: str | None, content: str) -> None:
    """Tell what the agent says, once what the user said before is told."""
    transcripts = session.state.transcripts
    message = deepgram.ConversationText(role="assistant", content=content)
    if not transcripts.are_awaited:
        send(session, message)
        return
    if not transcripts.held:
        session.wait(Wait.TRANSCRIPT)
    transcripts.held.append(Held(message, item_id))


def transcript_arrived(session: Session, item_id: str | None) -> None:
    """The words of the user's item are told, or will never be: what waited for them may go."""
    transcripts = session.state.transcripts
    transcripts.came(item_id)
    if not transcripts.are_awaited:
        session.stop_waiting(Wait.TRANSCRIPT)
        send(session, *transcripts.take())


def give_up_transcripts(session: Session, _fired: Any = None) -> None:
    """The user's words did not come in time: the agent's go first."""
    transcripts = session.state.transcripts
    if transcripts.held:
        session.log(logging.INFO, "the transcript of the user's speech is late: the answer is told before it")
    session.stop_waiting(Wait.TRANSCRIPT)
    send(session, *transcripts.end_lost_session())


def schedule_audio(session: Session, piece: Piece) -> None:
    """Send a piece of audio, or let it wait."""
    playback = session.state.playback
    was_waiting = playback.is_waiting
    if playback.receive(piece, session.now_s):
        session.send_audio(piece.data)
    elif not was_waiting:
        session.probe_client()
        session.wait_for(Wait.PLAYBACK, playback.due_in_s(session.now_s))
    else:
        _release(session, playback.overflowing(session.now_s))


def client_caught_up(session: Session, _caught_up: Any) -> None:
    """The client reads: what waits for its playback waits for no other reason, and more of it may."""
    session.state.playback.is_trusted = True


def release_audio(session: Session, _fired: Any) -> None:
    """The client has played so much that it may have more."""
    playback = session.state.playback
    _release(session, playback.release_audio(session.now_s))
    if playback.is_waiting:
        session.wait_for(Wait.PLAYBACK, playback.due_in_s(session.now_s))


def _release(session: Session, due: list[Any]) -> None:
    for each in due:
        if isinstance(each, bytes):
            session.send_audio(each)
        else:
            session.to_client(each)


def _send_behind_audio(session: Session, message: deepgram.ServerMessage) -> None:
    playback = session.state.playback
    if playback.is_waiting:
        playback.wait(message)
    else:
        session.to_client(message)
