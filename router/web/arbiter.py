"""gunicorn's arbiter, changed: it drains workers before they end, replaces them by newer code, kills a stopped one.

The arbiter overrides methods that gunicorn does not document; `router.web.internals` lists them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import select
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import gunicorn.sock
from gunicorn.arbiter import Arbiter as GunicornArbiter
from gunicorn.errors import HaltServer

from router.web import custody
from router.web.keeper import Keeper
from router.web.reloads import Reloads
from router.web.replacement import ReplacementError
from router.web.scoreboard import Scoreboard, Stage
from router.web.successor import Successor, SuccessorError
from router.web.worker import ARBITER_GRACE_S, LEAVE_ACCEPTED_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.admin.peers import Peers
    from router.admin.switches import Switches
    from router.web.handoff import Ready
    from router.web.reload_board import ReloadBoard
    from router.web.replacement import Predecessor, Replaceable, Served
    from router.web.tls import Tls

logger = logging.getLogger(__name__)

ENDINGS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

REPEAT_S: Final = 0.25
"""Seconds until the arbiter repeats a signal to its workers, because a worker that was just forked may miss it."""

STOPPED_S: Final = 2.0
"""The seconds after which a worker is killed that a signal (SIGSTOP) or a debugger has stopped."""

SILENT_S: Final = 30.0
"""The seconds after which a worker that runs but writes no row is aborted, and later killed.

The time is long because an overloaded machine delays a worker, and a delayed call is better than a lost one.
"""

LATE_S: Final = 3.0
"""If the arbiter has not checked its workers for this many seconds, it stood still itself.

It then measures their silence from that moment on.
"""


SPAWN_PAUSE_S: Final = 1.0
"""After a worker that could not start, the arbiter waits this many seconds before it starts another.

