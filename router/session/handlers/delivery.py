"""Send the agent's messages after the user's words, and its audio not too far ahead of the caller's playback.

Two things can hold the agent's turn up. Its text waits for the transcript of the user's speech, which may arrive after
the answer (upstream 4.7). Its audio waits while the client has more than enough to play
(`router.session.state.playback`). A message that follows a waiting text or waiting audio waits, too, such as the end of
the turn.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.state.states import ResponseState

BESIDE_AUDIO: Final = frozenset(
    {
        deepgram.FunctionCallRequest,
        deepgram.CallText,
        deepgram.FunctionCallEcho,
        deepgram.FunctionCallCancelled,
        deepgram.HistoryCalls,
    }
)
"""Messages that overtake waiting audio. Otherwise they might wait until minutes of audio are played."""

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors import messages
    from router.session.context import Context
    from router.session.state.playback import Piece


def send(context: Context, *sent: deepgram.ServerMessage) -> None:
    """Send messages of the agent's turn, after the messages that are held up."""
    transcripts = context.state.transcripts
    for message in sent:
        if transcripts.held:
            # The messages of a turn keep their order, so this one waits, too.
            _hold(context, message)
        else:
            _send_behind_audio(context, message)


def send_text(context: Context, item_id: str | None, content: str) -> None:
    """Send a text of the agent, or hold it until the client has the transcript of the user's speech before it."""
    transcripts = context.state.transcripts
    message = deepgram.ConversationText(role="assistant", content=content)
    if not transcripts.are_awaited:
        send(context, message)
        return
    if not transcripts.held:
        context.wait(Wait.TRANSCRIPT)
    _hold(context, message, item_id)


def _hold(context: Context, message: deepgram.ServerMessage, item_id: str | None = None) -> None:
    transcripts = context.state.transcripts
    transcripts.hold(message, len(codec.encode(message)), item_id)
    if transcripts.are_full:
        context.count_excess("too many messages wait for the transcript of the user's speech: they are sent before it")
        abandon_transcripts(context)


def transcript_arrived(context: Context, item_id: str | None) -> None:
    """Stop awaiting a transcript that was sent, or that failed.

    After the last awaited one, send the held messages. `item_id` is None if the upstream named no item.
    """
    transcripts = context.state.transcripts
    transcripts.resolve(item_id)
    if not transcripts.are_awaited:
        context.stop_waiting(Wait.TRANSCRIPT)
        send(context, *transcripts.take_held())


def abandon_transcripts(context: Context, _fired: messages.TimerFired | None = None) -> None:
    """Stop waiting for transcripts, and send the held messages: a text in the wrong order is better than a late one."""
    transcripts = context.state.transcripts
    if transcripts.held:
        context.log(logging.INFO, "the transcript of the user's speech is late: the answer is sent before it")
    context.stop_waiting(Wait.TRANSCRIPT)
    send(context, *transcripts.abandon())


def end_earlier_turn(context: Context) -> None:
    """Send the held messages if they end an earlier turn, because the output of the next answer follows at once.

    The next answer's own text still waits for the transcript.
    """
    transcripts = context.state.transcripts
    if transcripts.hold_end:
        send(context, *transcripts.take_held())


def schedule_audio(context: Context, piece: Piece) -> None:
    """Emit a piece of audio, or keep it until the client has played enough.

    If too much waits, emit the oldest audio early.
    """
    playback = context.state.playback
    if playback.schedule(piece, context.now_s):
        context.emit_audio(piece.data)
    elif playback.has_begun_to_wait:
        # Only the client's pong shows that it reads: the kernel's buffers take 30 s of audio without a reader
        # (docs/decisions/0011).
        context.probe_client()
        context.wait_for(Wait.PLAYBACK, playback.due_in_s(context.now_s))
    else:
        _emit(context, playback.release_excess(context.now_s))


def client_caught_up(context: Context, _caught_up: messages.ClientCaughtUp) -> None:
    """Record that the client reads. From now on more audio for it may wait in memory."""
    context.state.playback.is_trusted = True


def release_audio(context: Context, _fired: messages.TimerFired) -> None:
    """Emit the waiting audio that is due, because the client has played enough."""
    playback = context.state.playback
    _emit(context, playback.release(context.now_s))
    if playback.is_waiting:
        context.wait_for(Wait.PLAYBACK, playback.due_in_s(context.now_s))


def withhold(context: Context, *, is_present: bool) -> None:
    """Drop the audio that waits, with its texts, because a guard has blocked the answer.

    Without `is_present` it is an earlier answer than the present one. The messages behind it, such as the end of the
    turn, are still due. The present answer also gets no further text and audio.
    """
    turn, playback = context.state.turn, context.state.playback
    keys = {part.key for part in turn.answer.parts}
    playback.drop_items(
        lambda item_id: (item_id in keys) is is_present,
        lambda message: not isinstance(message, deepgram.ConversationText),
    )
    if is_present and turn.response is ResponseState.ACTIVE:
        turn.mute(turn.response_id)
        turn.is_cut = True
        context.state.speaker.drop()
    _emit(context, playback.release(context.now_s))


def _emit(context: Context, due: Iterable[bytes | deepgram.ServerMessage]) -> None:
    for each in due:
        if isinstance(each, bytes):
            context.emit_audio(each)
        else:
            context.to_client(each)


def _send_behind_audio(context: Context, message: deepgram.ServerMessage) -> None:
    playback = context.state.playback
    if playback.is_waiting and type(message) not in BESIDE_AUDIO:
        playback.hold(message, len(codec.encode(message)))
        _emit(context, playback.release_excess(context.now_s))
        return
    context.to_client(message)
    if isinstance(message, deepgram.FunctionCallRequest) and context.state.calls.await_client:
        # Start the deadline here: the client's time to answer begins when the client gets the request.
        context.wait(Wait.TOOL_ANSWER)
