"""gunicorn, driven in this process: the threaded server that most WSGI applications run under.

The arbiter (gunicorn's word for the parent process) listens and supervises the workers. Each worker has a router of its
own, made after the fork because threads do not survive one. Must not know what a router does.
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
from router.web import app, banner, internals
from router.web.scoreboard import Scoreboard
from router.web.worker import ARBITER_GRACE_S, CONNECTIONS, GunicornLogger, Worker, ignore_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config.model import RouterConfig
    from router.web.response import WSGIApp

logger = logging.getLogger(__name__)

BACKLOG: Final = 2048
"""Connections that wait in the kernel: 500 callers may come within 2 s."""

KEEP_ALIVE_S: Final = 15
"""The longest silence of an HTTP connection between requests, and before the first."""

ENDINGS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

REPEAT_S: Final = 0.25
"""The interval at which the arbiter repeats a signal to its workers: one that was just forked may miss the first."""

SLOTS_EACH: Final = 8
"""Slots of the scoreboard for each worker that serves: several of its predecessors may drain at a time."""

OPEN_FILES: Final = 65536
"""A session holds two sockets, and the usual soft limit of 1024 files would end at 500 sessions."""


class Router(app.Router, Protocol):
    """The part of a router that the server needs."""

    @property
    def session_count(self) -> int:
        """The number of present sessions."""

    def start(self) -> object:
        """Start the router's threads; raises `RouterError` where it cannot."""

    def close(self, drain_s: float) -> None:
        """End all sessions with a close frame, and stop. A turn in progress may continue for `drain_s`.

        A second call, on another thread, may shorten that time.
        """


def serve(config: RouterConfig, make_router: Callable[[RouterConfig], Router]) -> None:
    """Serve until a signal ends it; leaves by `SystemExit`, with 0 after SIGTERM or SIGINT.

    Raises:
        StartError: the address cannot be listened on, or gunicorn lacks a part that the server uses.
    """
    problem = internals.problem(internals.OWN_SERVER)
    if problem:
        raise StartError(problem)
    _raise_open_files_limit()
    listener = _listen(config.host, config.port)
    _Server(config, make_router, listener).run()


def _listen(host: str, port: int) -> socket.socket:
    # gunicorn would try for 5 s, and log ten lines about it.
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise StartError(f"cannot listen on {host}, port {port}: {_reason(error)}") from error


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "the host name is invalid"
    # A failed resolution has an error number that `os.strerror` does not know.
    return str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)


def _raise_open_files_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < raised:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))


