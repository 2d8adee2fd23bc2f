"""The spec of a session, put together from the parts of the router."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import msgspec

from actors.connections.base import ConnectionLimits
from actors.footprint import Footprint
from actors.log_context import log_fields
from actors.restart import first_of
from actors.spec import SessionSpec, no_other_key
from actors.throttle import Rates
from router.admin.switches import Switches
from router.assembly.carried import CarriedSession
from router.assembly.dialling import DialledAhead, Dialling
from router.assembly.machines import Machines
from router.assembly.options import OptionsMaker, judged_query, policy_of
from router.call_names import CallNames
from router.config.upstream import Upstream
from router.fronts.deepgram_agent.front import RELAY
from router.fronts.deepgram_agent.machine import ROUTE
from router.fronts.failover import build
from router.fronts.failover.build import Plan
from router.fronts.table import FRONTS
from router.guard.checking import Checks
from router.guard.rules import CheckText
from router.hooks import Hooks, SessionContext
from router.observer.sessions import Observers, SessionObserver
from router.secrets import Redactor, shown_url
from router.session.recovery import ReplayingMachine
from router.session.snapshot import SnapshotError
from router.telemetry.setup import ProcessTracing
from router.translation.errors import is_fatal_reason
from router.upstreams.backends import Backends
from router.upstreams.pool import UpstreamPool
from router.upstreams.session import SessionUpstreams
from router.wire_view import WireView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from router.access.request import Principal, Request
    from router.assembly.carried import Parcel
    from router.config.model import RouterConfig
    from router.config.route import Route
    from router.fronts.front import Front
    from router.session.options import SessionOptions
    from router.tools.endpoints import Endpoints
    from router.tools.registry import FunctionRegistry

JOINED_AUDIO_BYTES: Final = 8192
"""The largest frame that is made of microphone frames that arrive together, in bytes: a second of telephone audio."""


class SessionFactory:
    """A maker of session specs. Methods may be called from any thread."""

    def __init__(self, config: RouterConfig, functions: FunctionRegistry, hooks: Hooks) -> None:
        self._config = config
        self._hooks = hooks
        self._functions = functions
        redact = Redactor(config.secrets, "[redacted]")
        self._redact = redact
        self._options = OptionsMaker(config, hooks, redact)
        self._options_by_route = {it.path: OptionsMaker(config, hooks, redact, it) for it in config.routes}
        self._checks = Checks(config.guard, ca_file=config.ca_file) if config.guard.is_on else None
        self._upstreams = len(config.all_upstreams())
        self.dialling = Dialling(config, redact)
        self.machines = Machines(config, redact)
        self.forget_peers()
        self.observers = Observers(config)
        self.switches = Switches(self._upstreams)
        """The switches of an operator, such as the paused upstreams."""
        self.pool = UpstreamPool(config.all_upstreams(), self.observers.upstreams, self.observers.metrics)
        """The health of the upstreams, which all sessions of this process share."""
        self._deepgram_pool = UpstreamPool(
            (Upstream(url=config.deepgram_agent_url),), (shown_url(config.deepgram_agent_url),), self.observers.metrics
        )
        """The health of Deepgram's Voice Agent, for the routes that fail over from or to it."""
        self.tracing = ProcessTracing(config)
        """The maker of OpenTelemetry's spans, if the setting `otel` asks for them."""

    def of(
        self,
        session_id: str,
        request: Request,
        turn_detection: str | None,
        *,
        perform: Callable[[Any, Principal | None], Any],
        on_end: Callable[[], None],
        on_settings: Callable[[], None] | None = None,
        spend_today: Callable[[int, float, int], tuple[int, float, int]] | None = None,
        parcel: Parcel | None = None,
        journal: Iterable[str | bytes] = (),
        ahead: DialledAhead | None = None,
    ) -> SessionSpec:
        """Return the spec of a session, which the engine runs.

        `turn_detection` comes from the URL; None means the configured one. The dispatcher calls `on_settings` once,
        when the session has its Settings. For `spend_today` see `SessionOptions`. `parcel` holds a session that another
        process carried, and `journal` the client's messages after its snapshot. `ahead` is an upstream that was dialled
        for that session; the spec closes it at the session's end. For a session from another process the present
        options, policy and prices apply, and the session's metrics, wire view and spans start again.

        Raises:
            SnapshotError: a part of `parcel` is damaged or of another version.
        """
        config, front = self._config, FRONTS[request.profile]
        observer = self.observers.new(session_id, request)
        policy = policy_of(config, front, request, turn_detection)
        functions, prices = self._functions.functions(), self.observers.prices
        maker = self._options_by_route.get(request.route, self._options)
        options = front.options(maker.of(turn_detection, policy, functions, prices, spend_today))
        route = config.route_of(request.route)
        failover = self._failover_of(route) if parcel is None else self._failover_of_parcel(front, route, parcel)
        assembled = self.machines.of(
            session_id,
            front,
            request,
            options,
            names=self.names,
            observer=observer,
            on_end=on_end,
            on_settings=on_settings,
            parcel=parcel,
            failover=failover,
        )
        asked = (
            request if policy is None else msgspec.structs.replace(request, query=judged_query(front, policy, request))
        )
        upstreams = self._upstreams_of(front, asked, route, options, is_doubled=failover is not None)
        shared = upstreams.shared
        choose = first_of if shared is None else shared.choose
        calls = self._calls(session_id, request, observer, perform, shared=shared, ahead=ahead)
        carried = CarriedSession(
            assembled.session,
            request,
            turn_detection,
            assembled.memory,
            relay=assembled.relay,
            can_outlive=front.can_outlive,
            can_return=front.can_return and failover is None,
            guard=assembled.guard,
            front=assembled.front,
            backends=assembled.backends,
        )
        can_move = front.can_move and assembled.is_movable
        return SessionSpec(
            session_id=session_id,
            machine=assembled.machine if parcel is None else ReplayingMachine(assembled.machine, journal),
            carried=carried if can_move else None,
            read_late=assembled.read_late,
            dial_target=upstreams.dial_target,
            dialler=calls.dialler,
            crash_frame=front.crash_frame,
            busy_frame=front.busy_frame,
            footprint=self.footprint,
            client_rates=Rates(options.limits.max_messages_per_s, options.limits.max_bytes_per_s),
            on_end=assembled.on_end if ahead is None else _both_ends(ahead.close, assembled.on_end),
            observe=calls.observe,
            log_fields=observer.identity.log_fields,
            delivered=self._hooks.delivered,
            deliver=_logged(observer, calls.deliver),
            deliver_timeout_s=config.deadlines.hook_s,
            upstreams=upstreams.length,
            restarts=upstreams.restarts,
            is_paused=upstreams.is_paused,
            choose=choose if ahead is None else ahead.choosing(choose),
            note_loss=no_other_key if shared is None else shared.note_loss,
            is_fatal=is_fatal_reason,
            perform=_logged(observer, calls.perform),
        )

    def dial_ahead(self, request: Request, model: str) -> DialledAhead | None:
        """Dial the upstream that a session from another process would choose. The call blocks.

        Return None if every upstream is paused, or if Deepgram serves a session that prefers the listed upstreams.

        Raises:
            DialError: the dial failed.
        """
        front = FRONTS[request.profile]
        if front.dial_target is not None:
            target = self.dialling.target_of(front, request, self.limits)(model, 0, 0)
            return DialledAhead(target, self.dialling.dialler(self.observers)(target))
        is_paused = self._is_paused(self._config.route_of(request.route))
        positions = [it for it in range(self._upstreams) if not is_paused(it)]
        if model == ROUTE or not positions:
            return None
        lease = self.pool.take(self.pool.choose(positions, None))
        release = functools.partial(self.pool.release, lease)
        try:
            target = self.dialling.listed_target_of(request, self.limits)(model, lease.position, lease.key)
            connection = self.dialling.dialler(self.observers)(target)
        except BaseException:
            release()
            raise
        self.pool.connected(lease)
        return DialledAhead(target, connection, release)

    def forget_peers(self) -> None:
        """Set the count of the memory that all peers hold to zero, and forget the names of calls.

        The router calls this at its start, and in the child of a fork, because the child does not have the parent's
        peers.
        """
        self.footprint = Footprint(self._config.limits.memory_bytes)
        self.names = CallNames()
        """The ids of sessions by the name of their call, such as the id of a telephone call."""
        self.limits = _connection_limits(self._config, self.footprint)
        """The limits of the connections to upstreams."""
        # An upstream's text messages may be larger: they hold audio, and the whole configuration of a session.
        self.client_limits = msgspec.structs.replace(self.limits, max_text_bytes=self._config.limits.max_text_bytes)

    def client_limits_of(self, front: Front) -> ConnectionLimits:
        """Return the limits of client connections, with a larger bound of text messages if the front needs it."""
        if front.max_text_bytes is None:
            return self.client_limits
        most = max(front.max_text_bytes, self.client_limits.max_text_bytes or 0)
        return msgspec.structs.replace(self.client_limits, max_text_bytes=most)

    def new_wire_view(self) -> WireView | None:
        """Begin a wire view of all later sessions, and return it. Return None if the configuration has none."""
        config = self._config
        self.machines.wire_view = WireView(self._redact, config.wire_view_max_bytes) if config.wire_view else None
        return self.machines.wire_view

    def _failover_of(self, route: Route | None) -> Plan | None:
        if route is None or not route.failover:
            return None
        blocks = self._config.agents[route.failover_agent] if route.failover_agent is not None else {}
        return Plan(deepgram_position=self._upstreams, blocks=blocks)

    def _failover_of_parcel(self, front: Front, route: Route | None, parcel: Parcel) -> Plan | None:
        """Return the plan of a call that another process carried: it keeps its backends under a new configuration."""
        if not build.has_sides(front):
            return self._failover_of(route)
        if not parcel.backends:
            return None
        if self._config.guard.is_on:
            raise SnapshotError("two backends may serve the call, and no guard would check it")
        return self._failover_of(route) or Plan(deepgram_position=self._upstreams)

    def _upstreams_of(
        self, front: Front, request: Request, route: Route | None, options: SessionOptions, *, is_doubled: bool
    ) -> _Upstreams:
        """Return the upstreams of a session.

        With `is_doubled` two backends may serve the session, and Deepgram comes after the listed upstreams.
        """
        restarts, count = self._config.restarts, self._upstreams
        if front.dial_target is not None and not is_doubled:
            # A relay's upstream is not in the list, and has no alternative.
            make_target = self.dialling.target_of(front, request, self.limits)
            return _Upstreams(None, functools.partial(_unlisted, make_target), _never_paused, 1, restarts)
        is_paused = self._is_paused(route)
        make_target = self.dialling.listed_target_of(request, self.limits)
        listed = SessionUpstreams(self.pool, make_target, is_paused, count)
        if not is_doubled:
            return _Upstreams(listed, listed.target, is_paused, count, restarts)
        own = self.dialling.target_of(RELAY, request, self.limits)
        both = Backends(
            listed,
            SessionUpstreams(self._deepgram_pool, own, _never_paused, 1),
            position=count,
            prefers_deepgram=front.dial_target is not None,
            relay_route=ROUTE,
            model=options.fixed_model or options.model,
        )
        # The budget has to let a call reach the last upstream.
        most = max(restarts, 1 + (len(route.upstreams) if route is not None and route.upstreams else count))
        return _Upstreams(
            both, both.target, lambda it: it != count and is_paused(it), count + 1, most if restarts else 0
        )

    def _is_paused(self, route: Route | None) -> Callable[[int], bool]:
        """Return a function that says whether a position of the list is closed to a session.

        A paused upstream is closed, and so is an upstream that the session's route does not list.
        """
        if route is None or not route.upstreams:
            return self.switches.is_paused
        own = frozenset(route.upstreams)
        return lambda position: position not in own or self.switches.is_paused(position)

    def _calls(
        self,
        session_id: str,
        request: Request,
        observer: SessionObserver,
        perform: Callable[[Any, Principal | None], Any],
        *,
        shared: SessionUpstreams | Backends | None,
        ahead: DialledAhead | None,
    ) -> _Calls:
        deliver = self._hooks.deliverer(SessionContext(id=session_id, request=request))
        dialler = self.dialling.dialler(self.observers)
        if ahead is not None:
            dialler = ahead.before(dialler)
        observe: Callable[[Any], None] = observer
        if shared is not None:
            dialler, observe = shared.dialling(dialler), _both(observer, shared.observe)
        calls = _Calls(dialler, observe, deliver, self._performer(request, perform))
        tracing = self.tracing.get()
        if tracing is None:
            return calls
        spans = tracing.session(session_id, request)
        return _Calls(
            spans.dialling(calls.dialler),
            _both(calls.observe, spans.observe),
            spans.delivering(calls.deliver),
            spans.performing(calls.perform),
        )

    def _performer(self, request: Request, perform: Callable[[Any, Principal | None], Any]) -> Callable[[Any], Any]:
        performer, checks = self._hooks.performer(request, perform), self._checks
        if checks is None:
            return performer
        return lambda work: checks.check(work) if isinstance(work, CheckText) else performer(work)


