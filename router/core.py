"""The Router: what an application has of it all. It starts sessions, and knows who asks for them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import uuid
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Unpack, overload

import msgspec
import pykka

from actors import lifecycle
from actors.connections.client import accept
from actors.connections.close_codes import CloseCode
from actors.connections.handover import HandshakeRefused
from router import hooks
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
    from router.web.response import Answer, Environ, StartResponse, WSGIApp

logger = logging.getLogger(__name__)

C = TypeVar("C", bound="Connection")

RETRY_AFTER: Final = (("Retry-After", "1"),)

Profile = Literal["openai", "converse"]
"""What the clients of a route expect: `openai` is for the React component, `converse` for Deepgram's SDKs."""


class Router:
    """Carries sessions between clients and an upstream.

    Nothing runs before the first use, or `start`, so that a process may fork after it was made. A child that is forked
    later begins anew: it has no sessions, and threads of its own once it needs them. Several may live in one process.
    All methods may be called from any thread but a dispatcher's.

    Args:
        config: all of it, or
        settings: its fields, which are checked as the command's are. None counts as not given. Nothing is read from
            the environment. With neither a key nor an upstream the embedded simulator answers.
        authenticate and the others: hooks, called on threads of their own; see `router.hooks` and docs/embedding.md.

    Raises:
        ConfigError: a setting is unknown, or its value no good.
    """

    def __init__(
        self,
        config: RouterConfig | None = None,
        *,
        authenticate: hooks.Authenticate | None = None,
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
        self._toolbox = FunctionRegistry(most_bytes=self.config.limits.tool_output_bytes)
        self._session_factory = SessionFactory(self.config, self._toolbox, self._hooks)
        self._is_standalone = False
        self._reset()
        _routers.add(self)

    @classmethod
    def standalone(cls, config: RouterConfig) -> Router:
        """Make a router that has its web server for itself.

        In a storm of calls that server's threads wait, so that those who talk do not hear it (`router.door`). Those
        of a host have other work, and never do.
        """
        router = cls(config)
        router._is_standalone = True
        return router

    def _reset(self) -> None:
        """Be as before the first start. Also in the child of a fork, which has locks as they were, and no thread."""
        self._runtime = Runtime(self.config)
        self._call_pacer = CallPacer()
        self._parking = upgrade.Parking(self.config.limits.held_server_threads)
        self._performer = WorkRunner(self._toolbox, lambda: endpoints_of(self.config))
        self._host: host.Host | None = None
        """Where a server of somebody else's may end us."""
        self._open: set[str] = set()
        """The ids of the sessions that there are: more is known by the supervisor, who has to be asked."""

    # A life: start, close.

    def start(self) -> Router:
        """Start the dispatchers, the supervisor and, where it is the upstream, the embedded simulator. Once.

        Need not be called: the first request does, and pays for it with some milliseconds.

        Raises:
            StartError: it was closed, or no thread can be started.
        """
        self._start()
        return self

    def close(self, drain_s: float | None = None) -> None:
        """End every session with a message and a close frame, and stop. Not from a dispatcher's thread.

        A session in which nothing is under way ends at once; what is may go on for `drain_s`, by default the
        configuration's, or what gunicorn leaves us. Waits for that, and for the clients to go. A second call may
        shorten the first one's time.
        """
        if drain_s is None:
            drain_s = self.config.drain_s if self._host is None else self._host.drain_s(self.config.drain_s)
        self._runtime.drain(drain_s)
        self._runtime.stop()

    # What an embedding application brings.

    @overload
    def tool(self, name: str, schema: Mapping[str, Any], handler: Handler, /) -> Handler: ...

    @overload
    def tool(self, schema: Mapping[str, Any], /) -> Callable[[Handler], Handler]: ...

    def tool(self, *what: Any) -> Any:
        """Offer a function to the model of every session that starts from now on, and answer its calls.

        As `router.tool(name, schema, handler)`, or as the decorator `@router.tool(schema)` of a handler. The schema is
        OpenAI's and Deepgram's, `{name, description, parameters}`; with a name beside it, the JSON Schema of the
        parameters alone will do. The handler is called as `handler(arguments, call)`, a dict and a `ToolCall`, on a
        thread that only functions have; it answers with text, or with anything that can be written as JSON.

        Raises:
            ValueError: the schema or the name is no good, or the name is taken.
        """
        if len(what) == 1:
            return functools.partial(self._toolbox.add, None, what[0])
        return self._toolbox.add(*what)

    # For a WSGI application.

    def handle(self, environ: Environ, *, profile: Profile = "openai") -> Answer:
        """Upgrade a request to a session, and return what the WSGI application is to answer.

        The answer is a WSGI application itself: `return router.handle(environ)(environ, start_response)`. A request
        that cannot be upgraded is answered in plain HTTP; nothing is raised for it. Returns at once where the socket
        can be taken out of the server's hands; where its own TLS forbids that, when the session is over (see
        docs/embedding.md).

        Raises:
            ValueError: there is no such profile.
        """
        return upgrade.upgrade(self, checked_profile(profile), environ)

    @functools.cached_property
    def wsgi_app(self) -> WSGIApp:
        """The whole application, to be mounted: both WebSocket routes, health, readiness. Starts at its first request.

        The paths are `/openai` (the setting `path`), `/v1/agent/converse`, `/healthz` and `/readyz`.
        """
        app = make_app(self)

        def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            self._start_lazily()
            return app(environ, start_response)

        return wsgi_app

    def accept(self, environ: Environ, profile: str, *, turn_detection: str | None = None) -> str:
        """Upgrade a WSGI request to a session of its own; returns the session's id.

        The socket is ours from here on, and the server must forget it: what it still writes goes nowhere. Does not
        block but for `authenticate`; and where the socket is only lent, until the session is over.

        Raises:
            HandshakeRefused: the request is no good, or we take no more sessions; the socket was left alone.
        """
        with self._parking.slot(environ):
            session_id, connection = self._begin(environ, profile, turn_detection)
            connection.wait_until_given_back()
        return session_id

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs: none has died, or stalled for 5 s."""
        return self._runtime.is_alive

    def problems(self) -> list[str]:
        """What is wrong with the dispatchers, a few words each. Where there is anything, no session is begun."""
        return self._runtime.problems()

    def readiness(self) -> tuple[bool, str]:
        """Whether new sessions would come to life, and why (not). Judged by recent dials; never dials itself.

        Before the start they would: the first one starts us.
        """
        engine = self._runtime
        if engine.is_closing:
            return False, "draining"
        if engine.dispatchers and not engine.is_alive:
            return False, "not running"
        return (True, "ready") if engine.can_dial() else (False, "no upstream can be dialled")

    @property
    def session_count(self) -> int:
        """How many sessions there are. Does not block."""
        return len(self._open)

    def sessions(self, timeout_s: float = 1.0) -> list[lifecycle.SessionInfo]:
        """The live sessions. Blocks: not on a dispatcher's thread.

        Raises:
            pykka.Timeout: there is no answer in time; `is_alive` says whether there can be.
        """
        sessions: list[lifecycle.SessionInfo] = self._runtime.ask(
            lifecycle.ListSessions(), default=[], timeout_s=timeout_s
        )
        return sessions

    # Steps.

    def _start(self, *, dials: bool = True) -> bool:
        has_begun = self._runtime.start(dials=dials)
        self._session_factory.simulator_url = self._runtime.simulator_url
        if has_begun:
            self._host = host.find()
            if self._host is not None:
                self._host.watch(self._runtime.drained, self.close)
        return has_begun

    def _start_lazily(self, *, dials: bool = True) -> None:
        with contextlib.suppress(StartError):  # whoever comes is told
            if self._start(dials=dials) and self._session_factory.simulator_url:
                logger.warning("there is neither a key nor an upstream: a simulator answers, which understands nothing")

    def _begin(self, environ: Environ, profile: str, turn_detection: str | None) -> tuple[str, ClientConnection]:
        def open_it(first_text: str) -> ClientConnection:
            return accept(environ, first_text=first_text, limits=self._session_factory.limits)

        return self.begin(environ, profile, open_it, turn_detection=turn_detection)

    def begin(
        self,
        environ: Environ,
        profile: str,
        open_it: Callable[[str], C],
        *,
        turn_detection: str | None = None,
        dialler: Callable[[DialTarget], Connection] | None = None,
    ) -> tuple[str, C]:
        """Begin a session over the connection that `open_it` makes, dialling as `dialler` does: for `router.testing`.

        `open_it` is given the first text that the client is to be told.

        Raises:
            HandshakeRefused: we take no more sessions, or `authenticate` does not admit this one.
        """
        self._start_lazily(dials=dialler is None)
        if self._runtime.is_closing:
            raise _going_away()
        if not self.is_alive:
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is not well", RETRY_AFTER)
        session_id = str(uuid.uuid4())
        request = hooks.Request.of(environ, profile)
        if hooks.is_upgrade(environ):
            request = self._hooks.admit(session_id, request, self._runtime.auth_pool, self.config.deadlines.hook_s)
        on_end = functools.partial(self._open.discard, session_id)
        spec = self._session_factory.of(session_id, request, turn_detection, perform=self._performer, on_end=on_end)
        if dialler is not None:
            spec = msgspec.structs.replace(spec, dialler=dialler)
        if self._is_standalone:
            self._call_pacer.wait(self._runtime.dispatchers)
        with self._runtime.entry() as supervisor:
            if supervisor is None:
                raise _going_away()
            connection = open_it(welcome(session_id))
            self._open.add(session_id)
            try:
                supervisor.tell(lifecycle.StartSession(spec, connection))
            except pykka.ActorDeadError:  # its dispatcher was given up, and we were not waited for
                on_end()
                connection.close(CloseCode.GOING_AWAY, "the server is going away")
        return session_id, connection

    def actors_of(self, session_id: str, timeout_s: float = 1.0) -> dict[str, Ref]:
        """The actors of a session, to be told and asked: for `router.testing`. Blocks: not on a dispatcher's thread."""
        asked = lifecycle.FindActors(session_id)
        found: dict[str, Ref] = self._runtime.ask(asked, default={}, timeout_s=timeout_s)
        return found


def _going_away() -> HandshakeRefused:
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is going away", RETRY_AFTER)


def checked_profile(profile: str) -> Profile:
    """Return a profile; raises `ValueError` where there is none of that name."""
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {profile!r}")
    return profile  # type: ignore[return-value] # the table has those of the type


# Forks, and the end of the process.

_routers: weakref.WeakSet[Router] = weakref.WeakSet()


def _begin_anew() -> None:
    for router in list(_routers):
        router._reset()  # noqa: SLF001 - one module


def _close_all() -> None:
    """Tell the clients, whose sessions would be cut otherwise. An interrupt (Ctrl-C again) cuts short what is left."""
    drain_s = None
    for router in list(_routers):
        try:
            router.close(drain_s)
        except KeyboardInterrupt:
            drain_s = 0.0
            router.close(drain_s)


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(_close_all)
