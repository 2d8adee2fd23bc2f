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
    from router.session.context import Context
    from router.session.state.playback import Piece


def send(context: Context, *messages: deepgram.ServerMessage) -> None:
    """Tell the client something of the agent's turn, behind what is held up."""
    transcripts = context.state.transcripts
    for message in messages:
        if transcripts.held:
            transcripts.held.append(Held(message, None))
        else:
            _send_behind_audio(context, message)


def send_text(context: Context, item_id: str | None, content: str) -> None:
    """Tell what the agent says, once what the user said before is told."""
    transcripts = context.state.transcripts
    message = deepgram.ConversationText(role="assistant", content=content)
    if not transcripts.are_awaited:
        send(context, message)
        return
    if not transcripts.held:
        context.wait(Wait.TRANSCRIPT)
    transcripts.held.append(Held(message, item_id))


def transcript_arrived(context: Context, item_id: str | None) -> None:
    """The words of the user's item are told, or will never be: what waited for them may go."""
    transcripts = context.state.transcripts
    transcripts.came(item_id)
    if not transcripts.are_awaited:
        context.stop_waiting(Wait.TRANSCRIPT)
        send(context, *transcripts.take())


def give_up_transcripts(context: Context, _fired: Any = None) -> None:
    """The user's words did not come in time: the agent's go first."""
    transcripts = context.state.transcripts
    if transcripts.held:
        context.log(logging.INFO, "the transcript of the user's speech is late: the answer is told before it")
    context.stop_waiting(Wait.TRANSCRIPT)
    send(context, *transcripts.give_up())


def schedule_audio(context: Context, piece: Piece) -> None:
    """Send a piece of audio, or let it wait."""
    playback = context.state.playback
    was_waiting = playback.is_waiting
    if playback.receive(piece, context.now_s):
        context.send_audio(piece.data)
    elif not was_waiting:
        context.probe_client()
        context.wait_for(Wait.PLAYBACK, playback.due_in_s(context.now_s))
    else:
        _release(context, playback.overflowing(context.now_s))


def client_caught_up(context: Context, _caught_up: Any) -> None:
    """The client reads: what waits for its playback waits for no other reason, and more of it may."""
    context.state.playback.is_trusted = True


def release_audio(context: Context, _fired: Any) -> None:
    """The client has played so much that it may have more."""
    playback = context.state.playback
    _release(context, playback.release_audio(context.now_s))
    if playback.is_waiting:
        context.wait_for(Wait.PLAYBACK, playback.due_in_s(context.now_s))


def _release(context: Context, due: list[Any]) -> None:
    for each in due:
        if isinstance(each, bytes):
            context.send_audio(each)
        else:
            context.to_client(each)


def _send_behind_audio(context: Context, message: deepgram.ServerMessage) -> None:
    playback = context.state.playback
    if playback.is_waiting:
        playback.wait(message)
    else:
        context.to_client(message)
