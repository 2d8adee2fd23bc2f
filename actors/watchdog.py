"""The watchdog: detects dispatchers that died or stalled.

A stalled dispatcher cannot report itself, and every session on it would wait without end. The watchdog knows nothing of
sessions: it aborts the objects that are registered with the dispatcher. See
docs/decisions/0012-stalled-dispatchers.md.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from actors.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""The interval between two looks at every dispatcher."""

STALLED_LOOKS: Final = 5
"""A dispatcher that is in the same turn for this many looks in a row has stalled.

Looks are counted and not seconds: when the machine was suspended, the watchdog was, too.
"""


class Watchdog:
    """A thread that watches dispatchers, and wakes none of them.

    It abandons a dispatcher that died, or that stayed in the same turn for five looks. To abandon it is to log the
    stack of its thread, and to abort every connection on it (`Dispatcher.abort_from_outside`). When an abandoned
    dispatcher runs again, it is healthy, but its sessions are over.
    """

    def __init__(self, dispatchers: Sequence[Dispatcher], *, look_s: float = LOOK_S) -> None:
        self._watched = [_Watched(dispatcher) for dispatcher in dispatchers]
        self._look_s = look_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> Watchdog:
        """Start the thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread, and wait for it. Before the dispatchers are stopped: each would look dead."""
        self._stopped.set()
        self._thread.join()

    def problems(self) -> list[str]:
        """Return a few words for each dispatcher that does not run; nothing where all do. From any thread."""
        return [f"{it.dispatcher.name} {it.problem}" for it in self._watched if it.problem]

    def _run(self) -> None:
        while not self._stopped.wait(self._look_s):
            for watched in self._watched:
                try:
                    watched.look()
                except Exception:
                    logger.exception("the watchdog failed at %s", watched.dispatcher.name)


class _Watched:
    """One dispatcher, and what the watchdog knows of it."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.problem = ""
        self._pulse: int | None = None
        self._looks = 0
        """The number of looks in a row that found the same turn."""

    def look(self) -> None:
        """Judge the dispatcher by its turns since the last look."""
        if not self.dispatcher.is_alive:
            self._abandon("is dead")
            return
        # No pulse: the dispatcher waits and has nothing to do.
        pulse = self.dispatcher.pulse()
        self._looks = self._looks + 1 if pulse is not None and pulse == self._pulse else 0
        self._pulse = pulse
        if self._looks >= STALLED_LOOKS:
            self._abandon("is stalled")
        elif not self._looks and self.problem:
            logger.warning("%s runs again", self.dispatcher.name)
            self.problem = ""

    def _abandon(self, problem: str) -> None:
        if self.problem:  # abandoned already: its sessions are over
            return
        self.problem = problem
        where = _stack_of(self.dispatcher.thread_id)
        logger.critical("%s %s: its sessions are ended%s", self.dispatcher.name, problem, where)
        self.dispatcher.abort_from_outside()


def _stack_of(thread_id: int | None) -> str:
    frame = frames().get(thread_id or 0)
    return "" if frame is None else "; it is here:\n" + "".join(traceback.format_stack(frame)).rstrip()


_one_at_a_time = threading.Lock()


def frames() -> dict[int, FrameType]:
    """Return the frame of each thread, by its id. From any thread.

    Python 3.11 builds that dictionary under a lock which the start of a thread takes, too, while it holds the
    interpreter's lock. If a garbage collection begins in the middle and runs Python code, both wait for each other for
    good: hence no collection here.
    """
    with _one_at_a_time:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()  # noqa: SLF001 - the documented way
        finally:
            if collects:
                gc.enable()
