"""The simulator: a listening socket, a dispatcher, and the sessions on it."""

from __future__ import annotations

import contextlib
import importlib
import logging
import socket
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

import pykka

from actors.connections.base import ConnectionLimits
from actors.connections.client import accept
from actors.connections.handover import HandshakeRefused, take_over
from actors.dispatcher import READABLE, Dispatcher
from router.simulator.actor import RESET_ON_CLOSE, ShutDown, SimulatedSession
from router.simulator.admission import SUBPROTOCOL, refusal_of
from router.simulator.config import SimulatorConfig
from router.simulator.faults import Fault, FaultAction, FaultPlan, FaultPoint
from router.simulator.recording import ConnectionRecord, Recorder
from router.simulator.server import HttpServer, answer
from router.simulator.services import Services
from router.simulator.session import Session
from router.simulator.state import Answer, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self
    from wsgiref.types import StartResponse, WSGIEnvironment

    from pykka import ActorRef

    from actors.connections.base import Connection
    from router.simulator.errors import Refusal

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATH: Final = "/v1/realtime"
_INDEX: Final = (
    "This is the simulator of an OpenAI Realtime upstream: rules, no model. Connect a WebSocket to "
    f"{PATH}?model=gpt-realtime."
)
_CLOSE_TIMEOUT_S: Final = 1.0


