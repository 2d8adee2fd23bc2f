"""gunicorn's worker and its logger, as we need them: nobody holds a thread for nothing, and the end is in time.

Written against gunicorn 27: the worker overrides methods that gunicorn does not document.
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

# The process is gone within `drain_s` and 5 s of SIGTERM, whatever the other deadlines say: sessions are drained, then
# HTTP requests may end, then threads; where that is not enough the arbiter kills.
CLOSE_S: Final = 3.0
"""For the router to close, once its sessions' time is up."""
HTTP_GRACE_S: Final = 2
THREADS_GRACE_S: Final = 0.5
ARBITER_GRACE_S: Final = 6.0
"""For a worker to end, once its sessions' time is up: a little more than it needs."""

RECEIVE_S: Final = 10
"""The longest silence inside a request. gunicorn knows none: its thread would wait for ever."""

CONNECTIONS: Final = 4096
"""Of HTTP alone: a WebSocket leaves gunicorn's books when it is handed over."""

ACCEPT_PAUSE_S: Final = 0.5

LEAVE_S: Final = 0.005
"""For another worker to take a connection that is left to it. All of them are woken by each."""

MORE_THAN_OTHERS: Final = 1
"""So much more may a worker have to do than the one with the least."""

# gunicorn ships no types, so its classes are Any to mypy.


