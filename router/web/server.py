"""gunicorn, driven in this process: the threaded server that our users already run.

The arbiter (gunicorn's word for the parent process) listens and watches over the workers; each worker has a router
of its own, made after the fork, as threads do not survive one. Must not know what a router does.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

import gunicorn.sock
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from router.errors import RouterError, StartError
from router.web import app, banner
from router.web.worker import ARBITER_GRACE_S, CONNECTIONS, DRAIN_S, GunicornLogger, Worker, ignore_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config import RouterConfig

logger = logging.getLogger(__name__)

BACKLOG: Final = 2048
"""Connections that the kernel keeps while we are busy: 500 callers may come within 2 s."""

KEEP_ALIVE_S: Final = 15
"""For an HTTP connection to say something, its first word too."""

OPEN_FILES: Final = 65536
"""A session holds two sockets, and the usual soft limit of 1024 files would end at 500 sessions."""


class Router(app.Router, Protocol):
    """What the server needs of a router."""

    def start(self) -> object:
        """Start its threads. Raises `RouterError` where it cannot."""

    def close(self, drain_s: float) -> None:
        """End all sessions with a close frame, waiting at most so long for the clients, and stop."""


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
    except OSError as error:
        # An address that cannot be resolved has a number of another kind, and a text of its own.
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise StartError(f"cannot listen on {host}, port {port}: {why}") from error


def _raise_open_files_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# gunicorn ships no types, so its classes are Any to mypy.


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's arbiter, but for what would start a second router beside the first."""

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
            "graceful_timeout": ARBITER_GRACE_S,
            "limit_request_line": 8190,  # a token may stand in the query
            "logger_class": GunicornLogger,
            "loglevel": self._config.log_level,
            "when_ready": self._say_ready,
            "on_exit": ignore_signals,
            "control_socket_disable": True,  # it would write into the home directory
            "proc_name": "switchboard",
        }

    def load(self) -> app.WSGIApp:
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
        return app.make_app(self.router)

    def run(self) -> None:
        """Run the arbiter, which leaves by `SystemExit`."""
        arbiter = _Arbiter(self)
        address = self._listener.getsockname()
        kind = gunicorn.sock.TCP6Socket if self._listener.family == socket.AF_INET6 else gunicorn.sock.TCPSocket
        arbiter.LISTENERS = [kind(address, self.cfg, arbiter.log, fd=self._listener.detach())]
        arbiter.run()

    def close_router(self) -> None:
        """End this worker's sessions."""
        if self.router is not None:
            self.router.close(DRAIN_S)

    def _say_ready(self, _arbiter: Arbiter) -> None:
        if self._config.log_format == "json":
            urls = banner.addresses(self._config, self._port)
            logger.info("listening", extra={**urls, "upstream": banner.upstream_said(self._config)})
        else:
            print(banner.banner(self._config, self._port, colors=sys.stdout.isatty()), flush=True)  # noqa: T201
        if self._config.upstream == "simulator":
            logger.warning("%s", banner.SIMULATOR[0])
