"""The timers of one dispatcher: a heap by the time at which each is due. This module knows no thread and no actor."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DISCARDED: Final = 64
"""The most dead entries of a small heap. With one more, the heap is cleared of them.

An entry is dead if its timer was discarded, or was set to an earlier time. A large heap is cleared when dead entries
are more than a quarter of it. A new session leaves two dead entries, because its waits for the upstream end early.
"""


def _nothing() -> None:
    pass


def _ignore(_name: str) -> None:
    pass


class Timers:
    """A heap of timers. Only the dispatcher's thread uses it."""

    __slots__ = ("_discarded", "_sequence", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        """Entries by the time at which each comes up. A timer that was postponed or cancelled is not due then."""
        self._sequence = itertools.count()
        """Numbers that order the entries of one time, because timers cannot be compared."""
        self._discarded = 0
        """The number of entries that died since the heap was last cleared."""

    def fire(self, on_failure: Callable[[object, Exception], None], now_s: float) -> None:
        """Call the timers that are due at `now_s`.

        If a timer raises an exception, `on_failure` gets the timer and the exception, and the other timers are still
        called.
        """
        heap = self.heap
        while heap and heap[0][0] <= now_s:
            queued_s, _, timer = heapq.heappop(heap)
            try:
                timer._come_up(queued_s, now_s)  # noqa: SLF001 - one module, two classes
            except Exception as error:  # noqa: BLE001 - passed on
                on_failure(timer, error)

    def _queue(self, due_s: float, timer: Timer) -> None:
        heapq.heappush(self.heap, (due_s, next(self._sequence), timer))

    def _note_dead(self) -> None:
        # A session's rollover is due in an hour: the entries of a session that has ended must not stay until then.
        self._discarded += 1
        if self._discarded > MAX_DISCARDED and self._discarded > len(self.heap) // 4:
            self.heap[:] = [entry for entry in self.heap if entry[2]._is_at(entry[0])]  # noqa: SLF001
            heapq.heapify(self.heap)
            self._discarded = 0


class Timer:
    """A callback that is due at a time. `Dispatcher.timer` makes it, and only the dispatcher's thread uses it."""

    __slots__ = ("_callback", "_due_s", "_queued_s", "_timers")

    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self._timers = timers
        self._callback = callback
        self._due_s: float | None = None
        self._queued_s: float | None = None
        """The time of the heap entry that brings the timer up: at most `_due_s`; None if there is no such entry."""

    def restart(self, delay_s: float) -> None:
        """Set the timer to be due `delay_s` from now, in place of any earlier time.

        Postponing costs nothing: the heap entry stays, and is queued again when its time comes. So a timer may be
        restarted for every audio frame.
        """
        self.restart_at(time.monotonic() + delay_s)

    def restart_at(self, due_s: float) -> None:
        """Set the timer to be due at `due_s`, on the monotonic clock; see `restart`."""
        self._due_s = due_s
        if self._queued_s is None or due_s < self._queued_s:
            is_forward, self._queued_s = self._queued_s is not None, due_s
            self._timers._queue(due_s, self)  # noqa: SLF001 - one module, two classes
            if is_forward:
                self._timers._note_dead()  # noqa: SLF001 - the earlier entry

    def cancel(self) -> None:
        """Cancel the timer until it is restarted. The call has no effect when the timer has fired."""
        self._due_s = None

    def discard(self) -> None:
        """Cancel the timer for good, and release the callback, because the heap may keep the entry for long."""
        self._due_s = None
        self._callback = _nothing
        self._timers._note_dead()  # noqa: SLF001 - one module, two classes

    @property
    def is_active(self) -> bool:
        """Whether the timer is set, and has not fired."""
        return self._due_s is not None

    def _is_at(self, queued_s: float) -> bool:
        """Whether the heap entry with the time `queued_s` is still the one that brings the timer up."""
        return self._callback is not _nothing and queued_s == self._queued_s

    def _come_up(self, queued_s: float, now_s: float) -> None:
        if queued_s == self._queued_s:  # else an older entry, of a time before it was brought forward
            self._queued_s = None
        if self._due_s is None:
            return
        if self._due_s > now_s:  # postponed
            if self._queued_s is None:
                self._queued_s = self._due_s
                self._timers._queue(self._due_s, self)  # noqa: SLF001
            return
        self._due_s = None
        self._callback()


class NamedTimers:
    """The timers of one owner, by name, over a single `Timer`. Only the dispatcher's thread uses them.

    A session has a dozen timers, and few of them are set at a time. A `Timer` for each took 4 kB of every session.
    """

    __slots__ = ("_due_s", "_fire", "_next_s", "_timer")

    def __init__(self, timer: Callable[[Callable[[], None]], Timer], fire: Callable[[str], None]) -> None:
        """Make timers that call `fire` with their name. `timer` is `Dispatcher.timer`."""
        self._due_s: dict[str, float] = {}
        """The time at which each timer is due. A timer that is not set has no entry."""
        self._fire = fire
        self._next_s = math.inf
        """The time at which the single timer comes up: the earliest of these times, or before all of them."""
        self._timer = timer(self._come_up)

    def restart(self, name: str, delay_s: float) -> None:
        """Set a timer to be due `delay_s` from now, in place of any earlier time. Postponing costs nothing."""
        self._due_s[name] = due_s = time.monotonic() + delay_s
        if due_s < self._next_s:
            self._next_s = due_s
            self._timer.restart_at(due_s)

    def cancel(self, name: str) -> None:
        """Cancel a timer. The call has no effect when the timer is not set."""
        self._due_s.pop(name, None)

    def discard(self) -> None:
        """Cancel all timers, and release the callbacks. A timer that is restarted later never fires."""
        self._due_s = {}
        self._next_s = -math.inf
        self._fire = _ignore
        self._timer.discard()

    def left_s(self) -> dict[str, float]:
        """Return the seconds until each timer that is set is due."""
        now_s = time.monotonic()
        return {name: max(0.0, due_s - now_s) for name, due_s in self._due_s.items()}

    def _come_up(self) -> None:
        came_up_s, name = self._next_s, self._earliest()
        is_due = name is not None and self._due_s[name] <= came_up_s
        if name is not None and is_due:
            del self._due_s[name]
        # Set the next time before the callback, which may set and cancel timers. The next timer may be due at once.
        following = self._earliest()
        self._next_s = math.inf if following is None else self._due_s[following]
        if following is not None:
            self._timer.restart_at(self._next_s)
        if name is not None and is_due:
            self._fire(name)

    def _earliest(self) -> str | None:
        return min(self._due_s, key=self._due_s.__getitem__, default=None)
