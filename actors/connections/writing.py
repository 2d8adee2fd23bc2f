"""The life of a connection and its writing half: gathered, bounded, with a deadline. `protocol` adds the reading."""

from __future__ import annotations

import abc
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actors.connections.base import Connection, ConnectionClosed, ConnectionLimits, ConnectionListener, Ending
from actors.connections.close_codes import CloseCode
from actors.connections.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.dispatcher import Dispatcher
    from actors.timers import Timer

logger = logging.getLogger(__name__)

INLINE_FLUSH_BYTES: Final = 128 * 1024
"""Writes after the first wait for the end of the dispatcher's turn, to leave together, unless so much waits already."""


class WritingConnection(Connection):
    """What is sent is queued in units, each the frames of one call, which are kept or dropped together.

    Everything runs on the dispatcher's thread, and the listener is told of what happened here on a later turn:
    never from inside a call of its own.
    """

    __slots__ = (
        "_calm_bytes",
        "_dispatcher",
        "_has_failed_to_write",
        "_is_blocked",
        "_is_ended",
        "_is_flush_due",
        "_is_over_when_flushed",
        "_limits",
        "_listener",
        "_outbox",
        "_overflow_bytes",
        "_overflows",
        "_peer",
        "_stall",
        "_timers",
        "_verdict",
        "_was_busy",
        "_written_turn",
    )

    def __init__(self, *, limits: ConnectionLimits, peer: str) -> None:
        self._limits = limits
        self._peer = peer
        self._outbox = Outbox()
        self._calm_bytes = min(INLINE_FLUSH_BYTES, limits.high_water_bytes, limits.write_buffer_bytes)
        """So much may wait without a thought."""
        self._dispatcher: Dispatcher | None = None
        self._listener: ConnectionListener | None = None
        self._timers: list[Timer] = []
        self._stall: Timer | None = None
        self._verdict: ConnectionClosed | None = None
        """What `on_closed` will be told; once set, no more messages go either way."""
        self._is_ended = False
        self._is_flush_due = False
        self._is_blocked = False
        """Whether the byte stream took less than it was given, and will tell when it takes more."""
        self._is_over_when_flushed = False
        self._has_failed_to_write = False
        self._was_busy = False
        self._written_turn = -1
        """The dispatcher's turn in which was last written at once."""
        self._overflows = 0
        self._overflow_bytes: int | None = None
        """What was dropped and not told yet: until the owner knows, what it sends is dropped as well."""

    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Have somebody to tell; what was sent before goes out now."""
        self._dispatcher, self._listener = dispatcher, listener
        if self._outbox.waiting_bytes:
            self._flush_later()

    def abort(self) -> None:
        """End without a handshake; see `Connection.abort`. Where a close was under way, that is what is told."""
        self._end(self._verdict or ConnectionClosed(ending=Ending.RESET, code=CloseCode.ABNORMAL_CLOSURE))

    @property
    def is_busy(self) -> bool:
        """Whether more than `high_water_bytes` wait to be written."""
        return self._outbox.waiting_bytes > self._limits.high_water_bytes

    @property
    def peer(self) -> str:
        """The peer's address, for log lines."""
        return self._peer

    def __str__(self) -> str:
        return f"{type(self).__name__} {self._peer}"

    # Queueing.

    def _send(self, unit: list[bytes]) -> None:
        if self._has_failed_to_write:
            return
        frame = unit[0] if len(unit) == 1 else b"".join(unit)
        if self._overflow_bytes is not None and self._verdict is None:
            self._overflow_bytes += len(frame)
            return
        outbox, dispatcher = self._outbox, self._dispatcher
        if dispatcher is None:
            outbox.append(frame)
            return
        if not outbox.waiting_bytes and self._written_turn != dispatcher.turns and self._verdict is None:
            self._written_turn = dispatcher.turns
            self._write_first(frame)
            return
        outbox.append(frame)
        if outbox.waiting_bytes > self._calm_bytes:
            self._bound()
        elif not (self._is_flush_due or self._is_blocked):
            self._flush_later()

    def _write_first(self, frame: bytes) -> None:
        """Write at once what is sent first in a turn, and nearly always last: what follows leaves together."""
        try:
            taken_bytes = self._transmit(frame)
        except OSError as error:
            self._fail_to_write(error)
            return
        if taken_bytes < len(frame):
            self._keep_rest(frame, taken_bytes)
            self._bound()

    def _keep_rest(self, unit: bytes, taken_bytes: int) -> None:
        """Have the rest of what was written in part leave first, whatever comes."""
        self._outbox.append(unit)
        self._outbox.head()
        self._outbox.advance(taken_bytes)

    def _bound(self) -> None:
        """See to it that what waits leaves soon, and stays within its bounds."""
        outbox, limits = self._outbox, self._limits
        if not self._is_blocked:
            if outbox.waiting_bytes > min(INLINE_FLUSH_BYTES, limits.write_buffer_bytes):
                self._flush()
            elif not self._is_flush_due:
                self._flush_later()
        if outbox.backlog_bytes > limits.write_buffer_bytes and self._verdict is None:
            self._overflow()
        elif self.is_busy:
            self._was_busy = True

    def _overflow(self) -> None:
        self._overflows += 1
        dropped_bytes = self._outbox.drop_backlog()
        logger.warning("%s: write buffer overflowed, %d bytes dropped", self, dropped_bytes)
        if self._overflows > 1:
            reason = "the peer did not read"
            self._end(ConnectionClosed(ending=Ending.OVERFLOWED, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))
            return
        self._overflow_bytes = dropped_bytes
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._tell_overflow)

    def _tell_overflow(self) -> None:
        dropped_bytes, self._overflow_bytes = self._overflow_bytes or 0, None
        if not self._is_ended and self._listener is not None:
            self._tell(self._listener.on_overflowed, dropped_bytes)

    # Writing.

    def _flush_later(self) -> None:
        assert self._dispatcher is not None  # noqa: S101 - callers looked
        self._is_flush_due = True
        self._dispatcher.flush_later(self._on_flush)

    def _on_flush(self) -> None:
        self._is_flush_due = False
        if not self._is_blocked:
            self._flush()

    def _flush(self) -> None:
        """Write until all is written or the stream takes no more."""
        outbox, written_bytes = self._outbox, 0
        was_blocked, self._is_blocked = self._is_blocked, False
        while outbox.waiting_bytes and not self._is_blocked:
            try:
                taken_bytes = self._transmit(outbox.head())
            except OSError as error:
                self._fail_to_write(error)
                return
            outbox.advance(taken_bytes)
            written_bytes += taken_bytes
            self._is_blocked = taken_bytes == 0
        if was_blocked or self._is_blocked or self._was_busy or self._verdict is not None:
            self._wrote(written_bytes, was_blocked)

    def _wrote(self, written_bytes: int, was_blocked: bool) -> None:
        """See to all that may follow from a write: only where the peer is slow, or the end is near."""
        if self._is_ended:
            return
        if was_blocked and written_bytes:
            self._show_life()  # the answer to a ping that is behind the backlog cannot have come yet
        self._watch_stall(written_bytes)
        self._tell_drained()
        if not self._is_blocked:
            self._has_flushed()
        self._watch_again()

    def _watch_stall(self, written_bytes: int) -> None:
        if self._stall is None:
            self._stall = self._new_timer(self._on_stalled)
        if not self._is_blocked:
            self._stall.cancel()
        elif written_bytes or not self._stall.is_active:
            self._stall.restart(self._limits.write_stall_s)

    def _on_stalled(self) -> None:
        reason = f"took no byte within {self._limits.write_stall_s:g} s"
        ending = Ending.OVERFLOWED if self._overflows else Ending.TIMED_OUT
        self._end(self._verdict or ConnectionClosed(ending=ending, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))

    def _tell_drained(self) -> None:
        if self._was_busy and self._outbox.waiting_bytes <= self._limits.low_water_bytes:
            self._was_busy = False
            if self._verdict is None:
                self._notify("on_drained")

    def _has_flushed(self) -> None:
        if self._verdict is None:
            return
        if self._is_over_when_flushed:
            self._end(self._verdict)
        elif self._verdict.ending is Ending.PROTOCOL_ERROR:
            self._shut_writing()

    def _fail_to_write(self, error: OSError) -> None:
        """Write no more, but read on to the end: the peer's close frame may be on its way to us."""
        logger.debug("%s: write failed: %s", self, error)
        self._has_failed_to_write = True
        self._is_blocked = False
        self._outbox.clear()
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._read_to_the_end)

    # The end.

    def _end(self, closed: ConnectionClosed) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        for timer in self._timers:
            timer.discard()
        unsent_bytes = self._outbox.clear()
        if unsent_bytes:
            logger.debug("%s: ended with %d bytes unsent", self, unsent_bytes)
        self._release()
        self._notify("on_closed", closed)
        self._listener = None  # it holds this connection, and a circle waits for the collector

    def _notify(self, callback: str, *args: Any) -> None:
        """Tell the listener soon, in the order of these calls."""
        if self._dispatcher is not None and self._listener is not None:
            self._dispatcher.call_soon(partial(self._tell, getattr(self._listener, callback), *args))

    def _tell(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            callback(*args)
        except Exception:
            logger.exception("%s: its owner failed in %s", self, callback)
            self.abort()

    def _new_timer(self, callback: Callable[[], None]) -> Timer:
        assert self._dispatcher is not None  # noqa: S101 - there is time from `open` on
        timer = self._dispatcher.timer(callback)
        self._timers.append(timer)
        return timer

    # What the reading half gives.

    @abc.abstractmethod
    def _show_life(self) -> None:
        """Note a sign of life."""

    @abc.abstractmethod
    def _read_to_the_end(self) -> None:
        """Read what the peer sent before it went, and end."""

    @abc.abstractmethod
    def _watch_again(self) -> None:
        """Watch the stream for what is now waited for."""

    # What a byte stream gives.

    @abc.abstractmethod
    def _receive(self) -> bytes | None:
        """What was received: `None` for nothing now, `b""` for the end of the stream. Raises OSError."""

    @abc.abstractmethod
    def _transmit(self, data: bytes | memoryview) -> int:
        """Write some of `data`; how many bytes were taken, 0 when full. Raises OSError."""

    @abc.abstractmethod
    def _watch(self, *, reading: bool, writing: bool) -> None:
        """Call `_read` when there is something to read, and `_flush` when there is room to write."""

    @abc.abstractmethod
    def _hang_up(self) -> None:
        """End the stream behind what was written, without the dispatcher. From any thread."""

    @abc.abstractmethod
    def _shut_writing(self) -> None:
        """Tell the peer that no byte follows, where the stream can."""

    @abc.abstractmethod
    def _release(self) -> None:
        """Close the stream and watch it no more."""
