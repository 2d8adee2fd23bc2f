"""The parts of a router in one process, which all sessions share: their start and their end."""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import functools
import logging
import os
import weakref
from typing import TYPE_CHECKING

from router.access.authentication import Authentication
from router.access.gate import Gate
from router.access.redis_counts import client_of
from router.access.session_limits import Admission, SharedLimits
from router.admin.operator import Operator
from router.admin.switches import Switches
from router.assembly.factory import SessionFactory, endpoints_of
from router.config import model_ends
from router.config.policy_table import limits_of_policies
from router.errors import StartError
from router.load import load_of
from router.logs.usage_log import UsageLog
from router.metrics.catalog import STORE_AWAY
from router.metrics.metrics import Metrics
from router.observer.sessions import Observers
from router.pacing import CallPacer
from router.resume.resumption import Resumption
from router.runtime import Runtime
from router.telemetry.setup import ProcessTracing
from router.tools.registry import FunctionRegistry
from router.tools.runner import WorkRunner
from router.upstreams.pool import UpstreamPool
from router.upstreams.shared import SharedBreakers
from router.web import host, upgrade

if TYPE_CHECKING:
    from router.config.model import RouterConfig
    from router.hooks import Hooks
    from router.keeping import Custody
    from router.recording.recorder import Recorder
    from router.resume.area import SharedSnapshots

logger = logging.getLogger(__name__)


