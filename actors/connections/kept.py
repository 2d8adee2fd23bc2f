"""The connection of a client whose session outlives the process: each byte is accounted for in a `Shelf`.

Only for plain TCP on Linux, whose kernel counts the bytes of both directions.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import struct
import termios
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

from actors.connections import frames
from actors.connections.client import ClientConnection
from actors.connections.protocol import EVENT_BUDGET
from actors.connections.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.connections.base import ConnectionLimits, ConnectionListener, Detached
    from actors.dispatcher import Dispatcher

_SIOCOUTQ: Final = termios.TIOCOUTQ
_SIOCINQ: Final = termios.FIONREAD
_COUNTS: Final = struct.Struct("<QQ")
_COUNTS_AT: Final = 120
"""The place of `tcpi_bytes_acked` and `tcpi_bytes_received` in the kernel's `tcp_info`."""


LOOKS: Final = 10_000
"""The most looks at the counts of a socket. Two equal ones in a row are exact."""


def counted(sock: socket.socket) -> tuple[int, int]:
    """Return the bytes that were written to a TCP socket, and those that were read from it, as the kernel counts them.

    Raises:
        OSError: the socket is not TCP, or the kernel does not count.
    """
    before = None
    for _ in range(LOOKS):
        # The peer sends and acknowledges meanwhile: the queues belong to the counts around them.
        queued = _queued(sock, _SIOCOUTQ), _queued(sock, _SIOCINQ)
        counts = _counts(sock)
        if (queued, counts) == before:
            return counts[0] + queued[0], counts[1] - queued[1]
        before = queued, counts
    raise OSError("the counts of a connection do not rest")


def _counts(sock: socket.socket) -> tuple[int, int]:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _COUNTS_AT + _COUNTS.size:
        raise OSError("the kernel does not count the bytes of a connection")
    acknowledged, received = _COUNTS.unpack_from(info, _COUNTS_AT)
    return acknowledged, received


def _queued(sock: socket.socket, request: int) -> int:
    size = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), request, size)
    return size[0]