# gunicorn ships no types, so its classes are Any to mypy.


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's arbiter, with another end, and without the start of a second router beside the first."""

    app: _Server
    LISTENERS: list[Any]
    _end_signals = 0

    def signal(self, sig: int, frame: Any) -> None:
        """Queue a signal, and count those that end the server: `stop` has to see a second one, queued or not."""
        self._end_signals += sig in ENDINGS
        super().signal(sig, frame)

    def stop(self, graceful: bool = True) -> None:
        """End the workers, which drain. A second signal cuts the drain short, and a late worker is killed.

        gunicorn's own method ignores a second SIGTERM, and signals a worker once, before it may have its handlers.
        """
        self.app.scoreboard.is_ending = True
        gunicorn.sock.close_sockets(self.LISTENERS, unlink=False)
        self.LISTENERS = []
        deadline_s = time.monotonic() + ARBITER_GRACE_S + (self.app.drain_s if graceful else 0.0)
        while self.WORKERS and time.monotonic() < deadline_s:
            if graceful and self._end_signals > 1:
                graceful, deadline_s = False, time.monotonic() + ARBITER_GRACE_S
            self.kill_workers(signal.SIGTERM if graceful else signal.SIGQUIT)
            with contextlib.suppress(queue.Empty):  # SIGCHLD of a worker that ended wakes the arbiter, too
                self.SIG_QUEUE.get(timeout=REPEAT_S)
            self.reap_workers()
        self.kill_workers(signal.SIGKILL)
        self.reap_workers()

    def handle_int(self) -> None:
        """Drain after SIGINT as after SIGTERM. gunicorn would cut the drain short at once."""
        self.handle_term()

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal to a worker, and mark a worker that ends as retired."""
        if sig == signal.SIGTERM and pid in self.WORKERS:
            self.WORKERS[pid].is_retired = True
        super().kill_worker(pid, sig)

    def manage_workers(self) -> None:
        """Keep the number of workers that serve. gunicorn counts draining ones, too, and would not replace them."""
        serving = sorted((it for it in self.WORKERS.values() if not it.is_retired), key=lambda it: it.age)
        for _ in range(self.num_workers - len(serving)):
            self.spawn_worker()
        for worker in serving[: max(0, len(serving) - self.num_workers)]:
            self.kill_worker(worker.pid, signal.SIGTERM)

    def handle_usr2(self) -> None:
        """Refuse SIGUSR2: gunicorn would run the command again, with a listener that the command cannot take over."""
        self.log.warning("SIGUSR2 is not supported: start another router, then end this one with SIGTERM")


class _Server(BaseApplication):  # type: ignore[misc]
    """The gunicorn application. The arbiter makes it; each worker calls `load`."""

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
        """Apply the settings that differ from gunicorn's defaults, except those that its version does not have."""
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
            "graceful_timeout": 0,  # at a reload the arbiter would wait for old workers, deaf to signals
            "limit_request_line": 8190,  # the query may carry a long token
            "logger_class": GunicornLogger,
            "loglevel": self._config.log_level,
            "when_ready": self._announce,
            "pre_fork": self._give_slot,
            "child_exit": self._free_slot,
            "on_exit": ignore_signals,
            "control_socket_disable": True,  # it would create a file in the home directory
            "proc_name": "switchboard",
        }

    def load(self) -> WSGIApp:
        """Make the router of this worker, and the app in front of it."""
        try:
            self.router = self._make_router(self._config)
            self.router.start()
        except RouterError as error:
            logger.critical("the router cannot start: %s", error)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        # Objects of the start live as long as the worker. A full collection over them would stop every call for 12 ms.
        gc.collect()
        gc.freeze()
        return app.make_app(self.router, self.scoreboard)

    def run(self) -> None:
        """Run the arbiter, which leaves by `SystemExit`."""
        arbiter = _Arbiter(self)
        address = self._listener.getsockname()
        # gunicorn duplicates the descriptor and closes the one that it is given: `detach` hands that over.
        kind = gunicorn.sock.TCP6Socket if self._listener.family == socket.AF_INET6 else gunicorn.sock.TCPSocket
        arbiter.LISTENERS = [kind(address, self.cfg, arbiter.log, fd=self._listener.detach())]
        arbiter.run()

    @property
    def drain_s(self) -> float:
        """The time of a turn in progress when the process has to end."""
        return self._config.drain_s

    def close_router(self, drain_s: float) -> None:
        """End the sessions of this worker."""
        if self.router is not None:
            self.router.close(drain_s)

    def _give_slot(self, _arbiter: Arbiter, worker: Worker) -> None:
        worker.slot = self.scoreboard.take_slot(time.monotonic())

    def _free_slot(self, _arbiter: Arbiter, worker: Worker) -> None:
        if worker.slot is not None:
            was_stopped = worker.is_retired or self.scoreboard.is_ending
            self.scoreboard.free_slot(worker.slot, worker.pid, time.monotonic(), was_stopped=was_stopped)

    def _announce(self, _arbiter: Arbiter) -> None:
        if self._config.log_format == "json":
            urls = banner.addresses(self._config, self._port)
            logger.info("listening", extra={**urls, "upstream": banner.describe_upstreams(self._config)})
        else:
            say(banner.banner(self._config, self._port, colors=sys.stdout.isatty()))
        if self._config.upstream == "simulator":
            logger.warning("%s", banner.SIMULATOR[0])
