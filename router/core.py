"""The `Router`: the object that an application holds. It authenticates requests and starts their sessions."""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import functools
import logging
import os
import time
import uuid
import warnings
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

import msgspec
import pykka

from actors import lifecycle, messages
from actors.connections.client import ClientConnection, accept
from actors.connections.close_codes import GOING_AWAY
from actors.connections.handover import HandshakeRefused
from actors.connections.kept import KeptConnection
from router import asgi, closes, hooks
from router.access import loops
from router.access.authentication import REFUSAL_S, Authentication, refusal
from router.access.gate import Gate
from router.access.hook import RETRY_SOON
from router.access.redis_counts import client_of
from router.access.request import Request, is_upgrade
from router.access.session_limits import NO_TICKET, Admission, SharedLimits, Ticket
from router.admin import verbs
from router.admin.operator import Operator
from router.admin.switches import Switches
from router.assembly.carried import MAX_ADOPTIONS, CarriedSession, count_adoption, open_parcel
from router.assembly.factory import SessionFactory, endpoints_of
from router.config import keywords, model_ends
from router.errors import StartError
from router.fronts.deepgram import LOST_FRAME
from router.fronts.table import FRONTS, routes
from router.keeping import ShelvedMachine
from router.load import load_of
from router.logs.usage_log import UsageLog
from router.metrics.catalog import OTHER, RECOVERIES, REFUSALS, REFUSED, STORE_AWAY
from router.metrics.metrics import Metrics
from router.observer.sessions import Observers
from router.pacing import CallPacer
from router.resume.keeping import KeepingMachine, ReturningMachine
from router.resume.resumption import Resumption, asks_for_token
from router.runtime import Runtime
from router.session.profile import PROFILES
from router.session.snapshot import VALUE_LAYOUT, SnapshotError
from router.telemetry.setup import ProcessTracing
from router.tools.registry import FunctionRegistry
from router.tools.runner import WorkRunner
from router.upstreams.pool import UpstreamPool
from router.upstreams.shared import SharedBreakers
from router.web import host, upgrade
from router.web.app import make_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actors.actor import Ref
    from actors.connections.base import AcceptedConnection, Connection, ConnectionLimits
    from actors.connections.upstream import DialTarget
    from actors.spec import SessionSpec
    from router.access.request import Authenticate, Principal
    from router.config.model import RouterConfig
    from router.fronts.front import FrontRoute
    from router.keeping import Custody
    from router.logs.once import Once
    from router.recording.recorder import Recorder
    from router.resume.area import SharedSnapshots
    from router.tools.registry import Handler
    from router.web.response import Environ, Response, StartResponse, WSGIApp

logger = logging.getLogger(__name__)

C = TypeVar("C", bound="Connection")


Profile = Literal["openai", "converse"]
"""The kind of clients on a route: `openai` is for the React component, `converse` for Deepgram's SDKs."""


