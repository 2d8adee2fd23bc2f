"""The watchdog: detects dispatchers that died or stalled.

A stalled dispatcher cannot report itself, and every session on it would wait without end. The watchdog knows nothing of
sessions: it aborts the objects that are registered with the dispatcher. See
docs/decisions/0012-stalled-dispatchers.md.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from actors.allocator import Allocator
    from actors.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""The seconds between two looks at every dispatcher."""

STALLED_LOOKS: Final = 5
"""A dispatcher that is in the same turn for this many looks in a row has stalled.

Looks are counted, and not seconds, because a suspended machine suspends the watchdog, too.
"""

LAST_WORD_S: Final = 1.0
"""The seconds within which the other dispatchers of a process that ends send the last frames of its sessions."""


LOG_S: Final = 1.0
"""The seconds that the watchdog waits for a log line.

A stalled thread may hold a lock of a log handler for good.
"""

END_S: Final = 5.0
"""The seconds after which a process that is to end ends in any case.

The log lines and last frames before that may block, too.
"""


class Memory(Protocol):
    """Memory whose free parts return to the system now and then."""

    def look(self) -> None:
        """Return free memory to the system, if that is worth its time."""


class Custody(Protocol):
    """The channel to a keeper, which gives the sessions of a dead process to other processes."""

    @property
    def arena(self) -> Memory:
        """The memory of this process that the keeper can also read."""

    @property
    def is_kept(self) -> bool:
        """Whether the keeper would give the sessions to other processes now. Any thread may ask."""

    def end_process(self) -> None:
        """End this process at once. The method must not block."""


def _no_custody() -> Custody | None:
    return None


class Watchdog:
    """A thread that watches dispatchers, and wakes none of them.

    The watchdog looks at every dispatcher once in `LOOK_S` seconds. It abandons a dispatcher that died, or that stayed
    in the same turn for five looks. It then logs the stack of the dispatcher's thread, and aborts every connection on
    it (`Dispatcher.abort_from_outside`). When an abandoned dispatcher runs again, it is healthy, but its sessions are
    over.

    If all five looks found code of the same session, that session alone is aborted, and the dispatcher gets five more
    looks. In every other case all sessions of the dispatcher end, because no single session is to blame. Either the
    looks found code of several sessions, or of no session (a connection's, a callback's), or the thread is dead.

    With a keeper the process ends in place of these sessions, and other processes continue them. Only the sessions that
    the keeper does not have are ended before, those of the healthy dispatchers included.
    """

    def __init__(
        self,
        dispatchers: Sequence[Dispatcher],
        *,
        look_s: float = LOOK_S,
        allocator: Allocator | None = None,
        custody: Callable[[], Custody | None] = _no_custody,
    ) -> None:
        """Make a watchdog.

        At each look it also calls `look` of `allocator` and of the custody's arena, which need a thread that may wait.
        """
        self._custody = custody
        self._log = _Log()
        self._watched = [_Watched(dispatcher, dispatchers, custody, self._log) for dispatcher in dispatchers]
        self._look_s = look_s
        self._allocator = allocator
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> Watchdog:
        """Start the thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread, and wait for it.

        Call this before the dispatchers are stopped, because they would look dead.
        """
        self._stopped.set()
        self._thread.join()

    def problems(self) -> list[str]:
        """Return a few words for each dispatcher that does not run, or an empty list.

        Any thread may call this method.
        """
        return [f"{it.dispatcher.name} {it.problem}" for it in self._watched if it.problem]

    def _run(self) -> None:
        while not self._stopped.wait(self._look_s):
            for watched in self._watched:
                self._look_at(watched, watched.dispatcher.name)
            if self._allocator is not None:
                self._look_at(self._allocator, "the allocator")
            custody = self._custody()
            if custody is not None:
                self._look_at(custody.arena, "the sessions' memory")

    def _look_at(self, watched: Memory, name: str) -> None:
        # A failure must not end the thread: nothing would watch the dispatchers any more.
        try:
            watched.look()
        except Exception as error:  # noqa: BLE001 - logged
            self._log.write(logging.ERROR, f"the watchdog failed at {name}", error)


class _Log:
    """The watchdog's lines in the log. No line blocks the watchdog for longer than `LOG_S`."""

    def __init__(self) -> None:
        self._writing: threading.Thread | None = None

    def write(self, level: int, line: str, error: Exception | None = None) -> None:
        """Write a line on a thread of its own. Drop the line while an earlier one is still blocked."""
        if self._writing is not None and self._writing.is_alive():
            return
        writing = threading.Thread(
            target=logger.log, args=(level, "%s", line), kwargs={"exc_info": error}, name="watchdog-log", daemon=True
        )
        with contextlib.suppress(RuntimeError):  # no thread is left
            writing.start()
            self._writing = writing
            writing.join(LOG_S)


