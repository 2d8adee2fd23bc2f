"""Rows in memory that processes share. A row has a key, and one or more numbers.

A segment has one writer and any number of readers, and no lock between processes. The writer writes a whole row before
the segment's length includes it, and a row never moves. A number is eight aligned bytes, so a reader never sees a
partial change: `Struct.pack_into` would first write zeros. The next worker of a slot continues the rows of its dead
predecessor, so no counter decreases.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, Final

from router.shared_areas import OWN, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.shared_areas import Areas

SEGMENT_BYTES: Final = 1024 * 1024
"""The size of a segment, which is enough for 64 rows of every metric with the longest labels.

Memory pages that are never written cost nothing.
"""

_LENGTH: Final = struct.Struct("<Q")
_HEAD: Final = struct.Struct("<II")
"""The head of a row: the number of bytes in its key, and the count of its numbers."""
_ALIGNED: Final = 8
"""The size of a number, and of the steps between the beginnings of rows, in bytes."""


class Segment:
    """The rows of one worker."""

    def __init__(self, memory: mmap.mmap | None = None, offset: int = 0) -> None:
        self._memory = memory if memory is not None else mmap.mmap(-1, SEGMENT_BYTES)
        self._offset = offset
        self._numbers = memoryview(self._memory).cast("d")

    def add_row(self, key: bytes, numbers: int) -> int | None:
        """Add a row of zeros. Return its place, or None if the segment is full. Only the writer may call this."""
        begin = self._length
        key_bytes = len(key) + -len(key) % _ALIGNED
        end = begin + _HEAD.size + key_bytes + numbers * _ALIGNED
        if end > SEGMENT_BYTES - _LENGTH.size:
            return None
        at = self._start + begin
        store(self._memory, _HEAD, at, len(key), numbers)
        self._memory[at + _HEAD.size : at + _HEAD.size + len(key)] = key
        store(self._memory, _LENGTH, self._offset, end)
        return at + _HEAD.size + key_bytes

    def add(self, place: int, value: float) -> None:
        """Add to the number at a place. Only the writer may call this."""
        self._numbers[place // _ALIGNED] += value

    def set(self, place: int, value: float) -> None:
        """Set the number at a place. Only the writer may call this."""
        self._numbers[place // _ALIGNED] = value

    def rows(self) -> Iterator[tuple[bytes, int, tuple[float, ...]]]:
        """Yield each row: its key, the place of its first number, and its numbers. Any process may call this."""
        at, end = self._start, self._start + self._length
        while at < end:
            key_length, numbers = _HEAD.unpack_from(self._memory, at)
            key = self._memory[at + _HEAD.size : at + _HEAD.size + key_length]
            place = at + _HEAD.size + key_length + -key_length % _ALIGNED
            yield key, place, struct.unpack_from(f"{numbers}d", self._memory, place)
            at = place + numbers * _ALIGNED

    @property
    def _start(self) -> int:
        return self._offset + _LENGTH.size

    @property
    def _length(self) -> int:
        return int(_LENGTH.unpack_from(self._memory, self._offset)[0])


class Segments:
    """The segments of all workers, made before the first fork."""

    def __init__(self, count: int, areas: Areas = OWN) -> None:
        self._memory = areas.memory("metrics", count * SEGMENT_BYTES)
        self._segments = [Segment(self._memory, at * SEGMENT_BYTES) for at in range(count)]

    def __getitem__(self, at: int) -> Segment:
        return self._segments[at]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)
