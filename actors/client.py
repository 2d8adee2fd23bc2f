"""ClientActor: owns the connection to the client, and decides nothing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from actors import messages
from actors.actor import Actor, Ref

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
        self._pieces: deque[bytes] = deque()
        self._is_paused = False

    def on_receive(self, message: Any) -> Any:
        """Carry a frame out, or do what the supervisor says."""
        match message:
            case messages.SendToClient(str() as text):
                self._connection.send_text(text)
            case messages.SendToClient(bytes() as data):
                self._connection.send_binary(data)
            case messages.PlugInTranslator(translator):
                self._plug_in(translator)
            case messages.PauseReading():
                self._is_paused = True
                self._connection.pause()
            case messages.ResumeReading():
                self._resume()
            case messages.ContinueReading():
                self._pass_on_pieces()
            case messages.CloseConnection(code, reason):
                self._connection.close(code, reason)
            case messages.Describe():
                return {"peer": self._connection.peer, "paused": self._is_paused}
            case _:
                return super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """Tell the supervisor; let go of the connection where it was not closed."""
        self._connection.abort()
        self._supervisor.tell(messages.ActorStopped(self._session_id, self.role, 0))

    def on_failure(self, *_failure: Any) -> None:
        """Say a last word to the client, and tell the supervisor."""
        self._supervisor.tell(messages.ActorFailed(self._session_id, self.role, 0))
        # Whatever state the failure left the connection in, its socket is closed in the end.
        self.dispatcher.call_later(LAST_WORD_S, self._connection.abort)
        self._connection.send_text(self._crash_frame)
        self._connection.close(1011, "internal error")

    # From the connection.

    def on_text(self, text: str) -> None:
        """Pass a text message on, behind the pieces of a long binary one."""
        if self._pieces:
            self._pass_on_pieces(at_most=len(self._pieces))
        self._tell_translator(messages.ClientTextReceived(text))

    def on_binary(self, data: bytes) -> None:
        """Pass a binary message on, in pieces where it is long."""
        if len(data) <= PIECE_BYTES and not self._pieces:
            self._tell_translator(messages.ClientBinaryReceived(data))
            return
        self._pieces.extend(data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))
        self._pass_on_pieces()

    def on_overflowed(self, dropped_bytes: int) -> None:
        """Let the session say its last word to a client that does not read."""
        self._tell_translator(messages.ClientOverflowed(dropped_bytes))

    def on_drained(self) -> None:
        """Nothing waits for this leg to catch up."""

    def on_closed(self, closed: ConnectionClosed) -> None:
        """Tell the supervisor, and stop."""
        self._supervisor.tell(messages.ClientEnded(self._session_id, closed))
        self.stop()

    # Steps.

    def _plug_in(self, translator: Ref) -> None:
        self._translator = translator
        translator.tell(messages.ClientOpened())
        self._connection.open(self.dispatcher, self.guarded_listener())

    def _resume(self) -> None:
        self._is_paused = False
        self._connection.resume()
        self._pass_on_pieces()

    def _pass_on_pieces(self, at_most: int = PIECES_AT_ONCE) -> None:
        # A few at a time: the upstream's leg has its slice, and may say PauseReading, before the next ones.
        for _ in range(min(at_most, len(self._pieces))):
            self._tell_translator(messages.ClientBinaryReceived(self._pieces.popleft()))
        if self._pieces and not self._is_paused:
            self.actor_ref.tell(messages.ContinueReading())

    def _tell_translator(self, message: messages.Message) -> None:
        if self._translator is not None and not self._translator.actor_stopped.is_set():
            self._translator.tell(message)
