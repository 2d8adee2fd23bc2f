"""The `Router`: the object that an application holds. It authenticates requests and starts their sessions."""

from __future__ import annotations

import contextlib
import functools
import warnings
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

import pykka

from actors import lifecycle
from actors.connections.client import ClientConnection, accept
from actors.connections.handover import HandshakeRefused
from actors.connections.kept import KeptConnection
from router import asgi, hooks
from router.access.request import Request
from router.admin import verbs
from router.assembly.carried import VALUE_LAYOUT, count_adoption
from router.config import keywords
from router.establish import adopt, authorize, begin
from router.establish.parts import Parts
from router.fronts.table import FRONTS, routes
from router.metrics.catalog import OTHER, REFUSALS, REFUSED
from router.session.profile import PROFILES
from router.web import upgrade
from router.web.app import make_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actors import messages
    from actors.actor import Ref
    from actors.connections.base import AcceptedConnection, Connection, ConnectionLimits
    from actors.connections.upstream import DialTarget
    from router.access.request import Authenticate, Principal
    from router.access.session_limits import SharedLimits
    from router.admin.operator import Operator
    from router.admin.switches import Switches
    from router.assembly.dialling import DialledAhead
    from router.config.model import RouterConfig
    from router.fronts.front import FrontRoute
    from router.keeping import Custody
    from router.logs.once import Once
    from router.metrics.metrics import Metrics
    from router.resume.area import SharedSnapshots
    from router.tools.registry import Handler
    from router.web.response import Environ, Response, StartResponse, WSGIApp
    from router.wire_view import WireView

C = TypeVar("C", bound="Connection")


Profile = Literal["openai", "converse"]
"""The kind of clients on a route: `openai` is for the React component, `converse` for Deepgram's SDKs."""