The wait doubles with each further failure, as long as no worker serves.
"""
MOST_SPAWN_PAUSE_S: Final = 30.0

REPLACES_NOTHING: Final = 1
"""The exit status of a process that was started to replace another one, and could not."""


class Server(Protocol):
    """The part of the server that the arbiter needs."""

    tls: Tls | None
    scoreboard: Scoreboard
    switches: Switches
    reload_board: ReloadBoard
    drain_s: float
    peers: Peers

    def follow_log_level(self) -> None:
        """Apply the log level that an operator or SIGUSR2 set."""

    def launch(self) -> Successor:
        """Start a template."""

    @property
    def can_keep(self) -> bool:
        """Whether the keeper is configured, and this system can run it. A server with one worker has a keeper, too."""

    def count_lost(self) -> None:
        """Count a session of a dead worker that no other worker continues."""

    def count_unkept(self) -> None:
        """Count a session that continues, but that would be lost if its worker died."""

    def begin_spawn(self) -> None:
        """Forget the slot that the last spawned worker took."""

    def undo_spawn(self) -> None:
        """Release the slot of a worker that could not be forked."""

    @property
    def can_reload(self) -> bool:
        """Whether a template can take over the shared memory."""

    predecessor: Predecessor | None
    replaceable: Replaceable | None

    def await_replacement(self) -> None:
        """Listen for a main process that replaces the present main process."""


# gunicorn ships no types, so its classes are Any to mypy.


class Arbiter(GunicornArbiter):  # type: ignore[misc]
    """The parent of the workers. Its process and its own code stay the same over all reloads."""

    app: Server
    LISTENERS: list[Any]
    WORKERS: dict[int, Any]

    def __init__(self, app: Server) -> None:
        self._end_signals = 0
        self._ended_by = "a failure"
        self._template: Successor | None = None
        """The template whose fork becomes the next worker; None if `spawn_worker` forks this process."""
        self._looked_s = math.inf
        self._keeper: Keeper | None = None
        self.is_replaced = False
        """Whether another main process serves, so that this one ends with its last worker."""
        self._stopped_s: dict[int, float] = {}
        """The time at which each stopped worker was first seen as stopped."""
        self._spawns_from_s = -math.inf
        """The time at which the next worker may be started, after a worker could not start."""
        self._has_served = False
        """Whether a worker has served. The end of the server would then end calls."""
        self._failed_starts = 0
        """How often in a row no worker could start, while none served."""
        self._reloads = Reloads(self, app.launch, app.reload_board)
        super().__init__(app)

    def start(self) -> None:
        """Start as gunicorn does.

        If the configuration wants the sessions of a dead worker continued, also start the keeper.
        """
        super().start()
        if self.app.predecessor is None:
            self.app.await_replacement()
        if self.app.can_keep:
            path = self.app.peers.folder / custody.name_of(os.getpid())
            self._keeper = Keeper(path, self._fit, self.app.count_lost, self.app.count_unkept)
            self._wake, wakes = os.pipe()
            for end in (self._wake, wakes):
                os.set_blocking(end, False)
            signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def _fit(self) -> list[int]:
        """Return the process ids of the workers that may continue the sessions of a dead worker."""
        return [pid for pid, serves in self._serving(lambda it: not it.is_retired).items() if serves]

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Wait for a signal, or for a message of a worker to the keeper."""
        if self._keeper is None:
            return list(super().wait_for_signals(timeout))
        if self.SIG_QUEUE.empty():
            select.select([self._wake, self._keeper.fileno()], [], [], timeout)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        try:
            self._keeper.poll()
        except Exception:  # a fault of the keeper must not end the server
            logger.exception("the keeper failed at a word of a worker")
        return list(super().wait_for_signals(0.0)) if not self.SIG_QUEUE.empty() else []

    # The end.

    def signal(self, sig: int, frame: Any) -> None:
        """Queue a signal. Count the signals that end the server, because `stop` acts on the second of them."""
        if sig in ENDINGS:
            self._end_signals += 1
            self._ended_by = signal.Signals(sig).name
        super().signal(sig, frame)

    def stop(self, graceful: bool = True) -> None:
        """Drain the workers, and end them; without `graceful`, end them at once. Kill a worker that ends too late.

        A second signal cuts the drain short.

        gunicorn's own method ignores a second SIGTERM. It also signals a worker only once, perhaps before the worker
        has set its handlers.
        """
        drain_s = self.app.drain_s if graceful else 0.0
        logger.info("%s: %d workers drain for up to %g s", self._ended_by, len(self.WORKERS), drain_s)
        # While one main process replaces another, both use this scoreboard.
        if not self.is_replaced and self.app.predecessor is None:
            self.app.scoreboard.is_ending = True
        if self.app.replaceable is not None:
            self.app.replaceable.close()
        self._reloads.close()
        gunicorn.sock.close_sockets(self.LISTENERS, unlink=False)
        self.LISTENERS = []
        deadline_s = time.monotonic() + ARBITER_GRACE_S + (self.app.drain_s if graceful else 0.0)
        while self.WORKERS and time.monotonic() < deadline_s:
            if graceful and self._end_signals > 1:
                logger.info("%s again: the drain is cut short", self._ended_by)
                graceful, deadline_s = False, time.monotonic() + ARBITER_GRACE_S
            self.kill_workers(signal.SIGTERM if graceful else signal.SIGQUIT)
            with contextlib.suppress(queue.Empty):  # SIGCHLD of a worker that ended wakes the arbiter, too
                self.SIG_QUEUE.get(timeout=REPEAT_S)
            self.reap_workers()
        self.kill_workers(signal.SIGKILL)
        self.reap_workers()
        if self._keeper is not None:
            self._keeper.close()
        logger.info("the server has ended")

    def handle_int(self) -> None:
        """Drain after SIGINT as after SIGTERM. gunicorn's own method would end the workers without a drain."""
        self.handle_term()

    # Workers.

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal to a worker. After SIGTERM the worker counts as retired."""
        worker = self.WORKERS.get(pid)
        if sig == signal.SIGTERM and worker is not None and not worker.is_retired:
            worker.is_retired = True
            worker.end_s = time.monotonic() + self.app.drain_s + LEAVE_ACCEPTED_S + ARBITER_GRACE_S
        super().kill_worker(pid, sig)

    def manage_workers(self) -> None:
        """Fork workers, or end workers, until as many serve as configured.

        gunicorn's own method would also count draining workers, and so not replace them.
        """
        self.app.follow_log_level()  # gunicorn calls this every second
        self._is_served()
        self._replace()
        if self.is_replaced or (self.app.replaceable is not None and self.app.replaceable.is_asked):
            return  # the slots of workers belong to the other main process
        self._reloads.advance()
        present = (it for it in self.WORKERS.values() if not it.is_retired and not it.is_on_trial)
        serving = sorted(present, key=lambda it: it.age)
        for _ in range(self.num_workers - len(serving) if time.monotonic() >= self._spawns_from_s else 0):
            self._replace_worker()
        for worker in serving[: max(0, len(serving) - self.num_workers)]:
            self.kill_worker(worker.pid, signal.SIGTERM)

    def _replace_worker(self) -> None:
        self._template = self._reloads.template
        try:
            self.spawn_worker()
        except SuccessorError as error:
            logger.error("no worker is started: %s", error)  # noqa: TRY400 - `Reloads` starts another template
        except OSError as error:  # no memory, process or descriptor is left: the next call tries again
            logger.error("no worker is started: %s", error)  # noqa: TRY400 - the reason says all

    def spawn_worker(self) -> int:
        """Fork a worker, from the template if there is one. Return its process id.

        Raises:
            OSError: no memory, process or descriptor is left.
            SuccessorError: the template is gone.
        """
        # gunicorn changes the umask to make a worker's file, and does not restore it if it cannot make the file.
        mask = os.umask(0)
        os.umask(mask)
        try:
            return self._spawn()
        finally:
            os.umask(mask)

    def _spawn(self) -> int:
        if self._template is None:
            self.app.begin_spawn()
            try:
                return int(super().spawn_worker())
            except OSError:
                self.app.undo_spawn()
                raise
        self.worker_age += 1
        worker = self.worker_class(
            self.worker_age, self.pid, self.LISTENERS, self.app, self.timeout / 2.0, self.cfg, self.log
        )
        self.cfg.pre_fork(self, worker)
        try:
            worker.pid = self._template.fork(worker.slot, worker.age)
        except SuccessorError:
            worker.pid, worker.is_retired = 0, True
            self.cfg.child_exit(self, worker)
            worker.tmp.close()
            raise
        self.WORKERS[worker.pid] = worker
        return int(worker.pid)

    def reap_workers(self) -> None:
        """Record the workers that have ended.

        gunicorn's own method ends the server if a worker cannot start. A worker on trial must not have that effect.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = self.WORKERS.pop(pid, None)
            if worker is not None:
                self._stopped_s.pop(pid, None)
                self._note_end(worker, os.waitstatus_to_exitcode(status))

    def _note_end(self, worker: Any, code: int) -> None:
        if code < 0:
            log = logger.error if -code == signal.SIGKILL else logger.debug
            log("worker %d was sent %s", worker.pid, signal.Signals(-code).name)
        elif code:
            logger.error("worker %d exited with code %d", worker.pid, code)
        is_boot = code in (self.WORKER_BOOT_ERROR, self.APP_LOAD_ERROR)
        if is_boot and not worker.is_on_trial:
            self._note_failed_start(worker.pid, code)
        worker.tmp.close()
        try:
            self.cfg.child_exit(self, worker)
        finally:
            if self._keeper is not None:
                self._keeper.note_end(worker.pid, has_died=code != 0)

    def _is_served(self) -> bool:
        """Whether a worker serves."""
        if any(self._serving(lambda it: not it.is_retired).values()):
            self._has_served, self._failed_starts = True, 0
            return True
        return False

    def _note_failed_start(self, pid: int, code: int) -> None:
        """Delay the next start of a worker, because one could not start, for example without memory or descriptors.

        While no worker serves, new calls wait, and the calls of retired workers continue. So the server ends only if no
        worker has ever served.

        Raises:
            HaltServer: no worker has served yet.
        """
        now_s, is_served = time.monotonic(), self._is_served()
        if not is_served and not self._has_served:
            raise HaltServer("a worker failed to start", code)
        if now_s < self._spawns_from_s:
            return  # another worker of the same attempt
        pause_s = SPAWN_PAUSE_S
        if not is_served:
            pause_s = min(MOST_SPAWN_PAUSE_S, SPAWN_PAUSE_S * 2 ** min(self._failed_starts, 10))
            self._failed_starts += 1
            logger.critical(
                "no worker serves, and worker %d could not start (exit code %d): the next attempt is in %g s, and "
                "callers wait for it",
                pid,
                code,
                pause_s,
            )
        self._spawns_from_s = now_s + pause_s

    def murder_workers(self) -> None:
        """Kill workers that are stopped, that have not written to the scoreboard for long, or that end too late."""
        now_s = time.monotonic()
        # If this process stood still, perhaps with the whole machine, the workers had no time to write their rows
        # either.
        if now_s - self._looked_s > LATE_S:
            self._stopped_s.clear()
        stood_still = now_s - self._looked_s > LATE_S
        self._looked_s = now_s
        seen_s = {row.pid: row.seen_s for row in self.app.scoreboard.rows()}
        for pid, worker in list(self.WORKERS.items()):
            if self._has_stopped(pid, now_s):
                logger.critical("worker %d stood still for %g s: it is shot", pid, STOPPED_S)
                self.kill_worker(pid, signal.SIGKILL)
            elif worker.is_retired and now_s > worker.end_s:
                self.kill_worker(pid, signal.SIGKILL)
            elif not stood_still and now_s - seen_s.get(pid, now_s) > SILENT_S:
                logger.critical("worker %d has said nothing for %g s", pid, SILENT_S)
                self.kill_worker(pid, signal.SIGKILL if worker.aborted else signal.SIGABRT)
                worker.aborted = True

    def _has_stopped(self, pid: int, now_s: float) -> bool:
        if not is_stopped(pid):
            self._stopped_s.pop(pid, None)
            return False
        return now_s - self._stopped_s.setdefault(pid, now_s) >= STOPPED_S

    # Reloads.

    def handle_hup(self) -> None:
        """Reload after SIGHUP.

        In a server with TLS only renew the certificate, because that ends no call. But reload such a server, too, if an
        operator asked for the reload over HTTP.
        """
        board = self.app.reload_board
        if self.is_replaced:
            logger.warning("SIGHUP: another main process serves")
            return
        if self.app.tls is not None and not board.is_asked:
            self.app.tls.renew()
            return
        board.is_asked = False
        if self.app.can_reload:
            logger.info("SIGHUP: new workers replace the old ones, which drain")
            self._reloads.ask()
        else:
            logger.warning("SIGHUP: this system cannot start other code: new workers run the present code")
            super().handle_hup()

    def try_out(self, template: Successor) -> int:
        """Fork a worker on trial from the template of a reload, and return the worker's process id."""
        self._template = template
        pid = self.spawn_worker()
        self.WORKERS[pid].is_on_trial = True
        return pid

    def trial(self) -> dict[int, bool]:
        """Return the workers on trial that run and are not retired, by process id, and whether each serves."""
        return self._serving(lambda it: it.is_on_trial and not it.is_retired)

    def _serving(self, is_meant: Callable[[Any], bool]) -> dict[int, bool]:
        serving = {row.pid for row in self.app.scoreboard.rows() if row.stage is Stage.SERVING}
        return {pid: pid in serving for pid, it in self.WORKERS.items() if is_meant(it)}

    def adopt_trial(self, ready: Ready) -> None:
        """End the trial of a successful reload: keep its workers, and retire all others.

        `ready` has the new number of workers, and the new `drain_s`.
        """
        tried = [it.age for it in self.WORKERS.values() if it.is_on_trial and not it.is_retired]
        self.app.reload_board.least_age = min(tried, default=0)
        for pid, worker in list(self.WORKERS.items()):
            if worker.is_on_trial and not worker.is_retired:
                worker.is_on_trial = False
            elif not worker.is_retired:
                self.kill_worker(pid, signal.SIGTERM)
        self.num_workers = ready.workers
        self.app.drain_s = ready.drain_s

    def end_trial(self) -> None:
        """End the workers on trial, because the reload has failed. They may have calls already."""
        for pid in self.trial():
            self.kill_worker(pid, signal.SIGTERM)

    # Another main process.

    def _replace(self) -> None:
        """Take the next step of a replacement: this process replaces another main process, or another one replaces it.

        Raises:
            HaltServer: another process has replaced this one, and the last worker here has ended; or this process
                cannot replace the other.
        """
        if self.app.predecessor is not None:
            self._take_over(self.app.predecessor)
        elif self.is_replaced:
            if not self.WORKERS:
                raise HaltServer("another main process serves", 0)
        elif self.app.replaceable is not None:
            served = self.app.replaceable.advance()
            if served is not None:
                self._leave_to(served, self.app.replaceable)

    def _take_over(self, predecessor: Predecessor) -> None:
        serving = self._serving(lambda it: not it.is_retired)
        try:
            if len(serving) < self.num_workers or not all(serving.values()):
                predecessor.check()
                return
            predecessor.take(min(it.age for it in self.WORKERS.values()))
        except ReplacementError as error:
            raise HaltServer(f"nothing is taken over: {error}", REPLACES_NOTHING) from error
        logger.info("the process %d is replaced: its calls move here", predecessor.pid)
        self.app.predecessor = None
        self.app.await_replacement()

    def _leave_to(self, served: Served, replaceable: Replaceable) -> None:
        logger.info("another main process serves: %d workers here are retired, and this process ends", self.num_workers)
        self.is_replaced, self._ended_by = True, "a replacement"
        self.app.reload_board.least_age = served.least_age
        self._reloads.close()
        gunicorn.sock.close_sockets(self.LISTENERS, unlink=False)
        self.LISTENERS = []
        replaceable.release()
        self.kill_workers(signal.SIGTERM)

    def handle_usr2(self) -> None:
        """Change the level of log lines after SIGUSR2, in the arbiter and in all workers.

        gunicorn's own method would run the command again, with a listener that the command cannot take over.
        """
        self.app.switches.log_level = None
        self.app.scoreboard.log_steps += 1
        self.app.follow_log_level()


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal or a debugger. False if the system does not report it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])
