"""Dispatchers: threads that run actors.

A dispatcher is one thread with an epoll, a run queue and a timer heap. Everything pinned to it (the actors of a session
and both its sockets) runs on that thread and needs no lock. Nothing on a dispatcher may block. A dispatcher knows no
actor and no connection: only callbacks, descriptors and runnables.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from actors.timers import Timer, Timers

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
"""The events that a descriptor can be watched for. A broken descriptor is reported as both."""

SLICE_BUDGET: Final = 64
"""The most messages that one actor handles before the others get their turn."""

ROUNDS: Final = 8
"""The most rounds of slices in one turn, before sockets and timers are looked at again.

A message passes three actors, so the rounds carry what a turn has received to its end before more is received. Under
load a turn gets longer, and finds several frames of each connection at once, which are joined and cost little more than
one (docs/decisions/0020-overload.md). There is a bound because actors may keep each other going.
"""

SLOW_SLICE_S: Final = 0.05
"""A slice longer than this is logged: something on it blocked, and every session of the dispatcher waited."""

_current = threading.local()


class Runnable(Protocol):
    """An object that a dispatcher runs: an actor with messages in its inbox."""

    def run_slice(self, budget: int) -> None:
        """Handle up to `budget` messages."""


class Abortable(Protocol):
    """An object on a dispatcher that holds a resource which the outside waits for, such as a socket."""

    def abort_from_outside(self) -> None:
        """Release the resource from another thread, because the dispatcher does not run.

        The dispatcher may run again: then it must find an object that has ended, and not one that is broken.
        """


class Dispatcher:
    """A thread that runs actors, watches sockets and keeps time.

    `start`, `stop` and the methods under "From any thread" may be called from any thread, everything else on its own
    thread only.
    """

    def __init__(self, name: str = "dispatcher") -> None:
        self.name = name
        self.turns = 0
        """The number of turns of the loop: events of the same turn happened at once."""
        self.slices = 0
        self.slow_slices = 0
        self.failures = 0
        """The number of exceptions that reached the loop."""
        self._caught_up_s = time.monotonic()
        """When the loop last waited for events."""
        self._abortables: set[Abortable] = set()
        self._poller = select.epoll()
        self._watchers: dict[int, Callable[[int], None]] = {}
        """The callback of each watched descriptor."""
        self._ready: deque[Runnable] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._flushes: list[Callable[[], None]] = []
        self._timers = Timers()
        self._sleeping = False
        self._stopping = False
        self._has_ended = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._wake_fd, READABLE, self._drain_wakeups)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _dispatchers.add(self)

    # Start and end.

    def start(self) -> Dispatcher:
        """Start the thread.

        Raises:
            RuntimeError: no thread can be started; nothing is left of the dispatcher then.
        """
        try:
            self._thread.start()
        except RuntimeError:
            self._has_ended = True
            self._close()
            raise
        return self

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End the thread once its run queue is empty. Return whether it ended in time. Not from its own thread."""
        self._stopping = True
        if not self._has_ended:
            self._wake()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Release the copies of the parent's descriptors, in the child of a fork, where the thread does not run.

        Otherwise a connection that the parent closes would stay open. Nothing is unregistered from the epoll, which is
        the parent's, too. The objects that hold those descriptors hold a dead file from now on.
        """
        self._has_ended = True
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._watchers:
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)
        self._close()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @property
    def thread_id(self) -> int | None:
        """The id of its thread, once that was started."""
        return self._thread.ident

    # From any thread.

    def schedule(self, runnable: Runnable) -> None:
        """Queue `runnable` for a slice."""
        self._ready.append(runnable)
        if self._sleeping:
            self._wake()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the dispatcher's thread, in the order of the calls of this method.

        Once that thread has ended, call it at once on the caller's: a connection that it brings can still be closed.
        """
        self._calls.append(callback)
        if self._sleeping:
            self._wake()
        if self._has_ended:
            self._run_calls()

    def pulse(self) -> int | None:
        """Return how many turns it has begun; None while it waits and has nothing to do.

        The same number again and again means that the thread is stuck in one turn.
        """
        is_idle = self._sleeping and not self._ready and not self._calls
        return None if is_idle else self.turns

    @property
    def lag_s(self) -> float:
        """The seconds since it last had nothing to run; 0 while it waits. From any thread."""
        if self._sleeping and not self._ready:
            return 0.0
        return time.monotonic() - self._caught_up_s

    def abort_from_outside(self) -> int:
        """Abort every registered object, and return their number. Only while its thread has ended or is stuck."""
        abortables = list(self._abortables)
        for abortable in abortables:
            try:
                abortable.abort_from_outside()
            except Exception as error:  # noqa: BLE001 - logged
                self._fail(abortable, error)
        return len(abortables)

    # On the dispatcher's thread.

    def register(self, abortable: Abortable) -> None:
        """Register an object to be aborted from outside, should this thread die or stall."""
        self._abortables.add(abortable)

    def unregister(self, abortable: Abortable) -> None:
        """Unregister it. Harmless when it is not registered."""
        self._abortables.discard(abortable)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` after `delay_s`, unless the returned timer is cancelled."""
        timer = self.timer(callback)
        timer.restart(delay_s)
        return timer

    def timer(self, callback: Callable[[], None]) -> Timer:
        """Return a timer that is not due before it is restarted."""
        return Timer(self._timers, callback)

    def flush_later(self, flush: Callable[[], None]) -> None:
        """Call `flush` once, behind the slices of this turn: the writes of one turn leave together."""
        self._flushes.append(flush)

    def watch(self, descriptor: int, events: int, on_ready: Callable[[int], None]) -> None:
        """Call `on_ready(mask)` whenever one of `events` (READABLE, WRITABLE) holds.

        The mask is that of epoll: it has bits beside those two when something is wrong.
        """
        if descriptor in self._watchers:
            self._poller.modify(descriptor, events)
        else:
            self._poller.register(descriptor, events)
        self._watchers[descriptor] = on_ready

    def unwatch(self, descriptor: int) -> None:
        """Stop watching. Before the descriptor is closed: its number may be given to another file at once."""
        if self._watchers.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    # The loop.

    def _run(self) -> None:
        _current.dispatcher = self
        try:
            while not (self._stopping and not self._ready and not self._calls):
                self._run_turn()
        except BaseException as error:
            logger.critical("%s died", self.name, exc_info=error)
        finally:
            _current.dispatcher = None
            self._close()
            # Calls that were queued before the flag are run here, calls after it by their callers.
            self._has_ended = True
            self._run_calls()

    def _run_turn(self) -> None:
        """Handle events, timers and calls, run the actors that they made ready, and write what those sent."""
        self.turns += 1
        events = self._wait()
        if events:
            self._handle_events(events)
        if self._timers.heap:
            self._timers.fire(self._fail)
        if self._calls:
            self._run_calls()
        if self._ready:
            self._run_slices()
        if self._flushes:
            self._run_flushes()

    def _wait(self) -> list[tuple[int, int]]:
        # The order settles the race with schedule() and call_soon(): what they append before the flag is seen
        # below, what they append after it wakes us.
        self._sleeping = True
        if self._ready or self._calls or self._flushes or self._stopping:
            timeout_s: float | None = 0
        elif self._timers.heap:
            timeout_s = max(0.0, self._timers.heap[0][0] - time.monotonic())
        else:
            timeout_s = None
        events = self._poller.poll(timeout_s)
        self._sleeping = False
        if timeout_s != 0:
            self._caught_up_s = time.monotonic()
        return events

    # A callback that fails must not end the sessions of a whole dispatcher: hence the guards below.

    def _handle_events(self, events: list[tuple[int, int]]) -> None:
        for descriptor, mask in events:
            on_ready = self._watchers.get(descriptor)
            if on_ready is None:  # an earlier event of this turn closed it
                continue
            try:
                on_ready(mask)
            except Exception as error:  # noqa: BLE001 - logged
                self._fail(on_ready, error)

    def _run_calls(self) -> None:
        # Calls that are appended meanwhile wait for the next turn: they could go on without end.
        for _ in range(len(self._calls)):
            try:
                call = self._calls.popleft()
            except IndexError:  # after the end of the thread another caller may have been faster
                return
            try:
                call()
            except Exception as error:  # noqa: BLE001 - logged
                self._fail(call, error)

    def _run_slices(self) -> None:
        ready, now_s = self._ready, time.monotonic()
        for _ in range(ROUNDS):
            for _ in range(len(ready)):
                runnable = ready.popleft()
                try:
                    runnable.run_slice(SLICE_BUDGET)
                except Exception as error:  # noqa: BLE001 - logged
                    self._fail(runnable, error)
                self.slices += 1
                began_s, now_s = now_s, time.monotonic()
                if now_s - began_s > SLOW_SLICE_S:
                    self.slow_slices += 1
                    logger.warning("slow slice: %.0f ms in %s", (now_s - began_s) * 1000, runnable)
            if not ready:
                return

    def _run_flushes(self) -> None:
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            try:
                flush()
            except Exception as error:  # noqa: BLE001 - logged
                self._fail(flush, error)

    def _fail(self, culprit: object, error: Exception) -> None:
        self.failures += 1
        logger.error("failure on %s in %r", self.name, culprit, exc_info=error)

    def _wake(self) -> None:
        try:
            os.eventfd_write(self._wake_fd, 1)
        except (OSError, ValueError):  # closed: the thread has ended
            logger.debug("%s has ended", self.name)

    def _close(self) -> None:
        self._sleeping = False
        self._watchers.clear()
        self._poller.close()
        # The number is cleared first: a late `_wake` must not write into the next file that gets it.
        wake_fd, self._wake_fd = self._wake_fd, -1
        if wake_fd >= 0:
            os.close(wake_fd)

    def _drain_wakeups(self, _mask: int) -> None:
        os.eventfd_read(self._wake_fd)


def on_dispatcher_thread() -> bool:
    """Whether the calling thread is a dispatcher's, on which nothing may wait."""
    return getattr(_current, "dispatcher", None) is not None


_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def _abandon_all() -> None:
    _current.dispatcher = None  # a callback on a dispatcher's thread may have forked
    for dispatcher in list(_dispatchers):
        dispatcher.abandon()


os.register_at_fork(after_in_child=_abandon_all)
