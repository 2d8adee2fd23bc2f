"""UpstreamActor: owns one generation of the connection to the upstream, and decides nothing.

It knows no message of either vendor, and no restart: the supervisor opens the next generation.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors import lifecycle, messages
from actors.actor import Actor, Ref, guarded
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode
from actors.connections.upstream import DialError, DialFailure, dial
from actors.restart import Loss, LossKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.connector import Connector
    from actors.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

_LOSSES: Final = {
    Ending.TIMED_OUT: LossKind.SILENT,
    Ending.OVERFLOWED: LossKind.SILENT,
    Ending.PROTOCOL_ERROR: LossKind.MALFORMED,
}
"""The kind of loss that an ending means, where it is not CLOSED."""


class UpstreamActor(Actor):
    """The upstream's leg of a session. It dials at `Dial`, and stops when its connection has closed.

    Every message from it carries its generation, so that no message of a dead upstream is taken for one of the next.
    """

    role = lifecycle.Role.UPSTREAM

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        session_id: str,
        generation: int,
        supervisor: Ref,
        translator: Ref,
        client: Ref,
        connector: Connector,
        dialler: Callable[[DialTarget], Connection] = dial,
    ) -> None:
        super().__init__(dispatcher)
        self._session_id = session_id
        self._generation = generation
        self._supervisor = supervisor
        self._translator = translator
        self._client = client
        self._connector = connector
        self._dialler = dialler
        self._connection: Connection | None = None
        self._is_busy = False
        """Whether the client is paused because this connection's write buffer is long."""
        self._position = 0

    def abort_from_outside(self) -> None:
        """Hang up; see `Abortable`."""
        if self._connection is not None:
            self._connection.abort_from_outside()

    def on_stop(self) -> None:
        """Release the connection, and notify the supervisor."""
        self._release()
        self._supervisor.offer(lifecycle.ActorStopped(self._session_id, self.role, self._generation))

    def on_failure(self, *_failure: Any) -> None:
        """Release the connection, and notify the supervisor."""
        self._release()
        self._supervisor.offer(lifecycle.ActorFailed(self._session_id, self.role, self._generation))

    def on_left_over(self, message: Any) -> None:
        """Abort a connection that was dialled for an actor which has stopped meanwhile."""
        if isinstance(message, lifecycle.DialSucceeded):
            message.connection.abort()

    # From the connector, on one of its threads.

    def _dialled(self, outcome: Connection | BaseException) -> None:
        # By way of the dispatcher's thread: there the actor cannot stop between the look at its flag and the put.
        self.dispatcher.call_soon(lambda: self._hand_in(outcome))

    def _hand_in(self, outcome: Connection | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self.actor_ref.offer(lifecycle.DialFailed(_as_dial_error(outcome)))
        elif not self.actor_ref.offer(lifecycle.DialSucceeded(outcome)):
            outcome.abort()

    # From the connection.

    @guarded
    def on_text(self, text: str) -> None:
        """Pass a text message on."""
        self._translator.offer(messages.UpstreamTextReceived(self._generation, text))

    @guarded
    def on_binary(self, data: bytes) -> None:
        """Pass a binary message on: the session knows that there should be none."""
        self._translator.offer(messages.UpstreamBinaryReceived(self._generation, data))

    @guarded
    def on_overflowed(self, dropped_bytes: int) -> None:
        """End: an upstream that missed a part of the conversation cannot continue it."""
        reason = f"{dropped_bytes} bytes unread"
        self._end(ConnectionClosed(ending=Ending.OVERFLOWED, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))

    @guarded
    def on_drained(self) -> None:
        """Resume the reading of the client's leg."""
        self._is_busy = False
        self._client.offer(lifecycle.ResumeReading())

    @guarded
    def on_caught_up(self) -> None:
        """Ignore it: no upstream is probed."""

    @guarded
    def on_closed(self, closed: ConnectionClosed) -> None:
        """Notify the supervisor, and stop."""
        self._end(closed)

    # From other actors.

    def _send(self, message: messages.SendToUpstream) -> None:
        connection = self._connection
        if connection is None:
            return
        connection.send_text(message.frame)
        # A microphone can wait: its client is slowed down by TCP (docs/decisions/0005-backpressure.md).
        if connection.is_busy and not self._is_busy:
            self._is_busy = True
            self._client.offer(lifecycle.PauseReading())

    def _dial(self, message: lifecycle.Dial) -> None:
        self._position = message.position
        self._connector.submit(lambda: self._dialler(message.target), self._dialled)

    def _open(self, message: lifecycle.DialSucceeded) -> None:
        self._connection = message.connection
        # Before `open`: the session learns of the upstream before its first message.
        self._translator.offer(messages.UpstreamOpened(self._generation, self._position, time.time()))
        self._connection.open(self.dispatcher, self)
        self.dispatcher.register(self)

    def _fail_to_dial(self, message: lifecycle.DialFailed) -> None:
        error = message.error
        logger.info("session %s: upstream %d: %s", self._session_id, self._generation, error)
        kind = LossKind.NOT_DIALLED if error.status is None else LossKind.HTTP
        self._lose(Loss(kind=kind, code=error.status, cause=error.kind.value))

    def _end(self, closed: ConnectionClosed) -> None:
        kind = _LOSSES.get(closed.ending, LossKind.CLOSED)
        self._lose(Loss(kind=kind, code=closed.code, reason=closed.reason, cause=closed.ending.value))

    def _lose(self, loss: Loss) -> None:
        self._supervisor.offer(lifecycle.UpstreamEnded(self._session_id, self._generation, loss))
        self.stop()

    def _close(self, message: lifecycle.CloseConnection) -> None:
        if self._connection is None:
            self.stop()
        else:
            self._connection.close(message.code, message.reason)

    def _release(self) -> None:
        self.dispatcher.unregister(self)
        if self._connection is not None:
            self._connection.abort()
        if self._is_busy:  # no `on_drained` will follow: the client would stay paused
            self._is_busy = False
            self._client.offer(lifecycle.ResumeReading())

    def _describe(self, _message: lifecycle.Describe) -> messages.Facts:
        is_connected = self._connection is not None
        return {"role": self.role.value, "generation": self._generation, "is_connected": is_connected}

    receives: ClassVar = {
        messages.SendToUpstream: _send,
        lifecycle.Dial: _dial,
        lifecycle.DialSucceeded: _open,
        lifecycle.DialFailed: _fail_to_dial,
        lifecycle.CloseConnection: _close,
        lifecycle.Describe: _describe,
    }


def _as_dial_error(error: BaseException) -> DialError:
    if isinstance(error, DialError):
        return error
    return DialError(DialFailure.HANDSHAKE, detail=type(error).__name__)
