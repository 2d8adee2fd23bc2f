"""gunicorn's worker and its logger, changed: a silent connection holds no thread, and a worker ends in time.

The worker overrides methods that gunicorn does not document; `router.web.internals` lists them.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from typing import Any, Final

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from actors.watchdog import frames
from router.web.scoreboard import Row, Stage

logger = logging.getLogger(__name__)

# A worker ends within `drain_s` and 5 s of SIGTERM, whatever the other deadlines are. Its sessions are drained first,
# then HTTP requests may end, then threads. The arbiter kills a worker that takes longer.
CLOSE_S: Final = 3.0
"""The time of the router to close, after the drain."""
HTTP_GRACE_S: Final = 2
THREADS_GRACE_S: Final = 0.5
ARBITER_GRACE_S: Final = 6.0
"""The time of a worker to end, after the drain: a little more than the steps above take."""

RECEIVE_S: Final = 10
"""The longest silence inside a request. gunicorn has no such limit: its thread would wait without end."""

CONNECTIONS: Final = 4096
"""HTTP connections alone: gunicorn does not count a WebSocket after its hand-over."""

ACCEPT_PAUSE_S: Final = 0.5
"""The pause after a failed `accept`: at once it would fail again, as files are still missing."""

LEAVE_S: Final = 0.005
"""The time for another worker to take a connection. The kernel wakes all workers for each connection."""

LOAD_MARGIN: Final = 1
"""The load beyond that of the least loaded worker at which a connection is left to the others."""

# gunicorn ships no types, so its classes are Any to mypy.


def ignore_signals(_arbiter: Any = None) -> None:
    """Ignore all signals from now on: a second Ctrl-C would kill the interpreter while it finishes."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which drains the router when it ends.

    It serves HTTP during the drain, so that probes and callers get 503. A worker that is replaced accepts no more
    connections: its successor does.
    """

    alive: bool
    pid: int
    nr_conns: int
    slot: int | None = None
    """The slot of this worker on the scoreboard."""
    is_retired = False
    """Set by the arbiter when it ends this worker."""
    _drains: list[threading.Thread]
    _drain_until_s = math.inf
    _is_replaced = False
    _has_left_one = False
    _pause_until_s = 0.0

    def run(self) -> None:
        """Serve until a signal has ended the drain; then end this process in time."""
        self._drains = []
        # This is the worker's own copy: the arbiter's is 0, so that a reload does not wait for old workers.
        self.cfg.set("graceful_timeout", HTTP_GRACE_S)
        try:
            super().run()
        finally:
            if not self._drains:
                logger.warning("the parent process is gone: draining the calls of this worker, then ending")
                self._begin_drain(self.app.drain_s)
            for thread in self._drains:
                thread.join(max(0.0, self._drain_until_s - time.monotonic()))
            ignore_signals()
            for conn in self.pending_conns:  # gunicorn leaves them open
                conn.close()
            self._end_in_time()

    def init_signals(self) -> None:
        """Ignore SIGINT: a terminal sends it to the arbiter, too, which signals its workers."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def notify(self) -> None:
        """Show the arbiter a sign of life, and write our row. gunicorn's loop calls this every second."""
        super().notify()
        self._write_row()
        if not self.app.router.is_alive and not self._drains:
            logger.critical("worker unhealthy, exiting; the arbiter starts a replacement")
            self._begin_drain(self.app.drain_s)
        # The drain's thread may hang: then neither it nor an HTTP request is waited for any longer.
        if time.monotonic() > self._drain_until_s:
            self.cfg.set("graceful_timeout", 0)
            self.alive = False

    def _write_row(self) -> None:
        if self.slot is None:
            return
        router = self.app.router
        stage = Stage.DRAINING if self._drains else Stage.SERVING if router.is_alive else Stage.UNHEALTHY
        is_ready, _ = router.readiness()
        row = Row(
            pid=self.pid,
            stage=stage,
            is_ready=is_ready,
            sessions=router.session_count,
            load=self._load(),
            seen_s=time.monotonic(),
        )
        self.app.scoreboard.write(self.slot, row)

    def _load(self) -> int:
        """Return the number of sessions, and of connections that may become one: not of those kept alive."""
        return int(self.app.router.session_count + self.nr_conns - len(self.keepalived_conns))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait as gunicorn does, but no longer than until the pause in accepting, or the drain, is over."""
        now_s = time.monotonic()
        # gunicorn waits for a second, in which neither a pause of 5 ms nor the end of a drain would be noticed.
        ahead_s = [due_s - now_s for due_s in (self._pause_until_s, self._drain_until_s) if due_s > now_s]
        super().wait_for_and_dispatch_events(min(timeout, *ahead_s) if ahead_s else timeout)

    @property
    def worker_connections(self) -> int:
        """The number of connections that gunicorn may hold; 0 stops it from accepting."""
        return 0 if self._is_replaced or time.monotonic() < self._pause_until_s else CONNECTIONS

    @worker_connections.setter
    def worker_connections(self, _configured: int) -> None:
        """Ignore the value that gunicorn's constructor sets."""

    def accept(self, listener: Any) -> None:
        """Accept a connection, or leave it to a less loaded worker, for a moment and once.

        A worker that hangs costs a new caller that moment alone (docs/decisions/0014).
        """
        if not self._has_left_one and self._is_another_less_loaded():
            self._has_left_one = True
            self._pause_until_s = time.monotonic() + LEAVE_S
            return
        self._has_left_one = False
        try:
            super().accept(listener)
            self._write_row()
        except OSError as error:
            # gunicorn would end the worker, and every session with it.
            logger.error("cannot accept a connection: %s", error)  # noqa: TRY400 - the limit of open files, no bug
            self._pause_until_s = time.monotonic() + ACCEPT_PAUSE_S

    def _is_another_less_loaded(self) -> bool:
        least = self.app.scoreboard.least_load(time.monotonic(), except_pid=self.pid)
        return least is not None and self._load() > least + LOAD_MARGIN

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection a thread with its first byte: browsers open spare ones, which would hold a thread each."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        # The request's thread will read with blocking calls; the kernel ends each after this time.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", RECEIVE_S, 0))
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        on_readable = functools.partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, on_readable)

    def handle_exit(self, _sig: int, _frame: Any) -> None:
        """Drain after SIGTERM, then end."""
        self.method_queue.defer(self._begin_drain, self.app.drain_s)

    def handle_quit(self, _sig: int, _frame: Any) -> None:
        """End at once after SIGQUIT, even during a drain. gunicorn would cut the clients without a close frame."""
        self.method_queue.defer(self._begin_drain, 0.0)

    def handle_usr1(self, _sig: int, _frame: Any) -> None:
        """Log the stack of every thread after SIGUSR1; deferred, as the interrupted code may hold the log's lock."""
        self.method_queue.defer(_log_stacks)

    def _begin_drain(self, drain_s: float) -> None:
        # On a thread of its own: this one serves HTTP during the drain, and /readyz answers 503.
        until_s = time.monotonic() + drain_s + CLOSE_S
        # The arbiter repeats its signal: only a clearly earlier end (SIGQUIT during a drain) begins another.
        if until_s > self._drain_until_s - CLOSE_S / 2:
            return
        self._drain_until_s = until_s
        self._is_replaced = not self.app.scoreboard.is_ending
        # Each response from now on closes its connection.
        self.max_keepalived = 0
        self._cap_keepalive(time.monotonic() + HTTP_GRACE_S)
        thread = threading.Thread(target=self._drain, args=(drain_s,), name="drain", daemon=True)
        self._drains.append(thread)
        thread.start()
        self._write_row()

    def _drain(self, drain_s: float) -> None:
        self.app.close_router(drain_s)
        self.method_queue.defer(self._leave)

    def _leave(self) -> None:
        self.alive = False

    def _end_in_time(self) -> None:
        # The interpreter would wait for a thread that still reads from a slow client, without end.
        deadline_s = time.monotonic() + THREADS_GRACE_S
        others = [it for it in threading.enumerate() if not it.daemon and it is not threading.current_thread()]
        for thread in others:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        late = [thread.name for thread in (*others, *self._drains) if thread.is_alive()]
        if late:
            logger.warning("ending without waiting for threads: %s", ", ".join(late))
            logging.shutdown()
            os._exit(0)


class GunicornLogger(Logger):  # type: ignore[misc]
    """gunicorn's log lines in the router's pipeline. Its lines about workers and signals are at debug."""

    def setup(self, cfg: Any) -> None:
        """Leave handlers and levels to `router.logs.setup`."""
        self.cfg = cfg
        self.error_log.propagate = True
        self._access_log_enabled = False

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log at debug: workers that boot, signals that are handled."""
        self.error_log.debug(msg, *args, **kwargs)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log, except the 120 lines of gunicorn's own configuration."""
        if not msg.startswith("Current configuration"):
            self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log with the traceback, unless the cause is a client that fell silent (`RECEIVE_S`)."""
        if isinstance(sys.exc_info()[1], BlockingIOError):
            self.error_log.debug("a client did not finish its request")
        else:
            self.error_log.exception(msg, *args, **kwargs)


def _log_stacks() -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in frames().items():
        stack = "".join(traceback.format_stack(frame)).rstrip()
        logger.warning("worker %d, stack of thread %s:\n%s", os.getpid(), names.get(ident, ident), stack)
