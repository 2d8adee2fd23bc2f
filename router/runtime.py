"""The running parts of a router: dispatchers and their watchdog, thread pools, supervisor, embedded simulator."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pykka

from actors import lifecycle
from actors.actor import as_ref
from actors.allocator import Allocator
from actors.connector import DIALS_JUDGED, JUDGED_WITHIN_S, Connector
from actors.dispatcher import Dispatcher
from actors.poller import PollerError, is_portable
from actors.pool import Pool
from actors.supervisor import Supervisor
from actors.watchdog import Custody, Watchdog
from actors.work import Pools
from router.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.actor import Ref
    from router.config.model import RouterConfig
    from router.simulator import Simulator

logger = logging.getLogger(__name__)

CLOSE_GRACE_S: Final = 0.5
"""Seconds in which the threads notice the end of a drain, after its last close handshake (`close_s`)."""

ENTRY_S: Final = 1.0
"""A drain waits at most this many seconds for calls that threads are handing to the supervisor (`entry`)."""

POLL_S: Final = 1.0
"""The interval in seconds at which a drain checks its dispatchers, because a dead one never reports the drain's end."""

STOP_S: Final = 2.0
"""The longest time in seconds in which a dispatcher ends after its sessions have ended."""


class Runtime:
    """The parts of a router that run: dispatchers, pools, supervisor and simulator. They cannot restart after a stop.

    Methods may be called from any thread.
    """

    def __init__(self, config: RouterConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._has_entered = threading.Condition(self._lock)
        self._entering = 0
        """The number of calls that threads are just handing to the supervisor (`entry`)."""
        self._stopping = threading.Lock()
        self._is_closing = False
        self._connector = Connector(config.limits.dial_threads)
        self._pools = Pools(tools=_pool("tools", config), setup=_pool("setup", config), hooks=_pool("hooks", config))
        self.auth_pool = Pool("auth", config.limits.pool_threads)
        """The threads for `authenticate`.

        They are separate, so that another hook that hangs cannot keep new callers out.
        """
        self.web_pool = Pool("web", config.limits.web_threads, max_waiting=config.limits.pool_queue)
        """The threads that serve the requests of an ASGI server. A WSGI server has its own threads."""
        self.dispatchers: list[Dispatcher] = []
        self._watchdog: Watchdog | None = None
        self.custody: Custody | None = None
        """The channel to the keeper of sessions; None if no session outlives this process."""
        self._allocator = Allocator()
        self._simulator: Simulator | None = None
        self.supervisor: Ref | None = None
        self.drained = threading.Event()
        """The event that is set when the last session has ended, or this runtime has stopped."""

    # Start, drain, stop.

    def start(self, *, dials: bool = True) -> bool:
        """Start the parts that do not run yet. Return False if the supervisor ran already.

        If `dials` is False, do not start the embedded simulator, because the caller's sessions dial no upstream.

        Raises:
            StartError: the runtime was drained or stopped, no thread can be started, or the configured poller is
                unknown.
        """
        # Every request calls this, so all requests except the first one must get by without the lock.
        if self._runs(dials=dials):
            return False
        with self._lock:
            if self._is_closing:
                raise StartError("the router was closed: make a new one")
            _check_poller()
            if dials and self._simulates and self._simulator is None:
                self._start_simulator()
            if self.supervisor is not None:
                return False
            self._start_dispatchers()
            self.supervisor = self._start_supervisor()
            return True

    def drain(self, drain_s: float) -> None:
        """Refuse new sessions, and wait for the end of the present ones.

        Their turns in progress may continue for `drain_s`.
        """
        with self._lock:
            self._is_closing = True
            supervisor = self.supervisor
            # A call that is just being accepted reaches the supervisor before the drain, and is drained like any other.
            self._has_entered.wait_for(lambda: not self._entering, ENTRY_S)
        if supervisor is None:
            return
        try:
            supervisor.tell(lifecycle.Drain(self.drained, drain_s))
        except pykka.ActorDeadError:  # another thread has stopped it in the meantime, and its sessions with it
            return
        until_s = time.monotonic() + drain_s + self._config.deadlines.close_s + CLOSE_GRACE_S
        while self.is_alive and not self.drained.wait(min(POLL_S, max(0.0, until_s - time.monotonic()))):
            if time.monotonic() >= until_s:
                logger.warning("the drain timed out: a client did not close, or a hook of a session did not return")
                return

    @contextlib.contextmanager
    def entry(self) -> Iterator[Ref | None]:
        """Yield the supervisor for a new call, or None if the runtime refuses new calls.

        A drain waits until every such block has ended, but at most `ENTRY_S` seconds.
        """
        with self._lock:
            supervisor = None if self._is_closing else self.supervisor
            self._entering += 1
        try:
            yield supervisor
        finally:
            with self._lock:
                self._entering -= 1
                self._has_entered.notify_all()

    def stop(self) -> None:
        """End every thread, and cut the connections that are still open."""
        with self._stopping:
            # Stop the watchdog first, because it would take the dispatchers that stop below for dead ones.
            if self._watchdog is not None:
                self._watchdog.stop()
            if self.supervisor is not None:
                with contextlib.suppress(pykka.Timeout):  # its dispatcher is stalled or dead
                    self.supervisor.stop(block=True, timeout=STOP_S)
                self.supervisor = None
            self.drained.set()
            self._stop_threads()

    # Health.

    @property
    def is_closing(self) -> bool:
        """Whether the runtime refuses new sessions, because it drains or was stopped."""
        return self._is_closing

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs: none has died, and none has stalled for 5 s. False before the start."""
        return bool(self.dispatchers) and not self.problems()

    def problems(self) -> list[str]:
        """Return the problems of the dispatchers, a few words each. While there is a problem, no session is started."""
        # A dead dispatcher counts at once, even before the watchdog's next check.
        dead = [f"{dispatcher.name} is dead" for dispatcher in self.dispatchers if not dispatcher.is_alive]
        return dead or (self._watchdog.problems() if self._watchdog is not None else [])

    def can_dial(self) -> bool:
        """Whether one of the latest dials succeeded, or no dial was made recently."""
        since_s = time.monotonic() - JUDGED_WITHIN_S
        latest = [outcome for outcome in self._connector.outcomes() if outcome.at_s > since_s][-DIALS_JUDGED:]
        return not latest or any(outcome.is_ok for outcome in latest)

    def queues(self) -> list[tuple[str, int, int]]:
        """Return the name of each pool with a bound, its unfinished jobs, and the bound."""
        pools = (self._connector, self._pools.tools, self._pools.setup, self._pools.hooks, self.web_pool)
        return [(pool.name, pool.unfinished, pool.max_unfinished) for pool in pools if pool.max_unfinished is not None]

    @property
    def simulator_url(self) -> str:
        """The address of the embedded simulator; empty if none runs."""
        return self._simulator.url if self._simulator is not None else ""

    def ask(self, message: Any, *, default: Any, timeout_s: float) -> Any:
        """Ask the supervisor, or return `default` if none runs.

        The call blocks, so it must not run on a dispatcher's thread.
        """
        supervisor = self.supervisor
        with contextlib.suppress(pykka.ActorDeadError):  # another thread has just stopped the supervisor
            return default if supervisor is None else supervisor.ask(message, timeout=timeout_s)
        return default

    # Steps.

    @property
    def _simulates(self) -> bool:
        return self._config.upstream == "simulator"

    def _runs(self, *, dials: bool) -> bool:
        has_upstream = self._simulator is not None or not self._simulates or not dials
        return self.supervisor is not None and has_upstream and not self._is_closing

    def _start_simulator(self) -> None:
        # Imported here, because a router with an upstream does not need the module.
        from router.simulator import LanguageModelConfig, Simulator, SimulatorConfig  # noqa: PLC0415

        config, llm = self._config, None
        if config.simulator_llm is not None:
            key = config.simulator_llm_key.reveal() if config.simulator_llm_key is not None else None
            llm = LanguageModelConfig(url=config.simulator_llm, model=config.simulator_llm_model, key=key)
        # The records of an embedded simulator are never read, and they would grow with every call.
        simulated = SimulatorConfig(record_connections=0, record_events=0, voice=config.simulator_voice, llm=llm)
        self._simulator = Simulator(simulated).start()

    def _start_dispatchers(self) -> None:
        with contextlib.ExitStack() as undo:
            dispatchers = []
            try:
                for n in range(self._config.dispatchers):
                    dispatchers.append(Dispatcher(f"dispatcher-{n}").start())
                    undo.callback(dispatchers[-1].stop)
                self._watchdog = Watchdog(dispatchers, allocator=self._allocator, custody=lambda: self.custody).start()
            except RuntimeError as error:  # the system's limit of threads is reached
                logger.error("the router cannot start: %s", error)  # noqa: TRY400 - no bug; the client gets 503
                raise StartError(str(error)) from error
            undo.pop_all()  # keep the parts: only a failure above stops those that were already started
        self.dispatchers = dispatchers

    def _start_supervisor(self) -> Ref:
        first = self.dispatchers[0]
        return as_ref(
            Supervisor.start(
                first,
                dispatchers=self.dispatchers,
                connector=self._connector,
                pools=self._pools,
                allocator=self._allocator,
            )
        )

    def _stop_threads(self) -> None:
        # Close the pools first. Waiting work then ends with an error, which is delivered on a dispatcher that still
        # runs.
        pools = (
            self._connector,
            self._pools.tools,
            self._pools.setup,
            self._pools.hooks,
            self.auth_pool,
            self.web_pool,
        )
        for pool in pools:
            pool.close()
        for dispatcher in self.dispatchers:
            if not dispatcher.stop(STOP_S):
                logger.error("%s did not stop within %g s: its thread is left behind", dispatcher.name, STOP_S)
            left = dispatcher.abort_from_outside()
            if left:
                logger.warning("%s: %d connections did not close in time and were cut", dispatcher.name, left)
        if self._simulator is not None:
            self._simulator.close()


def _check_poller() -> None:
    try:
        is_portable()
    except PollerError as error:
        raise StartError(str(error)) from None


def _pool(name: str, config: RouterConfig) -> Pool:
    return Pool(name, config.limits.pool_threads, max_waiting=config.limits.pool_queue)
