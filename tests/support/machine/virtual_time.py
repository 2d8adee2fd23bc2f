"""The engine in virtual time: one thread, no socket, and a clock that advances when no more work is ready.

Dispatcher, timers, actors and connections are the real ones. While `virtual_time` is entered, their modules read the
time from its clock. A wait costs nothing, and each run of a test takes the same steps.
"""

import contextlib
import functools
import heapq
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from actors.dispatcher import Dispatcher
from actors.pool import Job, Pool

PACKAGES = ("actors.", "router.")
REAL = {"time": time, "monotonic": time.monotonic, "random": random}
"""The sources of time and chance, by the names that our modules give them."""
STARTS_S = 1000.0
"""The monotonic clock at the start of each block."""
UNIX_S = 1_750_000_000.0
"""The Unix time at that moment."""


class Clock:
    """The virtual time, with the functions of the module `time` that the engine calls."""

    def __init__(self) -> None:
        self.now_s = STARTS_S

    def monotonic(self) -> float:
        """Return the virtual time of the monotonic clock."""
        return self.now_s

    def time(self) -> float:
        """Return the virtual Unix time."""
        return UNIX_S + self.now_s - STARTS_S


class Dice:
    """A random generator that always draws the same share of a range, with the functions of `random` that we call."""

    def __init__(self, share: float) -> None:
        self._share = share

    def uniform(self, low: float, high: float) -> float:
        """Return the number at the share of the range."""
        return low + self._share * (high - low)


@contextlib.contextmanager
def virtual_time(share: float = 0.5) -> Iterator[Clock]:
    """Give the modules of `actors` and `router` a virtual clock, and `Dice` with this share.

    With 0 every back-off is as short as possible, with 1 as long as possible.

    Raises:
        AssertionError: a module that reads the time was imported inside the block, and read the real clock.
    """
    clock = Clock()
    stand_ins = {"time": clock, "monotonic": clock.monotonic, "random": Dice(share)}
    known = len(sys.modules)
    places = _places(known)
    for module, name in places:
        setattr(module, name, stand_ins[name])
    try:
        yield clock
        # Not from the cache, which the next block would get: these modules have the virtual clock now.
        late = set(_places.__wrapped__(0)) - set(places) if len(sys.modules) > known else ()
        assert not late, f"imported inside the block: {[f'{module.__name__}.{name}' for module, name in late]}"
    finally:
        for module, name in places:
            setattr(module, name, REAL[name])


@functools.lru_cache(maxsize=1)
def _places(_imported: int) -> list[tuple[ModuleType, str]]:
    """Return the modules that use the real clock or chance, with the names there, cached by the number of modules."""
    ours = [module for name, module in [*sys.modules.items()] if name.startswith(PACKAGES)]
    return [(module, name) for module in ours for name, real in REAL.items() if getattr(module, name, None) is real]


class VirtualDispatcher(Dispatcher):
    """A dispatcher without a thread. A test runs it while it waits."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("virtual")
        self._clock = clock
        self._arrivals: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._stalled_until_s = 0.0

    @property
    def now_s(self) -> float:
        """The virtual time."""
        return self._clock.now_s

    def run_until(self, has_happened: Callable[[], bool], timeout_s: float) -> bool:
        """Run until a condition holds, or for `timeout_s` of virtual time. Return whether the condition holds."""
        deadline_s = self._clock.now_s + timeout_s
        while not has_happened():
            if self._clock.now_s < min(deadline_s, self._stalled_until_s):
                self._clock.now_s = min(deadline_s, self._stalled_until_s)
                continue
            if self._clock.now_s < self._stalled_until_s:
                return False
            if not self._is_ready and self._next_s() > deadline_s:
                self._clock.now_s = deadline_s
                return False
            self._run_turn()
        return True

    def arrive_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """After `delay_s`, call `callback` as the reading of a socket is called: first in a turn, before the timers."""
        heapq.heappush(self._arrivals, (self._clock.now_s + delay_s, next(self._sequence), callback))

    def stall(self, duration_s: float) -> None:
        """Make no turn for this time, like a stopped process. Arriving bytes wait meanwhile."""
        self._stalled_until_s = self._clock.now_s + duration_s

    def active_timers(self) -> int:
        """Return the number of timers that have not fired."""
        return sum(timer.is_active for _, _, timer in self._timers.heap)

    def close(self) -> None:
        """Close the descriptors."""
        self._has_ended = True
        self._close()

    @property
    def _is_ready(self) -> bool:
        return bool(self._ready or self._calls or self._flushes)

    def _next_s(self) -> float:
        return min((heap[0][0] for heap in (self._timers.heap, self._arrivals) if heap), default=float("inf"))

    def _wait(self) -> list[tuple[int, int]]:
        """Advance the clock to the next timer or arrival, as the real dispatcher sleeps, and read the arrivals."""
        if not self._is_ready:
            self._clock.now_s = max(self._clock.now_s, self._next_s())
        while self._arrivals and self._arrivals[0][0] <= self._clock.now_s:
            _, _, callback = heapq.heappop(self._arrivals)
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - counted, as the real dispatcher does
                self._fail(callback, error)
        return []


class VirtualPool(Pool):
    """A pool without threads: each job runs on the virtual dispatcher, `takes_s` after it was submitted."""

    def __init__(self, name: str, dispatcher: VirtualDispatcher, takes_s: float) -> None:
        super().__init__(name, 1)
        self._dispatcher = dispatcher
        self._takes_s = takes_s

    def submit(self, work: Callable[[], Any], done: Callable[[Any], None]) -> Job:
        """Run `work` later, unless the job is withdrawn."""
        job = Job(self, work, done)
        self._waiting.append(job)
        self._unfinished += 1
        self._dispatcher.call_later(self._takes_s, lambda: self._run_due(job))
        return job

    def _run_due(self, job: Job) -> None:
        if self._withdraw(job):
            self._run_job(job)