class _Upstreams(NamedTuple):
    """The upstreams of one session, in the form that the engine needs."""

    shared: SessionUpstreams | Backends | None
    """The session's use of the pools; None for a relay, whose upstream is in no list."""
    dial_target: Callable[[str, int], DialTarget]
    is_paused: Callable[[int], bool]
    length: int
    """The number of positions."""
    restarts: int


class _Both:
    """An observer that passes each event on to two observers. A closure would take twice the memory."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Callable[[Any], None], second: Callable[[Any], None]) -> None:
        self._first = first
        self._second = second

    def __call__(self, event: Any) -> None:
        self._first(event)
        self._second(event)


class _Logged:
    """A function whose log lines have the fields of a session."""

    __slots__ = ("_call", "_observer")

    def __init__(self, observer: SessionObserver, call: Callable[[Any], Any]) -> None:
        self._observer = observer
        self._call = call

    def __call__(self, argument: Any) -> Any:
        with log_fields(self._observer.log_fields):
            return self._call(argument)


class _Calls(NamedTuple):
    """The functions of one session that the engine calls: to dial, to observe, and to call an application's hooks."""

    dialler: Callable[[DialTarget], Connection]
    observe: Callable[[Any], None]
    deliver: Callable[[Any], None] | None
    perform: Callable[[Any], Any]


