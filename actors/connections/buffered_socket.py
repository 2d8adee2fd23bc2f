"""A blocking socket with a read buffer, for a library that reads a handshake byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket

RECEIVE_BYTES: Final = 4096


class BufferedSocket:
    """A socket that receives in large pieces and hands out small ones.

    Without this buffer each byte is a system call: the answer of a real server takes a thousand calls. After each call
    the thread waits for the interpreter's lock, which a busy dispatcher holds.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""
        self._position = 0

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes; `b""` at the end of the stream."""
        if self._position >= len(self._buffer):
            self._buffer, self._position = self.sock.recv(RECEIVE_BYTES), 0
        start, self._position = self._position, min(self._position + size, len(self._buffer))
        return self._buffer[start : self._position]

    @property
    def rest(self) -> bytes:
        """The received bytes that `recv` has not returned.

        The first frames may be among them, because they may follow the handshake directly.
        """
        return self._buffer[self._position :]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)
