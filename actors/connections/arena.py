"""The memory of one process that outlives it: blocks for the sessions, and the last write of each thread.

It also has the dictionaries with which the records of the sessions are compressed.

The memory has a descriptor, which the keeper holds and another process maps once this process is dead. A page that is
never written costs nothing, so the memory may be larger than the machine's.
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
import mmap
import os
import threading
import zlib
from typing import Final, NamedTuple

SIZE: Final = 4 * 1024**3

CLASSES: Final = tuple(part * 64 << shift for shift in range(18) for part in (4, 5, 6, 7))
"""The sizes of blocks: 256 bytes, 320, 384, 448, 512, 640, and so on to 56 MB."""

GIVEN_BACK_BYTES: Final = 16 * 1024
"""A free block of this size or more gives its pages back to the system.

A burst of reads makes a block of 16 kB for each session's journal. At 32 kB these blocks took 16 kB of each session for
good.
"""

SPAN_BYTES: Final = 16 * 1024
"""The size of a span: a part of the memory whose blocks all have one size.

Blocks of one size become free at about the same time. Between blocks of other sizes they would free no whole page.
"""

WORTH_BYTES: Final = 64 * 1024
"""The released bytes of small blocks after which it is worth to look for free pages."""

TRANSFER_BYTES: Final = 64 * 1024
"""The most bytes of one write that are kept in an area. A longer write gets a block."""

MAX_AREAS: Final = 32
"""The most threads that may write."""

AREA_HEAD_BYTES: Final = 64
"""The bytes of an area before the written ones."""

_WRITE_BYTES: Final = AREA_HEAD_BYTES + TRANSFER_BYTES
_AREAS_AT: Final = 1
"""The index of the first word that holds the place of an area."""
_DICTIONARIES_AT: Final = _AREAS_AT + MAX_AREAS
"""The index of the first two words of a dictionary: its place and its length."""
MAX_DICTIONARIES: Final = 8
"""The most dictionaries. Each stays as long as the memory, because a record may need it."""
_DICTIONARIES_END: Final = _DICTIONARIES_AT + 2 * MAX_DICTIONARIES
_FIRST_BLOCK_AT: Final = 4096


class ArenaFullError(MemoryError):
    """No block, or no area, is left."""


class Area(NamedTuple):
    """The part of an arena in which one thread stores its last write."""

    word: int
    """The index of the first of three words: the place in the stream, the length, the session's number."""
    data_at: int


