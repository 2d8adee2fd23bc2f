"""gunicorn, driven in this process: the threaded server that our users already run.

The arbiter (gunicorn's word for the parent process) listens and watches over the workers; each worker has a router
of its own, made after the fork, as threads do not survive one. Must not know what a router does.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import resource
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import gunicorn.sock
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from router.console import say
from router.errors import RouterError, StartError
from router.web import app, banner
from router.web.scoreboard import Scoreboard
from router.web.worker import ARBITER_GRACE_S, CONNECTIONS, GunicornLogger, Worker, ignore_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config.model import RouterConfig
    from router.web.response import WSGIApp

logger = logging.getLogger(__name__)

BACKLOG: Final = 2048
"""Connections that the kernel keeps while we are busy: 500 callers may come within 2 s."""

KEEP_ALIVE_S: Final = 15
"""For an HTTP connection to say something, its first word too."""

ENDINGS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

LOOK_S: Final = 0.25

SLOTS_EACH: Final = 8
"""On the board, for each worker that serves: its predecessors may drain, one behind the other."""

OPEN_FILES: Final = 65536
"""A session holds two sockets, and the usual soft limit of 1024 files would end at 500 sessions."""


class Router(app.Router, Protocol):
    """What the server needs of a router."""

    @property
    def session_count(self) -> int:
        """How many sessions it carries."""

    def start(self) -> object:
        """Start its threads. Raises `RouterError` where it cannot."""

    def close(self, drain_s: float) -> None:
        """End all sessions with a close frame, and stop. What is under way may go on for so long.

        A second call, on another thread, may shorten that.
        """


def serve(config: RouterConfig, make_router: Callable[[RouterConfig], Router]) -> None:
    """Serve until a signal ends it; leaves by `SystemExit`, with 0 after SIGTERM or SIGINT.

    Raises:
        StartError: the address cannot be listened on.
    """
    _raise_open_files_limit()
    listener = _listen(config.host, config.port)
    _Server(config, make_router, listener).run()


def _listen(host: str, port: int) -> socket.socket:
    # Not left to gunicorn, which tries for 5 s and says so in ten lines.
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise StartError(f"cannot listen on {host}, port {port}: {_reason(error)}") from error


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "that is no name of a host"
    # An address that cannot be resolved has a number of another kind, and a text of its own.
    return str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)


def _raise_open_files_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# gunicorn ships no types, so its classes are Any to mypy.


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's arbiter, but for how it ends, and for what would start a second router beside the first."""

    app: _Server
    LISTENERS: list[Any]
    _endings_asked_for = 0

    def signal(self, sig: int, frame: Any) -> None:
        """Queue a signal, and count those that say to end: two at once are one too many to be queued."""
        self._endings_asked_for += sig in ENDINGS
        super().signal(sig, frame)

    def stop(self, graceful: bool = True) -> None:
        """End the workers, which drain; a second signal hurries them. Who does not end in time is killed.

        gunicorn's own takes no second SIGTERM, and tells a worker once, who may not listen yet.
        """
        self.app.scoreboard.is_ending = True
        gunicorn.sock.close_sockets(self.LISTENERS, unlink=False)
        self.LISTENERS = []
        deadline_s = time.monotonic() + ARBITER_GRACE_S + (self.app.drain_s if graceful else 0.0)
        while self.WORKERS and time.monotonic() < deadline_s:
            if graceful and self._endings_asked_for > 1:
                graceful, deadline_s = False, time.monotonic() + ARBITER_GRACE_S
            self.kill_workers(signal.SIGTERM if graceful else signal.SIGQUIT)
            with contextlib.suppress(queue.Empty):  # a worker that ends is a signal, too
                self.SIG_QUEUE.get(timeout=LOOK_S)
            self.reap_workers()
        self.kill_workers(signal.SIGKILL)
        self.reap_workers()

    def handle_int(self) -> None:
        """SIGINT: as SIGTERM. gunicorn would hurry at once."""
        self.handle_term()

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal to a worker, and remember which were told to end."""
        if sig == signal.SIGTERM and pid in self.WORKERS:
            self.WORKERS[pid].is_retired = True
        super().kill_worker(pid, sig)

    def manage_workers(self) -> None:
        """Keep up the number of workers that serve. gunicorn counts those that drain, and would replace none."""
        serving = sorted((it for it in self.WORKERS.values() if not it.is_retired), key=lambda it: it.age)
        for _ in range(self.num_workers - len(serving)):
            self.spawn_worker()
        for worker in serving[: max(0, len(serving) - self.num_workers)]:
            self.kill_worker(worker.pid, signal.SIGTERM)

    def handle_usr2(self) -> None:
        """SIGUSR2: gunicorn would run the command again, with a listener that ours does not know how to take."""
        self.log.warning("SIGUSR2 is not supported: start a new router and end this one")


class _Server(BaseApplication):  # type: ignore[misc]
    """The gunicorn application. Made in the arbiter; `load` is called in each worker."""

    def __init__(
        self, config: RouterConfig, make_router: Callable[[RouterConfig], Router], listener: socket.socket
    ) -> None:
        self._config = config
        self._make_router = make_router
        self._listener = listener
        self._port = listener.getsockname()[1]
        self.scoreboard = Scoreboard(config.workers * SLOTS_EACH)
        self.router: Router | None = None
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults. What a version of it does not know is passed over."""
        for name, value in self._settings().items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def _settings(self) -> dict[str, Any]:
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        return {
            "bind": f"{host}:{self._port}",
            "backlog": BACKLOG,
            "workers": self._config.workers,
            "worker_class": Worker,
            "threads": self._config.limits.web_threads,
            "worker_connections": CONNECTIONS,
            "keepalive": KEEP_ALIVE_S,
            "graceful_timeout": 0,  # the arbiter waits for nobody at a reload: it would be deaf meanwhile
            "limit_request_line": 8190,  # a token may stand in the query
            "logger_class": GunicornLogger,
            "loglevel": self._config.log_level,
            "when_ready": self._say_ready,
            "pre_fork": self._give_slot,
            "child_exit": self._free_slot,
            "on_exit": ignore_signals,
            "control_socket_disable": True,  # it would write into the home directory
            "proc_name": "switchboard",
        }

    def load(self) -> WSGIApp:
        """Make this worker's router and the app in front of it."""
        try:
            self.router = self._make_router(self._config)
            self.router.start()
        except RouterError as error:
            logger.critical("the router cannot start: %s", error)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        # What is here now stays: a full collection over it would stop every call of this worker for 12 ms.
        gc.collect()
        gc.freeze()
        return app.make_app(self.router, self.scoreboard)

    def run(self) -> None:
        """Run the arbiter, which leaves by `SystemExit`."""
        arbiter = _Arbiter(self)
        address = self._listener.getsockname()
        kind = gunicorn.sock.TCP6Socket if self._listener.family == socket.AF_INET6 else gunicorn.sock.TCPSocket
        arbiter.LISTENERS = [kind(address, self.cfg, arbiter.log, fd=self._listener.detach())]
        arbiter.run()

    @property
    def drain_s(self) -> float:
        """What a turn that is under way may take."""
        return self._config.drain_s

    def close_router(self, drain_s: float) -> None:
        """End this worker's sessions."""
        if self.router is not None:
            self.router.close(drain_s)

    def _give_slot(self, _arbiter: Arbiter, worker: Worker) -> None:
        worker.slot = self.scoreboard.take_slot(time.monotonic())

    def _free_slot(self, _arbiter: Arbiter, worker: Worker) -> None:
        if worker.slot is not None:
            was_told_to = worker.is_retired or self.scoreboard.is_ending
            self.scoreboard.free_slot(worker.slot, worker.pid, time.monotonic(), was_told_to=was_told_to)

    def _say_ready(self, _arbiter: Arbiter) -> None:
        if self._config.log_format == "json":
            urls = banner.addresses(self._config, self._port)
            logger.info("listening", extra={**urls, "upstream": banner.upstream_said(self._config)})
        else:
            say(banner.banner(self._config, self._port, colors=sys.stdout.isatty()))
        if self._config.upstream == "simulator":
            logger.warning("%s", banner.SIMULATOR[0])