class Parts:
    """The parts of a router in one process. Any thread may call the methods, except a dispatcher's.

    Args:
        config: the whole configuration.
        hooks: the hooks of the application; none of them is a coroutine.
    """

    def __init__(self, config: RouterConfig, hooks: Hooks) -> None:
        self.config = config
        self.authentication = Authentication(config, hooks.authenticate)
        self.functions = FunctionRegistry()
        self.session_factory = SessionFactory(config, self.functions, hooks)
        self.is_standalone = False
        """Whether the threads that serve requests have no other work, so that they may wait while many calls begin."""
        self.custody: Custody | None = None
        """The channel to the keeper of sessions; None if no session outlives its process."""
        self.gate = Gate(config, is_server=False)
        self.reset()
        _all_parts.add(self)

    def reset(self) -> None:
        """Set the state before the first start, in a new router and in the child process of a fork.

        A forked child inherits locks in their state at the fork, but no threads.
        """
        config, factory = self.config, self.session_factory
        self.runtime = Runtime(config)
        self.metrics = Metrics()
        of_policies = limits_of_policies(config.limits, config.policies)
        shared_limits = SharedLimits(config.limits, of_policies=of_policies)
        self.admission = Admission(shared_limits, on_store_away=self._count_store_away)
        self.resumption = Resumption(config, self.metrics)
        self._usage_log = UsageLog(config.usage_log) if config.usage_log else None
        factory.switches = Switches(len(config.all_upstreams()))
        factory.machines.recorder = _recorder_of(config, self.metrics, factory.switches)
        factory.observers = Observers(config, self._usage_log, self.metrics)
        factory.pool = UpstreamPool(config.all_upstreams(), factory.observers.upstreams, self.metrics)
        self._shared_breakers = _shared_breakers_of(config, factory.pool, self.metrics)
        self.operator = Operator(
            self.runtime,
            factory.switches,
            factory.observers.upstream_book,
            factory.pool,
            drain_s=config.drain_s,
            records=config.record is not None,
            positions=factory.observers.positions,
        )
        factory.tracing = ProcessTracing(config)
        self.call_pacer = CallPacer()
        factory.forget_peers()
        self.wire_view = factory.new_wire_view()
        self.held_threads = upgrade.HeldServerThreads(config.limits.held_server_threads)
        self.work_runner = WorkRunner(self.functions, lambda: endpoints_of(config))
        self._host: host.Host | None = None
        """The gunicorn worker of an embedded router; None outside of gunicorn. Its time-outs limit the drain."""
        self.open: set[str] = set()
        """The ids of the present sessions. The supervisor knows them, too, but asking the supervisor blocks."""

    # Memory that the workers of a server share. It is set before the start.

    def keep_in(self, shared: SharedSnapshots) -> None:
        """Keep the snapshots of lost calls in memory that all workers share."""
        self.resumption = Resumption(self.config, self.metrics, shared)

    def count_in(self, shared: SharedLimits, slot: int) -> None:
        """Count sessions together with the other workers, in `shared`. This worker writes its counts into `slot`."""
        self.admission = Admission(shared, slot, self._count_store_away)

    def _count_store_away(self) -> None:
        self.metrics.add(STORE_AWAY)

    # Start and end.

    def start(self, *, dials: bool = True) -> bool:
        """Start the dispatchers and the supervisor, and with `dials` the embedded simulator if it is the upstream.

        Return whether this call started them.

        Raises:
            StartError: the router was closed, or no thread can be started.
        """
        self.session_factory.tracing.get()  # the first session does not wait for OpenTelemetry's import
        has_begun = self.runtime.start(dials=dials)
        self.session_factory.dialling.simulator_url = self.runtime.simulator_url
        # Not in the constructor, because with --preload gunicorn makes the router in the arbiter, which has no worker
        # yet.
        if has_begun and not self.is_standalone:  # the command warns once for all workers
            for warning in model_ends.warnings(self.config, dt.datetime.now(dt.UTC).date()):
                logger.warning("%s", warning)
        if has_begun and self._shared_breakers is not None:
            self._shared_breakers.start()
        if has_begun:
            self._host = host.find()
            if self._host is not None:
                self._host.watch(self.runtime.drained, self.close)
        return has_begun

    def start_lazily(self, *, dials: bool = True) -> None:
        """Start with the first request, as `start` does. Log a failure, so that a later request can try again.

        The request that meets the failure gets 503.
        """
        with contextlib.suppress(StartError):
            if self.start(dials=dials) and self.session_factory.dialling.simulator_url:
                logger.warning(
                    "no key and no upstream are configured: a simulator answers, which understands no language; "
                    "set openai_api_key or upstream"
                )

    def close(self, drain_s: float | None = None) -> None:
        """End every session, and stop. For `drain_s` see `Router.close`. The call blocks."""
        if drain_s is None:
            drain_s = self.config.drain_s if self._host is None else self._host.drain_s(self.config.drain_s)
        self.runtime.drain(drain_s)
        self.runtime.stop()
        self.resumption.close()
        self.admission.close()
        if self._shared_breakers is not None:
            self._shared_breakers.close()
        self.sample_metrics()
        if self._usage_log is not None:
            self._usage_log.close()
        self.session_factory.tracing.close()
        if self.session_factory.machines.recorder is not None:
            self.session_factory.machines.recorder.close()

    # The state of the process. No method below blocks.

    def readiness(self) -> tuple[bool, str]:
        """Return whether the router is ready for new sessions, and the reason, such as `ready` or `draining`."""
        if self.runtime.is_closing:
            return False, "draining"
        if self.runtime.dispatchers and not self.runtime.is_alive:
            return False, "not running"
        if self.operator.switches.are_all_paused:
            return False, "every upstream is paused"
        return (True, "ready") if self.runtime.can_dial() else (False, "no upstream can be dialled")

    def sample_metrics(self) -> None:
        """Update the counters of this process."""
        self.metrics.sample(self.runtime.dispatchers)
        self.metrics.sample_buffers(self.session_factory.footprint)
        self.session_factory.pool.sample()
        for name, used, limit in self._limits_in_use():
            self.metrics.use_limit(name, used, limit)

    def load(self) -> float:
        """Return the share in use of the fullest limit, queue or dispatcher; 1.0 is full."""
        footprint = self.session_factory.footprint
        memory = ("memory", footprint.total_bytes, footprint.max_bytes)
        lag_s = max((dispatcher.lag_s for dispatcher in self.runtime.dispatchers), default=0.0)
        return load_of([memory, *self._limits_in_use()], lag_s)

    def _limits_in_use(self) -> list[tuple[str, int, int]]:
        limits = self.config.limits
        sessions, pending = self.admission.in_use()
        return [
            ("sessions", sessions, limits.max_sessions),
            ("pending_sessions", pending, limits.max_pending_sessions),
            *self.runtime.queues(),
        ]


def _recorder_of(config: RouterConfig, metrics: Metrics, switches: Switches) -> Recorder | None:
    if config.record is None:
        return None
    from router.recording.recorder import Recorder  # noqa: PLC0415 - few configurations record

    return Recorder(config, metrics, switches)


def _shared_breakers_of(config: RouterConfig, pool: UpstreamPool, metrics: Metrics) -> SharedBreakers | None:
    if not config.limits.store:
        return None
    shared = SharedBreakers(pool, config.all_upstreams(), functools.partial(client_of, config.limits), metrics)
    pool.publish = shared.publish
    return shared


# Forks, and the end of the process.

_all_parts: weakref.WeakSet[Parts] = weakref.WeakSet()
"""Weak references to the parts of all routers, so that a router can be freed when its application no longer uses it."""


def _reset_in_child() -> None:
    for parts in list(_all_parts):
        parts.reset()


def _close_all() -> None:
    """Close every router when the interpreter ends, so that each client gets a message and a close frame.

    An interrupt (a second Ctrl-C) shortens the drain.
    """
    drain_s = None
    for parts in list(_all_parts):
        try:
            parts.close(drain_s)
        except KeyboardInterrupt:
            drain_s = 0.0
            parts.close(drain_s)


os.register_at_fork(after_in_child=_reset_in_child)
atexit.register(_close_all)
