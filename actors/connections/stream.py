"""A WebSocket over a non-blocking socket, plain or TLS, on a dispatcher: the class of both legs.

This module knows no handshake: `client` and `upstream` have done the handshake before.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Final

from actors.connections.base import ConnectionLimits
from actors.connections.protocol import RECEIVE_BYTES, SLOW_READ_BYTES, ProtocolConnection
from actors.dispatcher import READABLE, WRITABLE

if TYPE_CHECKING:
    from actors.connections.base import ConnectionListener
    from actors.dispatcher import Dispatcher

UNOPENED: Final = "before open"
"""The text that stands for the peer's address until `open` looks the address up."""

TLS_WRITE_BYTES: Final = 64 * 1024
"""The most bytes of one TLS write. An SSLSocket reports no progress within a write, so a long one seems to stall."""


class StreamConnection(ProtocolConnection):
    """A WebSocket over `sock`, whose handshakes (TLS, WebSocket) are done. The socket belongs to the connection now.

    With `is_server` the peer is the client. A renegotiation or a key update may require TLS to write before it can
    read, or the reverse. Then the connection watches the direction that TLS needs, and tries the call again.
    """

    __slots__ = ("_read_wants_write", "_sock", "_tls", "_watched", "_write_wants_read")

    def __init__(
        self,
        sock: socket.socket,
        *,
        is_server: bool,
        limits: ConnectionLimits | None = None,
    ) -> None:
        super().__init__(is_server=is_server, limits=limits or ConnectionLimits(), peer=UNOPENED)
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # a socket of another family
            # Nagle's algorithm would hold back a small frame until the peer has acknowledged the one before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        # One TLS read returns at most one record, so a short one does not mean that the stream is empty.
        self._short_read_bytes = RECEIVE_BYTES - 1 if self._tls is None else 0
        self._watched = 0
        self._read_wants_write = False
        self._write_wants_read = False

    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to read; see `Connection.open`."""
        self._peer = _address(self._sock)  # not sooner: `accept` has a handshake to answer first
        super().open(dispatcher, listener)
        self._read_pending()

    def resume(self) -> None:
        """Read again; see `Connection.resume`."""
        super().resume()
        self._read_pending()

    def _on_ready(self, mask: int) -> None:
        # A mask with other bits (an error, a hang-up) leads to a read and a write: the failing call reports the
        # problem.
        if mask != READABLE:
            self._writer.flush()
        if mask != WRITABLE:
            self._read()

    def _on_tls_ready(self, mask: int) -> None:
        if mask & ~READABLE or self._write_wants_read:
            self._write_wants_read = False
            self._writer.flush()
        if mask & ~WRITABLE or self._read_wants_write:
            self._read_wants_write = False
            self._read()
            self._read_pending()
        self._watch_again()

    def _read_pending(self) -> None:
        """Schedule a read of the bytes that TLS has decrypted already, because epoll does not see them."""
        if self._is_ended or self._is_paused or self._tls is None or self._dispatcher is None:
            return
        if self._tls.pending():
            self._dispatcher.call_soon(self._read_more)

    def _read_more(self) -> None:
        self._read()
        self._read_pending()

    def _receive(self) -> bytes | None:
        try:
            return self._sock.recv(SLOW_READ_BYTES if self._reads_slowly else RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
            self._watch_again()
            return None
        except ssl.SSLZeroReturnError:
            return b""

    def transmit(self, data: bytes | memoryview, /) -> int:
        """Write some of `data`; see `WriterOwner.transmit`."""
        try:
            return self._sock.send(data if self._tls is None else data[:TLS_WRITE_BYTES])
        except (BlockingIOError, ssl.SSLWantWriteError):
            return 0
        except ssl.SSLWantReadError:
            self._write_wants_read = True
            return 0

    def _watch(self, *, reading: bool, writing: bool) -> None:
        events = 0
        if reading or self._write_wants_read:
            events |= READABLE
        if (writing and not self._write_wants_read) or self._read_wants_write:
            events |= WRITABLE
        self._watch_for(events)

    def _watch_for(self, events: int) -> None:
        dispatcher = self._dispatcher
        if events == self._watched or dispatcher is None:
            return
        self._watched = events
        if events:
            on_ready = self._on_ready if self._tls is None else self._on_tls_ready
            dispatcher.watch(self._sock.fileno(), events, on_ready)
        else:
            dispatcher.unwatch(self._sock.fileno())

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            # Shut the socket below TLS: the state of TLS belongs to the dispatcher's thread.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _shut_writing(self) -> None:
        if self._tls is None:  # below TLS the peer would take it for a truncation attack
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def _release(self) -> None:
        self._watch_for(0)
        self._sock.close()


def _address(sock: socket.socket) -> str:
    try:
        address = sock.getpeername()
    except OSError:  # gone already
        return "unknown"
    if isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return "local"
