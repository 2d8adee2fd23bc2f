"""gunicorn, driven in this process: the threaded server that most WSGI applications run under.

The arbiter (gunicorn's word for the parent process) listens and supervises the workers. Each worker makes a router
after the fork, because threads do not survive a fork. After a reload, a template with the newer code forks the workers
(`router.web.template`). This module must not know what a router does.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import gunicorn.sock
from gunicorn.app.base import BaseApplication

from actors.allocator import share_one_arena
from router.access.session_limits import SharedLimits
from router.access.signing import share_random_secret
from router.admin.peers import Peers
from router.admin.switches import Switches
from router.config.policy_table import limits_of_policies
from router.errors import RouterError, StartError
from router.logs import levels
from router.logs.once import Once
from router.logs.usage_log import UsageLog
from router.metrics.catalog import RECOVERIES, UNKEPT, WORKER_DEATHS
from router.metrics.history import History
from router.metrics.memory import Segments
from router.metrics.metrics import Metrics, clear_gauges
from router.resume.area import SharedSnapshots
from router.shared_areas import CAN_LAST, Areas, LastingAreas
from router.version import VERSION
from router.web import admin_api, app, banner, handoff, internals, listeners, orphans, replacement, template
from router.web.admin import AdminServer
from router.web.arbiter import Arbiter
from router.web.handoff import Handoff, Ready
from router.web.moves import SUFFIX
from router.web.reload_board import ReloadBoard
from router.web.replacement import Offer, Predecessor, Replaceable, ReplacementError
from router.web.scoreboard import Scoreboard
from router.web.successor import Successor
from router.web.tls import Tls
from router.web.worker import CONNECTIONS, GunicornLogger, Worker, ignore_signals
from router.web.worker_router import Router, WorkerRouter

if TYPE_CHECKING:
    from router.config.model import RouterConfig
    from router.web.response import WSGIApp

logger = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 15
"""The longest silence of an HTTP connection between requests, and before the first request, in seconds."""

SLOTS_EACH: Final = 8
"""The scoreboard has this many slots for each serving worker, because several of its predecessors may drain at once."""

LEAST_WORKERS: Final = 4
"""The scoreboard has slots for at least this many serving workers, because a reload may raise their number."""


MakeRouter = Callable[["RouterConfig"], Router]

Say = Callable[[str], None]
"""A function that prints a text for the person who starts the server."""


def serve(config: RouterConfig, make_router: MakeRouter, say: Say, *, take_over: bool = False) -> None:
    """Serve until a signal arrives. Leave by `SystemExit`, with status 0 after SIGTERM or SIGINT.

    With `take_over` this process replaces the main process that serves on the address, if there is one.

    Raises:
        StartError: the address cannot be listened on, systemd passed another socket, the usage log cannot be written,
            gunicorn lacks a part that the server uses, or the process that serves cannot be replaced.
    """
    problem = internals.problem(internals.OWN_SERVER)
    if problem:
        raise StartError(problem)
    listeners.write_no_core_file()
    _check_usage_log(config)
    share_one_arena()
    found = handoff.inherited()
    if found is not None:
        channel, given = found
        template.run(_inherit(config, make_router, say, given), channel, given)
    listeners.raise_open_files_limit()
    predecessor = _predecessor(config) if take_over else None
    if predecessor is not None:
        logger.info("the process %d is replaced: its calls move here once the workers serve", predecessor.pid)
        _inherit(config, make_router, say, predecessor.handoff, predecessor).run()
    listener, admin = listeners.sockets(config)
    _Server(config, make_router, listener, say, admin).run()


def _predecessor(config: RouterConfig) -> Predecessor | None:
    if not CAN_LAST:
        raise StartError("--take-over needs Linux: this system cannot hand shared memory on")
    try:
        found = replacement.find(replacement.path_of(config.host, config.port))
    except ReplacementError as error:
        raise StartError(f"--take-over: {error}") from error
    if found is None:
        logger.info("no server of this user is there to be replaced: this one starts as without --take-over")
    return found


def _inherit(
    config: RouterConfig,
    make_router: MakeRouter,
    say: Say,
    given: Handoff,
    predecessor: Predecessor | None = None,
) -> _Server:
    listener = socket.socket(fileno=given.listener)
    admin = socket.socket(fileno=given.admin) if given.admin is not None else None
    return _Server(config, make_router, listener, say, admin, given=given, predecessor=predecessor)


def _check_usage_log(config: RouterConfig) -> None:
    if config.usage_log is not None:
        try:
            UsageLog(config.usage_log).check()
        except OSError as error:
            raise StartError(f"cannot write the usage log {config.usage_log}: {error.strerror}") from error


# gunicorn ships no types, so its classes are Any to mypy.


def _end_server(arbiter: int) -> None:
    """Begin the drain of the whole server, by a signal from a worker to the arbiter."""
    logger.warning("an operator drains the server")
    # If the arbiter has died, the parent is another process, which must get no signal.
    if os.getppid() == arbiter:
        os.kill(arbiter, signal.SIGTERM)


class _Server(BaseApplication):  # type: ignore[misc]
    """The gunicorn application of the server. The arbiter or a template makes it, and each worker calls `load`."""

    def __init__(
        self,
        config: RouterConfig,
        make_router: MakeRouter,
        listener: socket.socket,
        say: Say,
        admin: socket.socket | None = None,
        *,
        given: Handoff | None = None,
        predecessor: Predecessor | None = None,
    ) -> None:
        self._config = config
        self.predecessor = predecessor
        """The main process that this process replaces as soon as the workers here serve."""
        self.replaceable: Replaceable | None = None
        """The socket on which another main process can ask to replace this one."""
        self._make_router = make_router
        self._listener = listener
        self._say = say
        self._port = listener.getsockname()[1]
        self._admin = admin
        self._areas = LastingAreas(given.areas if given is not None else None) if CAN_LAST else Areas()
        self._slots = given.slots if given is not None else max(config.workers, LEAST_WORKERS) * SLOTS_EACH
        self._arbiter_pid = given.arbiter if given is not None else os.getpid()
        share_random_secret(self._areas)
        self.tls = Tls.of(config, self._areas)
        self.scoreboard = Scoreboard(self._slots, self._areas)
        of_policies = limits_of_policies(config.limits, config.policies)
        self._shared_limits = SharedLimits(config.limits, self._slots, self._areas, of_policies)
        self._kept_calls = SharedSnapshots(self._areas)
        self.segments = Segments(self._slots + 1, self._areas)
        """The metrics of each slot, followed by the arbiter's own metrics."""
        self.metrics = Metrics()
        if self._arbiter_pid == os.getpid():
            self.metrics.attach(self.segments[self._slots])
        self.history = History(self._areas)
        self._unpriced = Once(self._areas)
        self.switches = Switches(len(config.all_upstreams()), self._areas)
        self.reload_board = ReloadBoard(self._areas)
        self.drain_s = config.drain_s
        """The seconds for which a turn in progress may continue when a process has to end."""
        self.router: Router | None = None
        self._arbiter: Arbiter
        self._worker_router: WorkerRouter | None = None
        self._admin_server: AdminServer | None = None
        self.peers = Peers(given.peers if given is not None else None)
        self._end_server = functools.partial(_end_server, self._arbiter_pid)
        self._log_step: tuple[int, str | None] = (0, None)
        """The number of SIGUSR2 signals and the operator's level, as this process last applied them."""
        self._slot: int | None = None
        self._age = 0
        super().__init__()

    def load_config(self) -> None:
        """Apply the settings that differ from gunicorn's defaults, if the installed gunicorn knows them."""
        for name, value in self._settings().items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def _settings(self) -> dict[str, Any]:
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        proxies = ",".join(self._config.trusted_proxies)
        return {
            "bind": f"{host}:{self._port}",
            "backlog": listeners.BACKLOG,
            "workers": self._config.workers,
            "worker_class": Worker,
            "threads": self._config.limits.web_threads,
            "worker_connections": CONNECTIONS,
            "keepalive": KEEP_ALIVE_S,
            "graceful_timeout": 0,  # the arbiter would wait for old workers at a reload, and handle no signal meanwhile
            "limit_request_line": 8190,  # the query may carry a long token
            # A trusted proxy gives its client's address by the PROXY protocol, which gunicorn reads, or by headers,
            # which `router.access.proxies` reads.
            "proxy_protocol": "auto" if proxies else "off",
            "proxy_allow_ips": proxies,
            "forwarded_allow_ips": proxies,
            "secure_scheme_headers": {},
            "logger_class": GunicornLogger,
            **self._tls_settings(),
            "loglevel": self._config.log_level,
            "when_ready": self._announce,
            "pre_fork": self._give_slot,
            "child_exit": self._free_slot,
            "on_exit": ignore_signals,
            "control_socket_disable": True,  # it would create a file in the home directory
            "proc_name": "switchboard",
        }

    def _tls_settings(self) -> dict[str, Any]:
        if self.tls is None:
            return {}
        # gunicorn calls `wrap_socket` of the hook's result. This object makes a socket that a call can take over.
        tls = self.tls
        return {
            "certfile": self._config.tls_cert,
            "keyfile": self._config.tls_key,
            "ssl_context": lambda _config, _default: tls,
        }

    def load(self) -> WSGIApp:
        """Make the router of this worker, and the WSGI app that serves it."""
        slot = self._slot
        try:
            self.router = self._make_router(self._config)
            if slot is not None:
                self.router.metrics.attach(self.segments[slot])
                self.router.count_in(self._shared_limits, slot)
            else:
                logger.error("worker %d has no slot: its sessions count in no metric and no limit", os.getpid())
            self.router.share(self.switches, self._unpriced)
            self.router.keep_in(self._kept_calls)
            self.router.start()
        except RouterError as error:
            logger.critical("the router cannot start: %s", error)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        # The objects of the start live as long as the worker. Without `freeze` each full collection would scan them,
        # and stop every call for 12 ms.
        gc.collect()
        gc.freeze()
        self.follow_log_level()
        if isinstance(self._areas, LastingAreas):
            self._areas.close()  # a worker hands no memory on
        if self.replaceable is not None:
            self.replaceable.forget()
        if self.predecessor is not None:
            self.predecessor.forget()
        router = self.router
        self._worker_router = WorkerRouter(router, self._config, self.peers, self._port, self._age)
        try:
            self._worker_router.join(self._arbiter_pid, is_recovering=self.can_keep)
        except OSError as error:  # the disk or the descriptors are exhausted: calls matter more than the channels
            logger.error("worker %d: no way to the other workers: %s", os.getpid(), error)  # noqa: TRY400 - no bug
        reload = admin_api.Reload(self.reload_board, self._ask_reload) if self.can_reload else None
        served = admin_api.Server(self.scoreboard, self.segments, self.peers, self.history, self._end_server, reload)
        router.ask_workers = lambda verb: self.peers.ask(verb).given
        if self._admin is not None:
            self._admin_server = AdminServer(self._admin, app.make_admin_app(router, served))
            self._admin_server.start()
        logger.info("worker %d serves", os.getpid())
        return app.make_app(router, served)

    def run(self) -> None:
        """Run the arbiter, which leaves by `SystemExit`."""
        arbiter = self._arbiter = Arbiter(self)
        self.switches.note_upstreams(self._upstream_urls)
        arbiter.LISTENERS = self._served = self._listeners(arbiter.log)
        if self.predecessor is not None:
            arbiter.worker_age = self.predecessor.age
        try:
            arbiter.run()
        finally:
            # After a replacement the folder belongs to the main process that serves.
            if os.getpid() == arbiter.pid and self.predecessor is None and not arbiter.is_replaced:
                self.peers.remove()

    def _listeners(self, log: GunicornLogger) -> list[Any]:
        address = self._listener.getsockname()
        # gunicorn duplicates the descriptor and closes the one that it is given: `detach` hands that over.
        kind = gunicorn.sock.TCP6Socket if self._listener.family == socket.AF_INET6 else gunicorn.sock.TCPSocket
        return [kind(address, self.cfg, log, fd=self._listener.detach())]

    @property
    def can_keep(self) -> bool:
        """Whether the keeper is configured, and this system can run it. A server with one worker has a keeper, too."""
        return self._config.keeper and CAN_LAST

    def count_lost(self) -> None:
        """Count a session of a dead worker that no other worker continues. Only the arbiter calls this."""
        self.metrics.add(RECOVERIES, ("lost",))

    def count_unkept(self) -> None:
        """Count a session that continues, but would be lost if its worker died. Only the arbiter calls this."""
        self.metrics.add(RECOVERIES, UNKEPT)

    # Reloads: in the arbiter.

    @property
    def can_reload(self) -> bool:
        """Whether a template can take over the shared memory."""
        return self._areas.lasts

    def launch(self) -> Successor:
        """Start a template, which runs the command line of this process again."""
        assert isinstance(self._areas, LastingAreas)  # noqa: S101 - for the type checker: `can_reload`
        return Successor(
            Handoff(
                arbiter=self._arbiter_pid,
                listener=self._served[0].fileno(),
                admin=self._admin.fileno() if self._admin is not None else None,
                stderr=2,
                slots=self._slots,
                peers=str(self.peers.folder),
                areas=self._areas.handed,
            )
        )

    # Another main process: in the arbiter.

    def await_replacement(self) -> None:
        """Listen for a main process of this user that replaces the present main process."""
        if not isinstance(self._areas, LastingAreas):
            return
        try:
            path = replacement.path_of(self._config.host, self._port)
            self.replaceable = Replaceable(path, self._offer)
            orphans.announce(path, self.peers.folder)
        except OSError as error:
            logger.warning("no other main process can take over: %s", error)

    def _offer(self) -> tuple[Offer, list[int]]:
        assert isinstance(self._areas, LastingAreas)  # noqa: S101 - for the type checker: `await_replacement`
        areas = self._areas.handed
        offer = Offer(
            pid=os.getpid(),
            slots=self._slots,
            peers=str(self.peers.folder),
            has_admin=self._admin is not None,
            areas=[(name, size) for name, (_, size) in areas.items()],
            age=self._arbiter.worker_age,
        )
        admin = [self._admin.fileno()] if self._admin is not None else []
        return offer, [self._served[0].fileno(), *admin, *(number for number, _ in areas.values())]

    # Reloads: in the template.

    def ready(self) -> Ready:
        """Check that a router can be made, and return the report to the arbiter."""
        address = self._listener.getsockname()
        if self._config.port not in (0, address[1]):
            logger.warning("the address stays %s, port %d, until the server is started anew", *address[:2])
        workers = min(self._config.workers, self._slots // 2)
        if workers < self._config.workers:
            logger.warning("at most %d workers can run until the server is started anew", workers)
        self._make_router(self._config)
        if self.switches.note_upstreams(self._upstream_urls):
            logger.warning("the upstreams have changed: none is paused any longer")
        return Ready(workers=workers, drain_s=self._config.drain_s)

    def work(self, slot: int | None, age: int) -> NoReturn:
        """Run a worker in this process, as gunicorn's arbiter does after a fork."""
        log = GunicornLogger(self.cfg)
        worker = Worker(age, self._arbiter_pid, self._listeners(log), self, self.cfg.timeout / 2, self.cfg, log)
        worker.slot = self._slot = slot
        self._age = age
        worker.pid = os.getpid()
        try:
            worker.init_process()
        except SystemExit:
            raise
        except Exception:
            logger.exception("worker %d failed", worker.pid)
            sys.exit(1 if worker.booted else Arbiter.WORKER_BOOT_ERROR)
        finally:
            worker.tmp.close()
        sys.exit(0)

    # In a worker.

    def _ask_reload(self) -> None:
        self.reload_board.is_asked = True
        if os.getppid() == self._arbiter_pid:
            os.kill(self._arbiter_pid, signal.SIGHUP)

    @property
    def _upstream_urls(self) -> list[str]:
        return [str(upstream.url) for upstream in self._config.all_upstreams()]

    def follow_log_level(self) -> None:
        """Apply the log level that an operator or SIGUSR2 set. The arbiter and each worker call this."""
        step = self.scoreboard.log_steps, self.switches.log_level
        if step != self._log_step:
            self._log_step = step
            level = step[1] or levels.level_after(step[0], self._config.log_level)
            levels.set_level(level)
            logger.log(
                max(logging.WARNING, levels.number(level)), "process %d logs from level %s on", os.getpid(), level
            )

    def note_history(self) -> None:
        """Write the next point of the history if it is due. Each worker calls this every second."""
        self.history.note(self.segments)

    @property
    def _admin_port(self) -> int | None:
        return self._admin.getsockname()[1] if self._admin is not None else None

    # In a worker whose main process was killed.

    def close_listeners(self) -> None:
        """Close the listener of the administrators' pages in this worker."""
        if self._admin_server is not None:
            self._admin_server.shutdown()
            self._admin_server.server_close()

    def find_heir(self) -> bool:
        """Whether another main process has workers that can continue this worker's sessions."""
        return self._worker_router is not None and self._worker_router.find_heir()

    def tidy(self) -> None:
        """Remove the files that this worker's main process would have removed if it had not been killed."""
        orphans.tidy(self.peers.folder)

    def close_router(self, drain_s: float, *, is_replaced: bool = False) -> None:
        """End the sessions of this worker; see `WorkerRouter.close`."""
        if self._worker_router is not None:
            self._worker_router.close(drain_s, self.reload_board.least_age, is_replaced=is_replaced)

    # Slots: in the arbiter.

    def _give_slot(self, _arbiter: Arbiter, worker: Worker) -> None:
        # Without `freeze`, a collection in the worker would write into every object of this process, and so copy all
        # their memory.
        gc.collect()
        gc.freeze()
        # The worker is forked next, and finds its slot in its copy of this object.
        worker.slot = self._slot = self.scoreboard.take_slot(time.monotonic())
        self._age = worker.age

    def begin_spawn(self) -> None:
        """Forget the slot that the last spawned worker took."""
        self._slot = None

    def undo_spawn(self) -> None:
        """Release the slot of a worker that could not be forked."""
        if self._slot is not None:
            self.scoreboard.free_slot(self._slot, 0, time.monotonic(), was_stopped=True)
            self._slot = None

    def _free_slot(self, _arbiter: Arbiter, worker: Worker) -> None:
        was_stopped = worker.is_retired or worker.is_on_trial or self.scoreboard.is_ending
        if not was_stopped:
            fate = "others continue its calls:" if self.can_keep else "and its calls with it:"
            logger.error("worker %d died, %s another replaces it", worker.pid, fate)
            self.metrics.add(WORKER_DEATHS)
        if worker.slot is not None:
            clear_gauges(self.segments[worker.slot])
            self._shared_limits.forget(worker.slot)
            self.scoreboard.free_slot(worker.slot, worker.pid, time.monotonic(), was_stopped=was_stopped)
        self.peers.forget(f"{worker.pid}.sock")
        # Without a free descriptor the files stay: another worker finds that nothing listens there.
        with contextlib.suppress(OSError):
            for path in self.peers.folder.glob(f"*-{worker.pid}-*{SUFFIX}"):
                self.peers.forget(path.name)

    def _announce(self, _arbiter: Arbiter) -> None:
        if self._config.log_format == "json":
            urls = banner.addresses(self._config, self._port, self._admin_port)
            logger.info(
                "listening",
                extra={"version": VERSION, **urls, "upstream": banner.describe_upstreams(self._config)},
            )
        else:
            self._say(banner.banner(self._config, self._port, self._admin_port, colors=sys.stdout.isatty()))
        if self._config.upstream == "simulator":
            logger.warning("%s", banner.simulator_lines(self._config)[0])
