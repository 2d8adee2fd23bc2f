"""The memory that the C library keeps for itself, and its return to the system.

glibc returns freed memory only from the end of its heap. After 100 large callers had left, 781 MB stayed with the
process, although Python had freed all its objects. A burst of messages leaves some MB, too. Only Linux with glibc has
`malloc_trim`; elsewhere this module does nothing.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
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

ARENAS_VARIABLE: Final = "MALLOC_ARENA_MAX"
"""The variable by which an operator sets the number of arenas (mallopt(3))."""

_ARENA_MAX: Final = -8
"""The number of the option `M_ARENA_MAX` in glibc's `malloc.h`."""

WORTH_BYTES: Final = 32 * 1024 * 1024
"""The freed memory that makes a trim worth its time."""


CALM_S: Final = 3.0
"""The fewest seconds between two trims of memory that bursts of messages left."""

CALM_SHARE: Final = 0.0005
"""The largest part of the time that such trims take. One takes 1 ms in a heap of 16 MB, and more in a large one."""

CALM_BYTES: Final = 256 * 1024
"""The free memory that is kept for the next burst: a few reads of 64 kB. Trimming so little is not worth the time.

At 1 MB it was a fifth of the memory of 100 talking sessions.
"""


class Allocator:
    """The object that returns memory to the system: soon after sessions have ended, and now and then while they talk.

    Any thread may call `note_end`. The watchdog calls `look` every second, on its thread.
    """

    def __init__(self) -> None:
        self._heap = Heap.of_this_system()
        self._ended_s = -math.inf
        """The time, on the monotonic clock, of the last end of a session."""
        self._next_s = 0.0
        self._next_calm_s = 0.0
        self._trimmed_bytes = 0
        """The free memory at the last trim. If it is the same again, the heap has not changed."""
        self._least_free_bytes = 0 if self._heap is None else self._heap.free_bytes()
        """The least free memory that `look` has found since the last trim.

        Any free memory beyond it was freed after that look.
        """

    def note_end(self) -> None:
        """Note that a session has ended: a later call of `look` may return the session's memory."""
        self._ended_s = time.monotonic()

    def look(self) -> None:
        """Return free memory to the system, if sessions have ended and left much of it.

        Also return the free memory that bursts of messages left, but at most once in `CALM_S`.
        """
        if self._heap is None:
            return
        free_bytes = self._heap.free_bytes()
        self._least_free_bytes = min(self._least_free_bytes, free_bytes)
        now_s = time.monotonic()
        if not (self._is_due(free_bytes, now_s) or self._is_calm(free_bytes, now_s)):
            return
        began_s = time.thread_time()  # the time on the clock would include the work of other programs
        self._heap.trim()
        took_s = time.thread_time() - began_s
        self._next_s, self._next_calm_s = now_s + INTERVAL_S, now_s + max(CALM_S, took_s / CALM_SHARE)
        logger.debug("%d bytes were freed, and returned to the system", free_bytes - self._least_free_bytes)
        # The value is from before the trim, which may have missed memory that other threads freed meanwhile.
        self._least_free_bytes = self._trimmed_bytes = free_bytes

    def _is_due(self, free_bytes: int, now_s: float) -> bool:
        is_after_end = now_s - self._ended_s < AFTER_END_S and now_s >= self._next_s
        return is_after_end and free_bytes - self._least_free_bytes > WORTH_BYTES

    def _is_calm(self, free_bytes: int, now_s: float) -> bool:
        # A trimmed page still counts as free, so the count does not fall by a trim.
        return CALM_BYTES < free_bytes != self._trimmed_bytes and now_s >= self._next_calm_s


def share_one_arena() -> None:
    """Let all threads of this process allocate from one heap.

    Call this before other threads start. If `MALLOC_ARENA_MAX` is set, or the C library is no glibc, this does nothing.
    By default glibc gives an arena to each thread, up to eight for each core. An arena's free memory is of no use to
    the other threads. Nearly all allocations hold the interpreter's lock, so threads hardly wait for a single arena.
    """
    heap = Heap.of_this_system()
    if heap is not None and ARENAS_VARIABLE not in os.environ:
        heap.share_one_arena()


class _MallInfo(ctypes.Structure):
    """The result of the C function `mallinfo2`: ten sizes, of which the ninth is the free memory of all arenas."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


class Heap:
    """The heap of the C library. A call of its functions releases the interpreter's lock."""

    def __init__(
        self,
        trim: Callable[[int], int],
        information: Callable[[], _MallInfo],
        set_option: Callable[[int, int], int],
    ) -> None:
        self._trim = trim
        self._information = information
        self._set_option = set_option

    @classmethod
    def of_this_system(cls) -> Heap | None:
        """Return the heap of glibc 2.33 or newer, or None for any other C library."""
        if not sys.platform.startswith("linux"):
            return None
        try:
            library = ctypes.CDLL(None)
            trim, information, set_option = library.malloc_trim, library.mallinfo2, library.mallopt
        except (AttributeError, OSError):  # musl, or an older glibc
            return None
        information.restype = _MallInfo
        return cls(trim, information, set_option)

    def free_bytes(self) -> int:
        """Return the size of the heap's free memory."""
        return int(self._information().fordblks)

    def trim(self) -> None:
        """Return free pages to the system."""
        self._trim(0)

    def share_one_arena(self) -> None:
        """Let all threads that start later use the existing arenas."""
        self._set_option(_ARENA_MAX, 1)