class Router:
    """The object that carries sessions between clients and an upstream.

    No thread runs before `start` or the first request, so that a process may fork after it made a router. A child
    process that is forked later starts without sessions and creates new threads. Several routers may live in one
    process. All methods may be called from any thread except a dispatcher's.

    Args:
        config: the whole configuration, or
        settings: the fields of `RouterConfig` as keywords, validated as the command's settings are. A keyword that is
            None counts as not given, and the environment is not read. With neither a key nor an upstream the embedded
            simulator answers.
        authenticate and the others: hooks, called on separate threads; see `router.hooks` and docs/embedding.md.

    Raises:
        ConfigError: a setting is unknown, or its value is invalid.
    """

    def __init__(
        self,
        config: RouterConfig | None = None,
        *,
        authenticate: Authenticate | None = None,
        configure: hooks.Configure | None = None,
        on_session_start: hooks.OnSessionStart | None = None,
        on_session_end: hooks.OnSessionEnd | None = None,
        on_turn: hooks.OnTurn | None = None,
        on_usage: hooks.OnUsage | None = None,
        **settings: Unpack[keywords.RouterSettings],
    ) -> None:
        self.config = keywords.checked_config(config, settings, has_hook=authenticate is not None)
        self._event_loop = asgi.EventLoop(self.config.deadlines.hook_s)
        plain = self._event_loop.plain
        self._hooks = hooks.Hooks(
            authenticate=plain("authenticate", authenticate),
            configure=plain("configure", configure),
            on_session_start=plain("on_session_start", on_session_start),
            on_session_end=plain("on_session_end", on_session_end),
            on_turn=plain("on_turn", on_turn),
            on_usage=plain("on_usage", on_usage),
        )
        self._authentication = Authentication(self.config, self._hooks.authenticate)
        self._functions = FunctionRegistry()
        self._session_factory = SessionFactory(self.config, self._functions, self._hooks)
        self._is_standalone = False
        self.ask_workers: Callable[[dict[str, Any]], list[Any]] = lambda verb: [verbs.perform(self, verb)]
        """Performs a verb of an operator, and returns its answers.

        This function asks this process alone. The server replaces it with one that asks all workers.
        """
        self.custody: Custody | None = None
        """The way to the keeper of sessions; None where none outlives its process."""
        self._gate = Gate(self.config, is_server=False)
        self._reset()
        _routers.add(self)

    @classmethod
    def standalone(cls, config: RouterConfig) -> Router:
        """Make a router whose web server serves nothing else.

        In a storm of new calls the threads of that server wait (`router.pacing`), so that present callers hear no
        delay. The threads of a host application have other work and never wait.
        """
        router = cls(config)
        router._is_standalone = True
        return router

    def _reset(self) -> None:
        """Set the state before the first start, in a new router and in the child process of a fork.

        A forked child inherits locks in the state of the moment of the fork, and none of the threads.
        """
        self._runtime = Runtime(self.config)
        self._admission = Admission(SharedLimits(self.config.limits), on_store_away=self._count_store_away)
        self._usage_log = UsageLog(self.config.usage_log) if self.config.usage_log else None
        self.metrics = Metrics()
        """The counters of this process; a server attaches them to memory that its workers share."""
        self._resumption = Resumption(self.config, self.metrics)
        self._session_factory.switches = Switches(len(self.config.all_upstreams()))
        switches = self._session_factory.switches
        self._session_factory.machines.recorder = _recorder_of(self.config, self.metrics, switches)
        self._session_factory.observers = Observers(self.config, self._usage_log, self.metrics)
        observers = self._session_factory.observers
        pool = UpstreamPool(self.config.all_upstreams(), observers.upstreams, self.metrics)
        self._session_factory.pool = pool
        self._shared_breakers = _shared_breakers_of(self.config, pool, self.metrics)
        self.operator = Operator(
            self._runtime,
            switches,
            observers.upstream_book,
            pool,
            drain_s=self.config.drain_s,
            records=self.config.record is not None,
            positions=observers.positions,
        )
        """The effects of an operator's verbs in this process."""
        self._session_factory.tracing = ProcessTracing(self.config)
        self._call_pacer = CallPacer()
        self._session_factory.forget_peers()
        self.wire_view = self._session_factory.new_wire_view()
        """The messages of recent sessions; None without the setting `wire_view`."""
        self._held_threads = upgrade.HeldServerThreads(self.config.limits.held_server_threads)
        self._work_runner = WorkRunner(self._functions, lambda: endpoints_of(self.config))
        self._host: host.Host | None = None
        """The gunicorn worker around an embedded router. Its time-outs limit the drain; None outside of gunicorn."""
        self._open: set[str] = set()
        """The ids of the present sessions. The supervisor has them, too, but a question to the supervisor blocks."""

    def keep_in(self, shared: SharedSnapshots) -> None:
        """Keep lost calls in memory that all workers share. Called before `start`."""
        self._resumption = Resumption(self.config, self.metrics, shared)

    def share(self, switches: Switches, unpriced: Once) -> None:
        """Use switches of the operator, and a set of models whose missing price was logged, that all workers share."""
        self.operator.switches.attach(switches)
        self._session_factory.observers.unpriced.attach(unpriced)

    def count_in(self, shared: SharedLimits, slot: int) -> None:
        """Count sessions together with the other workers, in a slot of this worker alone. Called before `start`."""
        self._admission = Admission(shared, slot, self._count_store_away)

    def _count_store_away(self) -> None:
        self.metrics.add(STORE_AWAY)

    # Start and close.

    def start(self) -> Router:
        """Start the dispatchers and the supervisor, and the embedded simulator if that is the upstream.

        A second call does nothing. If the application never calls this method, the first request starts the router,
        and takes some milliseconds longer.

        Raises:
            StartError: the router was closed, or no thread can be started.
        """
        self._start()
        return self

    def close(self, drain_s: float | None = None) -> None:
        """End every session with a message and a close frame, and stop. Must not run on a dispatcher's thread.

        An idle session ends at once. A turn in progress may continue for `drain_s`. The default is the configured time,
        or less if gunicorn leaves less. Blocks until the sessions have ended and the clients have closed. A second call
        may shorten the drain that the first call began.
        """
        if drain_s is None:
            drain_s = self.config.drain_s if self._host is None else self._host.drain_s(self.config.drain_s)
        self._runtime.drain(drain_s)
        self._runtime.stop()
        self._resumption.close()
        self._admission.close()
        if self._shared_breakers is not None:
            self._shared_breakers.close()
        self.sample_metrics()
        if self._usage_log is not None:
            self._usage_log.close()
        self._session_factory.tracing.close()
        if self._session_factory.machines.recorder is not None:
            self._session_factory.machines.recorder.close()

    # Functions of an embedding application.

    @overload
    def tool(self, name: str, schema: Mapping[str, Any], handler: Handler, /) -> Handler: ...

    @overload
    def tool(self, schema: Mapping[str, Any], /) -> Callable[[Handler], Handler]: ...

    def tool(self, *definition: Any) -> Any:
        """Offer a function to the model of every session that starts from now on, and answer its calls.

        Called as `router.tool(name, schema, handler)`, or as the decorator `@router.tool(schema)` of a handler. The
        schema is OpenAI's and Deepgram's, `{name, description, parameters}`; with a name beside it, the JSON Schema
        of the parameters alone suffices. A thread of the tools pool calls `handler(arguments, call)`, with a dict and
        a `ToolCall`. The handler returns text, or any value that can be written as JSON.

        Raises:
            ValueError: the schema or the name is invalid, or the name is taken.
        """
        if len(definition) == 1:
            return functools.partial(self._functions.add, None, definition[0])
        return self._functions.add(*definition)

    # For a WSGI application.

    def handle(self, environ: Environ, *, profile: Profile = "openai") -> Response:
        """Upgrade a request to a session, and return the response of the WSGI application.

        The response is a WSGI application itself: `return router.handle(environ)(environ, start_response)`. A request
        that cannot be upgraded is answered in plain HTTP and raises nothing. The call returns at once where the socket
        can be taken over from the server. Where the server's own TLS prevents the hand-over, the call returns at the
        end of the session (docs/embedding.md).

        Raises:
            ValueError: there is no such profile, or a hook is a coroutine.
        """
        self._event_loop.refuse_hooks()
        return upgrade.upgrade(self, checked_profile(profile), environ)

    @functools.cached_property
    def wsgi_app(self) -> WSGIApp:
        """The WSGI application, for mounting: the WebSocket routes, health, readiness and pages.

        The paths are `/openai` (the setting `path`), `/v1/agent/converse`, `/v1/realtime`, `/healthz` and `/readyz`.
        The first request that the application serves, of any kind, starts the router.

        Raises:
            ValueError: a hook is a coroutine.
        """
        self._event_loop.refuse_hooks()
        return self._wsgi_app

    @functools.cached_property
    def _wsgi_app(self) -> WSGIApp:
        app = make_app(self)

        def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            self._start_lazily()
            return app(environ, start_response)

        return wsgi_app

    # For an ASGI application.

    @functools.cached_property
    def asgi_app(self) -> asgi.AsgiApp:
        """The whole application, for mounting below a path of an ASGI application: `app.mount("/voice", asgi_app)`.

        It serves the paths of `wsgi_app` and needs no lifespan events. Hooks may be coroutines, which run on the
        server's event loop. The application's own requests never wait for the router.
        """
        return asgi.AsgiApp(self._wsgi_app, lambda: self._runtime.web_pool, self.close, self._event_loop)

    @property
    def front_routes(self) -> tuple[FrontRoute, ...]:
        """The paths of the fronts, each with the function that serves it; the WSGI app mounts them."""
        return routes(self)

    def accept(
        self, environ: Environ, profile: str, *, turn_detection: str | None = None, is_verified: bool = False
    ) -> str:
        """Upgrade a request to a new session of a front, and return the session's id.

        `authenticate` is not called for a request that its front has verified itself.

        The session owns the socket from here on; bytes that the server still writes are discarded. The call blocks
        while `authenticate` runs, and until the end of the session where the server only lends its socket.

        Raises:
            HandshakeRefused: the request is invalid, or the router takes no more sessions; the socket is untouched.
        """
        with self._held_threads.hold(environ):
            session_id, connection = self._accept(environ, profile, turn_detection, is_verified=is_verified)
            connection.wait_until_given_back()
        return session_id

    @property
    def is_authenticating(self) -> bool:
        """Whether a client needs a credential."""
        return self._authentication.is_required

    def identify(self, environ: Environ) -> Principal | None:
        """Authenticate a request that begins no session. Return None where no authentication is configured.

        Raises:
            HandshakeRefused: 401 for an absent or wrong credential; 403 for a foreign page; 500 or 503 where
                `authenticate` gave no verdict.
        """
        return self._identify(Request.of(self._gate.admit(environ), ""), "none").principal

    def check_admin(self, environ: Environ) -> None:
        """Check that a request may see the pages for administrators. Without authentication every request may.

        Raises:
            HandshakeRefused: as `identify` does, and 403 for a client that is no administrator.
        """
        principal = self.identify(environ)
        if principal is not None and not principal.is_admin:
            raise HandshakeRefused(HTTPStatus.FORBIDDEN, "this page is for administrators")

    def grant(
        self,
        principal: Principal | None,
        ttl_s: int,
        *,
        is_single_use: bool = False,
        session: Mapping[str, Any] | None = None,
    ) -> tuple[str, int]:
        """Return a short-lived token for a client, and the seconds for which it is valid.

        Args:
            principal: the client that asks for the token.
            ttl_s: the wanted validity in seconds. The client's own credential may shorten it.
            is_single_use: whether the token opens one session alone.
            session: the configuration with which the token's sessions on `/v1/realtime` begin.

        Raises:
            HandshakeRefused: 403 for a client that itself came with such a token; 400 for a long session.
        """
        return self._authentication.grant(principal, ttl_s, is_single_use=is_single_use, session=session)

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs: none has died, and none has stalled for 5 s."""
        return self._runtime.is_alive

    def problems(self) -> list[str]:
        """Return the problems of the dispatchers, a few words each. With any problem no session is started."""
        return self._runtime.problems()

    def ailments(self) -> list[str]:
        """Return the result of `problems`. Deprecated: this is the method's former name."""
        warnings.warn("`Router.ailments` is called `problems` now", DeprecationWarning, stacklevel=2)
        return self.problems()

    def readiness(self) -> tuple[bool, str]:
        """Return whether a new session would succeed, and the reason. Judges by recent dials and dials nothing itself.

        A router that was not started is ready, so that a load balancer sends the first session, which starts the
        router.
        """
        runtime = self._runtime
        if runtime.is_closing:
            return False, "draining"
        if runtime.dispatchers and not runtime.is_alive:
            return False, "not running"
        if self.operator.switches.are_all_paused:
            return False, "every upstream is paused"
        return (True, "ready") if runtime.can_dial() else (False, "no upstream can be dialled")

    @property
    def session_count(self) -> int:
        """The number of present sessions. Does not block."""
        return len(self._open)

    def sample_metrics(self) -> None:
        """Update the counters of this process. Does not block."""
        metrics = self.metrics
        metrics.sample(self._runtime.dispatchers)
        metrics.sample_buffers(self._session_factory.footprint)
        self._session_factory.pool.sample()
        for name, used, limit in self._limits_in_use():
            metrics.use_limit(name, used, limit)

    def load(self) -> float:
        """Return the largest used part of the limits, the queues and the dispatchers' time; 1.0 is full.

        Does not block. Sessions count over all workers, everything else in this process.
        """
        footprint = self._session_factory.footprint
        memory = ("memory", footprint.total_bytes, footprint.max_bytes)
        lag_s = max((dispatcher.lag_s for dispatcher in self._runtime.dispatchers), default=0.0)
        return load_of([memory, *self._limits_in_use()], lag_s)

    def _limits_in_use(self) -> list[tuple[str, int, int]]:
        limits = self.config.limits
        sessions, pending = self._admission.in_use()
        return [
            ("sessions", sessions, limits.max_sessions),
            ("pending_sessions", pending, limits.max_pending_sessions),
            *self._runtime.queues(),
        ]

    def count_refusal(self, status: int) -> None:
        """Count a handshake that was refused with this HTTP status."""
        self.metrics.add(REFUSED, (REFUSALS.get(status, OTHER),))

    def sessions(self, timeout_s: float = 1.0) -> list[lifecycle.SessionInfo]:
        """Return the live sessions. Blocks, so it must not run on a dispatcher's thread.

        Raises:
            pykka.Timeout: the supervisor did not answer in time; `is_alive` shows whether it can.
        """
        sessions: list[lifecycle.SessionInfo] = self._runtime.ask(
            lifecycle.ListSessions(), default=[], timeout_s=timeout_s
        )
        return sessions

    def describe_session(self, session_id: str, timeout_s: float = 1.0) -> dict[str, Any] | None:
        """Return the facts about a session and its usage so far; None for an unknown one. Blocks, as `sessions` does.

        Raises:
            pykka.Timeout: an actor did not answer in time.
        """
        actors = self.actors_of(session_id, timeout_s)
        if not actors:
            return None
        facts: dict[str, Any] = {"actors": {}}
        for name, ref in actors.items():
            with contextlib.suppress(pykka.ActorDeadError):  # it has stopped meanwhile
                facts["actors"][name] = ref.ask(lifecycle.Describe(), timeout=timeout_s)
        return {**facts, **self._session_factory.observers.describe(session_id)}

    def end_session(self, session_id: str, timeout_s: float = 1.0) -> bool:
        """End a session with an `Error`. Return whether there is one. Blocks, as `sessions` does.

        Raises:
            pykka.Timeout: the supervisor did not answer in time.
        """
        return bool(self._runtime.ask(lifecycle.EndOne(session_id), default=False, timeout_s=timeout_s))

    def end_named(self, name: str) -> bool:
        """End the session with this name, such as a telephone call's id. Return whether this process had one."""
        session_id = self._session_factory.names.find(name)
        return session_id is not None and self.end_session(session_id)

    # Steps.

    def _start(self, *, dials: bool = True) -> bool:
        self._session_factory.tracing.get()  # the first session does not wait for OpenTelemetry's import
        has_begun = self._runtime.start(dials=dials)
        self._session_factory.dialling.simulator_url = self._runtime.simulator_url
        # Not in the constructor: gunicorn's --preload makes the router in the arbiter, which has no worker yet.
        if has_begun and not self._is_standalone:  # the command warns once for all workers
            for warning in model_ends.warnings(self.config, dt.datetime.now(dt.UTC).date()):
                logger.warning("%s", warning)
        if has_begun and self._shared_breakers is not None:
            self._shared_breakers.start()
        if has_begun:
            self._host = host.find()
            if self._host is not None:
                self._host.watch(self._runtime.drained, self.close)
        return has_begun

    def _start_lazily(self, *, dials: bool = True) -> None:
        # A failed start is logged; the request that caused it gets 503, and a later one tries again.
        with contextlib.suppress(StartError):
            if self._start(dials=dials) and self._session_factory.dialling.simulator_url:
                logger.warning(
                    "no key and no upstream are configured: a simulator answers, which understands no language; "
                    "set openai_api_key or upstream"
                )

    def _identify(self, request: Request, session_id: str) -> Request:
        tracing = self._session_factory.tracing.get() if self._authentication.is_required else None
        with contextlib.nullcontext() if tracing is None else tracing.authenticating(session_id, request):
            return self._authentication.identify(
                request, self._runtime.auth_pool, session_id=session_id, timeout_s=self.config.deadlines.hook_s
            )

    def _accept(
        self, environ: Environ, profile: str, turn_detection: str | None, *, is_verified: bool
    ) -> tuple[str, AcceptedConnection]:
        def open_connection(first_text: str | None) -> AcceptedConnection:
            front = FRONTS[profile]
            limits = self._session_factory.client_limits_of(front)
            kind = KeptConnection if self.custody is not None else ClientConnection
            return accept(environ, first_text=first_text, subprotocols=front.subprotocols, limits=limits, kind=kind)

        return self.begin(environ, profile, open_connection, turn_detection=turn_detection, is_verified=is_verified)

    def begin(
        self,
        environ: Environ,
        profile: str,
        open_connection: Callable[[str | None], C],
        *,
        turn_detection: str | None = None,
        is_verified: bool = False,
        dialler: Callable[[DialTarget], Connection] | None = None,
    ) -> tuple[str, C]:
        """Start a session, and return its id and its connection.

        `open_connection` makes the connection. Its argument is the first text for the client, or None.

        A `dialler` dials the upstream in place of the connector: `router.testing` connects sessions in memory with one.

        Raises:
            HandshakeRefused: the router takes no more sessions, or the request's page or credential is refused.
        """
        environ = self._gate.admit(environ)
        self._start_lazily(dials=dialler is None)
        if self._runtime.is_closing:
            raise _going_away()
        # The sessions of a stalled dispatcher hang, and a dead one is not replaced (docs/decisions/0012).
        if not self.is_alive:
            problem = "the server cannot carry calls at the moment; try again"
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, RETRY_SOON)
        session_id = str(uuid.uuid4())
        request = Request.of(environ, profile)
        loops.check(request.headers)
        # A plain GET is refused by `accept`: the application need not be asked about it.
        if is_upgrade(environ) and not is_verified:
            request = self._identify(request, session_id)
            self._spend(request)
        ticket = self._ticket(environ, request)

        def on_end() -> None:
            ticket.release()
            self._open.discard(session_id)

        try:
            make_spec = functools.partial(
                self._session_factory.of,
                perform=self._work_runner,
                on_end=on_end,
                on_settings=ticket.settle if self.config.limits.max_pending_sessions else None,
                spend_today=ticket.spend,
            )
            spec = self._resumed(session_id, request, make_spec) if is_upgrade(environ) else None
            is_back = spec is not None
            if spec is None:
                spec = self._kept(make_spec(session_id, request, turn_detection), request)
            if dialler is not None:
                spec = msgspec.structs.replace(spec, dialler=dialler)
            gets_token = spec.carried is not None and asks_for_token(request)
            first_text = self._resumption.welcome(
                FRONTS[profile].first_text(session_id) if gets_token else None,
                session_id,
                request.principal.id if request.principal is not None else None,
                is_back=is_back,
            )
            adopted = messages.ClientAdopted(is_planned=True) if is_back else None
            return session_id, self._begin(spec, profile, open_connection, adopted, first_text)
        except BaseException:
            ticket.release()
            self._admission.restore(request.principal)
            raise

    def _resumed(self, session_id: str, request: Request, make_spec: Callable[..., SessionSpec]) -> SessionSpec | None:
        """Return the spec of a session to which its client comes back; None where a new session begins."""
        data = self._resumption.take(request) if FRONTS[request.profile].can_move else None
        if data is None:
            return None
        try:
            parcel = open_parcel(data)
            spec = make_spec(session_id, request, parcel.turn_detection, parcel=parcel)
        except SnapshotError as error:
            logger.warning("session %s begins anew: %s", session_id, error)
            return None
        logger.info("session %s goes on as %s: its client is back", parcel.session_id, session_id)
        spec, carried = self._kept(spec, request), spec.carried
        if isinstance(carried, CarriedSession) and carried.has_settings:
            machine = ReturningMachine(spec.machine, is_applied=carried.is_applied)
            spec = msgspec.structs.replace(spec, machine=machine)
        return spec

    def _kept(self, spec: SessionSpec, request: Request) -> SessionSpec:
        """Return a spec whose session is kept when the call is lost, for a client that asked for a token."""
        if spec.carried is None or not self._resumption.is_on or not asks_for_token(request):
            return spec
        keep = functools.partial(self._resumption.keep, spec.session_id)
        return msgspec.structs.replace(spec, machine=KeepingMachine(spec.machine, spec.carried, keep))

    def adopt(
        self,
        data: bytes,
        connection: Connection,
        adopted: messages.ClientAdopted,
        *,
        journal: Iterable[str | bytes] = (),
        dialler: Callable[[DialTarget], Connection] | None = None,
    ) -> str:
        """Continue a session that another process carried, and return its id.

        `connection` is that of the client, whose handshake was done there. It owns the bytes of a frame that the other
        process had read or written in part. The client gets no second `Welcome`. Blocks, and may load numpy, so it must
        not run on a dispatcher's thread.

        Args:
            data: the value of the session (`SessionSpec.carried`).
            connection: the connection to the client. It is aborted where the session cannot be continued.
            adopted: the session's first input.
            journal: the client's messages that the other process read behind the snapshot.
            dialler: dials the upstreams in place of the connector, such as one that was dialled in advance.

        Raises:
            SnapshotError: the value is damaged, of another version, or of a session that has killed `MAX_ADOPTIONS`
                processes.
            HandshakeRefused: the process is going away.
        """
        parcel = open_parcel(data)
        session_id, request = parcel.session_id, parcel.request
        if parcel.is_given_up:
            connection.abort()
            raise SnapshotError(f"session {session_id} has killed {MAX_ADOPTIONS} processes: it is given up")
        self._start_lazily(dials=dialler is None)
        ticket = self._admission.readmit(request.remote_address, request.principal.id if request.principal else None)

        def on_end() -> None:
            ticket.release()
            self._open.discard(session_id)

        try:
            spec = self._session_factory.of(
                session_id,
                request,
                parcel.turn_detection,
                perform=self._work_runner,
                on_end=on_end,
                on_settings=ticket.settle if self.config.limits.max_pending_sessions else None,
                spend_today=ticket.spend,
                parcel=parcel,
                journal=journal,
            )
            if dialler is not None:
                spec = msgspec.structs.replace(spec, dialler=dialler)
            self._begin(spec, request.profile, lambda _first_text: connection, adopted)
        except BaseException:
            ticket.release()
            connection.abort()
            raise
        if not adopted.is_planned:
            self.metrics.add(RECOVERIES, ("recovered",))
        return session_id

    def give_up(self, data: bytes, connection: Connection) -> None:
        """Close the connection of a client whose session no process continues, with an `Error` and code 1011.

        The value may be damaged, or of another version. Only sessions of Deepgram's clients outlive their process.
        """
        close = closes.of_error("SESSION_LOST")
        session_id, frame = "of an unknown id", LOST_FRAME
        with contextlib.suppress(SnapshotError):
            parcel = open_parcel(data)
            session_id, frame = parcel.session_id, FRONTS[parcel.request.profile].lost_frame
        logger.error("session %s is given up", session_id)
        self.count_lost()
        if frame:
            connection.send_text(frame)
        connection.close(close.code, close.reason)

    def count_lost(self) -> None:
        """Count a session whose process died, and that no process continues."""
        self.metrics.add(RECOVERIES, ("lost",))

    def _shelved(self, spec: SessionSpec, connection: Connection) -> SessionSpec:
        """Hand a session to the keeper where it may outlive this process. Return its spec."""
        custody = self.custody
        if custody is None or spec.carried is None or not isinstance(connection, KeptConnection):
            return spec
        if not connection.is_detachable:
            return spec
        try:
            shelf = connection.keep(custody.arena)
        except (OSError, MemoryError) as error:
            logger.warning("session %s cannot be kept: %s", spec.session_id, error)
            return spec
        on_end = spec.on_end

        def drop() -> None:
            custody.drop(spec.session_id)
            on_end()

        connection.on_unkept = functools.partial(custody.drop, spec.session_id)
        hold = functools.partial(custody.hold, spec.session_id, connection, shelf)
        machine = ShelvedMachine(spec.machine, spec.carried, connection, hold)
        return msgspec.structs.replace(spec, machine=machine, on_end=drop)

    @property
    def value_layout(self) -> str:
        """The form of the values of sessions that this version reads (`adopt`)."""
        return VALUE_LAYOUT

    def limits_of_value(self, data: bytes) -> ConnectionLimits:
        """Return the limits of the client's connection of a session that another process carried.

        Raises:
            SnapshotError: the value is damaged, or of another version.
        """
        return self._session_factory.client_limits_of(FRONTS[open_parcel(data).request.profile])

    def count_adoption(self, data: bytes, *, is_suspect: bool = False) -> bytes:
        """Return the value of a session with one adoption more. See `carried.count_adoption`.

        Raises:
            SnapshotError: the value is damaged, or of another version.
        """
        return count_adoption(data, is_suspect=is_suspect)

    def let_depart(self, deliver: Callable[[lifecycle.Departure], None]) -> None:
        """Let the sessions depart to another process during the next drain, which would end them otherwise.

        A dispatcher calls `deliver` for each session that departs.
        """
        supervisor = self._runtime.supervisor
        if supervisor is not None:
            supervisor.offer(lifecycle.LetDepart(deliver))

    def _spend(self, request: Request) -> None:
        """Mark a single-use token as used. A second use is refused as a wrong token is."""
        if request.principal is not None and not self._admission.spend(request.principal):
            time.sleep(REFUSAL_S)
            raise refusal()

    def _ticket(self, environ: Environ, request: Request) -> Ticket:
        if not is_upgrade(environ):
            return NO_TICKET
        try:
            return self._admission.admit(request.remote_address, request.principal.id if request.principal else None)
        except HandshakeRefused:
            self._admission.restore(request.principal)
            raise

    def _begin(
        self,
        spec: SessionSpec,
        profile: str,
        open_connection: Callable[[str | None], C],
        adopted: messages.ClientAdopted | None = None,
        first_text: str | None = None,
    ) -> C:
        # After `authenticate`, so that a refused client takes no place in the queue.
        if self._is_standalone and adopted is None:
            self._call_pacer.wait(self._runtime.dispatchers)
        with self._runtime.entry() as supervisor:
            if supervisor is None:
                raise _going_away()
            # The Welcome leaves in one write with the answer to the handshake (docs/decisions/0018).
            connection = open_connection(first_text or FRONTS[profile].first_text(spec.session_id))
            spec = self._shelved(spec, connection)
            # Before the supervisor has the session, whose end may come at once and calls `on_end`.
            self._open.add(spec.session_id)
            try:
                supervisor.tell(lifecycle.StartSession(spec, connection, adopted))
            except pykka.ActorDeadError:  # the drain did not wait for this call, and its dispatcher has stopped
                spec.on_end()
                connection.close(*GOING_AWAY)
        return connection

    def actors_of(self, session_id: str, timeout_s: float = 1.0) -> dict[str, Ref]:
        """Return the actors of a session, for `router.testing`. Blocks, so it must not run on a dispatcher's thread."""
        asked = lifecycle.FindActors(session_id)
        found: dict[str, Ref] = self._runtime.ask(asked, default={}, timeout_s=timeout_s)
        return found


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


def _going_away() -> HandshakeRefused:
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is going away", RETRY_SOON)


def checked_profile(profile: str) -> Profile:
    """Return the profile of this name.

    Raises:
        ValueError: there is none.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {profile!r}")
    return profile  # type: ignore[return-value] # the table has those of the type


# Forks, and the end of the process.

_routers: weakref.WeakSet[Router] = weakref.WeakSet()
"""Weak references to all routers, so that a router is freed when its application drops it."""


def _reset_in_child() -> None:
    for router in list(_routers):
        router._reset()  # noqa: SLF001 - one module


def _close_all() -> None:
    """Close every router as the interpreter ends, so that each client gets a message and a close frame.

    An interrupt (a second Ctrl-C) cuts the drain short.
    """
    drain_s = None
    for router in list(_routers):
        try:
            router.close(drain_s)
        except KeyboardInterrupt:
            drain_s = 0.0
            router.close(drain_s)


os.register_at_fork(after_in_child=_reset_in_child)
atexit.register(_close_all)
