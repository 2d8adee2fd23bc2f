"""UpstreamActor: owns one generation of the connection to the upstream, and decides nothing.

It knows no message of either vendor, and no restart: the supervisor opens the next generation.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from actors import lifecycle, messages
from actors.actor import Actor, Ref, guarded
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode
from actors.connections.upstream import DialError, DialFailure, dial
from actors.intake import Intake
from actors.pool import PoolFull
from actors.restart import Loss, LossKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.connector import Connector
    from actors.dispatcher import Dispatcher
    from actors.pool import Job
    from actors.timers import Timer

logger = logging.getLogger(__name__)

_LOSSES: Final = {
    Ending.TIMED_OUT: LossKind.SILENT,
    Ending.OVERFLOWED: LossKind.SILENT,
    Ending.PROTOCOL_ERROR: LossKind.MALFORMED,
}
"""The kind of loss for each ending that does not mean CLOSED."""


class UpstreamActor(Actor):
    """The upstream's leg of a session.

    The actor dials when it gets `Dial`, and stops when its connection has closed. Every input from the actor carries
    its generation, so that the session can tell it from an input of the next upstream.
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
        read_late: Callable[[messages.UpstreamTextReceived], messages.LateReport | None],
        log_fields: Mapping[str, Any],
    ) -> None:
        super().__init__(dispatcher, session_id)
        self._generation = generation
        self._supervisor = supervisor
        self._translator = translator
        self._client = client
        self._connector = connector
        self._dialler = dialler
        self._read_late = read_late
        self._reporting: Timer | None = None
        """The timer that ends the upstream's time to report on cancelled work, once the session has ended."""
        self._log_fields = log_fields
        self._connection: Connection | None = None
        self._intake = Intake(self.actor_ref, translator, self.dispatcher)
        self._is_busy = False
        """Whether the client is paused because this connection's write buffer is long."""
        self._position = 0
        self._dialling: Job | None = None
        """The dial, which may wait for a thread of the connector."""

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the generation."""
        return {"session": self.session_id, **self._log_fields, "generation": self._generation}

    @property
    def has_last_frame(self) -> bool:
        """Whether the upstream needs a last frame: it needs none, because its connection ends with the process."""
        return False

    def abort_from_outside(self) -> None:
        """Hang up; see `Abortable`."""
        if self._connection is not None:
            self._connection.abort_from_outside()

    def on_stop(self) -> None:
        """Release the connection, and notify the supervisor."""
        self._release()
        self._supervisor.offer(lifecycle.ActorStopped(self.session_id, self.role, self._generation))

    def on_failure(self, *_failure: Any) -> None:
        """Release the connection, and notify the supervisor."""
        self._release()
        self._supervisor.offer(lifecycle.ActorFailed(self.session_id, self.role, self._generation))

    def on_left_over(self, message: Any) -> None:
        """Abort a connection that was dialled for an actor that has stopped meanwhile."""
        if isinstance(message, lifecycle.DialSucceeded):
            message.connection.abort()

    # From the connector, on one of its threads.

    def _dialled(self, outcome: Connection | BaseException) -> None:
        # Use the dispatcher's thread: there the actor cannot stop between the check of its flag and the put.
        self.dispatcher.call_soon(lambda: self._hand_in(outcome))

    def _hand_in(self, outcome: Connection | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self.actor_ref.offer(lifecycle.DialFailed(_as_dial_error(outcome)))
        elif not self.actor_ref.offer(lifecycle.DialSucceeded(outcome)):
            outcome.abort()

    # From the connection.

    @guarded
    def on_text(self, text: str) -> None:
        """Pass a text message on. After the session's end, only report the usage in the message."""
        if self._reporting is not None or self._translator.actor_stopped.is_up:
            self._report_late(text)
            return
        if self._connection is not None:
            message = messages.UpstreamTextReceived(self._generation, text)
            self._intake.pass_on(message, len(text), self._connection)

    @guarded
    def on_late_text(self, text: str) -> None:
        """Report the usage in a message of an upstream that is being closed."""
        self._report_late(text)

    @guarded
    def on_binary(self, data: bytes) -> None:
        """Pass a binary message on. The session machine knows whether its upstream may send one."""
        if self._connection is not None:
            message = messages.UpstreamBinaryReceived(self._generation, data)
            self._intake.pass_on(message, len(data), self._connection)

    @guarded
    def on_overflowed(self, dropped_bytes: int) -> None:
        """End the leg, because an upstream that missed a part of the conversation cannot continue the conversation."""
        reason = f"{dropped_bytes} bytes unread"
        self._end(ConnectionClosed(ending=Ending.OVERFLOWED, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))

    @guarded
    def on_evicted(self) -> None:
        """End the leg of the upstream that holds the most memory.

        The leg cannot continue, because a part of a message is lost.
        """
        reason = "the process holds too much for it"
        self._end(ConnectionClosed(ending=Ending.OVERFLOWED, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))

    @guarded
    def on_drained(self) -> None:
        """Let the client's leg read again, because little waits for the upstream."""
        self._is_busy = False
        self._client.offer(lifecycle.ResumeReading())

    @guarded
    def on_caught_up(self) -> None:
        """Do nothing, because no upstream is probed."""

    @guarded
    def on_closed(self, closed: ConnectionClosed) -> None:
        """Notify the supervisor, and stop."""
        self._end(closed)

    # From other actors.

    def _continue(self, _message: lifecycle.ContinueReading) -> None:
        if self._connection is not None and self._intake.has_caught_up():
            self._connection.resume()

    def _send(self, message: messages.SendToUpstream) -> None:
        connection = self._connection
        if connection is None:
            return
        if message.is_binary and isinstance(message.frame, bytes):
            connection.send_binary(message.frame)
        else:
            connection.send_text(message.frame)
        # A microphone can wait: its client is slowed down by TCP (docs/decisions/0005-backpressure.md).
        if connection.is_busy and not self._is_busy:
            self._is_busy = True
            self._client.offer(lifecycle.PauseReading())

    def _dial(self, message: lifecycle.Dial) -> None:
        self._position = message.position
        attempt = partial(_dial_in_time, self._dialler, message.target, time.monotonic())
        self._dialling = self._connector.submit(attempt, self._dialled)

    def _open(self, message: lifecycle.DialSucceeded) -> None:
        self._dialling = None
        self._connection = message.connection
        # Before `open`: the session learns of the upstream before its first message.
        self._translator.offer(messages.UpstreamOpened(self._generation, self._position, time.time()))
        self._connection.open(self.dispatcher, self)
        self.dispatcher.register(self)

    def _fail_to_dial(self, message: lifecycle.DialFailed) -> None:
        error = message.error
        logger.info("session %s: upstream %d: %s", self.session_id, self._generation, error, extra=self.log_fields)
        kind = LossKind.NOT_DIALLED if error.status is None else LossKind.HTTP
        self._lose(Loss(kind=kind, code=error.status, cause=error.kind.value, retry_after_s=error.retry_after_s))

    def _end(self, closed: ConnectionClosed) -> None:
        kind = _LOSSES.get(closed.ending, LossKind.CLOSED)
        self._lose(Loss(kind=kind, code=closed.code, reason=closed.reason, cause=closed.ending.value))

    def _lose(self, loss: Loss) -> None:
        self._supervisor.offer(lifecycle.UpstreamEnded(self.session_id, self._generation, loss))
        self.stop()

    def _report_late(self, text: str) -> None:
        report = self._read_late(messages.UpstreamTextReceived(self._generation, text))
        if report is None:
            return
        if report.notification is not None:
            self._supervisor.offer(lifecycle.Notification(self.session_id, report.notification))
        if report.is_last and self._reporting is not None and self._connection is not None:
            self._reporting.cancel()
            self._connection.close()

    def _close(self, message: lifecycle.CloseConnection) -> None:
        connection = self._connection
        if connection is None:
            self.stop()
        elif message.report_s:
            # A server may answer the router's close frame before it has ended the response that was cancelled.
            self._reporting = self.dispatcher.call_later(message.report_s, connection.close)
        else:
            connection.close(message.code, message.reason)

    def _release(self) -> None:
        if self._reporting is not None:
            self._reporting.discard()
        self.dispatcher.unregister(self)
        if self._dialling is not None:
            # A dial that nothing waits for must not delay those behind it. One that has begun ends by itself.
            self._dialling.withdraw()
            self._dialling = None
        if self._connection is not None:
            self._connection.abort()
        if self._is_busy:  # no `on_drained` will follow: the client would stay paused
            self._is_busy = False
            self._client.offer(lifecycle.ResumeReading())

    def _describe(self, _message: lifecycle.Describe) -> messages.Facts:
        connection = self._connection
        return {
            "role": self.role.value,
            "generation": self._generation,
            "position": self._position,
            "is_connected": connection is not None,
            "held_bytes": 0 if connection is None else connection.held_bytes,
        }

    receives: ClassVar = {
        messages.SendToUpstream: _send,
        lifecycle.ContinueReading: _continue,
        lifecycle.Dial: _dial,
        lifecycle.DialSucceeded: _open,
        lifecycle.DialFailed: _fail_to_dial,
        lifecycle.CloseConnection: _close,
        lifecycle.Describe: _describe,
    }


def _dial_in_time(dialler: Callable[[DialTarget], Connection], target: DialTarget, asked_s: float) -> Connection:
    """Dial within `target.timeout_s` of `asked_s`, the time of the request.

    So the wait for a thread counts, too.
    """
    left_s = asked_s + target.timeout_s - time.monotonic()
    if left_s <= 0:
        raise DialError(DialFailure.BUSY, detail=f"no turn within {target.timeout_s:g} s", url=target.url)
    return dialler(msgspec.structs.replace(target, timeout_s=left_s))


def _as_dial_error(error: BaseException) -> DialError:
    if isinstance(error, DialError):
        return error
    if isinstance(error, PoolFull):
        return DialError(DialFailure.BUSY)
    return DialError(DialFailure.HANDSHAKE, detail=type(error).__name__)
