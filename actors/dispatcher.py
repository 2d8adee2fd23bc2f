"""Dispatchers: threads that run actors.

A dispatcher is one thread with a poller, a run queue and a timer heap. Everything pinned to it (the actors of a session
and both its sockets) runs on that thread and needs no lock. Nothing on a dispatcher may block. A dispatcher knows no
actor and no connection: only callbacks, descriptors and runnables.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from actors.poller import READABLE, WRITABLE, new_poller, new_waker
from actors.timers import Timer, Timers
from actors.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

SLICE_BUDGET: Final = 64
"""The most messages that one actor handles before the others get their turn."""

ROUNDS: Final = 8
"""The most rounds of slices in one turn, before sockets and timers are looked at again.

A message passes three actors, and needs as many rounds. So a turn handles all messages that it has received before the
next turn receives more. Under load a turn gets longer, and finds several frames of each connection at once, which are
joined and cost little more than one (docs/decisions/0020-overload.md). There is a bound because actors may keep each
other going.
"""

TURNS_PUT_OFF: Final = 4
"""The most turns in a row in which timers wait for received messages: no flood may put a deadline off for good."""

SHARE_S: Final = 0.01
"""The seconds in one turn after which a session is *heavy*.

The other sessions then run first. After them, all heavy sessions together have this much time, one after the other. So
a flood makes a turn longer by this time, whatever its messages cost, and delays its own session
(docs/decisions/0020-overload.md).
"""

NOTED_SLICE_S: Final = SHARE_S / 20
"""The shortest slice that counts for its session, in seconds.

Nearly every slice is shorter, and costs only a comparison.
"""

SLOW_SLICE_S: Final = 0.05
"""A slice that takes more seconds is logged: a call in it blocked, and every session of the dispatcher waited."""

WARNED_SLICE_S: Final = 0.5
"""A slice that takes more seconds is logged as a warning. A busy machine alone hardly delays a slice so long."""

__all__ = ["READABLE", "WRITABLE", "Dispatcher", "on_dispatcher_thread"]

_current = threading.local()


class Runnable(Protocol):
    """An object that a dispatcher runs: an actor with messages in its inbox."""

    session_id: str
    """The id of the session that the runnable's slices count for; empty if it serves all sessions."""

    def run_slice(self, budget: int) -> None:
        """Handle up to `budget` messages."""


class Abortable(Protocol):
    """An object on a dispatcher that holds a resource for which a peer or a thread waits, such as a socket."""

    session_id: str
    """The id of the session that the object belongs to; empty if it belongs to none."""

    @property
    def has_last_frame(self) -> bool:
        """Whether `abort_from_outside` has to send a last frame before this process dies. Any thread may ask."""

    def abort_from_outside(self) -> None:
        """Release the resource from another thread, because the dispatcher does not run.

        If the dispatcher runs again later, it must find an object that has ended, and not a broken one.
        """


