"""A socket that is heard in large pieces by who asks for small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket

RECEIVE_BYTES: Final = 4096


class BufferedSocket:
    """A blocking socket for a library that reads an answer byte by byte.

    By itself each byte is a call of the system, and a turn of waiting for the interpreter's lock beside a busy
    dispatcher: a thousand of them for the answer of a real server.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._heard = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes; `b""` at the end of the stream."""
        if self._at >= len(self._heard):
            self._heard, self._at = self.sock.recv(RECEIVE_BYTES), 0
        start, self._at = self._at, min(self._at + size, len(self._heard))
        return self._heard[start : self._at]

    @property
    def rest(self) -> bytes:
        """What was heard and not asked for."""
        return self._heard[self._at :]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)
