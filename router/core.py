"""The Router: it owns the dispatchers, the supervisor and the connector, and starts sessions."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import threading
import time
import uuid
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Unpack, overload

import msgspec
import pykka

from actors import messages
from actors.connections.client import accept
from actors.connections.handover import HandshakeRefused
from actors.connector import Connector
from actors.dispatcher import Dispatcher
from actors.pool import Pool
from actors.supervisor import Supervisor, as_ref
from actors.watchdog import Watchdog
from router import given, hooks
from router.door import Door
from router.errors import StartError
from router.session.profile import PROFILES
from router.specs import Specs, endpoints_of
from router.tools.performer import Performer
from router.tools.toolbox import Toolbox
from router.web import host, upgrade
from router.web.app import make_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actors.actor import Ref
    from actors.connections.base import Connection
    from actors.connections.client import ClientConnection
    from actors.connections.upstream import DialTarget
    from router.config import RouterConfig
    from router.simulator import Simulator
    from router.tools.toolbox import Handler
    from router.web.answer import Answer, Environ, StartResponse, WSGIApp

logger = logging.getLogger(__name__)

C = TypeVar("C", bound="Connection")

LATE_S: Final = 0.5
"""What the last close handshakes may be late when a router closes."""

LOOK_S: Final = 1.0

RETRY_AFTER: Final = (("Retry-After", "1"),)

STOP_S: Final = 2.0
"""For each dispatcher to end, once the sessions have."""

DIALS_JUDGED: Final = 3
JUDGED_WITHIN_S: Final = 60.0
"""Not ready when the latest dials, so many or fewer, all failed within this time. Then some pass again, and tell."""


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
        authenticate and the others: hooks, called on threads of the workers; see `router.hooks` and docs/embedding.md.

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
        **settings: Unpack[given.Given],
    ) -> None:
        self.config = given.checked_config(config, settings)
        self._hooks = hooks.Hooks(
            authenticate=authenticate,
            configure=configure,
            on_session_start=on_session_start,
            on_session_end=on_session_end,
            on_turn=on_turn,
            on_usage=on_usage,
        )
        self._toolbox = Toolbox(most_bytes=self.config.limits.tool_output_bytes)
        self._specs = Specs(self.config, self._toolbox, self._hooks)
        self._is_draining = False
        self._reset()
        _routers.add(self)

    def _reset(self) -> None:
        """Be as before the first start. Also in the child of a fork, which has locks as they were, and no thread."""
        self._lock = threading.Lock()
        self._door = Door()
        self._parking = upgrade.Parking(self.config.limits.parked_threads)
        self._dispatchers: list[Dispatcher] = []
        self._connector = Connector(self.config.limits.dial_threads)
        self._workers = Pool("worker", self.config.limits.work_threads, most_waiting=self.config.limits.work_waiting)
        self._doorkeepers = Pool("doorkeeper", self.config.limits.work_threads)  # functions that hang close no door
        self._watchdog: Watchdog | None = None
        self._host: host.Host | None = None
        """Where a server of somebody else's may end us."""
        self._performer = Performer(self._toolbox, lambda: endpoints_of(self.config))
        self._supervisor: Ref | None = None
        self._simulator: Simulator | None = None
        self._open: set[str] = set()
        """The ids of the sessions that there are: more is known by the supervisor, who has to be asked."""
        self._drained = threading.Event()
        self._stopping = threading.Lock()

    # A life: start, close.

    def start(self) -> Router:
        """Start the dispatchers, the supervisor and, where it is the upstream, the embedded simulator. Once.

        Need not be called: the first request does, and pays for it with some milliseconds.

        Raises:
            StartError: it was closed.
        """
        self._start(dials=True)
        return self

    def close(self, drain_s: float | None = None) -> None:
        """End every session with a message and a close frame, and stop. Not from a dispatcher's thread.

        A session in which nothing is under way ends at once; what is may go on for `drain_s`, by default the
        configuration's, or what gunicorn leaves us. Waits for that, and for the clients to go. A second call may
        shorten the first one's time.
        """
        if drain_s is None:
            drain_s = self.config.drain_s if self._host is None else self._host.drain_s(self.config.drain_s)
        with self._lock:
            self._is_draining = True
            supervisor = self._supervisor
        if supervisor is not None:
            self._drain(supervisor, drain_s)
        with self._stopping:
            self._stop()

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
        thread of the workers; it answers with text, or with anything that can be written as JSON.

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
        with self._parking.place(environ):
            session_id, connection = self._begin(environ, profile, turn_detection)
            connection.wait_until_given_back()
        return session_id

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs: none has died, or stalled for 5 s."""
        return bool(self._dispatchers) and not self.ailments()

    def ailments(self) -> list[str]:
        """What is wrong with the dispatchers, a few words each. Where there is anything, no session is begun."""
        dead = [f"{dispatcher.name} is dead" for dispatcher in self._dispatchers if not dispatcher.is_alive]
        return dead or (self._watchdog.given_up() if self._watchdog is not None else [])

    def readiness(self) -> tuple[bool, str]:
        """Whether new sessions would come to life, and why (not). Judged by recent dials; never dials itself."""
        if self._is_draining:
            return False, "draining"
        if not self.is_alive:
            return False, "not running"
        since_s = time.monotonic() - JUDGED_WITHIN_S
        latest = [outcome for outcome in self._connector.outcomes() if outcome.at_s > since_s][-DIALS_JUDGED:]
        if latest and not any(outcome.is_ok for outcome in latest):
            return False, "no upstream can be dialled"
        return True, "ready"

    @property
    def session_count(self) -> int:
        """How many sessions there are. Does not block."""
        return len(self._open)

    def sessions(self, timeout_s: float = 1.0) -> list[messages.SessionInfo]:
        """The live sessions. Blocks: not on a dispatcher's thread."""
        if self._supervisor is None:
            return []
        sessions: list[messages.SessionInfo] = self._supervisor.ask(messages.ListSessions(), timeout=timeout_s)
        return sessions

    # Steps.

    def _start(self, *, dials: bool = True) -> None:
        with self._lock:
            if self._is_draining:
                raise StartError("the router was closed")
            if dials and self._simulator is None:
                self._start_simulator()
            if self._supervisor is None:
                self._start_dispatchers()
                self._start_supervisor()
                self._watch_host()

    def _start_lazily(self, *, dials: bool = True) -> None:
        is_started = self._supervisor is not None and (self._simulator is not None or not self._simulates or not dials)
        if is_started or self._is_draining:
            return
        self._start(dials=dials)
        if self._simulator is not None:
            logger.warning("there is neither a key nor an upstream: a simulator answers, which understands nothing")

    @property
    def _simulates(self) -> bool:
        return self.config.upstream == "simulator"

    def _begin(self, environ: Environ, profile: str, turn_detection: str | None) -> tuple[str, ClientConnection]:
        open_it = functools.partial(accept, environ, limits=self._specs.limits)
        return self.begin(environ, profile, open_it, turn_detection=turn_detection)

    def begin(
        self,
        environ: Environ,
        profile: str,
        open_it: Callable[[], C],
        *,
        turn_detection: str | None = None,
        dialler: Callable[[DialTarget], Connection] | None = None,
    ) -> tuple[str, C]:
        """Begin a session over the connection that `open_it` makes, dialling as `dialler` does: for `router.testing`.

        Raises:
            HandshakeRefused: we take no more sessions, or `authenticate` does not admit this one.
        """
        self._start_lazily(dials=dialler is None)
        supervisor = self._supervisor
        if supervisor is None or self._is_draining:
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is going away", RETRY_AFTER)
        if not self.is_alive:
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is not well", RETRY_AFTER)
        session_id = str(uuid.uuid4())
        request = hooks.Request.of(environ, profile)
        if hooks.is_upgrade(environ):
            request = self._hooks.admit(session_id, request, self._doorkeepers, self.config.deadlines.hook_s)
        on_end = functools.partial(self._open.discard, session_id)
        spec = self._specs.of(session_id, request, turn_detection, perform=self._performer, on_end=on_end)
        if dialler is not None:
            spec = msgspec.structs.replace(spec, dialler=dialler)
        self._door.wait(self._dispatchers)
        connection = open_it()
        self._open.add(session_id)
        try:
            supervisor.tell(messages.StartSession(spec, connection))
        except pykka.ActorDeadError:  # closed this very moment
            connection.abort()
        return session_id, connection

    def actors_of(self, session_id: str, timeout_s: float = 1.0) -> dict[str, Ref]:
        """The actors of a session, to be told and asked: for `router.testing`. Blocks: not on a dispatcher's thread."""
        if self._supervisor is None:
            return {}
        found: dict[str, Ref] = self._supervisor.ask(messages.FindActors(session_id), timeout=timeout_s)
        return found

    def _start_simulator(self) -> None:
        if not self._simulates:
            return
        from router.simulator import Simulator, SimulatorConfig  # noqa: PLC0415 - only where it is the upstream

        self._simulator = Simulator(SimulatorConfig(record_connections=0, record_events=0)).start()
        self._specs.simulator_url = self._simulator.url

    def _start_dispatchers(self) -> None:
        self._dispatchers = [Dispatcher(f"dispatcher-{n}").start() for n in range(self.config.dispatchers)]
        self._watchdog = Watchdog(self._dispatchers).start()

    def _start_supervisor(self) -> None:
        ref = Supervisor.start(
            self._dispatchers[0],
            dispatchers=self._dispatchers,
            connector=self._connector,
            workers=self._workers,
        )
        self._supervisor = as_ref(ref)

    def _watch_host(self) -> None:
        self._host = host.find()
        if self._host is not None:
            threading.Thread(target=self._leave_with, args=(self._host,), name="host-watch", daemon=True).start()

    def _leave_with(self, its_host: host.Host) -> None:
        while not self._drained.wait(host.LOOK_S):
            if its_host.is_leaving:
                logger.info("gunicorn's worker is leaving: its calls are drained")
                self.close()

    def _drain(self, supervisor: Ref, drain_s: float) -> None:
        with contextlib.suppress(pykka.ActorDeadError):  # another call was faster
            supervisor.tell(messages.Drain(self._drained, drain_s))
        until_s = time.monotonic() + drain_s + self.config.deadlines.close_s + LATE_S
        while self.is_alive and not self._drained.wait(min(LOOK_S, max(0.0, until_s - time.monotonic()))):
            if time.monotonic() >= until_s:
                logger.warning("some clients did not close in time, or what is told of them did not end")
                return

    def _stop(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._supervisor is not None:
            with contextlib.suppress(pykka.Timeout):  # its dispatcher does not run
                self._supervisor.stop(block=True, timeout=STOP_S)
            self._supervisor = None
        self._drained.set()
        self._connector.close()
        self._workers.close()
        self._doorkeepers.close()
        for dispatcher in self._dispatchers:
            if not dispatcher.stop(STOP_S):
                logger.error("%s does not end", dispatcher.name)
        if self._simulator is not None:
            self._simulator.close()


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
    """Tell the clients, whose sessions would be cut otherwise."""
    for router in list(_routers):
        router.close()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(_close_all)
