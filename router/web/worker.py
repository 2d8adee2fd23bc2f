"""gunicorn's worker and its logger, as we need them: nobody holds a thread for nothing, and the end is in time.

Written against gunicorn 27: the worker overrides methods that gunicorn does not document.
"""

from __future__ import annotations

import functools
import logging
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from typing import Any, Final

import pykka.debug
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

logger = logging.getLogger(__name__)

# The process is gone within 5 s of SIGTERM, whatever the configured deadlines say: sessions are drained while idle
# HTTP connections run out, then threads may end; where that is not enough the arbiter kills.
DRAIN_S: Final = 0.5
"""For the clients to go, beside the close handshake's own deadline."""
DRAIN_AT_MOST_S: Final = 3.0
HTTP_GRACE_S: Final = 2
THREADS_GRACE_S: Final = 0.5
ARBITER_GRACE_S: Final = 4

RECEIVE_S: Final = 10
"""The longest silence inside a request. gunicorn knows none: its thread would wait for ever."""

CONNECTIONS: Final = 4096
"""Of HTTP alone: a WebSocket leaves gunicorn's books when it is handed over."""

ACCEPT_PAUSE_S: Final = 0.5

# gunicorn ships no types, so its classes are Any to mypy.


def ignore_signals(_arbiter: Any = None) -> None:
    """Take no signal any more: while the interpreter winds up, one (a second Ctrl-C) would kill the process."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which drains the router when it is told to end."""

    alive: bool
    _drain: threading.Thread
    _pause_until_s = 0.0

    def run(self) -> None:
        """Serve until told to end; then see that this process ends in time."""
        # Not made with the worker, which is before the fork: Python takes any thread from there for ended.
        self._drain = threading.Thread(target=self.app.close_router, name="drain", daemon=True)
        # This is the worker's own copy: it gives up on idle connections before the arbiter gives up on it.
        self.cfg.set("graceful_timeout", HTTP_GRACE_S)
        try:
            super().run()
        finally:
            self._begin_drain()
            self._drain.join(DRAIN_AT_MOST_S)
            ignore_signals()
            self._end_in_time()

    @property
    def worker_connections(self) -> int:
        """How many connections gunicorn may hold; none for a moment after one could not be accepted."""
        return 0 if time.monotonic() < self._pause_until_s else CONNECTIONS

    @worker_connections.setter
    def worker_connections(self, _configured: int) -> None:
        """Take what gunicorn's own constructor sets."""

    def accept(self, listener: Any) -> None:
        """Accept a connection; gunicorn would end, and every session with it, where files have run out."""
        try:
            super().accept(listener)
        except OSError as error:
            logger.error("cannot accept a connection: %s", error)  # noqa: TRY400 - a full house is no bug
            self._pause_until_s = time.monotonic() + ACCEPT_PAUSE_S

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
        """SIGTERM: end. Sessions are drained while HTTP connections run out."""
        if self.alive:
            self.alive = False
            self.method_queue.defer(self._begin_drain)

    def handle_quit(self, _sig: int, _frame: Any) -> None:
        """SIGINT, SIGQUIT: as SIGTERM. gunicorn would leave at once, and a second Ctrl-C would cut that short."""
        self.handle_exit(_sig, _frame)

    def handle_usr1(self, _sig: int, _frame: Any) -> None:
        """SIGUSR1: log what every thread is doing."""
        pykka.debug.log_thread_tracebacks()

    def _begin_drain(self) -> None:
        # In a thread, as what is left of HTTP is served meanwhile: /readyz says that we drain.
        if self._drain.ident is None:
            self._drain.start()

    def _end_in_time(self) -> None:
        # The interpreter would wait for a thread that still reads from a slow client.
        deadline_s = time.monotonic() + THREADS_GRACE_S
        others = [it for it in threading.enumerate() if not it.daemon and it is not threading.current_thread()]
        for thread in others:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        late = [thread.name for thread in (*others, self._drain) if thread.is_alive()]
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
