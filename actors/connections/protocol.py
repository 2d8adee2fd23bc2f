"""RFC 6455 on a dispatcher: what every connection does, over a byte stream that a subclass supplies.

Reading, bounded writing, pings, deadlines, the close handshake both ways, and the one end of it all. Knows no
socket: `stream` supplies one, `memory` a fake. Everything here runs on one dispatcher's thread.
"""

from __future__ import annotations

import abc
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from actors.connections import frames
from actors.connections.base import Connection, ConnectionClosed, ConnectionLimits, ConnectionListener, Ending
from actors.connections.outbox import Outbox
from actors.dispatcher import Timer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from actors.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

INLINE_FLUSH_BYTES: Final = 128 * 1024
"""Writes wait for the end of the dispatcher's turn, so that they leave together, unless so much waits already."""

READ_BUDGET_BYTES: Final = 256 * 1024
"""What one wake-up may read, so that one peer cannot hog the dispatcher."""

_WRITE_FAILED: Final = "the peer takes nothing any more"


class ProtocolConnection(Connection):
    """A connection over some byte stream, which a subclass gives by the five methods at the end.

    Once `close` was called, messages that still arrive are ignored: the owner has said its last word. Bytes of a
    peer that broke the protocol are read and thrown away until it hangs up or `close_timeout_s` passes, because
    closing a socket with unread input resets it, and our close frame would be lost.
    """

    def __init__(self, *, is_server: bool, limits: ConnectionLimits, peer: str) -> None:
        self._limits = limits
        self._peer = peer
        self._masks = not is_server
        self._parser = frames.FrameParser(is_server, limits.max_message_bytes)
        self._events: deque[frames.Event] = deque()
        self._outbox = Outbox()
        self._dispatcher: Dispatcher | None = None
        self._listener: ConnectionListener | None = None
        self._timers: tuple[Timer, ...] = ()
        self._verdict: ConnectionClosed | None = None
        """What `on_closed` will be told; once set, no more messages go either way."""
        self._is_ended = False
        self._is_paused = False
        self._is_flush_due = False
        self._is_blocked = False
        """Whether the byte stream took less than it was given, and will tell when it takes more."""
        self._has_failed_to_write = False
        self._is_over_when_flushed = False
        self._is_pinged = False
        self._was_busy = False
        self._overflows = 0
        self._overflow_bytes: int | None = None
        """What was dropped and not told yet: until the owner knows, what it sends is dropped as well."""

    # The seam.

    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to read; see `Connection.open`. What was sent before goes out now."""
        if self._is_ended:
            return
        self._dispatcher, self._listener = dispatcher, listener
        self._idle = Timer(dispatcher, self._on_idle)
        self._stall = Timer(dispatcher, self._on_stalled)
        self._close_deadline = Timer(dispatcher, self._on_close_deadline)
        self._timers = (self._idle, self._stall, self._close_deadline)
        self._restart_idle()
        self._watch_again()
        if self._outbox.waiting_bytes:
            self._flush_later()

    def send_text(self, text: str | bytes) -> None:
        """Send one text message; see `Connection.send_text`."""
        if self._verdict is None and not self._is_ended:
            self._send(frames.text_frames(text, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes))

    def send_binary(self, data: bytes) -> None:
        """Send one binary message, or several; see `Connection.send_binary`."""
        if self._verdict is None and not self._is_ended:
            self._send(frames.binary_frames(data, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the close handshake; see `Connection.close`. It reads on although paused."""
        if self._verdict is None and not self._is_ended:
            self._conclude(ConnectionClosed(ending=Ending.CLOSED_BY_US, code=code, reason=reason))

    def abort(self) -> None:
        """End without a handshake; see `Connection.abort`."""
        self._end(self._verdict or ConnectionClosed(ending=Ending.RESET, code=frames.ABNORMAL))

    def pause(self) -> None:
        """Stop reading; what was read already is kept for `resume`."""
        if self._verdict is None and not self._is_ended and not self._has_failed_to_write:
            self._is_paused = True
            self._watch_again()

    def resume(self) -> None:
        """Read again."""
        if self._is_ended or not self._is_paused:
            return
        self._is_paused = False
        if self._dispatcher is not None:
            self._restart_idle()
            self._dispatcher.call_soon(self._deliver)
            self._watch_again()

    @property
    def is_busy(self) -> bool:
        """Whether more than `busy_above_bytes` wait to be written."""
        return self._outbox.waiting_bytes > self._limits.busy_above_bytes

    @property
    def peer(self) -> str:
        """The peer's address, for log lines."""
        return self._peer

    # Reading.

    def _read(self) -> None:
        """Read what is there, within the budget of one wake-up."""
        budget_bytes = READ_BUDGET_BYTES
        while budget_bytes > 0 and not self._is_ended and not self._is_paused:
            received_bytes = self._read_once()
            if not received_bytes:
                return
            budget_bytes -= received_bytes

    def _read_once(self) -> int:
        """Read once; how many bytes, 0 when there is nothing, or nothing any more."""
        try:
            data = self._receive()
        except OSError as error:
            logger.debug("%s: read failed: %s", self, error)
            data = b""
        if data is None:
            return 0
        if not data:
            self._end(self._verdict or ConnectionClosed(ending=Ending.RESET, code=frames.ABNORMAL))
            return 0
        self._restart_idle()
        self._events += self._parser.feed(data)
        self._deliver()
        return len(data)

    def _deliver(self) -> None:
        events = self._events
        while events and not self._is_paused and not self._is_ended:
            event = events.popleft()
            _HANDLERS[type(event)](self, event)

    def _on_text(self, event: frames.TextMessage) -> None:
        if self._verdict is None and self._listener is not None:
            self._tell(self._listener.on_text, event.text)

    def _on_binary(self, event: frames.BinaryMessage) -> None:
        if self._verdict is None and self._listener is not None:
            self._tell(self._listener.on_binary, event.data)

    def _on_ping(self, event: frames.Ping) -> None:
        self._send([frames.pong_frame(event.payload, mask=self._masks)])

    def _on_pong(self, _event: frames.Pong) -> None:
        """Any byte counted as life when it was received."""

    def _on_close(self, event: frames.Close) -> None:
        self._is_over_when_flushed = True
        if self._verdict is None:
            self._conclude(ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=event.code, reason=event.reason))
        if not self._is_blocked:  # at once: the end of the stream may be next, and is no reason to keep the echo
            self._flush()

    def _on_violation(self, event: frames.ProtocolViolation) -> None:
        logger.info("%s: protocol violation: %s", self, event.description)
        if self._verdict is None:
            self._conclude(
                ConnectionClosed(ending=Ending.PROTOCOL_ERROR, code=event.close_code, reason=event.description)
            )

    # Writing.

    def _send(self, unit: list[bytes]) -> None:
        """Queue the frames of one call, which are kept or dropped together."""
        if self._has_failed_to_write:
            return
        frame = unit[0] if len(unit) == 1 else b"".join(unit)
        if self._overflow_bytes is not None and self._verdict is None:
            self._overflow_bytes += len(frame)
            return
        self._outbox.append(frame)
        if self._dispatcher is not None:
            self._bound()

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
        while not self._is_ended and not self._is_blocked and (head := outbox.head()):
            try:
                taken_bytes = self._transmit(head)
            except OSError as error:
                logger.debug("%s: write failed: %s", self, error)
                self._fail_to_write()
                return
            outbox.advance(taken_bytes)
            written_bytes += taken_bytes
            self._is_blocked = taken_bytes == 0
        if was_blocked and written_bytes:
            self._restart_idle()  # room in a full stream is life, too: the ping may be behind the backlog
        if not self._is_ended:
            self._has_flushed(written_bytes)

    def _has_flushed(self, written_bytes: int) -> None:
        if self._is_blocked:
            if written_bytes or not self._stall.is_active:
                self._stall.restart(self._limits.write_stall_s)
        else:
            self._stall.cancel()
        if self._was_busy and self._outbox.waiting_bytes <= self._limits.resume_below_bytes:
            self._was_busy = False
            if self._verdict is None:
                self._notify("on_drained")
        if not self._is_blocked:
            self._has_flushed_all()
        self._watch_again()

    def _has_flushed_all(self) -> None:
        if self._verdict is None:
            return
        if self._is_over_when_flushed:
            self._end(self._verdict)
        elif self._verdict.ending is Ending.PROTOCOL_ERROR:
            self._shut_writing()

    def _fail_to_write(self) -> None:
        """Write no more, but read on to the end: the peer's close frame may be on its way to us."""
        self._has_failed_to_write = True
        self._is_blocked = self._is_paused = False
        self._outbox.clear()
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._read_to_the_end)

    def _read_to_the_end(self) -> None:
        self._deliver()
        while not self._is_ended and self._read_once():
            pass
        self.abort()

    def _overflow(self) -> None:
        self._overflows += 1
        dropped_bytes = self._outbox.drop_backlog()
        logger.warning("%s: write buffer overflowed, %d bytes dropped", self, dropped_bytes)
        if self._overflows > 1:
            self._end(_overflowed("the peer did not read"))
            return
        self._overflow_bytes = dropped_bytes
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._tell_overflow)

    def _tell_overflow(self) -> None:
        dropped_bytes, self._overflow_bytes = self._overflow_bytes or 0, None
        if not self._is_ended and self._listener is not None:
            self._tell(self._listener.on_overflowed, dropped_bytes)

    # Deadlines.

    def _restart_idle(self) -> None:
        self._is_pinged = False
        if self._limits.ping_interval_s and self._verdict is None:
            self._idle.restart(self._limits.ping_interval_s)

    def _on_idle(self) -> None:
        if self._is_paused:
            self._restart_idle()
        elif self._is_pinged:
            self._end(_timed_out(f"no pong within {self._limits.ping_timeout_s:g} s"))
        else:
            self._is_pinged = True
            self._send([frames.ping_frame(mask=self._masks)])
            self._idle.restart(self._limits.ping_timeout_s)

    def _on_stalled(self) -> None:
        reason = f"took no byte within {self._limits.write_stall_s:g} s"
        self._end(self._verdict or (_overflowed if self._overflows else _timed_out)(reason))

    def _on_close_deadline(self) -> None:
        logger.debug("%s: close handshake not finished in time", self)
        self.abort()

    # The end.

    def _conclude(self, verdict: ConnectionClosed) -> None:
        """Send the close frame that goes with `verdict`, which from now on is the one to be told.

        A peer's close frame is echoed with its code; without one where it gave none (RFC 6455, 5.5.1).
        """
        self._verdict = verdict
        reason = "" if verdict.ending is Ending.CLOSED_BY_PEER else verdict.reason
        self._send([frames.close_frame(verdict.code, reason, mask=self._masks)])
        if self._dispatcher is None:
            self._end_unopened()
            return
        self._idle.cancel()
        self._close_deadline.restart(self._limits.close_timeout_s)
        if self._is_paused:
            self.resume()

    def _end_unopened(self) -> None:
        """A last word to a peer that nobody ever listened to."""
        try:
            self._transmit(self._outbox.head())
        except OSError as error:
            logger.debug("%s: write failed: %s", self, error)
        self.abort()

    def _end(self, closed: ConnectionClosed) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        for timer in self._timers:
            timer.cancel()
        unsent_bytes = self._outbox.clear()
        if unsent_bytes:
            logger.debug("%s: ended with %d bytes unsent", self, unsent_bytes)
        self._events.clear()
        self._release()
        self._notify("on_closed", closed)

    def _notify(self, callback: str, *args: Any) -> None:
        """Tell the listener soon: never from inside its own call, and in order."""
        if self._dispatcher is not None:
            self._dispatcher.call_soon(partial(self._tell, getattr(self._listener, callback), *args))

    def _tell(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            callback(*args)
        except Exception:
            logger.exception("%s: its owner failed in %s", self, callback)
            self.abort()

    def _watch_again(self) -> None:
        if not self._is_ended and self._dispatcher is not None:
            self._watch(reading=not self._is_paused, writing=self._is_blocked)

    def __str__(self) -> str:
        return f"{type(self).__name__} {self._peer}"

    # What a byte stream has to give.

    @abc.abstractmethod
    def _receive(self) -> bytes | None:
        """What was received: `None` for nothing now, `b""` for the end of the stream. Raises OSError."""

    @abc.abstractmethod
    def _transmit(self, data: memoryview) -> int:
        """Write some of `data`; how many bytes were taken, 0 when full. Raises OSError."""

    @abc.abstractmethod
    def _watch(self, *, reading: bool, writing: bool) -> None:
        """Call `_read` when there is something to read, and `_flush` when there is room to write."""

    @abc.abstractmethod
    def _shut_writing(self) -> None:
        """Tell the peer that no byte follows, where the stream can."""

    @abc.abstractmethod
    def _release(self) -> None:
        """Close the stream and watch it no more."""


def _timed_out(reason: str) -> ConnectionClosed:
    return ConnectionClosed(ending=Ending.TIMED_OUT, code=frames.ABNORMAL, reason=reason)


def _overflowed(reason: str) -> ConnectionClosed:
    return ConnectionClosed(ending=Ending.OVERFLOWED, code=frames.ABNORMAL, reason=reason)


_HANDLERS: Final[dict[type[frames.Event], Callable[[ProtocolConnection, Any], None]]] = {
    frames.TextMessage: ProtocolConnection._on_text,  # noqa: SLF001 - the table of this class
    frames.BinaryMessage: ProtocolConnection._on_binary,  # noqa: SLF001
    frames.Ping: ProtocolConnection._on_ping,  # noqa: SLF001
    frames.Pong: ProtocolConnection._on_pong,  # noqa: SLF001
    frames.Close: ProtocolConnection._on_close,  # noqa: SLF001
    frames.ProtocolViolation: ProtocolConnection._on_violation,  # noqa: SLF001
}