class KeptConnection(ClientConnection):
    """A client's connection with a shelf, once it has one."""

    __slots__ = ("_rest", "delivered", "emitted", "shelf", "unread")

    def __init__(
        self, sock: socket.socket, *, subprotocol: str | None, limits: ConnectionLimits, is_lent: bool = False
    ) -> None:
        super().__init__(sock, subprotocol=subprotocol, limits=limits, is_lent=is_lent)
        self.shelf: Shelf | None = None
        self.emitted: deque[str | bytes] = deque()
        """The frames that the session has sent and that have not reached this connection."""
        self.delivered: deque[str | bytes] = deque()
        """The messages that this connection has delivered and that the session has not handled."""
        self._rest: Sequence[frames.Event] = ()
        """The events behind the one that is being delivered."""
        self.unread = b""
        """The bytes of an unfinished message that another process has read."""

    @classmethod
    def continued(
        cls, sock: socket.socket, unread: bytes, unsent: bytes, limits: ConnectionLimits | None = None
    ) -> Self:
        """Return the connection that continues a stream; see `ClientConnection.continued`."""
        connection = super().continued(sock, unread, unsent, limits)
        connection.unread = unread
        return connection

    def keep(self) -> Shelf:
        """Note each byte from now on, and return the memory. Called before `open`.

        Raises:
            OSError: the kernel does not count, or no memory is left.
        """
        written, read = counted(self._sock)
        unfinished = self.unread or self._parser.unfinished_frame or b""
        shelf = Shelf()
        # The half of a message that another process has read comes first.
        shelf.begin(written, read - len(unfinished))
        if unfinished:
            room = shelf.room(len(unfinished))
            room[:] = unfinished
            shelf.note_read(len(unfinished))
        self.shelf = shelf
        return shelf

    def duplicate(self) -> int:
        """Return a duplicate of the socket's descriptor."""
        return socket.socket.fileno(self._sock)

    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to read; see `Connection.open`."""
        super().open(dispatcher, listener if self.shelf is None else _Counting(self, listener))

    def send_text(self, text: str | bytes) -> None:
        """Send one text message; see `Connection.send_text`."""
        if self.emitted:
            self.emitted.popleft()
        super().send_text(text)

    def send_binary(self, data: bytes) -> None:
        """Send one binary message; see `Connection.send_binary`."""
        if self.emitted:
            self.emitted.popleft()
        super().send_binary(data)

    def transmit(self, data: bytes | memoryview, /) -> int:
        """Write some of `data`; see `WriterOwner.transmit`."""
        shelf = self.shelf
        if shelf is None:
            return super().transmit(data)
        taken_bytes = super().transmit(shelf.note_write(data))
        shelf.written += taken_bytes
        return taken_bytes

    def _deliver(self) -> None:
        if self.shelf is None:
            super()._deliver()
            return
        events, self._events = self._events, ()
        if len(events) > 1 and self._limits.join_binary_bytes:
            events = frames.joined(events, self._limits.join_binary_bytes)
        # One by one: a record that is stored within one of them has those behind it.
        for at, event in enumerate(events):
            self._rest = events[at + 1 :]
            if at == EVENT_BUDGET or self._is_paused or self._is_ended:
                self._rest = ()
                self._postpone(events[at:])
                return
            self._events = (event,)
            super()._deliver()
            if self._events:
                self._events, self._rest = (*self._events, *self._rest), ()
                return
        self._rest = ()

    def _receive(self) -> bytes | None:
        shelf = self.shelf
        if shelf is None:
            return super()._receive()
        room = shelf.room(self._receive_bytes)
        if not room:
            # The session stores a record at its next message: these bytes wait in the kernel.
            return None
        try:
            count = self._sock.recv_into(room)
        except BlockingIOError:
            return None
        shelf.note_read(count)
        return bytes(room[:count])

    def detach(self) -> Detached | None:
        """Give the stream away; see `Connection.detach`."""
        detached = super().detach()
        if detached is not None and self.shelf is not None:
            self.shelf.close()
            self.shelf = None
        return detached

    def _release(self) -> None:
        if self.shelf is not None:
            # The keeper's duplicate would keep the stream open.
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self.shelf.close()
            self.shelf = None
        super()._release()

    # For the record.

    @property
    def journal_from(self) -> int | None:
        """The place in the stream behind the last whole frame; None within a message of several frames."""
        unfinished = self._parser.unfinished_frame
        return None if unfinished is None or self.shelf is None else self.shelf.read - len(unfinished)

    @property
    def pending(self) -> list[str | bytes]:
        """The client's messages that were read and that the session has not handled."""
        waiting = (*self._rest, *self._events)
        return [*self.delivered, *(event for event in waiting if isinstance(event, str | bytes))]

    def unwritten(self, more: list[str | bytes]) -> bytes | None:
        """Return all bytes for the client that are not written, with those of `more` frames behind; None where lost."""
        unsent = self._writer.unsent
        if unsent is None:
            return None
        units = [unsent]
        for frame in (*self.emitted, *more):
            most = self._limits.max_frame_bytes
            if isinstance(frame, str):
                units += frames.text_frames(frame, mask=False, max_frame_bytes=most)
            else:
                units += frames.binary_frames(frame, mask=False, max_frame_bytes=most)
        return b"".join(units)


class _Counting:
    """The listener of a kept connection, which notes what is delivered."""

    def __init__(self, connection: KeptConnection, listener: ConnectionListener) -> None:
        self._delivered = connection.delivered
        self._listener = listener

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def on_text(self, text: str) -> None:
        self._delivered.append(text)
        self._listener.on_text(text)

    def on_binary(self, data: bytes) -> None:
        self._delivered.append(data)
        self._listener.on_binary(data)
