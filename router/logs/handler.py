"""A log handler that never blocks its caller: a thread of its own writes the lines.

Dispatchers log, too, and a log may stall (a full pipe, a slow disk): every session would stall with it.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

MAX_LINES: Final = 10_000
"""Lines that may wait for the thread; further ones are dropped, and counted in a line of their own."""

FLUSH_S: Final = 1.0
"""The longest that the end of the process waits for a stalled stream."""


class BackgroundHandler(logging.Handler):
    """A handler that formats lines on the caller's thread, in order, and writes them on a thread of its own."""

    _lines: queue.Queue[str | None]
    _writer: threading.Thread | None

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._dropped = 0
        self._begin()
        _handlers.add(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line. `logging` holds this handler's lock meanwhile."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler of `logging` does
            self.handleError(record)
            return
        if sys.is_finalizing():  # a late warning, such as a ResourceWarning: no thread can be started any more
            self._write_line(line)
            return
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, args=(self._lines,), name="log-writer", daemon=True)
            self._writer.start()
        if self._dropped and self._put(self.format(_record_of(self._dropped))):
            self._dropped = 0
        if not self._put(line):
            self._dropped += 1

    def flush(self) -> None:
        """Wait until every line is written, at most `FLUSH_S`."""
        lines = self._lines
        if self._writer is not None:
            with lines.all_tasks_done:
                lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, FLUSH_S)

    def close(self) -> None:
        """Write the queued lines, and end the thread."""
        self.flush()
        if self._writer is not None and self._put(None):
            self._writer.join(FLUSH_S)
        self._begin()
        super().close()

    def _begin(self) -> None:
        # Called in the child of a fork, too: it has the queue's locks as they were at the fork, and no thread.
        self._lines = queue.Queue(MAX_LINES)
        self._writer = None

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


def _record_of(dropped: int) -> logging.LogRecord:
    line = {"msg": "%d log lines were dropped: the reader of the log is too slow", "args": (dropped,)}
    return logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", **line})


_handlers: weakref.WeakSet[BackgroundHandler] = weakref.WeakSet()


def _begin_in_child() -> None:
    for handler in _handlers:
        handler._begin()  # noqa: SLF001 - one module


os.register_at_fork(after_in_child=_begin_in_child)