class Router:
    """The object that carries sessions between clients and an upstream.

    No thread runs before `start` or the first request, so that a process may fork after it made a router. A child
    process that is forked later starts without sessions and creates new threads. Several routers may live in one
    process. All methods may be called from any thread except a dispatcher's.

    Args:
        config: the whole configuration; None if `settings` give it.
        settings: the fields of `RouterConfig` as keywords, validated as the command's settings are. A keyword that is
            None counts as not given, and the environment is not read. With neither a key nor an upstream the embedded
            simulator answers.
        authenticate and the further arguments: hooks, called on separate threads; see `router.hooks` and
            docs/embedding.md.

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
        own = hooks.Hooks(
            authenticate=plain("authenticate", authenticate),
            configure=plain("configure", configure),
            on_session_start=plain("on_session_start", on_session_start),
            on_session_end=plain("on_session_end", on_session_end),
            on_turn=plain("on_turn", on_turn),
            on_usage=plain("on_usage", on_usage),
        )
        self._parts = Parts(self.config, own)
        self.ask_workers: Callable[[dict[str, Any]], list[Any]] = lambda verb: [verbs.perform(self, verb)]
        """The function that performs a verb of an operator, and returns the answers.

        This default asks only this process. The server replaces it with a function that asks all workers.
        """

    @classmethod
    def standalone(cls, config: RouterConfig) -> Router:
        """Make a router whose web server serves nothing else.

        While many calls begin, the threads of that server wait (`router.pacing`), so that present callers hear no
        delay. The threads of a host application have other work, so they never wait.
        """
        router = cls(config)
        router._parts.is_standalone = True
        return router

    # The server of the command, and its workers.

    @property
    def metrics(self) -> Metrics:
        """The counters of this process. A server attaches them to memory that its workers share."""
        return self._parts.metrics

    @property
    def operator(self) -> Operator:
        """The effects of an operator's verbs in this process."""
        return self._parts.operator

    @property
    def wire_view(self) -> WireView | None:
        """The messages of recent sessions; None without the setting `wire_view`."""
        return self._parts.wire_view

    @property
    def custody(self) -> Custody | None:
        """The channel to the keeper of sessions; None if no session outlives its process."""
        return self._parts.custody

    @custody.setter
    def custody(self, custody: Custody | None) -> None:
        self._parts.custody = self._parts.runtime.custody = custody

    def keep_in(self, shared: SharedSnapshots) -> None:
        """Keep the snapshots of lost calls in memory that all workers share. Call this before `start`."""
        self._parts.keep_in(shared)

    def share(self, switches: Switches, unpriced: Once) -> None:
        """Use two things that all workers share: the operator's switches, and the models known to lack a price."""
        self._parts.operator.switches.attach(switches)
        self._parts.session_factory.observers.unpriced.attach(unpriced)

    def count_in(self, shared: SharedLimits, slot: int) -> None:
        """Count sessions together with the other workers, in `shared`. This worker writes its counts into `slot`.

        Call this before `start`.
        """
        self._parts.count_in(shared, slot)

    # Start and close.

    def start(self) -> Router:
        """Start the dispatchers and the supervisor, and the embedded simulator if that is the upstream.

        A second call does nothing. If the application never calls this method, the first request starts the router,
        and takes some milliseconds longer.

        Raises:
            StartError: the router was closed, or no thread can be started.
        """
        self._parts.start()
        return self

    def close(self, drain_s: float | None = None) -> None:
        """End every session with a message and a close frame, and stop. It must not run on a dispatcher's thread.

        An idle session ends at once. A turn in progress may continue for `drain_s`. The default is the configured time,
        or less if gunicorn leaves less. The call blocks until the sessions have ended and the clients have closed. A
        second call may shorten the drain that the first call began.
        """
        self._parts.close(drain_s)

    # Functions of an embedding application.

    @overload
    def tool(self, name: str, schema: Mapping[str, Any], handler: Handler, /) -> Handler: ...

    @overload
    def tool(self, schema: Mapping[str, Any], /) -> Callable[[Handler], Handler]: ...

    def tool(self, *definition: Any) -> Any:
        """Offer a function to the model of every session that starts from now on, and answer its calls.

        Call it as `router.tool(name, schema, handler)`, or as the decorator `@router.tool(schema)` of a handler. The
        schema is OpenAI's and Deepgram's, `{name, description, parameters}`. If `name` is given, the JSON Schema of
        only the parameters is enough. A thread of the tools pool calls `handler(arguments, call)`, with a dict and a
        `ToolCall`. The handler returns text, or any value that can be written as JSON.

        Raises:
            ValueError: the schema or the name is invalid, or the name is taken.
        """
        if len(definition) == 1:
            return functools.partial(self._parts.functions.add, None, definition[0])
        return self._parts.functions.add(*definition)

    # For a WSGI application.

    def handle(self, environ: Environ, *, profile: Profile = "openai") -> Response:
        """Upgrade a request to a session, and return the response of the WSGI application.

        The response is itself a WSGI application: `return router.handle(environ)(environ, start_response)`. A request
        that cannot be upgraded is answered in plain HTTP and raises nothing. The call returns at once if the socket can
        be taken over from the server. If the server's own TLS prevents the hand-over, the call returns at the end of
        the session (docs/embedding.md).

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
            self._parts.start_lazily()
            return app(environ, start_response)

        return wsgi_app

    # For an ASGI application.

    @functools.cached_property
    def asgi_app(self) -> asgi.AsgiApp:
        """The whole application, for mounting below a path of an ASGI application: `app.mount("/voice", asgi_app)`.

        It serves the paths of `wsgi_app` and needs no lifespan events. Hooks may be coroutines, which run on the
        server's event loop. The application's own requests never wait for the router.
        """
        return asgi.AsgiApp(self._wsgi_app, lambda: self._parts.runtime.web_pool, self.close, self._event_loop)

    @property
    def front_routes(self) -> tuple[FrontRoute, ...]:
        """The paths of the fronts, each with the function that serves it. The WSGI app mounts these paths."""
        return routes(self)

    def accept(
        self, environ: Environ, profile: str, *, turn_detection: str | None = None, is_verified: bool = False
    ) -> str:
        """Upgrade a request to a new session of a front, and return the session's id.

        `authenticate` is not called for a request that its front has verified itself.

        The session owns the socket afterwards. Bytes that the server still writes are discarded. The call blocks while
        `authenticate` runs, and until the end of the session if the server only lends its socket.

        Raises:
            HandshakeRefused: the request is invalid, or the router takes no more sessions; the socket is untouched.
        """
        front = FRONTS[profile]
        limits = self._parts.session_factory.client_limits_of(front)
        kind = KeptConnection if self.custody is not None else ClientConnection

        def open_connection(first_text: str | None) -> AcceptedConnection:
            return accept(environ, first_text=first_text, subprotocols=front.subprotocols, limits=limits, kind=kind)

        with self._parts.held_threads.hold(environ):
            session_id, connection = self.begin(
                environ, profile, open_connection, turn_detection=turn_detection, is_verified=is_verified
            )
            connection.wait_until_given_back()
        return session_id

    @property
    def is_authenticating(self) -> bool:
        """Whether a client needs a credential."""
        return self._parts.authentication.is_required

    def identify(self, environ: Environ) -> Principal | None:
        """Authenticate a request that begins no session. Return None if no authentication is configured.

        Raises:
            HandshakeRefused: 401 for an absent or wrong credential; 403 for a page of another site; 500 or 503 if
                `authenticate` gave no verdict.
        """
        parts = self._parts
        return authorize.identify(parts, Request.of(parts.gate.admit(environ), ""), "none").principal

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
            ttl_s: the requested validity in seconds. If the client's own credential expires sooner, so does the token.
            is_single_use: whether the token opens only one session.
            session: the configuration with which the token's sessions on `/v1/realtime` begin.

        Raises:
            HandshakeRefused: 403 if the client itself came with such a token; 400 if `session` is too long.
        """
        return self._parts.authentication.grant(principal, ttl_s, is_single_use=is_single_use, session=session)

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs: none has died, and none has stalled for 5 s. False before the start."""
        return self._parts.runtime.is_alive

    def problems(self) -> list[str]:
        """Return the problems of the dispatchers, a few words each. While there is a problem, no session is started."""
        return self._parts.runtime.problems()

    def ailments(self) -> list[str]:
        """Return the result of `problems`. Deprecated: this is the method's former name."""
        warnings.warn("`Router.ailments` is called `problems` now", DeprecationWarning, stacklevel=2)
        return self.problems()

    def readiness(self) -> tuple[bool, str]:
        """Return whether the router is ready for new sessions, and the reason, such as `ready` or `draining`.

        The limits on sessions are not checked (see `load`). No upstream is dialled: the recent dials decide.

        A router that was not started is ready, so that a load balancer sends the first session, which starts the
        router.
        """
        return self._parts.readiness()

    @property
    def session_count(self) -> int:
        """The number of present sessions. The call does not block."""
        return len(self._parts.open)

    def sample_metrics(self) -> None:
        """Update the counters of this process. The call does not block."""
        self._parts.sample_metrics()

    def load(self) -> float:
        """Return the share in use of the fullest limit, queue or dispatcher; 1.0 is full.

        The call does not block. The sessions of all workers are counted, and everything else only in this process.
        """
        return self._parts.load()

    def count_refusal(self, status: int) -> None:
        """Count a handshake that was refused with this HTTP status."""
        self.metrics.add(REFUSED, (REFUSALS.get(status, OTHER),))

    def sessions(self, timeout_s: float = 1.0) -> list[lifecycle.SessionInfo]:
        """Return the live sessions. The call blocks, so it must not run on a dispatcher's thread.

        Raises:
            pykka.Timeout: the supervisor did not answer in time; `is_alive` shows whether the dispatchers run.
        """
        sessions: list[lifecycle.SessionInfo] = self._parts.runtime.ask(
            lifecycle.ListSessions(), default=[], timeout_s=timeout_s
        )
        return sessions

    def describe_session(self, session_id: str, timeout_s: float = 1.0) -> dict[str, Any] | None:
        """Return the facts about a session and its usage so far; None for an unknown session.

        The call blocks, as `sessions` does.

        Raises:
            pykka.Timeout: an actor did not answer in time.
        """
        actors = self.actors_of(session_id, timeout_s)
        if not actors:
            return None
        facts: dict[str, Any] = {"actors": {}}
        for name, ref in actors.items():
            with contextlib.suppress(pykka.ActorDeadError):  # the actor has stopped meanwhile
                facts["actors"][name] = ref.ask(lifecycle.Describe(), timeout=timeout_s)
        return {**facts, **self._parts.session_factory.observers.describe(session_id)}

    def end_session(self, session_id: str, timeout_s: float = 1.0) -> bool:
        """End a session with an `Error`. Return whether the session exists. The call blocks, as `sessions` does.

        Raises:
            pykka.Timeout: the supervisor did not answer in time.
        """
        return bool(self._parts.runtime.ask(lifecycle.EndOne(session_id), default=False, timeout_s=timeout_s))

    def end_named(self, name: str) -> bool:
        """End the session with this name, such as a telephone call's id. Return whether it was in this process."""
        session_id = self._parts.session_factory.names.find(name)
        return session_id is not None and self.end_session(session_id)

    # The beginnings of sessions.

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
        """Start a session, and return its id and its connection; see `router.establish.begin`."""
        return begin.begin(
            self._parts,
            environ,
            profile,
            open_connection,
            turn_detection=turn_detection,
            is_verified=is_verified,
            dialler=dialler,
        )

    def adopt(
        self,
        data: bytes,
        connection: Connection,
        adopted: messages.ClientAdopted,
        *,
        journal: Iterable[str | bytes] = (),
        ahead: DialledAhead | None = None,
        dialler: Callable[[DialTarget], Connection] | None = None,
    ) -> str:
        """Continue a session that another process carried, and return its id; see `router.establish.adopt`."""
        return adopt.adopt(self._parts, data, connection, adopted, journal=journal, ahead=ahead, dialler=dialler)

    def dial_ahead(self, facts: bytes, route: str) -> DialledAhead | None:
        """Dial the next upstream of a session that another process announces; see `router.establish.adopt`."""
        return adopt.dial_ahead(self._parts, facts, route)

    def give_up(self, data: bytes, connection: Connection) -> None:
        """Close the connection of a client whose session no process continues; see `router.establish.adopt`."""
        adopt.give_up(self._parts, data, connection)

    def count_unkept(self) -> None:
        """Count a session that continues in this process, but that would be lost if this process died."""
        adopt.count_unkept(self._parts)

    def count_lost(self) -> None:
        """Count a session whose process died, and that no process continues."""
        adopt.count_lost(self._parts)

    @property
    def value_layout(self) -> str:
        """The name of the form in which this version reads the sessions of other processes (`adopt`)."""
        return VALUE_LAYOUT

    def limits_of_value(self, data: bytes) -> ConnectionLimits:
        """Return the connection limits of a client whose session another process stored as `data`.

        Raises:
            SnapshotError: `data` is damaged, or of another version.
        """
        return adopt.limits_of_value(self._parts, data)

    def count_adoption(self, data: bytes, *, is_suspect: bool = False) -> bytes:
        """Return a stored session with one more adoption counted; see `router.assembly.carried`.

        Raises:
            SnapshotError: `data` is damaged, or of another version.
        """
        return count_adoption(data, is_suspect=is_suspect)

    def let_depart(self, by: lifecycle.Exit) -> None:
        """Let the next drain move each session to another process by the functions of `by`, and not end it."""
        adopt.let_depart(self._parts, by)

    def actors_of(self, session_id: str, timeout_s: float = 1.0) -> dict[str, Ref]:
        """Return the actors of a session, for `router.testing`.

        The call blocks, so it must not run on a dispatcher's thread.
        """
        asked = lifecycle.FindActors(session_id)
        found: dict[str, Ref] = self._parts.runtime.ask(asked, default={}, timeout_s=timeout_s)
        return found


def checked_profile(profile: str) -> Profile:
    """Return the profile of this name.

    Raises:
        ValueError: there is no profile of this name.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {profile!r}")
    return profile  # type: ignore[return-value] # the table has those of the type
