"""The actor of one simulated session: carries frames and timers to the pure session, and performs its commands."""

from __future__ import annotations

import logging
import socket
import struct
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from actors.actor import Actor, guarded
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode
from router.simulator.commands import (
    CancelTimer,
    Close,
    Command,
    Hang,
    Pause,
    Reset,
    Send,
    SendRaw,
    StartTimer,
)
from router.simulator.responses import TIMER as RESPONSE_TIMER

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connections.base import Connection
    from actors.dispatcher import Dispatcher
    from actors.timers import Timer
    from router.simulator.errors import Refusal
    from router.simulator.recording import ConnectionRecord, Recorder
    from router.simulator.session import Session

logger = logging.getLogger(__name__)

HANG_LIMIT_S: Final = 900.0
"""A hung connection that nobody ends is dropped after this."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ShutDown(msgspec.Struct, frozen=True):
    """Close the connection: the simulator stops."""


class SimulatedSession(Actor):
    """One session: its connection, its timers, its machine."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        connection: Connection,
        session: Session,
        refusal: Refusal | None,
        recorder: Recorder,
        record: ConnectionRecord,
        twin: socket.socket | None = None,
    ) -> None:
        super().__init__(dispatcher)
        self._connection = connection
        self._session = session
        self._refusal = refusal
        self._recorder = recorder
        self._record = record
        self._twin = twin
        """A second descriptor of the connection's socket: what decides between an orderly end and a reset."""
        self._timers: dict[str, Timer] = {}
        self._held_back: deque[Command] = deque()
        self._pause: Timer | None = None
        self._waiting: list[str] = []
        """Streams that wait for a slow reader."""
        self._is_hung = False

    def on_start(self) -> None:
        """Open the connection, and greet or refuse."""
        self._connection.open(self.dispatcher, self)
        self._perform(self._session.open(self._refusal))

    def on_receive(self, message: Any) -> Any:
        """Obey the simulator."""
        if isinstance(message, ShutDown):
            return self._shut_down()
        return super().on_receive(message)

    def on_stop(self) -> None:
        """Leave no timer and no socket behind."""
        self._connection.abort()
        self._let_go()

    def on_failure(self, *_failure: Any) -> None:
        """Tell the peer that it is our fault."""
        self._connection.close(CloseCode.INTERNAL_ERROR, "internal error")
        self._let_go()
        failed = ConnectionClosed(ending=Ending.CLOSED_BY_US, code=CloseCode.INTERNAL_ERROR, reason="internal error")
        self._recorder.closed(self._record, failed)

    def _let_go(self) -> None:
        for timer in [*self._timers.values(), *([self._pause] if self._pause else [])]:
            timer.discard()
        self._timers.clear()
        if self._twin is not None:
            self._twin.close()

    # From the connection.

    @guarded
    def on_text(self, text: str) -> None:
        """Hand an event to the session."""
        self._perform(self._session.receive(text))

    @guarded
    def on_binary(self, data: bytes) -> None:
        """Hand it over: the session refuses it."""
        self._perform(self._session.receive_binary(data))

    @guarded
    def on_overflowed(self, dropped_bytes: int) -> None:
        """Give up on a peer that does not read."""
        logger.warning("session %d: the peer does not read; %d bytes dropped", self._record.number, dropped_bytes)
        self._connection.close(CloseCode.POLICY_VIOLATION, "the client does not read")

    @guarded
    def on_caught_up(self) -> None:
        """Nothing asks for it: what waits for the peer is bounded by the pace of speech."""

    @guarded
    def on_drained(self) -> None:
        """Stream on."""
        waiting, self._waiting = self._waiting, []
        for name in waiting:
            self._perform(self._session.fire(name))

    @guarded
    def on_closed(self, closed: ConnectionClosed) -> None:
        """Note the end, and stop."""
        logger.debug("session %d: closed with %d %r", self._record.number, closed.code, closed.reason)
        self._recorder.closed(self._record, closed)
        self.stop()

    # Commands.

    def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            if self._pause is not None and not isinstance(command, StartTimer | CancelTimer):
                self._held_back.append(command)
            else:
                _PERFORMERS[type(command)](self, command)

    def _send(self, command: Send) -> None:
        self._connection.send_text(orjson.dumps(command.event))
        self._recorder.sent(self._record, command.event["type"])

    def _send_raw(self, command: SendRaw) -> None:
        self._connection.send_text(command.text)

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
        if self._connection.is_busy and name.startswith(RESPONSE_TIMER):
            self._waiting.append(name)
            return
        self._perform(self._session.fire(name))
        timer = self._timers.get(name)
        if timer is not None and not timer.is_active:
            del self._timers[name]

    def _hold_back(self, command: Pause) -> None:
        self._pause = self.dispatcher.call_later(command.delay_s, self._go_on)

    @guarded
    def _go_on(self) -> None:
        self._pause = None
        held_back, self._held_back = list(self._held_back), deque()
        self._perform(held_back)

    def _close(self, command: Close) -> None:
        self._connection.close(command.code, command.reason)

    def _reset(self, _command: Reset) -> None:
        if self._twin is not None:
            # Without this, a close with nothing unread would be an orderly end of the stream.
            self._twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._connection.abort()

    def _hang(self, _command: Hang) -> None:
        self._is_hung = True
        self._connection.pause()
        self._timers["hang"] = self.dispatcher.call_later(HANG_LIMIT_S, self._give_up_hanging)

    @guarded
    def _give_up_hanging(self) -> None:
        self._connection.abort()

    def _shut_down(self) -> None:
        if self._is_hung:
            self._connection.abort()
        else:
            self._connection.close(CloseCode.GOING_AWAY, "the simulator stops")


_PERFORMERS: Final[dict[type, Callable[[SimulatedSession, Any], None]]] = {
    Send: SimulatedSession._send,  # noqa: SLF001 - the class's own table
    SendRaw: SimulatedSession._send_raw,  # noqa: SLF001
    StartTimer: SimulatedSession._start_timer,  # noqa: SLF001
    CancelTimer: SimulatedSession._cancel_timer,  # noqa: SLF001
    Pause: SimulatedSession._hold_back,  # noqa: SLF001
    Close: SimulatedSession._close,  # noqa: SLF001
    Reset: SimulatedSession._reset,  # noqa: SLF001
    Hang: SimulatedSession._hang,  # noqa: SLF001
}
