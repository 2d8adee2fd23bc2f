"""ClientActor: owns the connection to the client, and decides nothing."""

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

LAST_WORD_S: Final = 5.0
"""How long the connection of a client actor that failed may take for its close handshake."""


class ClientActor(Actor):
    """The client's leg of a session: frames in, frames out.

    It begins to read when it is plugged in, and stops when its connection has closed. When it fails itself, it
    still says `crash_frame` to the client before it closes.
    """

    role = "client"

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
        """What is left of a long message."""
        self._is_paused = False

    def abort_from_outside(self) -> None:
        """Say a last word to the client; see `Abortable`."""
        self._connection.abort_from_outside(self._crash_frame)

    def on_stop(self) -> None:
        """Tell the supervisor; let go of the connection, with a last word where it was not closed."""
        self.dispatcher.unregister(self)
        self._connection.abort_from_outside(self._crash_frame)
        self._connection.abort()
        self._supervisor.offer(lifecycle.ActorStopped(self._session_id, self.role, 0))

    def on_failure(self, *_failure: Any) -> None:
        """Say a last word to the client, and tell the supervisor."""
        self._supervisor.offer(lifecycle.ActorFailed(self._session_id, self.role, 0))
        self.dispatcher.unregister(self)
        # Whatever state the failure left the connection in, its socket is closed in the end.
        self.dispatcher.call_later(LAST_WORD_S, self._connection.abort)
        self._connection.send_text(self._crash_frame)
        self._connection.close(CloseCode.INTERNAL_ERROR, "internal error")

    # From the connection.

    @guarded
    def on_text(self, text: str) -> None:
        """Pass a text message on, behind the pieces of a long binary one."""
        if self._pieces:
            self._pass_on_pieces(at_most=len(self._pieces))
        self._tell_translator(messages.ClientTextReceived(text))

    @guarded
    def on_binary(self, data: bytes) -> None:
        """Pass a binary message on, in pieces where it is long."""
        if len(data) <= PIECE_BYTES and not self._pieces:
            self._tell_translator(messages.ClientBinaryReceived(data))
            return
        self._pieces += (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))
        self._pass_on_pieces()

    @guarded
    def on_overflowed(self, dropped_bytes: int) -> None:
        """Let the session say its last word to a client that does not read."""
        self._tell_translator(messages.ClientOverflowed(dropped_bytes))

    @guarded
    def on_drained(self) -> None:
        """Nothing waits for this leg to catch up."""

    @guarded
    def on_caught_up(self) -> None:
        """Tell the session that its client reads."""
        self._tell_translator(messages.ClientCaughtUp())

    @guarded
    def on_closed(self, closed: ConnectionClosed) -> None:
        """Tell the supervisor, and stop."""
        self._supervisor.offer(lifecycle.ClientEnded(self._session_id, closed))
        self.stop()

    # Steps.

    def _attach_translator(self, message: lifecycle.AttachTranslator) -> None:
        self._translator = message.translator
        self._tell_translator(messages.ClientOpened())
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

    def _go_on(self, _message: lifecycle.ContinueReading) -> None:
        self._pass_on_pieces()

    def _pass_on_pieces(self, at_most: int = PIECES_AT_ONCE) -> None:
        # A few at a time: the upstream's leg has its slice, and may say PauseReading, before the next ones.
        pieces, self._pieces = self._pieces[:at_most], self._pieces[at_most:]
        for piece in pieces:
            self._tell_translator(messages.ClientBinaryReceived(piece))
        if self._pieces and not self._is_paused:
            self.actor_ref.tell(lifecycle.ContinueReading())

    def _tell_translator(self, message: messages.Message) -> None:
        if self._translator is not None:
            self._translator.offer(message)

    def _close(self, message: lifecycle.CloseConnection) -> None:
        self._connection.close(message.code, message.reason, message.linger_s)

    def _describe(self, _message: lifecycle.Describe) -> messages.Facts:
        return {"peer": self._connection.peer, "paused": self._is_paused}

    receives: ClassVar = {
        messages.SendToClient: _send,
        lifecycle.AttachTranslator: _attach_translator,
        messages.ProbeClient: _probe,
        lifecycle.PauseReading: _pause,
        lifecycle.ResumeReading: _resume,
        lifecycle.ContinueReading: _go_on,
        lifecycle.CloseConnection: _close,
        lifecycle.Describe: _describe,
    }
