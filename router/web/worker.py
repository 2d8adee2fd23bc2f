"""gunicorn's worker and its logger, changed: an unfinished request holds no thread, and a worker ends in time.

The worker overrides methods that gunicorn does not document; `router.web.internals` lists them.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
import traceback
from concurrent import futures
from typing import Any, Final

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from actors.watchdog import frames
from router.web.intake import DRAIN_S, Intake, Kind
from router.web.scoreboard import Row, Stage

logger = logging.getLogger(__name__)

# A worker ends at most `drain_s` and about 6 s after SIGTERM, whatever the other deadlines are. First its sessions
# drain, then HTTP requests may finish, then threads. The arbiter kills a worker that takes longer.
CLOSE_S: Final = 3.0
"""The time in seconds in which the router closes after the drain."""
HTTP_GRACE_S: Final = 2
THREADS_GRACE_S: Final = 0.5
ARBITER_GRACE_S: Final = 6.0
"""The seconds in which a worker has to end after its drain: a little more than the sum of the three times above."""

CONNECTIONS: Final = 4096
"""The most HTTP connections of a worker. gunicorn does not count a WebSocket after its hand-over."""

KEPT_ALIVE: Final = 1024
"""The most HTTP connections that wait for another request.

Beyond it each response closes its connection, so that idle clients cannot hold all of `CONNECTIONS`.
"""

HEALTH_THREADS: Final = 2
OTHER_THREADS: Final = 8
"""The number of threads for pages, and for the routes that give tokens. Requests to these routes have a body."""

LEAVE_ACCEPTED_S: Final = 1.0
"""The longest time in seconds in which a worker that is replaced answers the requests on its connections.