class Simulator:
    """An OpenAI Realtime server on this machine. It runs from `start` to `close`.

    All methods may be called from any thread.
    """

    path: str = PATH
    index: str = _INDEX
    subprotocols: tuple[str, ...] = (SUBPROTOCOL,)

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config or SimulatorConfig()
        self._plan = FaultPlan(self.config.faults)
        self._script = Script()
        self._recorder = Recorder(self.config.record_connections, self.config.record_events)
        self._limits = ConnectionLimits(ping_interval_s=self.config.ping_interval_s, close_timeout_s=_CLOSE_TIMEOUT_S)
        self._lock = threading.Lock()
        self._sessions: list[ActorRef[SimulatedSession]] = []
        self._hung: list[socket.socket] = []
        self._closing = threading.Event()
        self._services = Services(self.config)
        self._dispatcher: Dispatcher | None = None
        self._server: HttpServer | None = None

    # Start and close.

    def start(self, *, listens: bool = True) -> Simulator:
        """Start the simulator. Without `listens` it opens no port, and connections come only through `serve`.

        Raises:
            OSError: the address is not available.
        """
        server = HttpServer((self.config.host, self.config.port), self._serve) if listens else None
        self._server = server
        self._dispatcher = dispatcher = Dispatcher("simulator").start()
        if server is not None:
            dispatcher.call_soon(lambda: dispatcher.watch(server.fileno(), READABLE, self._on_connection))
        return self

    def serve(self, connection: Connection, headers: Mapping[str, str], query: Mapping[str, str]) -> ConnectionRecord:
        """Serve an open connection, as if its request had these headers and this query, and return its record."""
        record = self._recorder.open(dict(headers), dict(query))
        self._begin(connection, record)
        return record

    def close(self) -> None:
        """Stop listening, close every connection with code 1001, and end all threads. A second call does nothing."""
        self._closing.set()
        server, self._server = self._server, None
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is None:
            return
        if server is not None:
            # First stop accepting, then end the requests that are still being read. So their threads end before the
            # sessions.
            self._stop_listening(server, dispatcher)
            server.end_requests(_CLOSE_TIMEOUT_S)
        self._end_sessions()
        dispatcher.stop()
        self._services.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL of the WebSocket, without the parameter `model`; raises `RuntimeError` if nothing listens."""
        if self._server is None:
            raise RuntimeError("the simulator does not run")
        return f"ws://{self.config.host}:{self._server.server_port}{self.path}"

    # For tests.

    @property
    def services(self) -> Services:
        """The speech processes and the language model."""
        return self._services

    @property
    def connections(self) -> list[ConnectionRecord]:
        """The records of the newest connections, the oldest first. Refused connections are among them."""
        return self._recorder.connections()

    @property
    def session_count(self) -> int:
        """The number of open connections."""
        with self._lock:
            self._forget_stopped()
            return len(self._sessions)

    def wait_for(self, predicate: Callable[[list[ConnectionRecord]], T], timeout_s: float = 5.0) -> T:
        """Wait until `predicate(connections)` returns a true value, and return that value.

        The predicate is evaluated again when an event other than a delta is received or sent, and when a connection
        opens or closes.

        Raises:
            TimeoutError: no true value within `timeout_s`.
        """
        return self._recorder.wait_for(lambda: predicate(self._recorder.connections()), timeout_s)

    def add_fault(self, fault: Fault) -> None:
        """Add a fault; see `Fault`."""
        self._plan.add(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._plan.clear()

    def script(self, *, transcripts: Iterable[str] = (), answers: Iterable[Answer] = ()) -> None:
        """Script the transcripts of the next spoken turns, and the answers of the next responses."""
        self._script.add(transcripts, answers)

    # Requests, each on its own thread.

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == self.path:
            return self._open(environ, start_response)
        if path == "/":
            return answer(start_response, 200, self.index)
        return answer(start_response, 404, "not found")

    def _open(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = _headers(environ)
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        record = self._recorder.open(headers, query)
        fault = self._plan.take(FaultPoint.HANDSHAKE, record.number)
        try:
            if fault is None or self._inject(fault, environ):
                self._begin_session(environ, record)
        except HandshakeRefused as refused:
            self._recorder.refused(record, refused.status)
            return answer(start_response, refused.status, refused.description, refused.headers)
        # The hand-over has replaced the request's socket by a closed one, so this answer reaches no peer.
        return answer(start_response, 200, "")

    def _inject(self, fault: Fault, environ: WSGIEnvironment) -> bool:
        """Inject a fault into a handshake, and return whether the handshake continues; raises `HandshakeRefused`."""
        self._closing.wait(fault.delay_s)  # `close` cuts the delay short
        if fault.action is FaultAction.DELAY:
            return True
        if fault.action is FaultAction.REFUSE:
            raise HandshakeRefused(fault.status, fault.message)
        sock = take_over(environ)
        if fault.action is FaultAction.RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            sock.close()
        else:
            with self._lock:
                self._hung.append(sock)  # a socket without a reference would be closed
        return False

    def _begin_session(self, environ: WSGIEnvironment, record: ConnectionRecord) -> None:
        self._admit(record.headers)
        # The import takes 0.1 s, and on the dispatcher it would stop every session.
        importlib.import_module("router.simulator.waveforms")
        # Duplicate before `accept`, which replaces the request's descriptor by a closed one.
        duplicate: socket.socket = environ["werkzeug.socket"].dup()
        try:
            connection = accept(environ, subprotocols=self.subprotocols, limits=self._limits)
        except HandshakeRefused:
            duplicate.close()
            raise
        self._begin(connection, record, duplicate)

    def _begin(self, connection: Connection, record: ConnectionRecord, duplicate: socket.socket | None = None) -> None:
        dispatcher = self._dispatcher
        if dispatcher is None:  # the simulator was closed meanwhile
            connection.abort()
            if duplicate is not None:
                duplicate.close()
            return
        self._remember(
            SimulatedSession.start(
                dispatcher,
                connection=connection,
                session=self._session(record),
                refusal=self._refusal(record),
                recorder=self._recorder,
                record=record,
                services=self._services,
                duplicate=duplicate,
            )
        )

    def _admit(self, headers: dict[str, str]) -> None:
        """Accept every client, because the session itself sends a refusal, as an event."""

    def _refusal(self, record: ConnectionRecord) -> Refusal | None:
        return refusal_of(record.headers, record.query, self.config)

    def _session(self, record: ConnectionRecord) -> Session:
        def observe(event: dict[str, Any]) -> None:
            self._recorder.received(record, event)

        return Session(
            self.config,
            self._plan,
            self._script,
            number=record.number,
            model=record.query.get("model", ""),
            opened_at_s=time.time(),
            observe=observe if self._recorder.keeps_events else None,
            abilities=self._services.abilities,
            now=lambda: datetime.now(UTC).astimezone(),
        )

    def _remember(self, session: ActorRef[SimulatedSession]) -> None:
        with self._lock:
            self._forget_stopped()
            self._sessions.append(session)

    def _forget_stopped(self) -> None:
        self._sessions = [known for known in self._sessions if known.is_alive()]

    # On the dispatcher's thread.

    def _on_connection(self, _mask: int) -> None:
        if self._server is not None:  # `close` may have run first
            self._server.handle_request()

    # The end.

    def _stop_listening(self, server: HttpServer, dispatcher: Dispatcher) -> None:
        stopped = threading.Event()

        def stop() -> None:
            dispatcher.unwatch(server.fileno())
            server.server_close()
            stopped.set()

        dispatcher.call_soon(stop)
        stopped.wait(_CLOSE_TIMEOUT_S)

    def _end_sessions(self) -> None:
        with self._lock:
            sessions, self._sessions = self._sessions, []
            hung, self._hung = self._hung, []
        for sock in hung:
            sock.close()
        for session in sessions:
            with contextlib.suppress(pykka.ActorDeadError):
                session.tell(ShutDown())
        # A close handshake takes `_CLOSE_TIMEOUT_S` at most. An actor that needs twice as long is stopped.
        deadline_s = time.monotonic() + 2 * _CLOSE_TIMEOUT_S
        for session in sessions:
            if not session.actor_stopped.wait(max(0.0, deadline_s - time.monotonic())):
                session.stop(block=False)


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    return {
        key.removeprefix("HTTP_").replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