class _Watched:
    """One dispatcher, and what the watchdog knows of it."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        dispatchers: Sequence[Dispatcher],
        custody: Callable[[], Custody | None],
        log: _Log,
    ) -> None:
        self.dispatcher = dispatcher
        self._others = [it for it in dispatchers if it is not dispatcher]
        self._custody = custody
        self._log = log
        self.problem = ""
        self._pulse: int | None = None
        self._looks = 0
        """The number of looks in a row that found the same turn."""
        self._suspects: set[str] = set()
        """The ids of the sessions whose code these looks found; an empty id stands for code of no session."""
        self._has_ended_one = False
        """Whether a session was aborted in this turn."""

    def look(self) -> None:
        """Judge the dispatcher by its turns since the last look."""
        if not self.dispatcher.is_alive:
            self._abandon("is dead")
            return
        # No pulse: the dispatcher waits and has nothing to do.
        pulse = self.dispatcher.pulse()
        if pulse is None or pulse != self._pulse:
            self._looks, self._suspects, self._has_ended_one = 0, set(), False
        else:
            self._looks += 1
            running = self.dispatcher.running
            self._suspects.add("" if running is None else running.session_id)
        self._pulse = pulse
        if self._looks >= STALLED_LOOKS:
            self._end_stalled()
        elif not self._looks and self.problem:
            self._log.write(logging.WARNING, f"{self.dispatcher.name} runs again")
            self.problem = ""

    def _end_stalled(self) -> None:
        (suspect, *others) = self._suspects
        if self.problem or self._has_ended_one or others or not suspect:
            self._abandon("is stalled")
            return
        # The other sessions may still be saved. They end only if the dispatcher stays stalled without this session.
        self._looks, self._has_ended_one = 0, True
        where = _stack_of(self.dispatcher.thread_id)
        line = f"{self.dispatcher.name} is stalled by session {suspect}, which is ended{where}"
        self._log.write(logging.CRITICAL, line)
        self.dispatcher.abort_from_outside(suspect)

    def _abandon(self, problem: str) -> None:
        if self.problem:  # abandoned already: its sessions are over
            return
        self.problem = problem
        where = _stack_of(self.dispatcher.thread_id)
        custody = self._custody()
        if custody is None or not custody.is_kept:
            self._log.write(logging.CRITICAL, f"{self.dispatcher.name} {problem}: its sessions are ended{where}")
            self.dispatcher.abort_from_outside()
            return
        at_latest = threading.Timer(END_S, custody.end_process)
        at_latest.daemon = True
        try:
            at_latest.start()
            ending = "this process ends, and others continue its sessions"
            self._log.write(logging.CRITICAL, f"{self.dispatcher.name} {problem}: {ending}{where}")
            self.dispatcher.abort_from_outside(is_dying=True)
            self._end_unkept_beside()
        finally:
            at_latest.cancel()
            custody.end_process()

    def _end_unkept_beside(self) -> None:
        """End the sessions of the other dispatchers that the keeper does not have, each on its own thread."""
        ended = threading.Semaphore(0)

        def end(dispatcher: Dispatcher) -> None:
            dispatcher.abort_from_outside(is_dying=True)
            ended.release()

        for other in self._others:
            other.call_soon(functools.partial(end, other))
        until_s = time.monotonic() + LAST_WORD_S
        for _ in self._others:
            ended.acquire(timeout=max(0.0, until_s - time.monotonic()))


def _stack_of(thread_id: int | None) -> str:
    frame = frames().get(thread_id or 0)
    return "" if frame is None else "; it is here:\n" + "".join(traceback.format_stack(frame)).rstrip()


_one_at_a_time = threading.Lock()


def frames() -> dict[int, FrameType]:
    """Return the frame of each thread, by its id. Any thread may call this function.

    Python 3.11 builds this dictionary under a lock that a starting thread takes, too, while it holds the interpreter's
    lock. If a garbage collection began in the middle and ran Python code, the two threads would wait for each other for
    good. So this function holds off garbage collections.
    """
    with _one_at_a_time:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()  # noqa: SLF001 - the documented way
        finally:
            if collects:
                gc.enable()
