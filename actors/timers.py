"""What is due when, on one dispatcher."""

from __future__ import annotations

import heapq
import itertools
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_DISCARDED: Final = 64
"""Timers that may be discarded before the heap is looked through for them."""


def _nothing() -> None:
    """What a discarded timer calls."""


class Timers:
    """A heap of timers. Used on the dispatcher's thread only."""

    __slots__ = ("_discarded", "_sequence", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        """By the time at which each is looked at: those that were put off, or cancelled, are not due then."""
        self._sequence = itertools.count()
        self._discarded = 0
        """Since the heap was last cleared of them."""

    def fire(self, failed: Callable[[object, Exception], None]) -> None:
        """Call whatever is due; one that raises is told to `failed`, and the others are called all the same."""
        heap, now_s = self.heap, time.monotonic()
        while heap and heap[0][0] <= now_s:
            queued_s, _, timer = heapq.heappop(heap)
            try:
                timer._came_up(queued_s, now_s)  # noqa: SLF001 - one module, two classes
            except Exception as error:  # noqa: BLE001 - told
                failed(timer, error)

    def _queue(self, due_s: float, timer: Timer) -> None:
        heapq.heappush(self.heap, (due_s, next(self._sequence), timer))

    def _note_discarded(self) -> None:
        # A session's rollover is due in an hour: entries of sessions that are over must not wait for that.
        self._discarded += 1
        if self._discarded > MOST_DISCARDED and self._discarded > len(self.heap) // 2:
            self.heap[:] = [entry for entry in self.heap if entry[2]._is_at(entry[0])]  # noqa: SLF001
            heapq.heapify(self.heap)
            self._discarded = 0


class Timer:
    """A callback due at a time. Made by `Dispatcher.timer`, and used on its thread only."""

    __slots__ = ("_callback", "_due_s", "_queued_s", "_timers")

    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self._timers = timers
        self._callback = callback
        self._due_s: float | None = None
        self._queued_s: float | None = None

    def restart(self, delay_s: float) -> None:
        """Be due `delay_s` from now, whatever was set before.

        Putting off is free: the heap entry stays, and is put back when it comes up early. So a timer may be
        restarted for every audio frame.
        """
        self._due_s = due_s = time.monotonic() + delay_s
        if self._queued_s is None or due_s < self._queued_s:
            self._queued_s = due_s
            self._timers._queue(due_s, self)  # noqa: SLF001 - one module, two classes

    def cancel(self) -> None:
        """Not be due any more, unless it is restarted. Harmless when it has fired."""
        self._due_s = None

    def discard(self) -> None:
        """Never be due again, and hold on to nothing: what it would have called may be gone for good."""
        self._due_s = None
        self._callback = _nothing
        self._timers._note_discarded()  # noqa: SLF001 - one module, two classes

    @property
    def is_active(self) -> bool:
        """Whether it is still to fire."""
        return self._due_s is not None

    def _is_at(self, queued_s: float) -> bool:
        """Whether this is the entry by which it will come up."""
        return self._callback is not _nothing and queued_s == self._queued_s

    def _came_up(self, queued_s: float, now_s: float) -> None:
        if queued_s == self._queued_s:
            self._queued_s = None
        if self._due_s is None:
            return
        if self._due_s > now_s:
            if self._queued_s is None:
                self._queued_s = self._due_s
                self._timers._queue(self._due_s, self)  # noqa: SLF001
            return
        self._due_s = None
        self._callback()
