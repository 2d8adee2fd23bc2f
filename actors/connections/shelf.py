"""The memory of one session that outlives its process: its last record, its last writes, and what was read since.

The memory has a descriptor, which another process maps. The process of the session writes, and nobody reads before that
process is dead. Each part is written before the effect that it describes: a record before the bytes of its step, a
write before `send`. What is read goes into the memory by the read itself (`recv_into`).
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final, NamedTuple

RECORD_BYTES: Final = 512 * 1024
"""The largest record. Pages that are never written cost nothing."""
WRITE_BYTES: Final = 64 * 1024
"""The most bytes of one write to the client."""
RING_BYTES: Final = 256 * 1024
"""The bytes that were read since the last record, at most."""

_HEAD: Final = struct.Struct("<QQQQ")
"""Which of the two records is valid (1 or 2; 0 for none), the places in the streams at which the memory began: written
and read; and the bytes read since."""
_RECORD: Final = struct.Struct("<QQ")
"""The length of a record, and the place in the stream from the client behind which its journal begins."""
_WRITE: Final = struct.Struct("<QQ")
"""The length of a write, and its place in the stream to the client."""

_RECORDS_AT: Final = 4096
_WRITES_AT: Final = _RECORDS_AT + 2 * (_RECORD.size + RECORD_BYTES)
_RING_AT: Final = _WRITES_AT + 2 * (_WRITE.size + WRITE_BYTES)
SIZE: Final = _RING_AT + RING_BYTES


class ShelfError(ValueError):
    """The memory cannot say what the dead process did. The session ends typed."""


class Rest(NamedTuple):
    """The facts that a dead process left."""

    record: bytes
    journal: bytes
    """The bytes that were read behind the record."""
    write_at: int
    """The place in the stream to the client at which `write` begins."""
    write: bytes
    """The last write, which may have left in part."""


class Shelf:
    """The memory of one session."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = os.memfd_create("switchboard-session") if descriptor is None else descriptor
        if descriptor is None:
            os.ftruncate(self.descriptor, SIZE)
        self._memory = mmap.mmap(self.descriptor, SIZE)
        self._view = memoryview(self._memory)
        self._valid = 0
        self._writes = 0
        self.written = 0
        """The bytes written to the client since the shelf was made."""
        self.read = 0
        """The bytes read from the client since the shelf was made."""
        self._journal_from = 0

    def close(self) -> None:
        """Release the memory in this process."""
        self._view.release()
        self._memory.close()
        os.close(self.descriptor)

    # For the process of the session.

    def begin(self, written: int, read: int) -> None:
        """Note the places in the streams, as the kernel counts them, at which this memory begins."""
        _HEAD.pack_into(self._memory, 0, 0, written, read, 0)

    @property
    def free_bytes(self) -> int:
        """The bytes that can be read until the next record."""
        return RING_BYTES - (self.read - self._journal_from)

    def room(self, size: int) -> memoryview:
        """Return the memory for the next read: `size` bytes, or fewer; none where the ring is full."""
        at = self.read % RING_BYTES
        return self._view[_RING_AT + at : _RING_AT + at + min(size, self.free_bytes, RING_BYTES - at)]

    def note_read(self, count: int) -> None:
        """Note that `count` bytes were read into `room`."""
        self.read += count
        struct.pack_into("<Q", self._memory, 24, self.read)

    def note_write(self, data: bytes | memoryview) -> bytes | memoryview:
        """Note a write before it is made. Return the part of it that may be written."""
        data = data if len(data) <= WRITE_BYTES else data[:WRITE_BYTES]
        at = _WRITES_AT + (self._writes & 1) * (_WRITE.size + WRITE_BYTES)
        self._writes += 1
        self._view[at + _WRITE.size : at + _WRITE.size + len(data)] = data
        _WRITE.pack_into(self._memory, at, len(data), self.written)
        return data

    def store(self, record: bytes, journal_from: int) -> bool:
        """Store a record. The bytes read from `journal_from` on belong to its journal. Return whether it has room."""
        if len(record) > RECORD_BYTES:
            return False
        slot = 2 if self._valid == 1 else 1
        at = _RECORDS_AT + (slot - 1) * (_RECORD.size + RECORD_BYTES)
        self._view[at + _RECORD.size : at + _RECORD.size + len(record)] = record
        _RECORD.pack_into(self._memory, at, len(record), journal_from)
        struct.pack_into("<Q", self._memory, 0, slot)
        self._valid, self._journal_from = slot, journal_from
        return True

    # For another process, once that one is dead.

    def rest(self, written: int, read: int) -> tuple[Rest, int]:
        """Return the facts that the dead process left, and the bytes written to the client since the shelf was made.

        `written` and `read` are the places in the streams now, as the kernel counts them.

        Raises:
            ShelfError: there is no record, or bytes were read that the memory does not have.
        """
        valid, written_before, read_before, _ = _HEAD.unpack_from(self._memory)
        if valid not in (1, 2):
            raise ShelfError("the session has no record")
        at = _RECORDS_AT + (valid - 1) * (_RECORD.size + RECORD_BYTES)
        length, journal_from = _RECORD.unpack_from(self._memory, at)
        record = bytes(self._view[at + _RECORD.size : at + _RECORD.size + length])
        read -= read_before
        if not 0 <= read - journal_from <= RING_BYTES:
            raise ShelfError(f"{read - journal_from} bytes were read behind the record")
        begin, end = journal_from % RING_BYTES, read % RING_BYTES
        ring = self._view[_RING_AT : _RING_AT + RING_BYTES]
        is_straight = begin < end or read == journal_from
        journal = bytes(ring[begin:end]) if is_straight else bytes(ring[begin:]) + bytes(ring[:end])
        place, write = self._last_write(written - written_before)
        return Rest(record, journal, place, write), written - written_before

    def _last_write(self, written: int) -> tuple[int, bytes]:
        found = (0, b"")
        for slot in range(2):
            at = _WRITES_AT + slot * (_WRITE.size + WRITE_BYTES)
            length, place = _WRITE.unpack_from(self._memory, at)
            if length and place <= written <= place + length and place >= found[0]:
                found = place, bytes(self._view[at + _WRITE.size : at + _WRITE.size + length])
        return found
