"""A log handler that never blocks its caller, because a separate thread writes the lines.

Dispatchers log, too. If they wrote the lines themselves, a log that stalls (a full pipe, a slow disk) would stall every
session.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from router.logs.limits import ByteBudget
from router.logs.repeats import Repeats

if TYPE_CHECKING:
    from typing import TextIO

MAX_LINES: Final = 10_000
"""The most lines that wait for the thread. Further lines are dropped, and one line reports their number."""

FLUSH_S: Final = 1.0
"""At its end the process waits at most this many seconds for a stalled stream."""


class BackgroundHandler(logging.Handler):
    """A handler that formats lines on the caller's thread, and writes them in order on a separate thread."""

    _lines: queue.Queue[str | None]
    _writer: threading.Thread | None
    _repeats: Repeats

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = _with_a_buffer_of_its_own(stream)
        self._dropped = 0
        self._beyond_budget = 0
        self._budget = ByteBudget(time.monotonic())
        self._begin()
        _handlers.add(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line. Drop it if `MAX_LINES` lines wait, if it repeats others, or if the process logs too many bytes.

        `logging` holds this handler's lock during the call.
        """
        try:
            taken = self._repeats.take(record)
            if taken is None:
                return
            line = self.format(taken)
        except Exception:  # noqa: BLE001 - as every handler of `logging` does
            self.handleError(record)
            return
        if sys.is_finalizing():  # at this time, as for a late ResourceWarning, no thread can be started
            self._write_line(line)
            return
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, args=(self._lines,), name="log-writer", daemon=True)
            self._writer.start()
        if self._dropped and self._put(self.format(_record_of(_SLOW, self._dropped))):
            self._dropped = 0
        # An operator who chose a level below info is looking for something, so lines below info have no limit.
        if record.levelno >= logging.INFO and not self._budget.take(len(line), time.monotonic()):
            self._beyond_budget += 1
            return
        if self._beyond_budget and self._put(self.format(_record_of(_BEYOND, self._beyond_budget))):
            self._beyond_budget = 0
        if not self._put(line):
            self._dropped += 1

    def flush(self) -> None:
        """Wait until every queued line is written, but at most `FLUSH_S` seconds."""
        lines = self._lines
        if self._writer is not None:
            with lines.all_tasks_done:
                lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, FLUSH_S)

    def close(self) -> None:
        """Write the queued lines, and end the thread."""
        self._repeats.flush()
        self.flush()
        if self._writer is not None and self._put(None):
            self._writer.join(FLUSH_S)
        self._begin()
        super().close()

    def _begin(self) -> None:
        # This is also called in the child of a fork, which has copies of the queue's locks in their state at the fork,
        # and no thread.
        self._lines = queue.Queue(MAX_LINES)
        self._writer = None
        self._repeats = Repeats(self.handle)

    def _put(self, line: str | None) -> bool:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            return False
        return True

    def _write(self, lines: queue.Queue[str | None]) -> None:
        while (line := lines.get()) is not None:
            self._write_line(line)
            lines.task_done()

    def _write_line(self, line: str) -> None:
        try:
            self.stream.write(line + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # the reader of the pipe is gone, or the stream is closed
            self._dropped += 1


_SLOW: Final = "%d log lines were dropped: the reader of the log is too slow"
_BEYOND: Final = "%d log lines were dropped: clients cause more of them than the log may take"


def _record_of(line: str, dropped: int) -> logging.LogRecord:
    about = {"msg": line, "args": (dropped,), "levelno": logging.WARNING, "levelname": "WARNING"}
    return logging.makeLogRecord({"name": __name__, **about})


_handlers: weakref.WeakSet[BackgroundHandler] = weakref.WeakSet()


def _with_a_buffer_of_its_own(stream: TextIO) -> TextIO:
    # At a fork, a thread of the parent may hold the lock of the stream's buffer. No thread would release the child's
    # copy.
    try:
        return open(stream.fileno(), "w", encoding=stream.encoding, errors=stream.errors, closefd=False)
    except (AttributeError, OSError, ValueError):  # no file, or closed
        return stream


def _begin_in_child() -> None:
    for handler in _handlers:
        handler.stream = _with_a_buffer_of_its_own(handler.stream)
        handler._begin()  # noqa: SLF001 - one module


os.register_at_fork(after_in_child=_begin_in_child)
