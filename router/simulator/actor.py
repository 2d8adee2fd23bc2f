"""The actor of one simulated session. It hands frames and timers to the pure session, and performs its commands."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable  # noqa: TC003 - msgspec resolves the annotation
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson
import pykka

from actors.actor import Actor, guarded
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode
from router.simulator.commands import (
    AskModel,
    CancelTimer,
    Close,
    Command,
    Hang,
    Pause,
    PrepareSpeech,
    RecognizeSpeech,
    Reset,
    Send,
    SendBinary,
    SendRaw,
    Service,
    StartTimer,
    StopModel,
    SynthesizeSpeech,
)
from router.simulator.responses import TIMER as RESPONSE_TIMER

if TYPE_CHECKING:
    from actors.connections.base import Connection
    from actors.dispatcher import Dispatcher
    from actors.timers import Timer
    from router.simulator.errors import Refusal
    from router.simulator.recording import ConnectionRecord, Recorder
    from router.simulator.services import Services
    from router.simulator.session import Session

logger = logging.getLogger(__name__)

HANG_LIMIT_S: Final = 900.0
"""The simulator ends a hung connection after this many seconds, because the peer may never end it."""

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""A `linger` that is on, with a time of zero: closing the socket sends RST and not FIN."""


class ShutDown(msgspec.Struct, frozen=True):
    """A request to close the connection, because the simulator stops."""


class ServiceResult(msgspec.Struct, frozen=True):
    """The result of a service (speech recognition, speech synthesis, language model), for the actor's session."""

    take: Callable[..., list[Command]]
    """The session's method that takes the result."""
    name: str
    result: Any


