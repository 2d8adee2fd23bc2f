"""The Router: one per process. It owns the dispatchers, the supervisor and the connector, and starts sessions."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, overload

import pykka

from actors import messages
from actors.connections.base import ConnectionLimits
from actors.connections.client import HandshakeRefused, accept
from actors.connections.upstream import DialTarget, dial
from actors.connector import Connector
from actors.dispatcher import Dispatcher
from actors.pool import Pool
from actors.supervisor import SessionSpec, Supervisor, as_ref
from actors.watchdog import Watchdog
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.session.options import SessionOptions
from router.session.profile import PROFILES
from router.session.session import Session
from router.tools.addresses import Addresses
from router.tools.endpoints import Endpoints
from router.tools.performer import Performer
from router.tools.toolbox import Toolbox
from router.translation.errors import is_fatal_reason
from router.translation.voices import Voices
from router.values import model_of, url_with_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.actor import Ref
    from router.config import RouterConfig
    from router.simulator import Simulator
    from router.tools.toolbox import Handler

logger = logging.getLogger(__name__)

CRASH_FRAME: Final = deepgram_codec.encode(
    deepgram.Error(description="something went wrong here; it has been logged", code="INTERNAL_SERVER_ERROR")
)

LATE_S: Final = 0.5
"""What the last close handshakes may be late when a router closes."""

LOOK_S: Final = 1.0

RETRY_AFTER: Final = (("Retry-After", "1"),)

STOP_S: Final = 2.0
"""For each dispatcher to end, once the sessions have."""

DIALS_JUDGED: Final = 3
JUDGED_WITHIN_S: Final = 60.0
"""Not ready when the latest dials, so many or fewer, all failed within this time. Then some pass again, and tell."""


class Router:
    """Carries sessions between clients and an upstream.

    Nothing runs before `start`, so that a process may fork after it was made. All methods may be called from any
    thread.
    """

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._dispatchers: list[Dispatcher] = []
        self._connector = Connector(config.limits.dial_threads)
        self._workers = Pool("worker", config.limits.work_threads, most_waiting=config.limits.work_waiting)
        self._watchdog: Watchdog | None = None
        self._toolbox = Toolbox(most_bytes=config.limits.tool_output_bytes)
        self._performer = Performer(self._toolbox, _endpoints(config))
        self._supervisor: Ref | None = None
        self._simulator: Simulator | None = None
        self._is_draining = False
        self._open: set[str] = set()
        """The ids of the sessions that there are: more is known by the supervisor, who has to be asked."""
        self._drained = threading.Event()
        self._stopping = threading.Lock()
        self._simulator_url = ""
        self._upstreams = config.all_upstreams()
        self._fixed_model = model_of(self._upstreams[0].url) or self._upstreams[0].model
        self._limits = _connection_limits(config)

    # A life: start, close.

    def start(self) -> Router:
        """Start the dispatchers, the supervisor and, where it is the upstream, the embedded simulator. Once."""
        with self._lock:
            if self._supervisor is None:
                self._start_simulator()
                self._start_dispatchers()
                self._start_supervisor()
        return self

    def close(self, drain_s: float | None = None) -> None:
        """End every session with a message and a close frame, and stop. Not from a dispatcher's thread.

        A session in which nothing is under way ends at once; what is may go on for `drain_s`, by default the
        configuration's. Waits for that, and for the clients to go. A second call may shorten the first one's time.
        """
        drain_s = self.config.drain_s if drain_s is None else drain_s
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

    def tool(self, *given: Any) -> Any:
        """Offer a function to the model of every session that starts from now on, and answer its calls.

        As `router.tool(name, schema, handler)`, or as the decorator `@router.tool(schema)` of a handler. The schema is
        OpenAI's and Deepgram's, `{name, description, parameters}`; with a name beside it, the JSON Schema of the
        parameters alone will do. The handler is called as `handler(arguments, call)`, a dict and a `ToolCall`, on a
        thread of the workers; it answers with text, or with anything that can be written as JSON.

        Raises:
            ValueError: the schema or the name is no good, or the name is taken.
        """
        if len(given) == 1:
            return partial(self._toolbox.add, None, given[0])
        return self._toolbox.add(*given)

    # What a web server asks for.

    def accept(self, environ: Mapping[str, Any], profile: str, *, turn_detection: str | None = None) -> str:
        """Upgrade a WSGI request to a session of its own; returns the session's id.

        The socket is ours from here on, and the server must forget it. Does not block.

        Raises:
            HandshakeRefused: the request is no good, or we take no more sessions; the socket was left alone.
        """
        supervisor = self._supervisor
        if supervisor is None or self._is_draining:
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is going away", RETRY_AFTER)
        if not self.is_alive:
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is not well", RETRY_AFTER)
        session_id = str(uuid.uuid4())
        connection = accept(environ, limits=self._limits)
        self._open.add(session_id)
        try:
            supervisor.tell(messages.StartSession(self._spec(session_id, profile, turn_detection), connection))
        except pykka.ActorDeadError:  # closed this very moment
            connection.abort()
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

    def _start_simulator(self) -> None:
        if self.config.upstream != "simulator":
            return
        from router.simulator import Simulator, SimulatorConfig  # noqa: PLC0415 - only where it is the upstream

        self._simulator = Simulator(SimulatorConfig(record_connections=0, record_events=0)).start()
        self._simulator_url = self._simulator.url

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

    def _drain(self, supervisor: Ref, drain_s: float) -> None:
        with contextlib.suppress(pykka.ActorDeadError):  # another call was faster
            supervisor.tell(messages.Drain(self._drained, drain_s))
        until_s = time.monotonic() + drain_s + self.config.deadlines.close_s + LATE_S
        while self.is_alive and not self._drained.wait(min(LOOK_S, max(0.0, until_s - time.monotonic()))):
            if time.monotonic() >= until_s:
                logger.warning("some clients did not close in time")
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
        for dispatcher in self._dispatchers:
            if not dispatcher.stop(STOP_S):
                logger.error("%s does not end", dispatcher.name)
        if self._simulator is not None:
            self._simulator.close()

    def _spec(self, session_id: str, profile: str, turn_detection: str | None) -> SessionSpec:
        options = self._options(turn_detection)
        return SessionSpec(
            session_id=session_id,
            machine=Session(session_id, PROFILES[profile], options),
            dial_target=self._dial_target,
            dialler=dial,
            crash_frame=CRASH_FRAME,
            on_end=lambda ended: self._open.discard(ended.session_id),
            upstreams=len(self._upstreams),
            restarts=self.config.restarts,
            is_fatal=is_fatal_reason,
            perform=self._performer,
        )

    def _options(self, turn_detection: str | None) -> SessionOptions:
        config = self.config
        return SessionOptions(
            model=config.model,
            models=config.models,
            fixed_model=self._fixed_model,
            turn_detection=turn_detection or config.turn_detection,  # type: ignore[arg-type] # both are checked
            voices=Voices(default=config.voice, table=config.voices),
            transcription_model=config.transcription_model,
            transcription_models=tuple(upstream.transcription_model for upstream in self._upstreams),
            g711=tuple(bool(upstream.g711) for upstream in self._upstreams),
            deadlines=config.deadlines,
            early_audio_s=config.limits.early_audio_s,
            early_messages=config.limits.early_messages,
            greeting=config.greeting,  # type: ignore[arg-type] # checked
            interrupted_answer=config.interrupted_answer,  # type: ignore[arg-type] # checked
            ledger_tokens=config.limits.ledger_tokens,
            ledger_bytes=config.limits.ledger_bytes,
            preroll_s=config.limits.preroll_s,
            uncommitted_audio_s=config.limits.uncommitted_audio_s,
            audio_ahead_s=config.limits.audio_ahead_s,
            held_audio_bytes=config.limits.held_audio_bytes,
            unread_audio_bytes=config.limits.unread_audio_bytes,
            tools=self._toolbox.functions(),
            tool_hosts=config.tool_hosts,
            redact=self._redact,
        )

    def _dial_target(self, model: str, position: int) -> DialTarget:
        upstream = self._upstreams[position]
        url = url_with_model(self._simulator_url, model) if self._simulator else upstream.dial_url(model)
        return DialTarget(
            url=url,
            headers=upstream.dial_headers(),
            timeout_s=self.config.deadlines.dial_s,
            ca_file=self.config.ca_file,
            limits=self._limits,
        )

    def _redact(self, text: str) -> str:
        for secret in self.config.secrets:
            text = text.replace(secret, "[redacted]")
        return text


def _endpoints(config: RouterConfig) -> Endpoints:
    return Endpoints(
        Addresses(config.tool_networks),
        timeout_s=config.deadlines.tool_call_s,
        most_bytes=config.limits.tool_output_bytes,
        ca_file=config.ca_file,
    )


def _connection_limits(config: RouterConfig) -> ConnectionLimits:
    return ConnectionLimits(
        write_buffer_bytes=config.limits.write_buffer_bytes,
        max_message_bytes=config.limits.max_message_bytes,
        ping_interval_s=config.deadlines.ping_interval_s,
        ping_timeout_s=config.deadlines.ping_timeout_s,
        write_stall_s=config.deadlines.write_stall_s,
        close_timeout_s=config.deadlines.close_s,
    )