class Arena:
    """The blocks of one process for its sessions. Methods may be called on any thread.

    Without `descriptor` the arena is new, and belongs to this process. Otherwise it is the arena of a dead process,
    whose memory has that descriptor.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = os.memfd_create("switchboard-sessions") if descriptor is None else descriptor
        if descriptor is None:
            os.ftruncate(self.descriptor, SIZE)
        self.memory = mmap.mmap(self.descriptor, SIZE)
        self.view = memoryview(self.memory)
        self.words = self.view.cast("Q")
        """The arena's memory as words of 8 bytes. A word is written as a whole, or not at all."""
        self._lock = threading.Lock()
        self._free: dict[int, list[int]] = {size: [] for size in CLASSES}
        """The free blocks of each size. Each list is a heap, so that the blocks in use come first in memory."""
        self._released_bytes = 0
        """The bytes of small blocks that were released since `look` gave pages back."""
        self._next = _FIRST_BLOCK_AT
        self._areas: dict[int, Area] = {}
        self.used_bytes = 0
        """The bytes of all blocks in use."""
        self._serial = 0
        self.dictionaries = self._read_dictionaries()
        """Bytes that occur in many records. A record that is compressed with one of them has its Adler-32."""

    def close(self) -> None:
        """Release the memory in this process."""
        with contextlib.suppress(BufferError):  # a session still holds a part of the memory
            self.words.release()
            self.view.release()
            self.memory.close()
        os.close(self.descriptor)

    def new_serial(self) -> int:
        """Return a number that no other session of this process has."""
        with self._lock:
            self._serial += 1
            return self._serial

    def allocate(self, size: int) -> tuple[int, int]:
        """Return the offset of a free block of at least `size` bytes, and the size of the block.

        Raises:
            ArenaFullError: no block is left.
        """
        if size > CLASSES[-1]:
            raise ArenaFullError(f"{size} bytes are too many")
        taken = CLASSES[bisect.bisect_left(CLASSES, size)]
        with self._lock:
            free = self._free[taken]
            if free:
                at = heapq.heappop(free)
            elif taken < GIVEN_BACK_BYTES:
                at, *rest = self._new_span(taken)
                free += rest  # in ascending order, which is a heap
            else:
                at = self._take_pages(taken)
            self.used_bytes += taken
            return at, taken

    def _new_span(self, size: int) -> range:
        at = self._take_pages(SPAN_BYTES)
        return range(at, at + SPAN_BYTES - size + 1, size)

    def _take_pages(self, size: int) -> int:
        """Return the place of `size` bytes that were never used. They begin with a page, so all can be given back."""
        at = -(-self._next // SPAN_BYTES) * SPAN_BYTES
        if at + size > SIZE:
            raise ArenaFullError("the memory is full")
        self._next = at + size
        return at

    def release(self, at: int, size: int) -> None:
        """Take back a block. `at` and `size` are the values that `allocate` returned."""
        if size >= GIVEN_BACK_BYTES:
            self._give_back(at, at + size)
        with self._lock:
            self.used_bytes -= size
            heapq.heappush(self._free[size], at)
            if size < GIVEN_BACK_BYTES:
                self._released_bytes += size

    def look(self) -> None:
        """Give the pages back that have only free blocks, if many blocks were released. Call this now and then."""
        if self._released_bytes < WORTH_BYTES:
            return
        self._released_bytes = 0
        for size in CLASSES[: CLASSES.index(GIVEN_BACK_BYTES)]:
            with self._lock:  # no block of this size is taken meanwhile
                free = self._free[size]
                free.sort()  # a sorted list is a heap, too
                begin = end = 0
                for at in (*free, SIZE):
                    if at != end:
                        self._give_back(begin, end)
                        begin = at
                    end = at + size
                    if SPAN_BYTES - end % SPAN_BYTES < size:
                        end += -end % SPAN_BYTES  # the rest of a span is too short for a block

    def _give_back(self, begin: int, end: int) -> None:
        """Give the whole pages of a part of the memory back to the system."""
        begin = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
        end = end // mmap.PAGESIZE * mmap.PAGESIZE
        if begin < end:
            with contextlib.suppress(OSError):
                self.memory.madvise(mmap.MADV_REMOVE, begin, end - begin)

    def add_dictionary(self, data: bytes) -> bool:
        """Store a dictionary, and return whether it was stored. A record may use it from then on.

        A record names its dictionary by the Adler-32. So a second dictionary with the same Adler-32 is refused: clients
        choose what the dictionaries contain, and could change the records of other sessions.
        """
        try:
            at, size = self.allocate(len(data))
        except ArenaFullError:
            return False
        self.view[at : at + len(data)] = data
        with self._lock:
            number = len(self.dictionaries)
            is_unique = zlib.adler32(data) not in map(zlib.adler32, self.dictionaries)
            if number < MAX_DICTIONARIES and is_unique:
                word = _DICTIONARIES_AT + 2 * number
                # The place comes last, and makes the entry valid.
                self.words[word + 1] = len(data)
                self.words[word] = at
                self.dictionaries = (*self.dictionaries, data)
                return True
        self.release(at, size)
        return False

    def _read_dictionaries(self) -> tuple[bytes, ...]:
        words = self.words
        entries = [(words[word], words[word + 1]) for word in range(_DICTIONARIES_AT, _DICTIONARIES_END, 2)]
        return tuple(bytes(self.view[at : at + size]) for at, size in entries if at)

    def area(self) -> Area:
        """Return the area of the calling thread.

        Raises:
            ArenaFullError: too many threads have an area.
        """
        ident = threading.get_ident()
        found = self._areas.get(ident)
        if found is None:
            with self._lock:
                number = len(self._areas)
                if number == MAX_AREAS:
                    raise ArenaFullError(f"more than {MAX_AREAS} threads write")
                at, self._next = self._next, self._next + _WRITE_BYTES
                found = self._areas[ident] = Area(at // 8, at + AREA_HEAD_BYTES)
                self.words[_AREAS_AT + number] = at
        return found

    def areas(self) -> list[Area]:
        """Return the areas of all threads of the process whose memory this is."""
        places = [self.words[_AREAS_AT + number] for number in range(MAX_AREAS)]
        return [Area(at // 8, at + AREA_HEAD_BYTES) for at in places if at]
