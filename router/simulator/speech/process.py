"""A speech process and its client. The process starts at the first request, and is restarted after a failure.

Its pipes block, so a thread owns them. A request that takes too long ends the process, because nothing else can
interrupt the library.
"""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from router.simulator.speech import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 16
"""The greatest number of waiting requests. A further request gets None at once."""

_MAX_FAILURES: Final = 3
_REST_S: Final = 60.0
"""The pause (s) before a new process after `_MAX_FAILURES` failures in a row, because each start is costly."""

_ROOT: Final = Path(__file__).resolve().parents[3]
_SECRETS: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD")


class _Job(NamedTuple):
    request: messages.Request | None
    """The request, or None for a job that only starts the process."""
    deliver: Callable[[messages.Result | None], None]
    expires_s: float


class SpeechProcess:
    """One process and its thread. Any thread may call `request`."""

    def __init__(self, kind: str, deadline_s: float, command: Sequence[str] | None = None) -> None:
        self._kind = kind
        self._deadline_s = deadline_s
        self._command = list(command or (sys.executable, "-m", "router.simulator.speech.worker", kind))
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        # Starting a process takes the second lock. A dispatcher takes only the first one, and so never waits for a
        # start.
        self._lock = threading.Lock()
        self._process_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._failures = 0
        self._rests_until_s = 0.0

    @property
    def pid(self) -> int | None:
        """The operating system's id of the running process, or None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def prepare(self) -> None:
        """Start the process, unless it runs or a request is waiting for it."""
        if self.pid is None and self._jobs.empty():
            self.request(None, _ignore)

    def request(self, request: messages.Request | None, deliver: Callable[[messages.Result | None], None]) -> None:
        """Request a result. The thread calls `deliver` with the result, or with None if no result comes in time.

        If too many requests wait, the call itself delivers None. A request of None only starts the process.
        """
        with self._lock:
            is_accepted = not self._is_closed and self._jobs.qsize() < MAX_WAITING
            if is_accepted:
                self._jobs.put(_Job(request, deliver, time.monotonic() + self._deadline_s))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=f"simulator-{self._kind}", daemon=True)
                    self._thread.start()
        if not is_accepted:
            deliver(None)

    def close(self) -> None:
        """End the process and its thread. Requests in the queue are answered with None."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._jobs.put(None)
        with self._process_lock:  # no process can start after it
            self._kill()
        if thread is not None:
            thread.join()

    # On the thread.

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.deliver(self._result(job.request, job.expires_s))
        self._end()

    def _result(self, request: messages.Request | None, expires_s: float) -> messages.Result | None:
        left_s = expires_s - time.monotonic()
        if self._is_closed or left_s <= 0 or time.monotonic() < self._rests_until_s:
            return None
        if request is None:
            self._start()
            return None
        deadline = threading.Timer(left_s, self._kill)
        deadline.start()
        try:
            result = self._exchange(request)
        finally:
            deadline.cancel()
            deadline.join()
        if result is None:
            self._note_failure()
        else:
            self._failures = 0
        if isinstance(result, messages.Failed):
            logger.warning("the %s process could not answer: %s", self._kind, result.cause)
            return None
        return result

    def _start(self) -> None:
        try:
            self._running()
        except OSError as error:
            logger.debug("the %s process: %s", self._kind, error)

    def _exchange(self, request: messages.Request) -> messages.Result | None:
        try:
            process = self._running()
            if process is None or process.stdin is None or process.stdout is None:
                return None
            messages.write(process.stdin, request)
            return messages.read_result(process.stdout)
        except (OSError, ValueError) as error:
            logger.debug("the %s process: %s", self._kind, error)
            return None

    def _running(self) -> subprocess.Popen[bytes] | None:
        with self._process_lock:
            if self._is_closed:
                return None
            if self._process is not None and self._process.poll() is not None:  # the process died between two requests
                self._end()
            if self._process is None:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                    # Ctrl-C in a terminal must reach only the router, which ends the process itself.
                    start_new_session=True,
                )
            return self._process

    def _note_failure(self) -> None:
        self._end()
        if self._is_closed:
            return
        self._failures += 1
        logger.warning("the %s process failed or was too slow; the next request starts it again", self._kind)
        if self._failures >= _MAX_FAILURES:
            self._failures = 0
            self._rests_until_s = time.monotonic() + _REST_S

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            process.kill()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)
        process.wait()


def _ignore(_result: messages.Result | None) -> None:
    """Ignore the result of a job that only starts the process. The result is None."""


def _close(pipe: object) -> None:
    try:
        pipe.close()  # type: ignore[attr-defined]
    except OSError:  # data that was never read by the process cannot be flushed
        logger.debug("a pipe of a process that ended")


def _environment() -> dict[str, str]:
    """Return this process's environment without credentials, and with the folder of `router` in `PYTHONPATH`."""
    kept = {name: value for name, value in os.environ.items() if not any(part in name.upper() for part in _SECRETS)}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH"))))}
