"""The usage log: a line of JSON for each session that ended, in a file that the operator rotates.

The file is opened again for each line, so after a rename the next line makes a new file. One system call writes the
line. A lock on the file separates the lines of several workers. If an earlier process left an unfinished line, a line
break is written first.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import queue
import threading
import time
from typing import Final

logger = logging.getLogger(__name__)

MAX_LINES: Final = 10_000
"""The most lines that wait for a disk that stalls. Further lines go to the log instead of the file."""

CLOSE_S: Final = 2.0
"""At its end the process waits at most this many seconds for the remaining lines."""

LOCK_S: Final = 5.0
"""The longest wait in seconds for the file's lock, which another worker holds during one write."""
LOCK_POLL_S: Final = 0.01

MODE: Final = 0o640
"""The permissions of a new file. Its lines name principals, so only its owner and group may read it."""


class UsageLog:
    """The file of one usage log. `write` returns at once, because a separate thread writes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lines: queue.Queue[bytes | None] = queue.Queue(MAX_LINES)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Open the file, so that a path that cannot be written causes an error at the start.

        Raises:
            OSError: the file cannot be written.
        """
        os.close(_open(self.path))

    def write(self, line: bytes) -> None:
        """Queue a line without a line break, for the thread that writes. Any thread may call this."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="usage-log", daemon=True)
                self._thread.start()
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._report(line, "it is too slow")

    def close(self) -> None:
        """Write the lines that wait, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            # If the queue is full, the disk stalls. The thread is a daemon, and ends with the process.
            with contextlib.suppress(queue.Full):
                self._lines.put(None, timeout=CLOSE_S)
            thread.join(CLOSE_S)
            while not self._lines.empty():
                if (line := self._lines.get_nowait()) is not None:
                    self._report(line, "it is too slow")
            if thread.is_alive():
                self._lines.put(None)  # the thread ends with this if the disk works again

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                append(self.path, line)
            except OSError as error:
                self._report(line, error.strerror)

    def _report(self, line: bytes, problem: str | None) -> None:
        # Bills depend on these lines, so a lost line goes to the log instead.
        logger.error("the usage log %s cannot be written (%s): %s", self.path, problem, line.decode())


def append(path: str, line: bytes) -> None:
    """Append a whole line to a file.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = _open(path)
    try:
        _lock(descriptor)  # closing the descriptor releases the lock
        size = os.fstat(descriptor).st_size
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        text = (b"\n" if is_torn else b"") + line + b"\n"
        written = os.write(descriptor, text)
        if written < len(text):  # the disk is full, and no part of a line must stay
            os.ftruncate(descriptor, size)
            raise OSError(28, "No space left on device")
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    until_s = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until_s:
                raise OSError(error.errno, "another process holds its lock") from None
            time.sleep(LOCK_POLL_S)  # poll, because a lock on a file has no time-out
        else:
            return


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
