"""The outbox of a connection: whole units of frames that wait to be written, so that dropping never splits a frame.

Pure.
"""

from __future__ import annotations

from typing import Final

GATHER_BYTES: Final = 64 * 1024
"""Units are joined up to this size into one write: a system call costs more than copying them."""


class Outbox:
    """A queue of units: the frames of one message, or of one call. Only whole units can be dropped.

    The *head* is handed to the socket; it may be written in part and is never dropped. The *backlog* waits behind it. A
    bound applies to the backlog alone: one message larger than the bound can still be sent to a peer that reads.
    """

    __slots__ = ("_head", "_pong", "_units", "backlog_bytes", "waiting_bytes")

    def __init__(self) -> None:
        self._units: list[bytes] = []
        self._head: bytes | memoryview = b""
        self._pong = b""
        self.backlog_bytes = 0
        self.waiting_bytes = 0
        """The bytes that are not written yet, of the head and the backlog."""

    def append(self, unit: bytes) -> None:
        """Add a unit at the end."""
        self._units.append(unit)
        self.backlog_bytes += len(unit)
        self.waiting_bytes += len(unit)

    def put_pong(self, pong: bytes) -> None:
        """Add a pong ahead of the backlog. It replaces an earlier pong that still waits (RFC 6455, 5.5.3)."""
        self.waiting_bytes += len(pong) - len(self._pong)
        self._pong = pong

    def head(self) -> bytes | memoryview:
        """Return the bytes to write next; empty when all is written.

        The bytes stay in place until `advance`: a TLS write that is tried again has to present the same bytes.
        """
        if not self._head:
            if self._units:
                self._head = self._gather()
                self.backlog_bytes -= len(self._head)
            if self._pong:
                self._head, self._pong = self._pong + self._head, b""
        return self._head

    def advance(self, written_bytes: int) -> None:
        """Note that the first `written_bytes` of the head are written."""
        self.waiting_bytes -= written_bytes
        self._head = memoryview(self._head)[written_bytes:] if written_bytes < len(self._head) else b""

    @property
    def is_cut(self) -> bool:
        """Whether the peer may have read a part of a unit, but not its rest."""
        return type(self._head) is memoryview

    def unsent(self) -> bytes:
        """Return all bytes that wait, in the order of the stream."""
        return b"".join((self._head, self._pong, *self._units))

    def drop_backlog(self) -> int:
        """Drop the units after the head. Return the number of dropped bytes."""
        dropped_bytes, self.backlog_bytes = self.backlog_bytes, 0
        self.waiting_bytes -= dropped_bytes
        self._units.clear()
        return dropped_bytes

    def clear(self) -> int:
        """Drop everything, the head too. Return the number of dropped bytes."""
        dropped_bytes = self.waiting_bytes
        self.drop_backlog()
        self._head = self._pong = b""
        self.waiting_bytes = 0
        return dropped_bytes

    def _gather(self) -> bytes:
        units = self._units
        if len(units) == 1:  # nearly always
            return units.pop()
        count, size_bytes = 1, len(units[0])
        while count < len(units) and size_bytes + len(units[count]) <= GATHER_BYTES:
            size_bytes += len(units[count])
            count += 1
        gathered = b"".join(units[:count])
        del units[:count]
        return gathered
