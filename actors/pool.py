"""Pools of threads for what blocks. Nothing on a dispatcher may."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")


class PoolClosed(RuntimeError):  # noqa: N818 - named for what it says
    """The pool was closed before the work was begun."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the {name} is closed")


class PoolFull(RuntimeError):  # noqa: N818 - named for what it says
    """Every thread of the pool works, and as much as may wait waits; or no thread can be started."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the {name} has too much to do")


class Job:
    """A piece of work that was submitted."""

    __slots__ = ("_pool", "done", "work")

    def __init__(self, pool: Pool, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._pool = pool
        self.work = work
        self.done = done

    def withdraw(self) -> bool:
        """Have it never begun, nor `done` called; False where it was begun or refused already. From any thread."""
        return self._pool._withdraw(self)  # noqa: SLF001 - one module, two classes


class Pool:
    """A few daemon threads, started when they are needed. All methods may be called from any thread.

    Not a ThreadPoolExecutor: the interpreter waits for the threads of one at exit, so work that hangs would hold up
    the end of the process; and its queue has no bound. What hangs here holds its thread, as nothing can end it.
    """

    def __init__(self, name: str, threads: int, *, most_waiting: int | None = None) -> None:
        self.name = name
        self._max_threads = threads
        self._most_unfinished = None if most_waiting is None else threads + most_waiting
        self._threads: list[threading.Thread] = []
        self._waiting: deque[Job] = deque()
        self._unfinished = 0
        """Those that wait and those that are worked on."""
        self._changed = threading.Condition()
        self._is_closed = False

    def submit(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> Job:
        """Do `work` on a thread of the pool, and give `done` what it returned or raised, on that thread.

        `done` is called exactly once, also after `close`, unless the job is withdrawn. Work that is not begun ends
        in `PoolFull` at once, on the caller's thread, or in `PoolClosed`, on that of `close` or `submit`. Who asked
        may be gone meanwhile: what `work` opened is then for `done` to close.
        """
        job = Job(self, work, done)
        with self._changed:
            refusal = self._refusal()
            if refusal is None:
                self._unfinished += 1
                self._waiting.append(job)
                self._changed.notify()
        if refusal is not None:
            _tell(job, refusal)
        return job

    def close(self, timeout_s: float = 0.0) -> None:
        """Begin no more work, and let the threads end; waits at most `timeout_s` for those that still work.

        The work itself may call it: nobody waits for that.
        """
        with self._changed:
            self._is_closed = True
            not_begun, self._waiting = self._waiting, deque()
            self._changed.notify_all()
        for job in not_begun:
            _tell(job, PoolClosed(self.name))
        deadline_s = time.monotonic() + timeout_s
        for thread in {*self._threads} - {threading.current_thread()}:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _refusal(self) -> RuntimeError | None:
        if self._is_closed:
            return PoolClosed(self.name)
        if self._most_unfinished is not None and self._unfinished >= self._most_unfinished:
            return PoolFull(self.name)
        return None if self._has_thread_for_one_more() else PoolFull(self.name)

    def _has_thread_for_one_more(self) -> bool:
        """Start one where that is needed; whether there is any."""
        if len(self._threads) >= min(self._unfinished + 1, self._max_threads):
            return True
        thread = threading.Thread(target=self._run, name=f"{self.name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process, or the machine, has as many as it may have
            logger.error("%s: no thread can be started: %s", self.name, error)  # noqa: TRY400 - no bug
            return bool(self._threads)
        self._threads.append(thread)
        return True

    def _withdraw(self, job: Job) -> bool:
        with self._changed:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
            self._unfinished -= 1
            return True

    def _run(self) -> None:
        while self._do_next():
            pass  # an idle thread holds on to nothing of what it did

    def _do_next(self) -> bool:
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            if not self._waiting:
                return False
            job = self._waiting.popleft()
        self._do(job)
        with self._changed:
            self._unfinished -= 1
        return True

    def _do(self, job: Job) -> None:
        result: Any
        try:
            result = job.work()
        except BaseException as error:  # noqa: BLE001 - told to who asked
            result = error
        self._done(result)
        _tell(job, result)

    def _done(self, result: Any) -> None:
        """Take notice of a result, before who asked is told. On the thread that did the work."""


def _tell(job: Job, result: Any) -> None:
    try:
        job.done(result)
    except Exception:
        logger.exception("failure in %r", job.done)
