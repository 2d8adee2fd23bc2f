"""Who looks whether the dispatchers run. One that does not cannot say so, and everybody on it would wait for ever."""

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

STALLED_LOOKS: Final = 5
"""So many looks in a row without a sign of life. Looks and not seconds: a machine that slept has slept for us, too."""


class Watchdog:
    """A thread that watches dispatchers and wakes none of them.

    It gives up a dispatcher that died, or that stayed in the same turn for five looks: it logs the stack of its thread
    and aborts every connection and actor on it (`Dispatcher.abort_from_outside`). A given-up dispatcher that runs again
    is healthy, but its sessions are over.
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
        """End it, and wait for that. Before the dispatchers are stopped."""
        self._stopped.set()
        self._thread.join()

    def given_up(self) -> list[str]:
        """What is wrong, a few words for each dispatcher that does not run; empty where all do. From any thread."""
        return [f"{it.dispatcher.name} {it.verdict}" for it in self._watched if it.verdict]

    def _run(self) -> None:
        while not self._stopped.wait(self._look_s):
            for watched in self._watched:
                try:
                    watched.look()
                except Exception:
                    logger.exception("the watchdog failed at %s", watched.dispatcher.name)


class _Watched:
    """What is known of one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.verdict = ""
        self._pulse: int | None = None
        self._looks = 0

    def look(self) -> None:
        """Judge it by what has changed since the last look."""
        if not self.dispatcher.is_alive:
            self._give_up("is dead")
            return
        pulse = self.dispatcher.pulse()
        self._looks = self._looks + 1 if pulse is not None and pulse == self._pulse else 0
        self._pulse = pulse
        if self._looks >= STALLED_LOOKS:
            self._give_up("is stalled")
        elif not self._looks and self.verdict:
            logger.warning("%s runs again", self.dispatcher.name)
            self.verdict = ""

    def _give_up(self, verdict: str) -> None:
        if self.verdict:
            return
        self.verdict = verdict
        where = _stack_of(self.dispatcher.thread_id)
        logger.critical("%s %s: its sessions are ended%s", self.dispatcher.name, verdict, where)
        self.dispatcher.abort_from_outside()


def _stack_of(thread_id: int | None) -> str:
    frame = frames().get(thread_id or 0)
    return "" if frame is None else "; it is here:\n" + "".join(traceback.format_stack(frame)).rstrip()


_one_at_a_time = threading.Lock()


def frames() -> dict[int, FrameType]:
    """Return the frame of each thread, by its id. From any thread.

    Python 3.11 makes that list under a lock that every start of a thread takes, too, while it has the interpreter's: if
    a collection of garbage begins in the middle, and Python code runs in it, both wait for each other for good.
    """
    with _one_at_a_time:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()  # noqa: SLF001 - the documented way
        finally:
            if collects:
                gc.enable()