class SimulatedSession(Actor):
    """The actor of one session: it owns the connection, the timers and the session machine."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        connection: Connection,
        session: Session,
        refusal: Refusal | None,
        recorder: Recorder,
        record: ConnectionRecord,
        services: Services | None = None,
        duplicate: socket.socket | None = None,
    ) -> None:
        super().__init__(dispatcher)
        self._services = services
        self._connection = connection
        self._session = session
        self._refusal = refusal
        self._recorder = recorder
        self._record = record
        self._duplicate = duplicate
        """A second descriptor of the connection's socket, for socket options. The connection hides the first one."""
        self._timers: dict[str, Timer] = {}
        self._models: dict[str, Callable[[], None]] = {}
        """Functions that stop a language model's answer, by the response's id."""
        self._held_back: deque[Command] = deque()
        self._pause: Timer | None = None
        self._waiting_streams: list[str] = []
        """Names of response timers that fired while the peer did not read."""
        self._is_hung = False

    def on_start(self) -> None:
        """Open the connection, and begin or refuse the session."""
        self._connection.open(self.dispatcher, self)
        self._perform(self._session.open(self._refusal))

    def on_receive(self, message: Any) -> Any:
        """Handle `ShutDown` and `ServiceResult`; the engine's actor handles any other message."""
        if isinstance(message, ShutDown):
            return self._shut_down()
        if isinstance(message, ServiceResult):
            return self._perform(message.take(message.name, message.result))
        return super().on_receive(message)

    def on_stop(self) -> None:
        """Abort the connection, and release the timers, the model's answers and the duplicated socket."""
        self._connection.abort()
        self._release()

    def on_failure(self, *_failure: Any) -> None:
        """Close the connection of a session that raised, and record its end.

        In this case the engine does not call `on_closed`.
        """
        self._connection.close(CloseCode.INTERNAL_ERROR, "internal error")
        self._release()
        failed = ConnectionClosed(ending=Ending.CLOSED_BY_US, code=CloseCode.INTERNAL_ERROR, reason="internal error")
        self._recorder.closed(self._record, failed)

    def _release(self) -> None:
        for timer in [*self._timers.values(), *([self._pause] if self._pause else [])]:
            timer.discard()
        self._timers.clear()
        for stop in self._models.values():
            stop()
        self._models.clear()
        if self._duplicate is not None:
            self._duplicate.close()

    # From the connection.

    @guarded
    def on_text(self, text: str) -> None:
        """Hand a text frame to the session."""
        self._perform(self._session.receive(text))

    @guarded
    def on_binary(self, data: bytes) -> None:
        """Hand a binary frame to the session."""
        self._perform(self._session.receive_binary(data))

    @guarded
    def on_late_text(self, _text: str) -> None:
        """Ignore the frame, because the session has ended."""

    @guarded
    def on_overflowed(self, dropped_bytes: int) -> None:
        """Close the connection of a peer that does not read."""
        logger.warning("session %d: the peer does not read; %d bytes dropped", self._record.number, dropped_bytes)
        self._connection.close(CloseCode.POLICY_VIOLATION, "the client does not read")

    @guarded
    def on_evicted(self) -> None:
        """Close the connection. The simulator keeps no account of memory, so the engine never calls this method."""
        self._connection.close(CloseCode.TRY_AGAIN_LATER, "too much memory")

    @guarded
    def on_caught_up(self) -> None:
        """Do nothing: the engine calls this method after a `probe`, and the simulator sends no probe."""

    @guarded
    def on_drained(self) -> None:
        """Continue the responses that waited for the peer to read."""
        waiting, self._waiting_streams = self._waiting_streams, []
        for name in waiting:
            self._perform(self._session.fire(name))

    @guarded
    def on_closed(self, closed: ConnectionClosed) -> None:
        """Record the end of the connection, and stop the actor."""
        logger.debug("session %d: closed with %d %r", self._record.number, closed.code, closed.reason)
        self._recorder.closed(self._record, closed)
        self.stop()

    # Commands.

    def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            # Timers also run during a pause, but their frames join the queue, so the order stays.
            if self._pause is not None and not isinstance(command, StartTimer | CancelTimer | Service):
                self._held_back.append(command)
            else:
                _PERFORMERS[type(command)](self, command)

    def _send(self, command: Send) -> None:
        self._connection.send_text(orjson.dumps(command.event))
        self._recorder.sent(self._record, command.event["type"])

    def _send_raw(self, command: SendRaw) -> None:
        self._connection.send_text(command.text)

    def _send_binary(self, command: SendBinary) -> None:
        self._connection.send_binary(command.data)

    def _start_timer(self, command: StartTimer) -> None:
        name = command.name
        timer = self._timers.get(name)
        if timer is None:
            self._timers[name] = self.dispatcher.call_later(command.delay_s, partial(self._fire, name))
        else:
            timer.restart(command.delay_s)

    def _cancel_timer(self, command: CancelTimer) -> None:
        timer = self._timers.pop(command.name, None)
        if timer is not None:
            timer.cancel()

    @guarded
    def _fire(self, name: str) -> None:
        # At pace 0 a response would overflow the write buffer of a slow peer, so it waits until the peer reads.
        if self._connection.is_busy and name.startswith(RESPONSE_TIMER):
            self._waiting_streams.append(name)
            return
        self._perform(self._session.fire(name))
        timer = self._timers.get(name)
        if timer is not None and not timer.is_active:
            del self._timers[name]

    def _hold_back(self, command: Pause) -> None:
        self._pause = self.dispatcher.call_later(command.delay_s, self._resume)

    @guarded
    def _resume(self) -> None:
        self._pause = None
        held_back, self._held_back = list(self._held_back), deque()
        self._perform(held_back)

    # The services. Their results come on other threads, and return through the inbox.

    def _recognize(self, command: RecognizeSpeech) -> None:
        assert self._services is not None  # noqa: S101 - for the type checker: a session without them asks nothing
        self._services.recognize(command.request, self._deliver(self._session.recognized, command.item_id))

    def _prepare(self, command: PrepareSpeech) -> None:
        assert self._services is not None  # noqa: S101
        self._services.prepare(hears=command.hears)

    def _synthesize(self, command: SynthesizeSpeech) -> None:
        assert self._services is not None  # noqa: S101
        self._services.synthesize(command.request, self._deliver(self._session.synthesized, command.response_id))

    def _ask_model(self, command: AskModel) -> None:
        assert self._services is not None  # noqa: S101
        deliver = self._deliver(self._session.model_said, command.response_id)
        self._models[command.response_id] = self._services.ask(command.question, deliver)

    def _stop_model(self, command: StopModel) -> None:
        self._models.pop(command.response_id, _nothing)()

    def _deliver(self, take: Callable[..., list[Command]], name: str) -> Callable[[Any], None]:
        def deliver(result: Any) -> None:
            with contextlib.suppress(pykka.ActorDeadError):  # the session has ended meanwhile
                self.actor_ref.tell(ServiceResult(take, name, result))

        return deliver

    def _close(self, command: Close) -> None:
        self._connection.close(command.code, command.reason)

    def _reset(self, _command: Reset) -> None:
        if self._duplicate is not None:
            # Without this option, and without unread data, the kernel would end the stream in order.
            self._duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._connection.abort()

    def _hang(self, _command: Hang) -> None:
        self._is_hung = True
        self._connection.pause()
        self._timers["hang"] = self.dispatcher.call_later(HANG_LIMIT_S, self._drop_hung_connection)

    @guarded
    def _drop_hung_connection(self) -> None:
        self._connection.abort()

    def _shut_down(self) -> None:
        if self._is_hung:  # the simulator reads nothing of it, so a close handshake would only time out
            self._connection.abort()
        else:
            self._connection.close(CloseCode.GOING_AWAY, "the simulator stops")


def _nothing() -> None:
    """Do nothing, because the model's answer has ended by itself."""


_PERFORMERS: Final[dict[type, Callable[[SimulatedSession, Any], None]]] = {
    Send: SimulatedSession._send,  # noqa: SLF001 - the class's own table
    SendRaw: SimulatedSession._send_raw,  # noqa: SLF001
    SendBinary: SimulatedSession._send_binary,  # noqa: SLF001
    StartTimer: SimulatedSession._start_timer,  # noqa: SLF001
    CancelTimer: SimulatedSession._cancel_timer,  # noqa: SLF001
    Pause: SimulatedSession._hold_back,  # noqa: SLF001
    Close: SimulatedSession._close,  # noqa: SLF001
    Reset: SimulatedSession._reset,  # noqa: SLF001
    Hang: SimulatedSession._hang,  # noqa: SLF001
    PrepareSpeech: SimulatedSession._prepare,  # noqa: SLF001
    RecognizeSpeech: SimulatedSession._recognize,  # noqa: SLF001
    SynthesizeSpeech: SimulatedSession._synthesize,  # noqa: SLF001
    AskModel: SimulatedSession._ask_model,  # noqa: SLF001
    StopModel: SimulatedSession._stop_model,  # noqa: SLF001
}
