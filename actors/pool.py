"""Pools of threads for work that blocks, because nothing on a dispatcher may block.

A pool knows nothing of actors or sessions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")

IDLE_S: Final = 5.0
"""The seconds after which a thread without work ends, unless it is the last one. A thread takes 40 kB."""


class PoolClosed(RuntimeError):  # noqa: N818 - named for what it says
    """The pool was closed before the work was begun."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the {name} is closed")


class PoolFull(RuntimeError):  # noqa: N818 - named for what it says
    """Every thread of the pool works and its queue is full, or no thread can be started."""

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
        """Remove the job from the queue, so that neither `work` nor `done` is called.

        Any thread may call this. Return False if the job was begun or refused already.
        """
        return self._pool._withdraw(self)  # noqa: SLF001 - one module, two classes


class Pool:
    """A few daemon threads, started when they are needed. All methods may be called from any thread.

    Threads that a burst of work has started end after `IDLE_S` seconds without work, except for one thread.

    The class is not a ThreadPoolExecutor: the interpreter waits for an executor's threads at exit, so work that hangs
    would keep the process from ending. An executor's queue has no bound either. Work that hangs in a `Pool` keeps its
    thread, because no code can end a thread.
    """

    def __init__(self, name: str, threads: int, *, max_waiting: int | None = None, idle_s: float = IDLE_S) -> None:
        self.name = name
        self._idle_s = idle_s
        self._max_threads = threads
        self.max_unfinished = None if max_waiting is None else threads + max_waiting
        """The most jobs that may wait or run; None for no bound."""
        self._threads: list[threading.Thread] = []
        self._waiting: deque[Job] = deque()
        self._unfinished = 0
        """The number of jobs that wait or run."""
        self._changed = threading.Condition()
        self._is_closed = False

    @property
    def unfinished(self) -> int:
        """The number of jobs that wait or run."""
        return self._unfinished

    def submit(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> Job:
        """Run `work` on a thread of the pool, and call `done` there with its result, or with the exception it raised.

        `done` is called exactly once, also after `close`, unless the job is withdrawn. If the pool is full, `done` gets
        `PoolFull` at once, on the calling thread. If the pool is closed before the work is begun, `done` gets
        `PoolClosed` on the thread of `close` or `submit`. The object that submitted the work may be gone by then:
        `done` has to close any resource that `work` opened.
        """
        job = Job(self, work, done)
        with self._changed:
            refusal = self._refusal()
            if refusal is None:
                self._unfinished += 1
                self._waiting.append(job)
                self._changed.notify()
        if refusal is not None:  # outside of the lock: `done` may submit again
            _finish(job, refusal)
        return job

    def close(self, timeout_s: float = 0.0) -> None:
        """Refuse further work, end the threads, and wait at most `timeout_s` for those that still work.

        Work of the pool may call `close`, which does not wait for the calling thread.
        """
        with self._changed:
            self._is_closed = True
            not_begun, self._waiting = self._waiting, deque()
            self._changed.notify_all()
        for job in not_begun:
            _finish(job, PoolClosed(self.name))
        deadline_s = time.monotonic() + timeout_s
        for thread in {*self._threads} - {threading.current_thread()}:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _refusal(self) -> RuntimeError | None:
        if self._is_closed:
            return PoolClosed(self.name)
        if self.max_unfinished is not None and self._unfinished >= self.max_unfinished:
            return PoolFull(self.name)
        return None if self._ensure_thread() else PoolFull(self.name)

    def _ensure_thread(self) -> bool:
        """Start a thread if the jobs need one more. Return False if the pool has no thread, and none can be started."""
        if len(self._threads) >= min(self._unfinished + 1, self._max_threads):
            return True
        thread = threading.Thread(target=self._run, name=f"{self.name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process, or the machine, has reached its limit of threads
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
        # The loop has no local variables: an idle thread would keep the objects of its last job alive.
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for a job and run it. Return False when the thread has to end."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                # A wait may end in time and be notified at once, so only the queue decides.
                if not self._changed.wait(self._idle_s) and not self._waiting and len(self._threads) > 1:
                    self._threads.remove(threading.current_thread())
                    return False
            if not self._waiting:
                return False
            job = self._waiting.popleft()
        self._run_job(job)
        with self._changed:
            self._unfinished -= 1
        return True

    def _run_job(self, job: Job) -> None:
        result: Any
        try:
            result = job.work()
        except BaseException as error:  # noqa: BLE001 - the result of the job
            result = error
        self._on_result(result)
        _finish(job, result)
        # The error's traceback holds this frame, and so the job's objects: this cycle would await the garbage
        # collector.
        result = None

    def _on_result(self, result: Any) -> None:
        """Note a result before `done` is called with it.

        Subclasses override this method, which runs on the thread that did the work.
        """


def _finish(job: Job, result: Any) -> None:
    try:
        job.done(result)
    except Exception:  # the thread has to live on for the next job
        logger.exception("failure in %r", job.done)