The worker drains only after this time, so that no caller gets 503 from it.
"""

ACCEPT_PAUSE_S: Final = 0.5
"""The pause in seconds after a failed `accept`. An immediate retry would fail again for lack of file descriptors."""

LEAVE_S: Final = 0.005
"""The seconds in which a less loaded worker may take a new connection first. The kernel wakes all workers for it."""

LOAD_MARGIN: Final = 1
"""A worker accepts a connection if its load exceeds that of the least loaded worker by at most this number."""

# gunicorn ships no types, so its classes are Any to mypy.


def ignore_signals(_arbiter: Any = None) -> None:
    """Ignore SIGTERM, SIGINT and SIGQUIT from now on.

    Otherwise a second Ctrl-C would kill the interpreter while it finishes.
    """
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which drains the router when it ends.

    During the drain the worker serves HTTP, so that probes and callers get 503. A worker that is replaced accepts no
    more connections, because its successor does.
    """

    alive: bool
    pid: int
    nr_conns: int
    ppid: int
    sockets: list[Any]
    slot: int | None = None
    """The slot of this worker on the scoreboard."""
    # Of the next three, only the arbiter's copy of this object has the true values.
    is_retired = False
    """Whether the arbiter has sent this worker SIGTERM, so that it drains and ends."""
    is_on_trial = False
    """Whether a reload has started this worker, and the old workers still serve in its place."""
    end_s = math.inf
    """The time at which the arbiter kills this worker, once it is retired."""
    max_keepalived: int
    _accepting: bool
    tpool: futures.ThreadPoolExecutor
    _drains: list[threading.Thread]
    _intake: Intake
    _health_threads: futures.ThreadPoolExecutor
    _other_threads: futures.ThreadPoolExecutor
    _drain_until_s = math.inf
    _is_replaced = False
    _is_orphan = False
    """Whether the main process was killed."""
    _has_left_one = False
    _pause_until_s = 0.0

    def run(self) -> None:
        """Serve until a signal begins a drain, and the drain has ended. Then end this process in time."""
        self._drains = []
        self.max_keepalived = min(self.max_keepalived, KEPT_ALIVE)
        self._intake = Intake(self.poller, self._serve, self._lose)
        # This changes only the worker's copy. The arbiter's value is 0, so that a reload does not wait for old workers.
        self.cfg.set("graceful_timeout", HTTP_GRACE_S)
        try:
            super().run()
        finally:
            if not self._drains:
                self._begin_drain(self.app.drain_s)
            for thread in self._drains:
                thread.join(max(0.0, self._drain_until_s - time.monotonic()))
            ignore_signals()
            self._intake.close()
            for threads in (self._health_threads, self._other_threads):
                threads.shutdown(wait=False)
            if self._is_orphan:
                self.app.tidy()
            self._end_in_time()

    def is_parent_alive(self) -> bool:
        """Whether the loop continues. gunicorn's own method would end all calls when the main process dies."""
        if os.getppid() == self.ppid:
            return True
        if not self._is_orphan:
            self._is_orphan = self._is_replaced = True
            # A service manager starts another main process, which needs the port.
            self.set_accept_enabled(False)
            for listener in self.sockets:
                listener.close()
            self.app.close_listeners()
            count = self.app.router.session_count
            logger.error("worker %d: the main process is gone; %d calls go on, no new ones", self.pid, count)
        return bool(self.app.router.session_count or self._has_requests())

    def init_signals(self) -> None:
        """Ignore SIGINT, because a terminal also sends it to the arbiter, which signals its workers."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def notify(self) -> None:
        """Show the arbiter a sign of life, and write this worker's row. gunicorn's loop calls this every second."""
        super().notify()
        self._write_row()
        self.app.follow_log_level()
        self.app.router.sample_metrics()
        self.app.note_history()
        if self._is_orphan and not self._drains and self.app.find_heir():
            logger.info("worker %d: another main process serves, and the calls move there", self.pid)
            self._begin_drain(self.app.drain_s)
        if not self.app.router.is_alive and not self._drains:
            logger.critical("worker unhealthy, exiting; the arbiter starts a replacement")
            self._begin_drain(self.app.drain_s)
        # If the drain's thread hangs, wait no longer for it or for an HTTP request.
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
            used=router.load(),
            seen_s=time.monotonic(),
        )
        self.app.scoreboard.write(self.slot, row)

    def _load(self) -> int:
        """Return the number of sessions and of connections that may become sessions, added up.

        Idle kept-alive connections do not count.
        """
        return int(self.app.router.session_count + self.nr_conns - len(self.keepalived_conns))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait as gunicorn does, but only until the pause in accepting or the drain is over.

        After a pause, look at once whether the connection still waits. A later one is another connection.
        """
        now_s = time.monotonic()
        if self._has_left_one and self._accepting:
            super().wait_for_and_dispatch_events(0)
            # `accept` may have left the connection of another listener, and so have begun another pause.
            self._has_left_one = self._pause_until_s > now_s
            return
        # gunicorn waits for a second, which is too long for a pause of 5 ms or for the end of a drain.
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
        """Accept a connection. If another worker has less load, wait once for `LEAVE_S`, so that it can accept first.

        So if the less loaded worker hangs, a new caller waits only for `LEAVE_S` (docs/decisions/0014).
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

    def init_process(self) -> None:
        """Make the threads and the intake of this process, then run gunicorn's loop."""
        self._health_threads = futures.ThreadPoolExecutor(HEALTH_THREADS, "health")
        self._other_threads = futures.ThreadPoolExecutor(OTHER_THREADS, "pages")
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        """Let the loop read the next head of a connection. The connection gets a thread when the head is whole."""
        self._intake.add(conn)

    def _serve(self, conn: Any, kind: Kind) -> None:
        served = self._threads_for(kind).submit(self.handle, conn)
        served.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def finish_request(self, conn: Any, served: futures.Future[Any]) -> None:
        """Keep a connection for its next request, or close it. gunicorn's own method would block the loop for 2 s."""
        if served.cancelled() or served.exception() is not None or not served.result():
            self._intake.linger(conn)
        else:
            super().finish_request(conn, served)

    def _threads_for(self, kind: Kind) -> futures.ThreadPoolExecutor:
        return {Kind.HEALTH: self._health_threads, Kind.OTHER: self._other_threads, Kind.UPGRADE: self.tpool}[kind]

    def _lose(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Close connections whose request does not arrive in time. gunicorn's loop calls this every second."""
        self._intake.expire()

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        # gunicorn would wait 5 s for a body that the app refused to read.
        reader = conn.parser.unreader
        reader.until_s = min(reader.until_s, time.monotonic() + DRAIN_S)
        return bool(super()._keepalive_after(conn, keepalive))

    def handle_exit(self, _sig: int, _frame: Any) -> None:
        """Drain after SIGTERM, then end."""
        self.method_queue.defer(self._begin_drain, self.app.drain_s)

    def handle_quit(self, _sig: int, _frame: Any) -> None:
        """End at once after SIGQUIT, even during a drain.

        gunicorn's own method would cut the clients off without a close frame.
        """
        self.method_queue.defer(self._begin_drain, 0.0)

    def handle_usr1(self, _sig: int, _frame: Any) -> None:
        """Log the stack of every thread after SIGUSR1.

        Log it a little later, because the interrupted code may hold the log's lock.
        """
        self.method_queue.defer(_log_stacks)

    def _begin_drain(self, drain_s: float) -> None:
        # The drain has a separate thread, because this one serves HTTP meanwhile: /readyz answers 503.
        is_replaced = not self.app.scoreboard.is_ending
        until_s = time.monotonic() + drain_s + CLOSE_S + (LEAVE_ACCEPTED_S if is_replaced else 0.0)
        # The arbiter repeats its signal, so only a clearly earlier end (SIGQUIT during a drain) begins another drain.
        if until_s > self._drain_until_s - CLOSE_S / 2:
            return
        logger.info("worker %d drains %d sessions for up to %g s", self.pid, self.app.router.session_count, drain_s)
        self._drain_until_s = until_s
        self._is_replaced = is_replaced
        # Each response from now on closes its connection.
        self.max_keepalived = 0
        self._cap_keepalive(time.monotonic() + HTTP_GRACE_S)
        thread = threading.Thread(target=self._drain, args=(drain_s,), name="drain", daemon=True)
        self._drains.append(thread)
        thread.start()
        self._write_row()

    def _drain(self, drain_s: float) -> None:
        until_s = time.monotonic() + LEAVE_ACCEPTED_S
        while self._is_replaced and self._has_requests() and time.monotonic() < until_s:
            time.sleep(LEAVE_S)
        self.app.close_router(drain_s, is_replaced=self._is_replaced)
        logger.info("worker %d has drained", self.pid)
        self.method_queue.defer(self._leave)

    def _has_requests(self) -> bool:
        """Whether a connection may hold a request that this worker has to answer."""
        return self.app.router.is_alive and self.nr_conns > len(self.keepalived_conns)

    def _leave(self) -> None:
        self.alive = False

    def _end_in_time(self) -> None:
        # The interpreter would wait without end for a thread that still reads from a slow client.
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
    """gunicorn's logger, whose lines go to the router's pipeline.

    Lines about workers and signals have the level debug.
    """

    def setup(self, cfg: Any) -> None:
        """Leave handlers and levels to `router.logs.setup`."""
        self.cfg = cfg
        self.error_log.propagate = True
        self._access_log_enabled = False

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log gunicorn's info lines at debug level: they report that workers boot and that signals arrive."""
        self.error_log.debug(msg, *args, **kwargs)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a debug line, except the 120 lines with gunicorn's own configuration."""
        if not msg.startswith("Current configuration"):
            self.error_log.debug(msg, *args, **kwargs)

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a warning, except one about an invalid request, which quotes the client's text.

        The text may hold a credential, and clients could fill the log with such lines.
        """
        if msg.startswith("Invalid request"):
            self.error_log.debug("a client's request is invalid")
        else:
            self.error_log.warning(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an error with its traceback, without the query. A client that does not send or read is no error."""
        if isinstance(sys.exc_info()[1], BlockingIOError | TimeoutError):
            self.error_log.debug("a client did not finish its request")
        else:
            shown = [arg.partition("?")[0] if isinstance(arg, str) else arg for arg in args]
            self.error_log.exception(msg, *shown, **kwargs)


def _log_stacks() -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in frames().items():
        stack = "".join(traceback.format_stack(frame)).rstrip()
        logger.warning("worker %d, stack of thread %s:\n%s", os.getpid(), names.get(ident, ident), stack)
