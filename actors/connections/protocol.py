"""RFC 6455 on a dispatcher: what every connection does, over a byte stream that a subclass supplies.

Reading, pings and the close handshake both ways, on top of the bounded writing of `writing`. Knows no socket:
`stream` supplies one, `memory` a fake.
"""

from __future__ import annotations

import contextlib
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from actors.connections import frames
from actors.connections.base import ConnectionClosed, ConnectionLimits, ConnectionListener, Ending
from actors.connections.close_codes import CloseCode
from actors.connections.writing import WritingConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.dispatcher import Dispatcher
    from actors.timers import Timer

logger = logging.getLogger(__name__)

READ_BUDGET_BYTES: Final = 256 * 1024
"""What one wake-up may read, so that one peer cannot hog the dispatcher."""

EVENT_BUDGET: Final = 256
"""How many frames may be handled before the others get their turn: 64 kB may hold ten thousand."""

PROBE: Final = b"read?"
"""The payload of a ping that asks whether what is before it was read; a pong brings it back (RFC 6455, 5.5.3)."""


class ProtocolConnection(WritingConnection):
    """A connection over some byte stream.

    Once `close` was called, messages that still arrive are ignored: the owner has said its last word. Bytes of a
    peer that broke the protocol are read and thrown away until it hangs up or `close_timeout_s` passes, because
    closing a socket with unread input resets it, and our close frame would be lost. After a whole close handshake
    the stream is closed at once, by whichever side we are. Before `open` it belongs to whoever made it, who may
    `close` or `abort` it on any thread.
    """

    __slots__ = (
        "_close_deadline",
        "_events",
        "_idle",
        "_is_paused",
        "_is_pinged",
        "_lingers",
        "_masks",
        "_parser",
        "_seen_s",
        "_short_read_bytes",
    )

    def __init__(self, *, is_server: bool, limits: ConnectionLimits, peer: str) -> None:
        super().__init__(limits=limits, peer=peer)
        self._masks = not is_server
        self._parser = frames.FrameParser(is_server, limits.max_message_bytes)
        self._events: Sequence[frames.Event] = ()
        """What was read and could not be told yet."""
        self._short_read_bytes = 0
        """A read that gave no more than this has emptied the stream for now."""
        self._is_paused = False
        self._is_pinged = False
        self._seen_s = 0.0
        """When the peer last showed life."""
        self._idle: Timer | None = None
        self._close_deadline: Timer | None = None
        self._lingers = False
        """The close deadline allows for a backlog."""

    # The seam.

    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to read; see `Connection.open`. What was sent before goes out now."""
        if self._is_ended:
            return
        super().open(dispatcher, listener)
        self._show_life()
        if self._limits.ping_interval_s and self._verdict is None:
            self._idle = self._new_timer(self._on_idle)
            self._idle.restart(self._limits.ping_interval_s)
        self._watch_again()

    def send_text(self, text: str | bytes) -> None:
        """Send one text message; see `Connection.send_text`."""
        if self._verdict is None and not self._is_ended:
            self._send(frames.text_frames(text, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes))

    def send_binary(self, data: bytes) -> None:
        """Send one binary message, or several; see `Connection.send_binary`."""
        if self._verdict is None and not self._is_ended:
            self._send(frames.binary_frames(data, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes))

    def probe(self) -> None:
        """Ask whether the peer reads, with a ping behind what was sent; see `Connection.probe`."""
        if self._verdict is None and not self._is_ended:
            self._send([frames.ping_frame(PROBE, mask=self._masks)])

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", linger_s: float = 0.0) -> None:
        """Begin the close handshake; see `Connection.close`. From here on it reads although paused."""
        if self._verdict is None and not self._is_ended:
            self._conclude(ConnectionClosed(ending=Ending.CLOSED_BY_US, code=code, reason=reason), linger_s)

    def abort_from_outside(self, last_word: str | None = None) -> None:
        """Say a last word and hang up; see `Connection.abort_from_outside`."""
        if self._is_ended:
            return
        with contextlib.suppress(OSError):
            if last_word is not None and self._verdict is None and not self._outbox.is_cut:
                self._transmit(self._send_close(last_word))
        self._hang_up()

    def _send_close(self, last_word: str) -> bytes:
        said = frames.text_frames(last_word, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes)
        return b"".join([*said, frames.close_frame(CloseCode.INTERNAL_ERROR, "internal error", mask=self._masks)])

    def pause(self) -> None:
        """Stop reading; what was read already is kept for `resume`."""
        if self._verdict is None and not self._has_failed_to_write:
            self._is_paused = True
            self._watch_again()

    def resume(self) -> None:
        """Read again."""
        if self._is_ended or not self._is_paused:
            return
        self._is_paused = False
        if self._dispatcher is not None:
            self._show_life()
            self._dispatcher.call_soon(self._deliver)
            self._watch_again()

    # Reading.

    def _read(self) -> None:
        """Read what is there, within the budget of one wake-up."""
        budget_bytes = READ_BUDGET_BYTES
        while budget_bytes > 0 and not self._events and not self._is_paused and not self._is_ended:
            received_bytes = self._read_once()
            if received_bytes <= self._short_read_bytes:
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
            self.abort()
            return 0
        self._seen_s = monotonic()
        if self._is_pinged:
            self._show_life()
        self._events = self._parser.feed(data)
        self._deliver()
        return len(data)

    def _deliver(self) -> None:
        """Handle what was read, in order; on a later turn what exceeds the budget."""
        events, self._events = self._events, ()
        if len(events) > 1 and self._limits.join_binary_bytes:
            events = frames.joined(events, self._limits.join_binary_bytes)
        for handled, event in enumerate(events):
            if handled == EVENT_BUDGET or self._is_paused or self._is_ended:
                self._put_off(events[handled:])
                return
            try:
                _HANDLERS[type(event)](self, event)
            except Exception:
                logger.exception("%s: failed at a message", self)
                self.abort()

    def _put_off(self, events: Sequence[frames.Event]) -> None:
        self._events = events
        if not self._is_paused and not self._is_ended and self._dispatcher is not None:
            self._dispatcher.call_soon(self._deliver)

    def _read_to_the_end(self) -> None:
        self._is_paused = False
        while not self._is_ended and (self._events or self._read_once()):
            self._deliver()
        self.abort()

    def _on_text(self, text: str) -> None:
        if self._verdict is None and self._listener is not None:
            self._listener.on_text(text)

    def _on_binary(self, data: bytes) -> None:
        if self._verdict is None and self._listener is not None:
            self._listener.on_binary(data)

    def _on_ping(self, event: frames.Ping) -> None:
        self._send([frames.pong_frame(event.payload, mask=self._masks)])

    def _on_pong(self, event: frames.Pong) -> None:
        """Tell the answer to a probe. Any other has counted as life when its bytes came."""
        if event.payload == PROBE and self._verdict is None and self._listener is not None:
            self._listener.on_caught_up()

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

    # Life and death.

    def _show_life(self) -> None:
        """The peer is there. Called for what is received: the timer looks back, and is only set where a ping is out."""
        self._seen_s = monotonic()
        if self._is_pinged and self._idle is not None:
            self._idle.restart(self._limits.ping_interval_s)
        self._is_pinged = False

    def _on_idle(self) -> None:
        assert self._idle is not None  # noqa: S101 - it is what fired
        limits = self._limits
        if self._is_paused:
            self._show_life()
        left_s = self._seen_s + limits.ping_interval_s - monotonic()
        if self._is_pinged:
            reason = f"no pong within {limits.ping_timeout_s:g} s"
            self._end(ConnectionClosed(ending=Ending.TIMED_OUT, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))
        elif left_s > 0:
            self._idle.restart(left_s)
        else:
            self._is_pinged = True
            self._idle.restart(limits.ping_timeout_s)
            self._send([frames.ping_frame(mask=self._masks)])

    def _conclude(self, verdict: ConnectionClosed, linger_s: float = 0.0) -> None:
        """Send the close frame that goes with `verdict`, which from now on is the one to be told.

        A peer's close frame is echoed with its code; without one where it gave none (RFC 6455, 5.5.1).
        """
        self._verdict = verdict
        reason = "" if verdict.ending is Ending.CLOSED_BY_PEER else verdict.reason
        frame = frames.close_frame(verdict.code, reason, mask=self._masks)
        if self._dispatcher is None:
            self._end_unopened(frame)
            return
        if self._idle is not None:
            self._idle.discard()
            self._idle, self._is_pinged = None, False
        self._close_deadline = self._new_timer(self._on_close_deadline)
        self._lingers = linger_s > 0
        self._close_deadline.restart(linger_s + self._limits.close_timeout_s)
        self.resume()
        self._send([frame])

    def _has_flushed(self) -> None:
        if self._lingers and self._close_deadline is not None:  # all that was left is the handshake
            self._lingers = False
            self._close_deadline.restart(self._limits.close_timeout_s)
        super()._has_flushed()

    def _end_unopened(self, frame: bytes) -> None:
        """Say a last word to a peer that nobody ever listened to."""
        self._send([frame])
        try:
            self._transmit(self._outbox.head())
        except OSError as error:
            logger.debug("%s: write failed: %s", self, error)
        self.abort()

    def _on_close_deadline(self) -> None:
        logger.debug("%s: close handshake not finished in time", self)
        self.abort()

    def _watch_again(self) -> None:
        if not self._is_ended and self._dispatcher is not None:
            self._watch(reading=not self._is_paused, writing=self._is_blocked)


_HANDLERS: Final[dict[type[frames.Event], Callable[[ProtocolConnection, Any], None]]] = {
    str: ProtocolConnection._on_text,  # noqa: SLF001 - the table of this class
    bytes: ProtocolConnection._on_binary,  # noqa: SLF001
    frames.Ping: ProtocolConnection._on_ping,  # noqa: SLF001
    frames.Pong: ProtocolConnection._on_pong,  # noqa: SLF001
    frames.Close: ProtocolConnection._on_close,  # noqa: SLF001
    frames.ProtocolViolation: ProtocolConnection._on_violation,  # noqa: SLF001
}
