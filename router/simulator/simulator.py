"""The simulator: a listening socket, a dispatcher, and the sessions that live on it."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

import pykka

from actors.connections.base import ConnectionLimits
from actors.connections.client import accept
from actors.connections.handover import HandshakeRefused, take_over
from actors.dispatcher import READABLE, Dispatcher
from router.simulator.actor import ShutDown, SimulatedSession
from router.simulator.admission import SUBPROTOCOL, refusal_of
from router.simulator.config import SimulatorConfig
from router.simulator.faults import Fault, FaultAction, FaultPlan, FaultPoint
from router.simulator.recording import ConnectionRecord, Recorder
from router.simulator.server import HttpServer, answer
from router.simulator.session import Session
from router.simulator.state import Answer, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self
    from wsgiref.types import StartResponse, WSGIEnvironment

    from pykka import ActorRef

    from actors.connections.base import Connection

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATH: Final = "/v1/realtime"
_INDEX: Final = (
    "This is the simulator of an OpenAI Realtime upstream: rules, no model. Connect a WebSocket to "
    f"{PATH}?model=gpt-realtime."
)
_CLOSE_TIMEOUT_S: Final = 1.0


class Simulator:
    """An OpenAI Realtime server on this machine. Nothing runs before `start`; all methods are for any thread."""

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
        self._dispatcher: Dispatcher | None = None
        self._server: HttpServer | None = None

    # A life: start, close.

    def start(self, *, listens: bool = True) -> Simulator:
        """Listen; raises `OSError` where the address cannot be had. One that does not listen is given connections."""
        server = HttpServer((self.config.host, self.config.port), self._serve) if listens else None
        self._server = server
        self._dispatcher = dispatcher = Dispatcher("simulator").start()
        if server is not None:
            dispatcher.call_soon(lambda: dispatcher.watch(server.fileno(), READABLE, self._on_connection))
        return self

    def serve(self, connection: Connection, headers: Mapping[str, str], query: Mapping[str, str]) -> ConnectionRecord:
        """Serve a connection that is open already, as if it had been asked for so; its record."""
        record = self._recorder.open(dict(headers), dict(query))
        self._begin(connection, record)
        return record

    def close(self) -> None:
        """Stop listening, close every connection (1001), and end all threads. Harmless when repeated."""
        self._closing.set()
        server, self._server = self._server, None
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is None:
            return
        if server is not None:
            self._stop_listening(server, dispatcher)
            server.end_requests(_CLOSE_TIMEOUT_S)
        self._end_sessions()
        dispatcher.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where to connect, without the model."""
        if self._server is None:
            raise RuntimeError("the simulator does not run")
        return f"ws://{self.config.host}:{self._server.server_port}{PATH}"

    # What a test asks for.

    @property
    def connections(self) -> list[ConnectionRecord]:
        """The newest connections, refused ones too, oldest first."""
        return self._recorder.connections()

    @property
    def session_count(self) -> int:
        """How many connections are open now."""
        with self._lock:
            self._forget_the_dead()
            return len(self._sessions)

    def wait_for(self, predicate: Callable[[list[ConnectionRecord]], T], timeout_s: float = 5.0) -> T:
        """Wait until `predicate(connections)` gives something true, and return it.

        It is looked at again whenever something was received, sent (deltas aside), opened or closed.

        Raises:
            TimeoutError: it did not within `timeout_s`.
        """
        return self._recorder.wait_for(lambda: predicate(self._recorder.connections()), timeout_s)

    def add_fault(self, fault: Fault) -> None:
        """Have a fault happen; see `Fault`."""
        self._plan.add(fault)

    def clear_faults(self) -> None:
        """Have no fault happen any more."""
        self._plan.clear()

    def script(self, *, transcripts: Iterable[str] = (), answers: Iterable[Answer] = ()) -> None:
        """Have the next spoken turns heard, and the next responses answered so."""
        self._script.add(transcripts, answers)

    # Requests, each on its own thread.

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == PATH:
            return self._open(environ, start_response)
        if path == "/":
            return answer(start_response, 200, _INDEX)
        return answer(start_response, 404, "not found")

    def _open(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = _headers(environ)
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        record = self._recorder.open(headers, query)
        fault = self._plan.take(FaultPoint.HANDSHAKE, record.number)
        try:
            if fault is None or self._survives(fault, environ):
                self._begin_session(environ, record)
        except HandshakeRefused as refused:
            self._recorder.refused(record, refused.status)
            return answer(start_response, refused.status, refused.description, refused.headers)
        # The socket is in other hands: what is answered here goes nowhere.
        return answer(start_response, 200, "")

    def _survives(self, fault: Fault, environ: WSGIEnvironment) -> bool:
        """Let a fault happen to a handshake; whether the handshake goes on."""
        self._closing.wait(fault.delay_s)
        if fault.action is FaultAction.DELAY:
            return True
        if fault.action is FaultAction.REFUSE:
            raise HandshakeRefused(fault.status, fault.message)
        taken = take_over(environ)
        if fault.action is FaultAction.RESET:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            taken.close()
        else:
            with self._lock:
                self._hung.append(taken)
        return False

    def _begin_session(self, environ: WSGIEnvironment, record: ConnectionRecord) -> None:
        served = environ["werkzeug.socket"]
        twin: socket.socket = served.dup()
        try:
            connection = accept(environ, subprotocols=(SUBPROTOCOL,), limits=self._limits)
        except HandshakeRefused:
            twin.close()
            raise
        self._begin(connection, record, twin)

    def _begin(self, connection: Connection, record: ConnectionRecord, twin: socket.socket | None = None) -> None:
        dispatcher = self._dispatcher
        if dispatcher is None:  # closed meanwhile
            connection.abort()
            if twin is not None:
                twin.close()
            return
        self._remember(
            SimulatedSession.start(
                dispatcher,
                connection=connection,
                session=self._session(record),
                refusal=refusal_of(record.headers, record.query, self.config),
                recorder=self._recorder,
                record=record,
                twin=twin,
            )
        )

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
        )

    def _remember(self, session: ActorRef[SimulatedSession]) -> None:
        with self._lock:
            self._forget_the_dead()
            self._sessions.append(session)

    def _forget_the_dead(self) -> None:
        self._sessions = [known for known in self._sessions if known.is_alive()]

    # On the dispatcher's thread.

    def _on_connection(self, _mask: int) -> None:
        if self._server is not None:
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