def ignore_signals(_arbiter: Any = None) -> None:
    """Take no signal any more: while the interpreter winds up, one (a second Ctrl-C) would kill the process."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which drains the router when it is told to end.

    It goes on serving meanwhile: who asks is told that this server is going away. Where others take its place, it
    accepts nobody any more, and whoever comes is theirs.
    """

    alive: bool
    pid: int
    nr_conns: int
    slot: int | None = None
    """On the board."""
    is_retired = False
    """The arbiter's note: it was told to end."""
    _drains: list[threading.Thread]
    _drain_until_s = math.inf
    _is_replaced = False
    _has_left_one = False
    _pause_until_s = 0.0

    def run(self) -> None:
        """Serve until told to end and drained; then see that this process ends in time."""
        self._drains = []
        # This is the worker's own copy: the arbiter's is 0, so that it waits for no old worker at a reload.
        self.cfg.set("graceful_timeout", HTTP_GRACE_S)
        try:
            super().run()
        finally:
            if not self._drains:
                logger.warning("the parent process is gone: this worker drains its calls and ends")
                self._begin_drain(self.app.drain_s)
            for thread in self._drains:
                thread.join(max(0.0, self._drain_until_s - time.monotonic()))
            ignore_signals()
            for conn in self.pending_conns:  # which said nothing to the end
                conn.close()
            self._end_in_time()

    def init_signals(self) -> None:
        """Leave SIGINT to the arbiter: a terminal sends it to every process, and once is enough."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def notify(self) -> None:
        """Tell the arbiter that we live, and the others how we are. gunicorn's loop does so every second."""
        super().notify()
        self._tell_others()
        if not self.app.router.is_alive and not self._drains:
            logger.critical("this worker is not well any more and leaves: the arbiter starts another")
            self._begin_drain(self.app.drain_s)
        if time.monotonic() > self._drain_until_s:
            self.cfg.set("graceful_timeout", 0)
            self.alive = False

    def _tell_others(self) -> None:
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
        """Sessions, and connections that may become one; those that are only kept for another request do not count."""
        return int(self.app.router.session_count + self.nr_conns - len(self.keepalived_conns))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait as gunicorn does, but no longer than until something is due here."""
        now_s = time.monotonic()
        ahead_s = [due_s - now_s for due_s in (self._pause_until_s, self._drain_until_s) if due_s > now_s]
        super().wait_for_and_dispatch_events(min(timeout, *ahead_s) if ahead_s else timeout)

    @property
    def worker_connections(self) -> int:
        """How many connections gunicorn may hold; none for a moment after one could not be accepted."""
        return 0 if self._is_replaced or time.monotonic() < self._pause_until_s else CONNECTIONS

    @worker_connections.setter
    def worker_connections(self, _configured: int) -> None:
        """Take what gunicorn's own constructor sets."""

    def accept(self, listener: Any) -> None:
        """Accept a connection, unless another worker has less to do: it is left to that one for a moment, and once.

        Where files have run out gunicorn would end, and every session with it.
        """
        if not self._has_left_one and self._is_another_less_loaded():
            self._has_left_one = True
            self._pause_until_s = time.monotonic() + LEAVE_S
            return
        self._has_left_one = False
        try:
            super().accept(listener)
            self._tell_others()
        except OSError as error:
            logger.error("cannot accept a connection: %s", error)  # noqa: TRY400 - a full house is no bug
            self._pause_until_s = time.monotonic() + ACCEPT_PAUSE_S

    def _is_another_less_loaded(self) -> bool:
        least = self.app.scoreboard.least_load(time.monotonic(), but_for=self.pid)
        return least is not None and self._load() > least + MORE_THAN_OTHERS

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection a thread once it says something; a browser's spare one would hold it for seconds."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", RECEIVE_S, 0))
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        on_readable = functools.partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, on_readable)

    def handle_exit(self, _sig: int, _frame: Any) -> None:
        """SIGTERM: end when what is under way is over."""
        self.method_queue.defer(self._begin_drain, self.app.drain_s)

    def handle_quit(self, _sig: int, _frame: Any) -> None:
        """SIGQUIT: end now, also where SIGTERM came before. gunicorn would leave without a word to the clients."""
        self.method_queue.defer(self._begin_drain, 0.0)

    def handle_usr1(self, _sig: int, _frame: Any) -> None:
        """SIGUSR1: log what every thread is doing. Not from here: what was interrupted may hold the log's lock."""
        self.method_queue.defer(_log_stacks)

    def _begin_drain(self, drain_s: float) -> None:
        # In a thread, as HTTP is served meanwhile: /readyz says that we drain.
        until_s = time.monotonic() + drain_s + CLOSE_S
        if until_s > self._drain_until_s - CLOSE_S / 2:
            return  # the arbiter says it again and again
        self._drain_until_s = until_s
        self._is_replaced = not self.app.scoreboard.is_ending
        self.max_keepalived = 0
        self._cap_keepalive(time.monotonic() + HTTP_GRACE_S)
        thread = threading.Thread(target=self._drain, args=(drain_s,), name="drain", daemon=True)
        self._drains.append(thread)
        thread.start()
        self._tell_others()

    def _drain(self, drain_s: float) -> None:
        self.app.close_router(drain_s)
        self.method_queue.defer(self._leave)

    def _leave(self) -> None:
        self.alive = False

    def _end_in_time(self) -> None:
        # The interpreter would wait for a thread that still reads from a slow client.
        deadline_s = time.monotonic() + THREADS_GRACE_S
        others = [it for it in threading.enumerate() if not it.daemon and it is not threading.current_thread()]
        for thread in others:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        late = [thread.name for thread in (*others, *self._drains) if thread.is_alive()]
        if late:
            logger.warning("leaving without waiting for %s", ", ".join(late))
            logging.shutdown()
            os._exit(0)


class GunicornLogger(Logger):  # type: ignore[misc]
    """gunicorn's log lines, through our pipeline; what it says of its own life is of interest to debuggers."""

    def setup(self, cfg: Any) -> None:
        """Leave handlers and levels to `router.logs`."""
        self.cfg = cfg
        self.error_log.propagate = True
        self._access_log_enabled = False

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log at debug: workers booting, signals handled."""
        self.error_log.debug(msg, *args, **kwargs)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log, but for the 120 lines of gunicorn's own configuration."""
        if not msg.startswith("Current configuration"):
            self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log with its traceback, unless it is only a client that fell silent (`RECEIVE_S`)."""
        if isinstance(sys.exc_info()[1], BlockingIOError):
            self.error_log.debug("a client did not finish its request")
        else:
            self.error_log.exception(msg, *args, **kwargs)


def _log_stacks() -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in frames().items():
        stack = "".join(traceback.format_stack(frame)).rstrip()
        logger.warning("worker %d, thread %s is here:\n%s", os.getpid(), names.get(ident, ident), stack)
