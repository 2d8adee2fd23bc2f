"""The running parts of a router: dispatchers and who looks after them, pools, supervisor, the embedded simulator."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pykka

from actors import lifecycle
from actors.connector import Connector
from actors.dispatcher import Dispatcher
from actors.pool import Pool
from actors.supervisor import Supervisor, as_ref
from actors.watchdog import Watchdog
from actors.work import Pools
from router.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.actor import Ref
    from router.config.model import RouterConfig
    from router.simulator import Simulator

logger = logging.getLogger(__name__)

LATE_S: Final = 0.5
"""What the last close handshakes may be late when a router closes."""

ENTER_S: Final = 1.0
"""To accept a call takes milliseconds; whoever takes longer is not waited for."""

LOOK_S: Final = 1.0

STOP_S: Final = 2.0
"""For each dispatcher to end, once the sessions have."""

DIALS_JUDGED: Final = 3
JUDGED_WITHIN_S: Final = 60.0
"""No upstream can be dialled when the latest dials, so many or fewer, all failed within this time."""


class Runtime:
    """Nothing runs before `start`; what was stopped stays so. All methods may be called from any thread."""

    def __init__(self, config: RouterConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._has_entered = threading.Condition(self._lock)
        self._entering = 0
        """Calls that are being accepted at this moment."""
        self._stopping = threading.Lock()
        self._is_closing = False
        self._connector = Connector(config.limits.dial_threads)
        self._pools = Pools(tools=_pool("tools", config), setup=_pool("setup", config), hooks=_pool("hooks", config))
        self.auth_pool = Pool("auth", config.limits.pool_threads)
        """Runs `authenticate`, on threads of its own like each other use: what hangs there closes no door."""
        self.dispatchers: list[Dispatcher] = []
        self._watchdog: Watchdog | None = None
        self._simulator: Simulator | None = None
        self.supervisor: Ref | None = None
        self.drained = threading.Event()
        """Set when nothing is left of the last session, or of us."""

    # A life: start, drain, stop.

    def start(self, *, dials: bool = True) -> bool:
        """Start what does not run yet; whether there was anything. Without `dials` no embedded simulator is needed.

        Raises:
            StartError: it was drained or stopped, or no thread can be started.
        """
        if self._runs(dials=dials):
            return False
        with self._lock:
            if self._is_closing:
                raise StartError("the router was closed")
            if dials and self._simulates and self._simulator is None:
                self._start_simulator()
            if self.supervisor is not None:
                return False
            self._start_dispatchers()
            self.supervisor = self._start_supervisor()
            return True

    def drain(self, drain_s: float) -> None:
        """Have no session begun any more, and wait for those that there are; `drain_s` is for what is under way."""
        with self._lock:
            self._is_closing = True
            supervisor = self.supervisor
            self._has_entered.wait_for(lambda: not self._entering, ENTER_S)
        if supervisor is None:
            return
        with contextlib.suppress(pykka.ActorDeadError):  # another call was faster
            supervisor.tell(lifecycle.Drain(self.drained, drain_s))
        until_s = time.monotonic() + drain_s + self._config.deadlines.close_s + LATE_S
        while self.is_alive and not self.drained.wait(min(LOOK_S, max(0.0, until_s - time.monotonic()))):
            if time.monotonic() >= until_s:
                logger.warning("some clients did not close in time, or what is told of them did not end")
                return

    @contextlib.contextmanager
    def entry(self) -> Iterator[Ref | None]:
        """The supervisor, for who accepts a call: it drains nobody before the call was told to it. None: too late."""
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
        """End every thread, and cut off whoever is left on them."""
        with self._stopping:
            if self._watchdog is not None:
                self._watchdog.stop()
            if self.supervisor is not None:
                with contextlib.suppress(pykka.Timeout):  # its dispatcher does not run
                    self.supervisor.stop(block=True, timeout=STOP_S)
                self.supervisor = None
            self.drained.set()
            self._stop_threads()

    # How it is.

    @property
    def is_closing(self) -> bool:
        """Whether it takes no sessions any more."""
        return self._is_closing

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs: none has died, or stalled for 5 s."""
        return bool(self.dispatchers) and not self.problems()

    def problems(self) -> list[str]:
        """What is wrong with the dispatchers, a few words each. Where there is anything, no session is begun."""
        dead = [f"{dispatcher.name} is dead" for dispatcher in self.dispatchers if not dispatcher.is_alive]
        return dead or (self._watchdog.problems() if self._watchdog is not None else [])

    def can_dial(self) -> bool:
        """Whether any of the latest dials went well; where there were none, they may. Some pass again, and tell."""
        since_s = time.monotonic() - JUDGED_WITHIN_S
        latest = [outcome for outcome in self._connector.outcomes() if outcome.at_s > since_s][-DIALS_JUDGED:]
        return not latest or any(outcome.is_ok for outcome in latest)

    @property
    def simulator_url(self) -> str:
        """Where the embedded simulator listens; empty where there is none."""
        return self._simulator.url if self._simulator is not None else ""

    def ask(self, message: Any, *, default: Any, timeout_s: float) -> Any:
        """Ask the supervisor; `default` is the answer where it does not run. Blocks: not on a dispatcher's thread."""
        supervisor = self.supervisor
        with contextlib.suppress(pykka.ActorDeadError):  # stopped this very moment
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
        from router.simulator import Simulator, SimulatorConfig  # noqa: PLC0415 - only where it is the upstream

        self._simulator = Simulator(SimulatorConfig(record_connections=0, record_events=0)).start()

    def _start_dispatchers(self) -> None:
        with contextlib.ExitStack() as undo:
            dispatchers = []
            try:
                for n in range(self._config.dispatchers):
                    dispatchers.append(Dispatcher(f"dispatcher-{n}").start())
                    undo.callback(dispatchers[-1].stop)
                self._watchdog = Watchdog(dispatchers).start()
            except RuntimeError as error:  # the process, or the machine, has as many threads as it may have
                logger.error("the router cannot start: %s", error)  # noqa: TRY400 - no bug; whoever comes is told 503
                raise StartError(str(error)) from error
            undo.pop_all()
        self.dispatchers = dispatchers

    def _start_supervisor(self) -> Ref:
        first = self.dispatchers[0]
        return as_ref(
            Supervisor.start(first, dispatchers=self.dispatchers, connector=self._connector, pools=self._pools)
        )

    def _stop_threads(self) -> None:
        for pool in (self._connector, self._pools.tools, self._pools.setup, self._pools.hooks, self.auth_pool):
            pool.close()
        for dispatcher in self.dispatchers:
            if not dispatcher.stop(STOP_S):
                logger.error("%s does not end", dispatcher.name)
            left = dispatcher.abort_from_outside()
            if left:
                logger.warning("%s: %d connections had not closed in time, and were cut", dispatcher.name, left)
        if self._simulator is not None:
            self._simulator.close()


def _pool(name: str, config: RouterConfig) -> Pool:
    return Pool(name, config.limits.pool_threads, max_waiting=config.limits.pool_queue)
