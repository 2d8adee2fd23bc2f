"""ClientActor: owns the connection to the client, and decides nothing. It knows no message of either vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors import lifecycle, messages
from actors.actor import Actor, Ref, guarded
from actors.connections.close_codes import CloseCode

if TYPE_CHECKING:
    from actors.connections.base import Connection, ConnectionClosed
    from actors.dispatcher import Dispatcher

PIECE_BYTES: Final = 32 * 1024
"""A binary message longer than this is passed on in pieces: audio is a stream, and no slice may be long."""

PIECES_AT_ONCE: Final = 4
"""The most pieces that one slice passes on, so that `PauseReading` takes effect in the middle of a long message."""

CRASH_CLOSE_S: Final = 5.0
"""The longest that the connection of a client actor that failed may take for its close handshake."""


class ClientActor(Actor):
    """The client's leg of a session: frames in, frames out.

    It begins to read when the translator is attached, and stops when its connection has closed. When the actor itself
    fails, it still sends `crash_frame` to the client before it closes.
    """

    role = lifecycle.Role.CLIENT

    def __init__(
        self, dispatcher: Dispatcher, *, session_id: str, connection: Connection, supervisor: Ref, crash_frame: str
    ) -> None:
        super().__init__(dispatcher)
        self._session_id = session_id
        self._connection = connection
        self._supervisor = supervisor
        self._crash_frame = crash_frame
        self._translator: Ref | None = None
        self._pieces: list[bytes] = []
        """The pieces of a long message that are not passed on yet."""
        self._is_paused = False

    def abort_from_outside(self) -> None:
        """Send the crash frame and hang up; see `Abortable`."""
        self._connection.abort_from_outside(self._crash_frame)

    def on_stop(self) -> None:
        """Release the connection, and notify the supervisor. A connection that was not closed gets the crash frame."""
        self.dispatcher.unregister(self)
        # Not `send_text`: the abort would drop it before the flush of this turn. Harmless after the end.
        self._connection.abort_from_outside(self._crash_frame)
        self._connection.abort()
        self._supervisor.offer(lifecycle.ActorStopped(self._session_id, self.role))

    def on_failure(self, *_failure: Any) -> None:
        """Send the crash frame, close the connection, and notify the supervisor."""
        self._supervisor.offer(lifecycle.ActorFailed(self._session_id, self.role))
        self.dispatcher.unregister(self)
        # The failure may have left the connection in any state: the timer closes its socket in the end.
        self.dispatcher.call_later(CRASH_CLOSE_S, self._connection.abort)
        self._connection.send_text(self._crash_frame)
        self._connection.close(CloseCode.INTERNAL_ERROR, "internal error")

    # From the connection.

    @guarded
    def on_text(self, text: str) -> None:
        """Pass a text message on, behind the pieces of a long binary one."""
        if self._pieces:
            self._pass_on_pieces(at_most=len(self._pieces))  # all of them: the order must not change
        self._to_translator(messages.ClientTextReceived(text))

    @guarded
    def on_binary(self, data: bytes) -> None:
        """Pass a binary message on, in pieces where it is long."""
        if len(data) <= PIECE_BYTES and not self._pieces:
            self._to_translator(messages.ClientBinaryReceived(data))
            return
        self._pieces += (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))
        self._pass_on_pieces()

    @guarded
    def on_overflowed(self, dropped_bytes: int) -> None:
        """Notify the session, which ends with a last message to a client that does not read."""
        self._to_translator(messages.ClientOverflowed(dropped_bytes))

    @guarded
    def on_drained(self) -> None:
        """Ignore it: the upstream is read although its client is slow (docs/decisions/0005-backpressure.md)."""

    @guarded
    def on_caught_up(self) -> None:
        """Notify the session that its client reads."""
        self._to_translator(messages.ClientCaughtUp())

    @guarded
    def on_closed(self, closed: ConnectionClosed) -> None:
        """Notify the supervisor, and stop."""
        self._supervisor.offer(lifecycle.ClientEnded(self._session_id, closed))
        self.stop()

    # From other actors.

    def _attach_translator(self, message: lifecycle.AttachTranslator) -> None:
        self._translator = message.translator
        # Before `open`: the session learns of its client before the client's first message.
        self._to_translator(messages.ClientOpened())
        self._connection.open(self.dispatcher, self)
        self.dispatcher.register(self)

    def _send(self, message: messages.SendToClient) -> None:
        if type(message.frame) is bytes:
            self._connection.send_binary(message.frame)
        else:
            self._connection.send_text(message.frame)

    def _probe(self, _message: messages.ProbeClient) -> None:
        self._connection.probe()

    def _pause(self, _message: lifecycle.PauseReading) -> None:
        self._is_paused = True
        self._connection.pause()

    def _resume(self, _message: lifecycle.ResumeReading) -> None:
        self._is_paused = False
        self._connection.resume()
        self._pass_on_pieces()

    def _continue(self, _message: lifecycle.ContinueReading) -> None:
        self._pass_on_pieces()

    def _pass_on_pieces(self, at_most: int = PIECES_AT_ONCE) -> None:
        # A few at a time: the upstream's leg gets its slice, and may send PauseReading, before the next ones.
        pieces, self._pieces = self._pieces[:at_most], self._pieces[at_most:]
        for piece in pieces:
            self._to_translator(messages.ClientBinaryReceived(piece))
        # While paused `_resume` continues. Otherwise the inbox does, behind the messages that wait in it.
        if self._pieces and not self._is_paused:
            self.actor_ref.tell(lifecycle.ContinueReading())

    def _to_translator(self, message: messages.Message) -> None:
        if self._translator is not None:
            self._translator.offer(message)

    def _close(self, message: lifecycle.CloseConnection) -> None:
        self._connection.close(message.code, message.reason, message.linger_s)

    def _describe(self, _message: lifecycle.Describe) -> messages.Facts:
        return {"role": self.role.value, "peer": self._connection.peer, "is_paused": self._is_paused}

    receives: ClassVar = {
        messages.SendToClient: _send,
        messages.ProbeClient: _probe,
        lifecycle.AttachTranslator: _attach_translator,
        lifecycle.PauseReading: _pause,
        lifecycle.ResumeReading: _resume,
        lifecycle.ContinueReading: _continue,
        lifecycle.CloseConnection: _close,
        lifecycle.Describe: _describe,
    }