class Dispatcher:
    """A thread that runs actors, watches sockets and keeps time.

    `start`, `stop` and the methods under "From any thread" may be called from any thread. All other methods may be
    called on the dispatcher's own thread only.
    """

    __slots__ = (
        "__weakref__",
        "_abortables",
        "_calls",
        "_caught_up_s",
        "_flushes",
        "_has_ended",
        "_has_unread",
        "_poller",
        "_ready",
        "_sleeping",
        "_stopping",
        "_thread",
        "_timers",
        "_turns_put_off",
        "_used_s",
        "_waker",
        "_watchers",
        "client_traffic",
        "failures",
        "heavy",
        "is_in_slice",
        "name",
        "running",
        "slices",
        "slices_s",
        "slow_reads_s",
        "slow_slices",
        "turns",
        "upstream_traffic",
    )

    def __init__(self, name: str = "dispatcher") -> None:
        self.name = name
        self.turns = 0
        """The number of turns of the loop. Events of the same turn count as simultaneous."""
        self.slices = 0
        self.slow_slices = 0
        self.slices_s = 0.0
        """The seconds that all slices took together."""
        self.client_traffic = Traffic()
        self.upstream_traffic = Traffic()
        self.failures = 0
        """The number of exceptions that reached the loop."""
        self.running: Runnable | None = None
        """The runnable whose code runs; None between two slices, and in a callback of no runnable.

        The watchdog reads it.
        """
        self.is_in_slice = False
        """Whether the loop runs slices at this moment, and notes their time."""
        self._caught_up_s = time.monotonic()
        """The time, on the monotonic clock, at which the loop last waited for events."""
        self._abortables: set[Abortable] = set()
        self._poller = new_poller()
        self._watchers: dict[int, Callable[[int], None]] = {}
        """The callback of each watched descriptor."""
        self._ready: deque[Runnable] = deque()
        self.heavy: dict[str, deque[Runnable]] = {}
        """The runnables of each heavy session. The session that has waited longest comes first."""
        self._used_s: dict[str, float] = {}
        """The seconds that each session has used in this turn, in slices longer than `NOTED_SLICE_S`."""
        self._calls: deque[Callable[[], None]] = deque()
        self._flushes: list[Callable[[], None]] = []
        self._timers = Timers()
        self._turns_put_off = 0
        """The turns in a row in which timers were due and had to wait."""
        self.slow_reads_s = 0.0
        """The time of this turn that connections used for reads that take long; see `ProtocolConnection`."""
        self._has_unread = False
        """Whether a connection stopped reading in this turn before its stream was empty."""
        self._sleeping = False
        self._stopping = False
        self._has_ended = False
        self._waker = new_waker()
        self.watch(self._waker.descriptor, READABLE, self._clear_wakeups)
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
        """End the thread once its run queue is empty.

        Return whether the thread ended in time. Do not call this on the dispatcher's own thread.
        """
        self._stopping = True
        if not self._has_ended:
            self._wake()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Release the copies of the parent's descriptors, in the child of a fork, where the thread does not run.

        Otherwise a connection that the parent closes would stay open. Nothing is unregistered from the poller, because
        parent and child share its epoll. In the child, the objects that hold those descriptors hold a dead file from
        now on.
        """
        self._has_ended = True
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._watchers:
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)
        self._close()

    @property
    def is_alive(self) -> bool:
        """Whether the dispatcher's thread runs."""
        return self._thread.is_alive()

    @property
    def thread_id(self) -> int | None:
        """The id of the dispatcher's thread; None before `start`."""
        return self._thread.ident

    # From any thread.

    def schedule(self, runnable: Runnable) -> None:
        """Queue `runnable` for a slice."""
        self._ready.append(runnable)
        if self._sleeping:
            self._wake()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the dispatcher's thread, in the order of the calls of this method.

        Once that thread has ended, call `callback` at once on the calling thread, so that it can still close a
        connection.
        """
        self._calls.append(callback)
        if self._sleeping:
            self._wake()
        if self._has_ended:
            self._run_calls()

    def pulse(self) -> int | None:
        """Return how many turns the loop has begun; None while it waits and has nothing to do.

        The same number again and again means that the thread is stuck in one turn.
        """
        is_idle = self._sleeping and not self._ready and not self._calls and not self.heavy
        return None if is_idle else self.turns

    @property
    def lag_s(self) -> float:
        """The seconds since the dispatcher last had nothing to run; 0 while it waits. Any thread may read them."""
        if self._sleeping and not self._ready and not self.heavy:
            return 0.0
        return time.monotonic() - self._caught_up_s

    def abort_from_outside(self, session_id: str | None = None, *, is_dying: bool = False) -> int:
        """Abort every registered object, or only the objects of one session. Return the number of aborted objects.

        If this process is dying, abort only the objects that send a last frame. Call this on the dispatcher's thread,
        or while that thread has ended or is stuck.
        """
        abortables = [it for it in list(self._abortables) if session_id is None or it.session_id == session_id]
        if is_dying:
            abortables = [it for it in abortables if it.has_last_frame]
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
        """Unregister an object. The call has no effect when the object is not registered."""
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
        """Call `flush` once, after the slices of this turn, so that the writes of one turn leave together."""
        self._flushes.append(flush)

    def note_slice_since(self, runnable: Runnable, began_s: float) -> None:
        """Count a slice that ran at once, outside of the run queue, and note its time from `began_s` until now."""
        took_s = time.monotonic() - began_s
        self.slices += 1
        self.slices_s += took_s
        if took_s > NOTED_SLICE_S:
            self._note_slice(runnable, took_s)

    def leave_unread(self) -> None:
        """Note that received bytes are left for the next turn.

        Timers that are due wait for these bytes, for at most `TURNS_PUT_OFF` turns in a row.
        """
        self._has_unread = True

    def watch(self, descriptor: int, events: int, on_ready: Callable[[int], None]) -> None:
        """Call `on_ready(mask)` whenever the descriptor is ready for one of `events` (READABLE, WRITABLE).

        When a descriptor is broken, epoll's mask has further bits; other pollers report either event, or both.
        """
        if descriptor in self._watchers:
            self._poller.modify(descriptor, events)
        else:
            self._poller.register(descriptor, events)
        self._watchers[descriptor] = on_ready

    def unwatch(self, descriptor: int) -> None:
        """Stop watching. Call this before the descriptor is closed, because another file may get its number at once."""
        if self._watchers.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    # The loop.

    def _run(self) -> None:
        _current.dispatcher = self
        try:
            while not (self._stopping and not self._ready and not self._calls and not self.heavy):
                self._run_turn()
        except BaseException as error:
            logger.critical("%s died", self.name, exc_info=error)
        finally:
            _current.dispatcher = None
            self._close()
            # Run the calls that were queued before the flag was set. Later ones run on the threads that make them.
            self._has_ended = True
            self._run_calls()

    def _run_turn(self) -> None:
        """Handle events and calls, run the actors that have messages now, write what the actors sent, and fire timers.

        Timers come last, and only the timers that were due before the loop looked for events. So a message that was
        there before a deadline is handled before the deadline's timer fires, however late the turn is.
        """
        self.turns += 1
        self._has_unread = False
        self.slow_reads_s = 0.0
        if self._used_s:
            self._used_s.clear()
        looked_s = time.monotonic()
        events = self._wait()
        if events:
            self._handle_events(events)
        if self._calls:
            self._run_calls()
        if self._ready or self.heavy:
            self._run_slices()
        if self._flushes:
            self._run_flushes()
        if self._timers.heap and self._timers.heap[0][0] <= looked_s:
            self._fire_timers(looked_s)

    def _wait(self) -> list[tuple[int, int]]:
        # The order settles the race with schedule() and call_soon(). The check below sees what they append before the
        # flag is set. If they append later, they wake this thread.
        self._sleeping = True
        if self._ready or self._calls or self._flushes or self.heavy or self._stopping:
            timeout_s: float | None = 0
        elif self._timers.heap:
            timeout_s = self._timers.heap[0][0] - time.monotonic()
            if timeout_s < 0:
                timeout_s = 0.0
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
        ready, heavy = self._ready, self.heavy
        self.is_in_slice = True
        began_all_s = now_s = time.monotonic()
        for _ in range(ROUNDS):
            for _ in range(len(ready)):
                runnable = ready.popleft()
                if heavy and runnable.session_id in heavy:
                    heavy[runnable.session_id].append(runnable)
                    continue
                # This repeats the body of `_run_slice`. It runs three times for each message, and a call costs as much
                # as the rest.
                self.running = runnable
                try:
                    runnable.run_slice(SLICE_BUDGET)
                except Exception as error:  # noqa: BLE001 - logged
                    self._fail(runnable, error)
                self.running = None
                self.slices += 1
                began_s, now_s = now_s, time.monotonic()
                if now_s - began_s > NOTED_SLICE_S:
                    self._note_slice(runnable, now_s - began_s)
            if not ready:
                break
        if heavy:
            now_s = self._run_heavy(now_s)
        self.is_in_slice = False
        self.slices_s += now_s - began_all_s

    def _run_heavy(self, now_s: float) -> float:
        """Run heavy sessions for at most `SHARE_S` seconds together. Return the time at the end.

        A session with nothing left to run is not heavy any more.
        """
        ready, heavy, until_s = self._ready, self.heavy, now_s + SHARE_S
        for session_id in list(heavy):
            if now_s >= until_s:
                return now_s
            waiting = heavy[session_id]
            while waiting and now_s < until_s:
                now_s = self._run_slice(waiting.popleft(), now_s)
                # The session's own next slices, which this one has scheduled, follow at once. Those of other sessions
                # wait for the next turn.
                for _ in range(len(ready)):
                    runnable = ready.popleft()
                    (waiting if runnable.session_id == session_id else ready).append(runnable)
            del heavy[session_id]
            if waiting:
                heavy[session_id] = waiting  # now the last
        return now_s

    def _run_slice(self, runnable: Runnable, began_s: float) -> float:
        """Run one slice. Return the time at its end."""
        self.running = runnable
        try:
            runnable.run_slice(SLICE_BUDGET)
        except Exception as error:  # noqa: BLE001 - logged
            self._fail(runnable, error)
        self.running = None
        self.slices += 1
        now_s = time.monotonic()
        if now_s - began_s > NOTED_SLICE_S:
            self._note_slice(runnable, now_s - began_s)
        return now_s

    def _note_slice(self, runnable: Runnable, took_s: float) -> None:
        """Add a slice's time to that of its session, and log a slice longer than `SLOW_SLICE_S`."""
        session_id = runnable.session_id
        if session_id and session_id not in self.heavy:
            self._used_s[session_id] = used_s = self._used_s.get(session_id, 0.0) + took_s
            if used_s > SHARE_S:
                self.heavy[session_id] = deque()
        if took_s > SLOW_SLICE_S:
            self.slow_slices += 1
            fields = getattr(runnable, "log_fields", {})
            level = logging.WARNING if took_s > WARNED_SLICE_S else logging.INFO
            logger.log(level, "slow slice: %.0f ms in %s", took_s * 1000, runnable, extra=fields)

    def _fire_timers(self, looked_s: float) -> None:
        # Work that is left puts timers off, because it may have been received before `looked_s`, and so before a
        # deadline.
        has_work = self._ready or self._calls or self._has_unread
        if has_work and self._turns_put_off < TURNS_PUT_OFF:
            self._turns_put_off += 1
            return
        self._turns_put_off = 0
        self._timers.fire(self._fail, looked_s)

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
            self._waker.wake()
        except (OSError, ValueError):  # closed: the thread has ended
            logger.debug("%s has ended", self.name)

    def _close(self) -> None:
        self._sleeping = False
        self._watchers.clear()
        self._poller.close()
        self._waker.close()

    def _clear_wakeups(self, _mask: int) -> None:
        self._waker.clear()


def on_dispatcher_thread() -> bool:
    """Whether the calling thread is a dispatcher's, on which nothing may wait."""
    return getattr(_current, "dispatcher", None) is not None


_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def _abandon_all() -> None:
    _current.dispatcher = None  # a callback on a dispatcher's thread may have forked
    for dispatcher in list(_dispatchers):
        dispatcher.abandon()


os.register_at_fork(after_in_child=_abandon_all)
