"""ClientActor: owns the connection to the client, and decides nothing. It knows no message of either vendor."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors import lifecycle, messages
from actors.actor import Actor, Ref, guarded
from actors.connections.close_codes import CRASHED, SERVER_BUSY
from actors.intake import Intake
from actors.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.connections.base import Connection, ConnectionClosed
    from actors.dispatcher import Dispatcher
    from actors.footprint import Footprint, Holding
    from actors.throttle import Rates
    from actors.timers import Timer

logger = logging.getLogger(__name__)

PIECE_BYTES: Final = 32 * 1024
"""A binary message longer than this is passed on in pieces: audio is a stream, and no slice may be long."""

PIECES_AT_ONCE: Final = 4
"""The most pieces that one slice passes on, so that `PauseReading` takes effect in the middle of a long message."""

CRASH_CLOSE_S: Final = 5.0
"""The most seconds for the close handshake of a client actor that has failed."""


MAX_WAIT_S: Final = 10.0
"""The most seconds for which a client that exceeds its rates is not read. Its pings wait as long."""


DEPART_LOOK_S: Final = 0.15
"""The seconds between two checks whether a session that shall depart is between two turns."""


_OPENED: Final = messages.ClientOpened()


class ClientActor(Actor):
    """The client's leg of a session: the actor passes frames on in both directions.

    The actor begins to read when the translator is attached, and stops when its connection has closed. If the actor
    itself fails, it sends `crash_frame` to the client before it closes the connection.
    """

    role = lifecycle.Role.CLIENT

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        session_id: str,
        connection: Connection,
        supervisor: Ref,
        crash_frame: str,
        log_fields: Mapping[str, Any],
        busy_frame: str | None = None,
        footprint: Footprint | None = None,
        rates: Rates | None = None,
        first: messages.Input = _OPENED,
    ) -> None:
        super().__init__(dispatcher, session_id)
        self._log_fields = log_fields
        self._connection = connection
        self._supervisor = supervisor
        self._crash_frame = crash_frame
        self._busy_frame = busy_frame
        self._first = first
        """The first input of the session: the client's connection was opened, or taken over from another process."""
        self._translator: Ref | None = None
        self._intake: Intake | None = None
        self._pieces: Sequence[bytes] = ()
        """The pieces of a long message that are not passed on yet."""
        self._footprint = footprint
        self._holding: Holding | None = None
        """The record of the memory that the waiting pieces take. It exists from the first piece on."""
        self._is_paused = False
        self._throttle = Throttle(rates, time.monotonic()) if rates else None
        self._departure: lifecycle.Depart | None = None
        self._look: Timer | None = None
        """The timer of the next check whether the session may depart."""
        self._is_asking = False
        """Whether the translator was asked to let the session depart, and has not answered.

        Meanwhile the client is not read.
        """
        self._is_throttled = False
        self._throttled = 0
        """The number of times that the client was not read because it exceeded its rates."""

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the session."""
        # Made for each line: a dictionary for each actor would take 0.5 kB of every session.
        return {"session": self.session_id, **self._log_fields, "generation": 0}

    @property
    def has_last_frame(self) -> bool:
        """Whether the client needs the crash frame, because no other process continues the session; see `Abortable`."""
        return not self._connection.outlives_process

    def abort_from_outside(self) -> None:
        """Send the crash frame and hang up; see `Abortable`."""
        self._connection.abort_from_outside(self._crash_frame or None)

    def on_stop(self) -> None:
        """Release the connection, and notify the supervisor. A connection that was not closed gets the crash frame."""
        self._release()
        self.dispatcher.unregister(self)
        # Not `send_text`: the abort would drop it before the flush of this turn. Harmless after the end.
        self._connection.abort_from_outside(self._crash_frame or None)
        self._connection.abort()
        self._supervisor.offer(lifecycle.ActorStopped(self.session_id, self.role))

    def on_failure(self, *_failure: Any) -> None:
        """Send the crash frame, close the connection, and notify the supervisor."""
        self._release()
        self._supervisor.offer(lifecycle.ActorFailed(self.session_id, self.role))
        self.dispatcher.unregister(self)
        # The failure may have left the connection in any state: the timer closes its socket in the end.
        self.dispatcher.call_later(CRASH_CLOSE_S, self._connection.abort)
        if self._crash_frame:
            self._connection.send_text(self._crash_frame)
        self._connection.close(*CRASHED)

    # From the connection.

    @guarded
    def on_text(self, text: str) -> None:
        """Pass a text message on, after all pieces of an earlier binary message."""
        if self._throttle is not None and self._throttle.count(len(text)):
            self._slow_down(self._throttle)
        if self._pieces:
            self._pass_on_pieces(at_most=len(self._pieces))  # all of them: the order must not change
        if self._intake is not None:
            self._intake.pass_on(messages.ClientTextReceived(text), len(text), self._connection)

    @guarded
    def on_binary(self, data: bytes) -> None:
        """Pass a binary message on, in pieces if it is long."""
        if self._throttle is not None and self._throttle.count(len(data)):
            self._slow_down(self._throttle)
        if len(data) <= PIECE_BYTES and not self._pieces:
            if self._intake is not None:
                self._intake.pass_on(messages.ClientBinaryReceived(data), len(data), self._connection)
            return
        self._pieces = [*self._pieces, *(data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))]
        self._pass_on_pieces()

    @guarded
    def on_late_text(self, _text: str) -> None:
        """Ignore a text that arrives after `close`, because the session has ended."""

    @guarded
    def on_overflowed(self, dropped_bytes: int) -> None:
        """Notify the session that its client does not read, and that `dropped_bytes` were dropped.

        The session then ends with a last message to the client.
        """
        self._to_translator(messages.ClientOverflowed(dropped_bytes))

    @guarded
    def on_evicted(self) -> None:
        """Close the client's connection, because all peers hold too much memory, and this session holds the most.

        The session gets the same notification as at any other end of its client.
        """
        self._release()
        if self._busy_frame is not None:
            self._connection.send_text(self._busy_frame)
        self._connection.close(*SERVER_BUSY)

    @guarded
    def on_drained(self) -> None:
        """Do nothing: a slow client does not pause its upstream (docs/decisions/0005-backpressure.md)."""

    @guarded
    def on_caught_up(self) -> None:
        """Notify the session that its client has read every message before the probe."""
        self._to_translator(messages.ClientCaughtUp())

    @guarded
    def on_closed(self, closed: ConnectionClosed) -> None:
        """Notify the supervisor, and stop."""
        self._supervisor.offer(lifecycle.ClientEnded(self.session_id, closed))
        self.stop()

    # From other actors.

    def _attach_translator(self, message: lifecycle.AttachTranslator) -> None:
        self._translator = message.translator
        self._intake = Intake(self.actor_ref, message.translator, self.dispatcher)
        # Before `open`: the session learns of its client before the client's first message.
        self._to_translator(self._first)
        self._connection.open(self.dispatcher, self)
        self.dispatcher.register(self)

    def _send(self, message: messages.SendToClient) -> None:
        if type(message.frame) is bytes:
            self._connection.send_binary(message.frame)
        else:
            self._connection.send_text(message.frame)

    def _probe(self, _message: messages.ProbeClient) -> None:
        self._connection.probe()

    def _pause(self, _message: lifecycle.PauseReading) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._connection.pause()
            self._to_translator(messages.ClientPaused())

    def _resume(self, _message: lifecycle.ResumeReading) -> None:
        if self._is_paused:
            self._is_paused = False
            # Notify the session before it gets the pieces and frames that waited, so that it knows why they come late.
            self._to_translator(messages.ClientResumed())
        self._continue()

    # To another process.

    def _depart(self, message: lifecycle.Depart) -> None:
        is_first, self._departure = self._departure is None, message
        if not self._connection.is_detachable:
            self._departure = None
            self._supervisor.offer(lifecycle.CannotDepart(self.session_id))
        elif is_first:
            self._ask_to_depart()

    @guarded
    def _ask_to_depart(self) -> None:
        if self._departure is None or self._translator is None:
            return
        self._is_asking = True
        self._connection.pause()
        # Ask only after all messages of the client: no piece and no message may be left here.
        if self._pieces or not self._connection.can_detach:
            self._depart_later()
        else:
            self._translator.offer(lifecycle.AskToDepart(self._departure.is_due, self._departure.by.announce))

    def _depart_later(self, message: lifecycle.DepartLater | None = None) -> None:
        self._is_asking = False
        if message is not None and message.is_never:
            self._departure = None
        self._continue()
        if self._departure is not None:
            if self._look is not None and self._look.is_active:
                self._look.discard()
            self._look = self.dispatcher.call_later(DEPART_LOOK_S, self._ask_to_depart)

    def _ask_again(self, _message: lifecycle.AskAgain) -> None:
        if not self._is_asking:
            self._ask_to_depart()

    def _depart_now(self, message: lifecycle.DepartNow) -> None:
        assert self._departure is not None  # noqa: S101 - the translator was asked
        stream = self._connection.detach()
        if stream is None:
            # The client is gone, or its last frames were dropped: its session has left this process already.
            logger.warning("session %s is lost: its client's stream is stuck", self.session_id, extra=self.log_fields)
            self._connection.close(*CRASHED)
            return
        self._release()
        self._departure.by.deliver(lifecycle.Departure(self.session_id, message.value, stream))
        self._supervisor.offer(lifecycle.ClientDeparted(self.session_id))
        self.stop()

    def _continue(self, _message: lifecycle.ContinueReading | None = None) -> None:
        if self._intake is not None and not self._intake.has_caught_up():
            return
        if not self._is_paused and not self._is_throttled and not self._is_asking:
            self._connection.resume()
            self._pass_on_pieces()

    def _slow_down(self, throttle: Throttle) -> None:
        wait_s = throttle.wait_s(time.monotonic())
        if wait_s and not self._is_throttled:
            self._is_throttled = True
            self._connection.pause()
            self.dispatcher.call_later(min(wait_s, MAX_WAIT_S), self._read_again)
            if not self._throttled:
                logger.warning(
                    "session %s: the client exceeds its rates: it is read more slowly",
                    self.session_id,
                    extra=self.log_fields,
                )
            self._throttled += 1

    @guarded
    def _read_again(self) -> None:
        self._is_throttled = False
        self._continue()

    def _pass_on_pieces(self, at_most: int = PIECES_AT_ONCE) -> None:
        # Pass on a few at a time: the upstream's leg gets its slice, and may send PauseReading, before the next pieces.
        if not self._pieces:
            return
        pieces, self._pieces = self._pieces[:at_most], self._pieces[at_most:]
        for piece in pieces:
            if self._intake is not None:
                self._intake.pass_on(messages.ClientBinaryReceived(piece), len(piece), self._connection)
        if self._holding is None and self._footprint is not None:
            self._holding = self._footprint.holding(f"client of session {self.session_id}", self._evict)
        if self._holding is not None:
            self._holding.note(len(self._pieces) * PIECE_BYTES)
        # A paused leg continues in `_resume`, and a leg that is ahead when `Intake` has caught up. Any other leg
        # continues with a message to itself, after the messages that wait in its inbox.
        is_ahead = self._intake is not None and self._intake.is_ahead
        if self._pieces and not self._is_paused and not is_ahead:
            self.actor_ref.tell(lifecycle.ContinueReading())

    def _to_translator(self, message: messages.Message) -> None:
        if self._translator is not None:
            self._translator.offer(message)

    def _close(self, message: lifecycle.CloseConnection) -> None:
        self._connection.close(message.code, message.reason, message.linger_s)

    def _evict(self, _had_bytes: int) -> None:
        # From any thread.
        self.dispatcher.call_soon(self.on_evicted)

    def _release(self) -> None:
        self._pieces = ()
        if self._holding is not None:
            self._holding.release()

    def _give_way(self, _message: lifecycle.GiveWay) -> None:
        self.on_evicted()

    def _describe(self, _message: lifecycle.Describe) -> messages.Facts:
        facts: messages.Facts = {
            "role": self.role.value,
            "peer": self._connection.peer,
            "is_paused": self._is_paused,
            "held_bytes": self._connection.held_bytes,
        }
        return facts if self._throttle is None else {**facts, "throttled": self._throttled}

    receives: ClassVar = {
        messages.SendToClient: _send,
        messages.ProbeClient: _probe,
        lifecycle.AttachTranslator: _attach_translator,
        lifecycle.PauseReading: _pause,
        lifecycle.ResumeReading: _resume,
        lifecycle.ContinueReading: _continue,
        lifecycle.CloseConnection: _close,
        lifecycle.GiveWay: _give_way,
        lifecycle.Describe: _describe,
        lifecycle.Depart: _depart,
        lifecycle.DepartLater: _depart_later,
        lifecycle.DepartNow: _depart_now,
        lifecycle.AskAgain: _ask_again,
    }
