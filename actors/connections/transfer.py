"""The reads and writes of a kept connection: directly into the arena, and with a copy there.

They are compiled if the installation had a compiler (docs/decisions/0062), and otherwise done in Python. The process
may be killed at any instant, so the order of the steps matters. The bytes of an earlier read are dropped before the
next read overwrites them, and a write is noted before it is made.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final, Protocol

from actors.connections.arena import AREA_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connections.arena import Arena

_PACK_WRITE: Final = struct.Struct("@QQQ").pack_into


class Transfer(Protocol):
    """The reads and writes of one non-blocking socket.

    A read returns None if the socket has no bytes now, and `b""` at the end of the stream. The reads, and `send`, raise
    OSError if the socket fails.
    """

    @property
    def count(self) -> int:
        """The number of bytes of the last read."""

    def begin(self, at: int, size: int, word_at: int, count: int, /) -> None:
        """Choose the block that `receive` overwrites.

        Args:
            at: the place of the block in memory.
            size: the size of the block.
            word_at: the place of the word that has the block's place in the stream.
            count: the number of bytes that the block has.
        """

    def receive(self) -> bytes | None:
        """Drop the bytes of the block by writing one word, and read into the block."""

    def receive_at(self, at: int, end: int, /) -> bytes | None:
        """Read into the memory from `at` up to `end`, and return the bytes that were read."""

    def send(self, data: bytes | memoryview, at: int, written: int, /) -> int:
        """Note a write in an area, and make it. Return how many bytes the socket took.

        Args:
            data: the bytes, for which the area has room.
            at: the place of the area's data (`Area.data_at`).
            written: the place in the stream to the client.
        """


class PythonTransfer:
    """The implementation of `Transfer` in Python."""

    __slots__ = ("_at", "_descriptor", "_memory", "_place", "_rooms", "_serial", "_view", "_word", "_words", "count")

    def __init__(self, arena: Arena, descriptor: int, serial: int) -> None:
        self._memory, self._view, self._words = arena.memory, arena.view, arena.words
        self._descriptor = descriptor
        self._serial = serial
        self._at = self._word = self._place = self.count = 0
        self._rooms: tuple[memoryview, ...] = ()

    def begin(self, at: int, size: int, word_at: int, count: int, /) -> None:
        """Choose the block that `receive` overwrites; see `Transfer.begin`."""
        if at != self._at or not self._rooms:
            self._at, self._rooms = at, (self._view[at : at + size],)
        self._word, self.count = word_at // 8, count
        self._place = self._words[self._word]

    def receive(self) -> bytes | None:
        """Drop the bytes of the block, and read into the block; see `Transfer.receive`."""
        at = self._at
        self._words[self._word] = self._place = self._place + self.count
        self.count = 0
        try:
            self.count = count = os.readv(self._descriptor, self._rooms)
        except BlockingIOError:
            return None
        return self._memory[at : at + count]

    def receive_at(self, at: int, end: int, /) -> bytes | None:
        """Read into the memory from `at` up to `end`; see `Transfer.receive_at`."""
        try:
            self.count = count = os.readv(self._descriptor, (self._view[at:end],))
        except BlockingIOError:
            return None
        return self._memory[at : at + count]

    def send(self, data: bytes | memoryview, at: int, written: int, /) -> int:
        """Note a write, and make it; see `Transfer.send`."""
        memory, head = self._memory, at - AREA_HEAD_BYTES
        self._words[head // 8 + 2] = 0
        memory[at : at + len(data)] = data
        # The number of the session comes last, and makes the rest valid.
        _PACK_WRITE(memory, head, written, len(data), self._serial)
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0


new_transfer: Callable[[Arena, int, int], Transfer]
try:
    from actors.connections import _transfer
except ImportError:
    new_transfer = PythonTransfer
else:
    new_transfer = _transfer.Transfer

TRANSFER: Final = "Python" if new_transfer is PythonTransfer else "compiled"
"""The code of the reads and writes: `compiled` or `Python`."""
