"""The `Router`: the object that an application holds. It authenticates requests and starts their sessions."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import uuid
import warnings
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

import msgspec
import pykka

from actors import lifecycle
from actors.connections.client import accept
from actors.connections.close_codes import CloseCode
from actors.connections.handover import HandshakeRefused
from router import auth, hooks
from router.config import keywords
from router.errors import StartError
from router.pacing import CallPacer
from router.runtime import Runtime
from router.session.handlers.settings import welcome
from router.session.profile import PROFILES
from router.session_factory import SessionFactory, endpoints_of
from router.tools.registry import FunctionRegistry
from router.tools.runner import WorkRunner
from router.web import host, upgrade
from router.web.app import make_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actors.actor import Ref
    from actors.connections.base import Connection
    from actors.connections.client import ClientConnection
    from actors.connections.upstream import DialTarget
    from router.config.model import RouterConfig
    from router.tools.registry import Handler
    from router.web.response import Environ, Response, StartResponse, WSGIApp

logger = logging.getLogger(__name__)

C = TypeVar("C", bound="Connection")


Profile = Literal["openai", "converse"]
"""The kind of clients on a route: `openai` is for the React component, `converse` for Deepgram's SDKs."""


class Router:
    """A carrier of sessions between clients and an upstream.

    No thread runs before `start` or the first request, so that a process may fork after it made a router. A child that
    is forked later starts without sessions and creates threads of its own. Several routers may live in one process.
    All methods may be called from any thread except a dispatcher's.

    Args:
        config: the whole configuration, or
        settings: its fields, validated as those of the command. A field that is None counts as not given, and the
            environment is not read. With neither a key nor an upstream the embedded simulator answers.
        authenticate and the others: hooks, called on threads of their own; see `router.hooks` and docs/embedding.md.

    Raises:
        ConfigError: a setting is unknown, or its value is invalid.
    """

    def __init__(
        self,
        config: RouterConfig | None = None,
        *,
        authenticate: auth.Authenticate | None = None,
        configure: hooks.Configure | None = None,
        on_session_start: hooks.OnSessionStart | None = None,
        on_session_end: hooks.OnSessionEnd | None = None,
        on_turn: hooks.OnTurn | None = None,
        on_usage: hooks.OnUsage | None = None,
        **settings: Unpack[keywords.RouterSettings],
    ) -> None:
        self.config = keywords.checked_config(config, settings)
        self._hooks = hooks.Hooks(
            authenticate=authenticate,
            configure=configure,
            on_session_start=on_session_start,
            on_session_end=on_session_end,
            on_turn=on_turn,
            on_usage=on_usage,
        )
        self._functions = FunctionRegistry()
        self._session_factory = SessionFactory(self.config, self._functions, self._hooks)
        self._is_standalone = False
        self._reset()
        _routers.add(self)

    @classmethod
    def standalone(cls, config: RouterConfig) -> Router:
        """Make a router whose web server serves nothing else.

        In a storm of calls the threads of that server wait (`router.pacing`), so that present callers do not hear it.
        The threads of a host application have other work and never wait.
        """
        router = cls(config)
        router._is_standalone = True
        return router

    def _reset(self) -> None:
        """Enter the state before the first start; called in the child of a fork, too.

        The child has the locks as they were in the moment of the fork, and none of the threads.
        """
        self._runtime = Runtime(self.config)
        self._call_pacer = CallPacer()
        self.wire_view = self._session_factory.new_wire_view()
        """The messages of recent sessions, with the setting `wire_view` alone."""
        self._held_threads = upgrade.HeldServerThreads(self.config.limits.held_server_threads)
        self._work_runner = WorkRunner(self._functions, lambda: endpoints_of(self.config))
        self._host: host.Host | None = None
        """The gunicorn worker around an embedded router; it limits the drain."""
        self._open: set[str] = set()
        """The ids of the present sessions. The supervisor knows more, but has to be asked on its dispatcher."""

    # Start and close.

    def start(self) -> Router:
        """Start the dispatchers, the supervisor and, where it is the upstream, the embedded simulator. Idempotent.

        The first request starts the router, too, and takes some milliseconds longer for it.

        Raises:
            StartError: the router was closed, or no thread can be started.
        """
        self._start()
        return self

    def close(self, drain_s: float | None = None) -> None:
        """End every session with a message and a close frame, and stop. Must not run on a dispatcher's thread.

        An idle session ends at once. A turn in progress may continue for `drain_s`: by default the configuration's,
        or the time that gunicorn leaves. Blocks until the sessions have ended and the clients have closed. A second
        call may shorten the time of the first.
        """
        if drain_s is None:
            drain_s = self.config.drain_s if self._host is None else self._host.drain_s(self.config.drain_s)
        self._runtime.drain(drain_s)
        self._runtime.stop()

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
        that cannot be upgraded is answered in plain HTTP and raises nothing. Returns at once where the socket can be
        taken over from the server. Where the server's own TLS prevents that, it returns at the end of the session
        (docs/embedding.md).

        Raises:
            ValueError: there is no such profile.
        """
        return upgrade.upgrade(self, checked_profile(profile), environ)

    @functools.cached_property
    def wsgi_app(self) -> WSGIApp:
        """The whole application, for mounting: both WebSocket routes, health and readiness.

        The paths are `/openai` (the setting `path`), `/v1/agent/converse`, `/healthz` and `/readyz`. Its first request,
        of any kind, starts the router.
        """
        app = make_app(self)

        def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            self._start_lazily()
            return app(environ, start_response)

        return wsgi_app

    def accept(self, environ: Environ, profile: str, *, turn_detection: str | None = None) -> str:
        """Upgrade a WSGI request to a new session, and return the session's id.

        The session owns the socket from here on; bytes that the server still writes are discarded. Blocks for
        `authenticate` alone, or until the end of the session where the server only lends its socket.

        Raises:
            HandshakeRefused: the request is invalid, or the router takes no more sessions; the socket is untouched.
        """
        with self._held_threads.hold(environ):
            session_id, connection = self._accept(environ, profile, turn_detection)
            connection.wait_until_given_back()
        return session_id

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs: none has died, and none has stalled for 5 s."""
        return self._runtime.is_alive

    def problems(self) -> list[str]:
        """Return the problems of the dispatchers, a few words each. With any problem no session is started."""
        return self._runtime.problems()

    def ailments(self) -> list[str]:
        """Return the `problems`. Deprecated: it has that name now."""
        warnings.warn("`Router.ailments` is called `problems` now", DeprecationWarning, stacklevel=2)
        return self.problems()

    def readiness(self) -> tuple[bool, str]:
        """Return whether a new session would succeed, and the reason. Judges by recent dials and dials nothing itself.

        A router that was not started is ready: the first session starts it, and a load balancer has to send that one.
        """
        runtime = self._runtime
        if runtime.is_closing:
            return False, "draining"
        if runtime.dispatchers and not runtime.is_alive:
            return False, "not running"
        return (True, "ready") if runtime.can_dial() else (False, "no upstream can be dialled")

    @property
    def session_count(self) -> int:
        """The number of present sessions. Does not block."""
        return len(self._open)

    def sessions(self, timeout_s: float = 1.0) -> list[lifecycle.SessionInfo]:
        """Return the live sessions. Blocks, so it must not run on a dispatcher's thread.

        Raises:
            pykka.Timeout: the supervisor did not answer in time; `is_alive` shows whether it can.
        """
        sessions: list[lifecycle.SessionInfo] = self._runtime.ask(
            lifecycle.ListSessions(), default=[], timeout_s=timeout_s
        )
        return sessions

    # Steps.

    def _start(self, *, dials: bool = True) -> bool:
        has_begun = self._runtime.start(dials=dials)
        self._session_factory.simulator_url = self._runtime.simulator_url
        # Not in the constructor: gunicorn's --preload makes the router in the arbiter, which has no worker yet.
        if has_begun:
            self._host = host.find()
            if self._host is not None:
                self._host.watch(self._runtime.drained, self.close)
        return has_begun

    def _start_lazily(self, *, dials: bool = True) -> None:
        # A failed start is logged; the request that caused it gets 503, and a later one tries again.
        with contextlib.suppress(StartError):
            if self._start(dials=dials) and self._session_factory.simulator_url:
                logger.warning(
                    "no key and no upstream are configured: a simulator answers, which understands no language; "
                    "set openai_api_key or upstream"
                )

    def _accept(self, environ: Environ, profile: str, turn_detection: str | None) -> tuple[str, ClientConnection]:
        def open_connection(first_text: str) -> ClientConnection:
            return accept(environ, first_text=first_text, limits=self._session_factory.limits)

        return self.begin(environ, profile, open_connection, turn_detection=turn_detection)

    def begin(
        self,
        environ: Environ,
        profile: str,
        open_connection: Callable[[str], C],
        *,
        turn_detection: str | None = None,
        dialler: Callable[[DialTarget], Connection] | None = None,
    ) -> tuple[str, C]:
        """Start a session over the connection that `open_connection` makes from the first text to the client.

        With a `dialler` the upstream is dialled by it; `router.testing` connects sessions in memory so.

        Raises:
            HandshakeRefused: the router takes no more sessions, or `authenticate` refuses this one.
        """
        self._start_lazily(dials=dialler is None)
        if self._runtime.is_closing:
            raise _going_away()
        # The sessions of a stalled dispatcher hang, and a dead one is not replaced (docs/decisions/0012).
        if not self.is_alive:
            problem = "the server cannot carry calls at the moment; try again"
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, auth.RETRY_SOON)
        session_id = str(uuid.uuid4())
        request = auth.Request.of(environ, profile)
        # A plain GET is refused by `accept`: the application need not be asked about it.
        if auth.is_upgrade(environ):
            hook, pool = self._hooks.authenticate, self._runtime.auth_pool
            request = auth.admit(hook, request, pool, session_id=session_id, timeout_s=self.config.deadlines.hook_s)
        on_end = functools.partial(self._open.discard, session_id)
        spec = self._session_factory.of(session_id, request, turn_detection, perform=self._work_runner, on_end=on_end)
        if dialler is not None:
            spec = msgspec.structs.replace(spec, dialler=dialler)
        # After `authenticate`, so that a refused client takes no place in the queue.
        if self._is_standalone:
            self._call_pacer.wait(self._runtime.dispatchers)
        with self._runtime.entry() as supervisor:
            if supervisor is None:
                raise _going_away()
            # The Welcome leaves in one write with the answer to the handshake (docs/decisions/0018).
            connection = open_connection(welcome(session_id))
            # Before the supervisor has the session, whose end may come at once and calls `on_end`.
            self._open.add(session_id)
            try:
                supervisor.tell(lifecycle.StartSession(spec, connection))
            except pykka.ActorDeadError:  # the drain did not wait for this call, and its dispatcher has stopped
                on_end()
                connection.close(CloseCode.GOING_AWAY, "the server is going away")
        return session_id, connection

    def actors_of(self, session_id: str, timeout_s: float = 1.0) -> dict[str, Ref]:
        """Return the actors of a session, for `router.testing`. Blocks, so it must not run on a dispatcher's thread."""
        asked = lifecycle.FindActors(session_id)
        found: dict[str, Ref] = self._runtime.ask(asked, default={}, timeout_s=timeout_s)
        return found


def _going_away() -> HandshakeRefused:
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is going away", auth.RETRY_SOON)


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
"""Weak references: a router that an application drops is freed."""


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
