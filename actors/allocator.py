"""The memory that the C library keeps for itself after sessions have ended, and its return to the system.

glibc returns freed memory only from the end of its heap. After 100 large callers had left, 781 MB stayed with the
process, although Python had freed all its objects. Only Linux with glibc has `malloc_trim`; elsewhere this module does
nothing.
"""

from __future__ import annotations

import ctypes
import logging
import math
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 3.0
"""The fewest seconds between two trims.

Trimming a large heap takes some 50 ms, in which other threads cannot allocate.
"""

AFTER_END_S: Final = 30.0
"""The time, in seconds, within which a session's memory may be freed after its end.

Buffers on their way to another thread outlive the session, and so may garbage that awaits the collector.
"""

WORTH_BYTES: Final = 32 * 1024 * 1024
"""The freed memory that makes a trim worth its time."""


class Allocator:
    """The object that returns memory to the system after sessions have ended.

    Any thread may call `note_end`. The watchdog calls `look` every second, on its thread.
    """

    def __init__(self) -> None:
        self._heap = Heap.of_this_system()
        self._ended_s = -math.inf
        """The time, on the monotonic clock, of the last end of a session."""
        self._next_s = 0.0
        self._least_free_bytes = 0 if self._heap is None else self._heap.free_bytes()
        """The least free memory that `look` has found since the last trim.

        Any free memory beyond it was freed after that look.
        """

    def note_end(self) -> None:
        """Note that a session has ended: a later look may return the memory that it held."""
        self._ended_s = time.monotonic()

    def look(self) -> None:
        """Return memory to the system, if sessions ended within `AFTER_END_S` and much was freed."""
        if self._heap is None:
            return
        free_bytes = self._heap.free_bytes()
        self._least_free_bytes = min(self._least_free_bytes, free_bytes)
        now_s = time.monotonic()
        is_due = now_s - self._ended_s < AFTER_END_S and now_s >= self._next_s
        if not is_due or free_bytes - self._least_free_bytes <= WORTH_BYTES:
            return
        self._next_s = now_s + INTERVAL_S
        self._heap.trim()
        logger.debug("%d bytes were freed, and returned to the system", free_bytes - self._least_free_bytes)
        # The value is from before the trim, which may have missed memory that other threads freed meanwhile.
        self._least_free_bytes = free_bytes


class _MallInfo(ctypes.Structure):
    """The structure of `mallinfo2`: ten sizes, of which the ninth is the free memory of all arenas."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


class Heap:
    """The heap of the C library. A call of its functions releases the interpreter's lock."""

    def __init__(self, trim: Callable[[int], int], information: Callable[[], _MallInfo]) -> None:
        self._trim = trim
        self._information = information

    @classmethod
    def of_this_system(cls) -> Heap | None:
        """Return the heap of glibc 2.33 or newer, or None for any other C library."""
        if not sys.platform.startswith("linux"):
            return None
        try:
            library = ctypes.CDLL(None)
            trim, information = library.malloc_trim, library.mallinfo2
        except (AttributeError, OSError):  # musl, or an older glibc
            return None
        information.restype = _MallInfo
        return cls(trim, information)

    def free_bytes(self) -> int:
        """Return the size of the heap's free memory."""
        return int(self._information().fordblks)

    def trim(self) -> None:
        """Return free pages to the system."""
        self._trim(0)