def _both(first: Callable[[Any], None], second: Callable[[Any], None]) -> Callable[[Any], None]:
    return _Both(first, second)


def _both_ends(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def end() -> None:
        first()
        second()

    return end


def _unlisted(make_target: Callable[[str, int, int], DialTarget], model: str, position: int) -> DialTarget:
    return make_target(model, position, 0)


def _never_paused(_position: int) -> bool:
    return False


@overload
def _logged(observer: SessionObserver, call: Callable[[Any], Any]) -> Callable[[Any], Any]: ...


@overload
def _logged(observer: SessionObserver, call: None) -> None: ...


def _logged(observer: SessionObserver, call: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """Wrap `call`, so that its log lines on any thread have the fields of the session. Without a `call` return None."""
    return _Logged(observer, call) if call is not None else None


def endpoints_of(config: RouterConfig) -> Endpoints:
    """Return the object that calls the endpoints of functions by HTTP, as the configuration allows."""
    from router.tools.addresses import Addresses  # noqa: PLC0415 - with urllib3, which few configurations need
    from router.tools.endpoints import Endpoints  # noqa: PLC0415

    return Endpoints(
        Addresses(config.tool_networks),
        timeout_s=config.deadlines.tool_call_s,
        ca_file=config.ca_file,
    )


def _connection_limits(config: RouterConfig, footprint: Footprint) -> ConnectionLimits:
    return ConnectionLimits(
        footprint=footprint,
        write_buffer_bytes=config.limits.write_buffer_bytes,
        max_message_bytes=config.limits.max_message_bytes,
        join_binary_bytes=JOINED_AUDIO_BYTES,
        ping_interval_s=config.deadlines.ping_interval_s,
        ping_timeout_s=config.deadlines.ping_timeout_s,
        write_stall_s=config.deadlines.write_stall_s,
        close_timeout_s=config.deadlines.close_s,
    )
