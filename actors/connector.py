"""The pool of threads for what blocks: dialling upstreams. Nothing on a dispatcher may."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")

RECENT_OUTCOMES: Final = 64


class Outcome(msgspec.Struct, frozen=True):
    """How one piece of work ended."""

    at_s: float
    """On the monotonic clock."""
    is_ok: bool


class ConnectorClosed(RuntimeError):  # noqa: N818 - named for what it says
    """The pool was closed before the work was begun."""

    def __str__(self) -> str:
        return "the connector is closed"


class _Job(msgspec.Struct, frozen=True):
    work: Callable[[], Any]
    done: Callable[[Any], None]


class Connector:
    """A few daemon threads, started when they are needed. All methods may be called from any thread.

    Not a ThreadPoolExecutor: the interpreter waits for the threads of one at exit, so a dial that hangs would
    hold up the end of the process.
    """

    def __init__(self, threads: int = 8) -> None:
        self._max_threads = threads
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self.recent: deque[Outcome] = deque(maxlen=RECENT_OUTCOMES)

    def submit(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Do `work` on a thread of the pool, and give `done` what it returned or raised, on that thread.

        `done` is called exactly once, also after `close`; work that was not begun by then ends in
        `ConnectorClosed`, on the thread of `close` or `submit`. Who asked may be gone meanwhile: what `work`
        opened is then for `done` to close.
        """
        job = _Job(work, done)
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                self._unfinished += 1
                self._jobs.put(job)
                self._provide_thread()
        if is_closed:
            _tell(job, ConnectorClosed())

    def close(self, timeout_s: float = 0.0) -> None:
        """Begin no more work, and let the threads end; waits at most `timeout_s` for those that still work."""
        with self._lock:
            self._is_closed = True
            not_begun = self._take_all()
            for _ in self._threads:
                self._jobs.put(None)
        for job in not_begun:
            _tell(job, ConnectorClosed())
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def outcomes(self) -> list[Outcome]:
        """The latest outcomes, oldest first: what readiness is judged by."""
        return list(self.recent)

    def _provide_thread(self) -> None:
        if len(self._threads) >= min(self._unfinished, self._max_threads):
            return
        thread = threading.Thread(target=self._run, name=f"connector-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _take_all(self) -> list[_Job]:
        jobs = []
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    jobs.append(job)
        return jobs

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            with self._lock:
                self._unfinished -= 1

    def _do(self, job: _Job) -> None:
        result: Any
        try:
            result = job.work()
        except BaseException as error:  # noqa: BLE001 - told to who asked
            result = error
        self.recent.append(Outcome(time.monotonic(), not isinstance(result, BaseException)))
        _tell(job, result)


def _tell(job: _Job, result: Any) -> None:
    try:
        job.done(result)
    except Exception:
        logger.exception("failure in %r", job.done)
