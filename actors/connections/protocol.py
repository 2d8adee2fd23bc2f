"""RFC 6455 on a dispatcher, over a byte stream that a subclass supplies: the class of every connection.

The class reads, sends pings, does the close handshake of either side, and ends. `writer` does the writing. This module
knows no socket: `stream` supplies a socket, and `memory` a fake.
"""

from __future__ import annotations

import abc
import contextlib
import logging
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from actors.connections import frames
from actors.connections.base import Connection, ConnectionClosed, ConnectionLimits, ConnectionListener, Ending
from actors.connections.close_codes import CloseCode
from actors.connections.share import Share
from actors.connections.writer import Writer
from actors.footprint import STEP_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.dispatcher import Dispatcher
    from actors.timers import Timer

logger = logging.getLogger(__name__)

RECEIVE_BYTES: Final = 64 * 1024

READ_BUDGET_BYTES: Final = 256 * 1024
"""The most bytes that one wake-up reads, so that one peer cannot hog the dispatcher."""

READ_S: Final = 0.005
"""The seconds that a peer's reads of one turn may take, with the parsing.

64 kB of audio take 1 ms, and 64 kB of empty frames 15 ms. A peer that exceeds this time is read in pieces of
`SLOW_READ_BYTES`, once a turn, until its frames are parsed faster.
"""

SLOW_READ_BYTES: Final = 8 * 1024

SLOW_READS_S: Final = 0.02
"""The seconds of one turn for reading all peers that exceed `READ_S`, taken together.

When they are used up, every other peer is read in one piece of `SLOW_READ_BYTES`, because it may also be slow.
"""

EVENT_BUDGET: Final = 256
"""The most frames that are handled before other connections get their turn: 64 kB may hold ten thousand."""

PROBE: Final = b"read?"
"""The payload of a ping that `probe` sends.

A peer returns the payload once it has read up to the ping (RFC 6455, 5.5.3).
"""


class ProtocolConnection(Connection):
    """A WebSocket connection over some byte stream.

    After `close` was called, a text that arrives goes to `on_late_text`, and other messages are ignored. Once both
    close frames have crossed, the stream is closed at once, on either side. Before `open` the connection belongs to its
    maker, who may `close` or `abort` it on any thread.

    If the peer broke the protocol, its bytes are read and dropped until it hangs up or `close_timeout_s` passes.
    Closing a socket with unread input would reset the stream, and the peer would not receive the router's close frame.
    """

    __slots__ = (
        "_alive_s",
        "_close_deadline",
        "_closing",
        "_dispatcher",
        "_ends_when_flushed",
        "_events",
        "_feed",
        "_idle",
        "_is_ended",
        "_is_paused",
        "_is_pinged",
        "_limits",
        "_lingers",
        "_listener",
        "_masks",
        "_parser",
        "_peer",
        "_reads_slowly",
        "_share",
        "_short_read_bytes",
        "_writer",
    )

    def __init__(self, *, is_server: bool, limits: ConnectionLimits, peer: str) -> None:
        self._limits = limits
        self._peer = peer
        self._masks = not is_server
        self._parser = frames.FrameParser(is_server, limits.max_message_bytes, limits.max_text_bytes)
        self._feed: Callable[[bytes], list[frames.Event]] = self._parser.feed
        self._writer = Writer(self, limits)
        self._dispatcher: Dispatcher | None = None
        self._listener: ConnectionListener | None = None
        self._events: Sequence[frames.Event] = ()
        """Events that were read and not yet delivered."""
        self._short_read_bytes = 0
        """A read of at most this many bytes has emptied the stream for now."""
        self._reads_slowly = False
        """Whether the reads of a turn took longer than `READ_S`."""
        self._is_paused = False
        self._is_pinged = False
        """Whether a ping is unanswered."""
        self._alive_s = 0.0
        """The time, on the monotonic clock, at which the peer last showed life."""
        self._share: Share | None = None
        """The record of the memory that is held for the peer. It is made at `STEP_BYTES`, which few peers reach."""
        self._idle: Timer | None = None
        self._close_deadline: Timer | None = None
        self._lingers = False
        """Whether the close deadline still includes time for a backlog."""
        self._closing: ConnectionClosed | None = None
        """The end that `on_closed` will report; None while the connection is open.

        Once it is set, no message is sent, and only a late text is delivered.
        """
        self._ends_when_flushed = False
        self._is_ended = False

    def __str__(self) -> str:
        return f"{type(self).__name__} {self._peer}"

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines, from the listener; empty without a listener."""
        return self._listener.log_fields if self._listener is not None else {}

    # The seam.

    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to read, and write the frames that wait; see `Connection.open`."""
        if self._is_ended:
            return
        self._dispatcher, self._listener = dispatcher, listener
        traffic = dispatcher.upstream_traffic if self._masks else dispatcher.client_traffic
        self._parser.traffic = traffic
        self._writer.open(dispatcher, traffic)
        self._show_life()
        if self._limits.ping_interval_s and self._closing is None:
            self._idle = dispatcher.timer(self._on_idle)
            self._idle.restart(self._limits.ping_interval_s)
        self._watch_again()

    def send_text(self, text: str | bytes) -> None:
        """Send one text message; see `Connection.send_text`."""
        if self._closing is None and not self._is_ended:
            self._writer.send(frames.text_frames(text, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes))

    def send_binary(self, data: bytes) -> None:
        """Send one binary message, or several; see `Connection.send_binary`."""
        if self._closing is not None or self._is_ended:
            return
        # Nearly no connection has overflowed, and the property costs more than the count.
        if not (self._writer.overflows and self._writer.takes_last_text_alone):
            self._writer.send(
                frames.binary_frames(data, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes)
            )

    def probe(self) -> None:
        """Send a ping after the messages sent so far; see `Connection.probe`."""
        if self._closing is None and not self._is_ended:
            self._writer.send([frames.ping_frame(PROBE, mask=self._masks)])

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", linger_s: float = 0.0) -> None:
        """Begin the close handshake; see `Connection.close`. A paused connection reads again."""
        if self._closing is None and not self._is_ended:
            self._begin_close(ConnectionClosed(ending=Ending.CLOSED_BY_US, code=code, reason=reason), linger_s)

    def abort(self) -> None:
        """End without a handshake; see `Connection.abort`."""
        self._end(self._closing or ConnectionClosed(ending=Ending.RESET, code=CloseCode.ABNORMAL_CLOSURE))

    def abort_from_outside(self, last_text: str | None = None) -> None:
        """Send a last text, and shut the stream; see `Connection.abort_from_outside`."""
        if self._is_ended:
            return
        with contextlib.suppress(OSError):
            if last_text is not None and self._closing is None and not self._writer.is_cut:
                self.transmit(self._last_frames(last_text))
        self._hang_up()

    def _last_frames(self, text: str) -> bytes:
        unit = frames.text_frames(text, mask=self._masks, max_frame_bytes=self._limits.max_frame_bytes)
        return b"".join([*unit, frames.close_frame(CloseCode.INTERNAL_ERROR, "internal error", mask=self._masks)])

    def pause(self) -> None:
        """Stop reading. Messages that were read already are kept for `resume`."""
        if self._closing is None and not self._writer.has_failed:
            self._is_paused = True
            self._watch_again()

    def resume(self) -> None:
        """Read again, beginning with the messages that were kept."""
        if self._is_ended or not self._is_paused:
            return
        self._is_paused = False
        if self._dispatcher is not None:
            self._show_life()
            self._dispatcher.call_soon(self._deliver)
            self._watch_again()

    @property
    def is_busy(self) -> bool:
        """Whether more than `high_water_bytes` wait to be written."""
        # This is read after every frame to an upstream, so it does not use the writer's own property.
        return self._writer.outbox.waiting_bytes > self._limits.high_water_bytes

    @property
    def peer(self) -> str:
        """The peer's address, for log lines."""
        return self._peer

    # Reading.

    def _read(self) -> None:
        """Read until the stream is empty, or `READ_BUDGET_BYTES` were read in this turn."""
        dispatcher = self._dispatcher
        if dispatcher is not None and (self._reads_slowly or dispatcher.slow_reads_s > SLOW_READS_S):
            self._read_slowly(dispatcher)
            return
        budget_bytes, began_s = READ_BUDGET_BYTES, 0.0
        while budget_bytes > 0 and not self._events and not self._is_paused and not self._is_ended:
            received_bytes = self._read_once()
            if received_bytes <= self._short_read_bytes:
                return
            budget_bytes -= received_bytes
            # Reads may be short and many, so their times are added up.
            began_s = began_s or self._alive_s
            taken_s = monotonic() - began_s
            if taken_s > READ_S:
                self._reads_slowly = True
                budget_bytes = 0
                if dispatcher is not None:
                    dispatcher.slow_reads_s += taken_s
        if budget_bytes <= 0 and dispatcher is not None:
            dispatcher.leave_unread()

    def _read_slowly(self, dispatcher: Dispatcher) -> None:
        if self._events or self._is_paused or self._is_ended:
            return
        if self._reads_slowly and dispatcher.slow_reads_s > SLOW_READS_S:
            dispatcher.leave_unread()
            return
        self._reads_slowly = True
        began_s = monotonic()
        received_bytes = self._read_once()
        taken_s = monotonic() - began_s
        dispatcher.slow_reads_s += taken_s
        is_full = received_bytes >= SLOW_READ_BYTES
        self._reads_slowly = is_full and taken_s * RECEIVE_BYTES > READ_S * received_bytes
        if is_full:
            dispatcher.leave_unread()

    def _read_once(self) -> int:
        """Read once and deliver.

        Return how many bytes were read: 0 if there are none now, or at the end of the stream.
        """
        try:
            data = self._receive()
        except OSError as error:
            logger.debug("%s: read failed: %s", self, error, extra=self.log_fields)
            data = b""
        if data is None:
            return 0
        if not data:
            self.abort()
            return 0
        self._alive_s = monotonic()
        if self._is_pinged:
            self._show_life()
        self._events = self._feed(data)
        if self._parser.held_bytes >= STEP_BYTES or (self._share is not None and self._share.holding.held_bytes):
            self._note_share()
        self._deliver()
        return len(data)

    def _deliver(self) -> None:
        """Handle the events that were read, in order, at most `EVENT_BUDGET` of them.

        Leave the rest for a later turn, or until a paused connection resumes.
        """
        events, self._events = self._events, ()
        if len(events) > 1 and self._limits.join_binary_bytes:
            events = frames.joined(events, self._limits.join_binary_bytes)
        for handled, event in enumerate(events):
            # A handler may have paused or ended the connection: the next event must not pass it.
            if handled == EVENT_BUDGET or self._is_paused or self._is_ended:
                self._postpone(events[handled:])
                return
            try:
                _HANDLERS[type(event)](self, event)
            except Exception:
                logger.exception("%s: failed at a message", self, extra=self.log_fields)
                self.abort()

    def _postpone(self, events: Sequence[frames.Event]) -> None:
        self._events = events
        if not self._is_paused and not self._is_ended and self._dispatcher is not None:
            self._dispatcher.call_soon(self._deliver)

    def _read_to_the_end(self) -> None:
        """Read the bytes that the peer sent before it went away, perhaps with a close frame, and end the connection.

        Each turn reads only a part of these bytes, because a peer that was not read may have sent megabytes.
        """
        if self._is_ended:
            return
        self._is_paused, self._reads_slowly = False, True
        if self._events:
            self._deliver()
        elif not self._read_once():
            self.abort()
        if not self._is_ended and self._dispatcher is not None:
            self._dispatcher.call_soon(self._read_to_the_end)

    def _on_text(self, text: str) -> None:
        if self._listener is None:
            return
        if self._closing is None:
            self._listener.on_text(text)
        elif self._closing.ending is Ending.CLOSED_BY_US:
            self._listener.on_late_text(text)

    def _on_binary(self, data: bytes) -> None:
        if self._closing is None and self._listener is not None:
            self._listener.on_binary(data)

    def _on_ping(self, event: frames.Ping) -> None:
        self._writer.send_pong(frames.pong_frame(event.payload, mask=self._masks))

    def _on_pong(self, event: frames.Pong) -> None:
        # Any other pong has counted as life when its bytes came.
        if event.payload == PROBE and self._closing is None and self._listener is not None:
            self._listener.on_caught_up()

    def _on_close(self, event: frames.Close) -> None:
        self._ends_when_flushed = True
        if self._closing is None:
            self._begin_close(ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=event.code, reason=event.reason))
        # Answer at once: the peer may close the stream next, and the answer to its close frame would be lost.
        if not self._writer.is_blocked:
            self._writer.flush()

    def _on_violation(self, event: frames.ProtocolViolation) -> None:
        logger.info("%s: protocol violation: %s", self, event.description, extra=self.log_fields)
        if self._closing is None:
            self._begin_close(
                ConnectionClosed(ending=Ending.PROTOCOL_ERROR, code=event.close_code, reason=event.description)
            )

    # Pings.

    def _show_life(self) -> None:
        # The idle timer reads `_alive_s` when it fires, so a read need not restart it. While a ping is unanswered, the
        # timer waits for its answer, and is set back here.
        self._alive_s = monotonic()
        if self._is_pinged and self._idle is not None:
            self._idle.restart(self._limits.ping_interval_s)
        self._is_pinged = False

    def _on_idle(self) -> None:
        assert self._idle is not None  # noqa: S101 - it is what fired
        limits = self._limits
        # Nothing is read while paused, so a missing pong shows nothing.
        if self._is_paused:
            self._show_life()
        left_s = self._alive_s + limits.ping_interval_s - monotonic()
        if self._is_pinged:
            reason = f"no pong within {limits.ping_timeout_s:g} s"
            self._end(ConnectionClosed(ending=Ending.TIMED_OUT, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))
        elif left_s > 0:
            self._idle.restart(left_s)
        else:
            self._is_pinged = True
            self._idle.restart(limits.ping_timeout_s)
            self._writer.send([frames.ping_frame(mask=self._masks)])

    # The close handshake.

    def _begin_close(self, closing: ConnectionClosed, linger_s: float = 0.0) -> None:
        """Send the close frame of `closing`, which `on_closed` will report.

        The answer to a peer's close frame has the peer's code, or none if the peer gave none (RFC 6455, 5.5.1).
        """
        self._closing = closing
        self._writer.begin_close()
        reason = "" if closing.ending is Ending.CLOSED_BY_PEER else closing.reason
        frame = frames.close_frame(closing.code, reason, mask=self._masks)
        if self._dispatcher is None:
            self._close_unopened(frame)
            return
        if self._idle is not None:
            self._idle.discard()
            self._idle, self._is_pinged = None, False
        self._close_deadline = self._dispatcher.timer(self._on_close_deadline)
        self._lingers = linger_s > 0
        self._close_deadline.restart(linger_s + self._limits.close_timeout_s)
        self.resume()
        self._writer.send([frame])

    def _close_unopened(self, frame: bytes) -> None:
        self._writer.send([frame])
        self._writer.flush_unopened()
        self.abort()

    def _on_flushed(self) -> None:
        if self._lingers and self._close_deadline is not None:
            # The backlog is written. From now on the peer gets the time of the handshake, and no more.
            self._lingers = False
            self._close_deadline.restart(self._limits.close_timeout_s)
        if self._closing is None:
            return
        if self._ends_when_flushed:
            self._end(self._closing)
        elif self._closing.ending is Ending.PROTOCOL_ERROR:
            self._shut_writing()

    def _on_close_deadline(self) -> None:
        logger.debug("%s: close handshake not finished in time", self, extra=self.log_fields)
        self.abort()

    # The memory that all peers hold together.

    @property
    def held_bytes(self) -> int:
        """The bytes of the peer's unfinished message, and the bytes that the peer has not read; see `Sharer`."""
        return self._parser.held_bytes + self._writer.waiting_bytes

    @property
    def may_give_way(self) -> bool:
        """Whether the connection is neither closing nor ended; see `Sharer`."""
        return self._closing is None and not self._is_ended

    def give_way(self) -> None:
        """Drop the backlog and the unfinished message; see `Sharer`."""
        self._parser.abandon()
        self._events = ()
        self._writer.drop_backlog()
        self._notify("on_evicted")

    def on_backlog(self) -> None:
        """Note how much memory is kept for the peer; see `Share.note`."""
        if self._share is not None or self.held_bytes >= STEP_BYTES:
            self._note_share()

    def _note_share(self) -> None:
        if self._share is None and self._limits.footprint is not None and self._dispatcher is not None:
            self._share = Share(self, self._limits.footprint, self._dispatcher)
        if self._share is not None:
            self._share.note()

    # From the writer.

    def on_written(self, *, is_moving_again: bool) -> None:
        """Handle a write to a slow peer, or during the close handshake; see `WriterOwner`."""
        if self._share is not None and self._share.holding.held_bytes:
            self._share.note()
        if is_moving_again:
            self._show_life()  # the pong of a ping behind the backlog cannot have come yet
        if not self._writer.is_blocked:
            self._on_flushed()
        self._watch_again()

    def on_write_drained(self) -> None:
        """Notify the listener, which may let the other leg read again."""
        if self._closing is None:
            self._notify("on_drained")

    def on_write_overflowed(self) -> None:
        """Notify the listener, which sends a last text and closes."""
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._notify_overflow)

    def on_write_stalled(self) -> None:
        """End the connection, because a peer that takes no byte for `write_stall_s` counts as gone."""
        reason = f"took no byte within {self._limits.write_stall_s:g} s"
        ending = Ending.OVERFLOWED if self._writer.overflows else Ending.TIMED_OUT
        self._end(self._closing or ConnectionClosed(ending=ending, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))

    def on_write_failed(self) -> None:
        """Read on to the end, because the peer's close frame may be on its way.

        The code of that frame decides whether a restart follows.
        """
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._read_to_the_end)

    # The end.

    def _rests(self) -> tuple[bytes, bytes] | None:
        """Return the unread and the unsent bytes; None if no other process can continue the stream now."""
        if self._events or self._closing is not None or self._is_ended:
            return None
        unread, unsent = self._parser.unfinished_frame, self._writer.unsent
        return None if unread is None or unsent is None else (unread, unsent)

    def _part(self) -> None:
        """End this connection without a message to the peer or the listener. Another process continues the stream."""
        self._is_ended = True
        self._let_go()
        self._writer.close()
        self._listener = None

    def _end(self, closed: ConnectionClosed) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self._let_go()
        unsent_bytes = self._writer.close()
        if unsent_bytes:
            logger.debug("%s: ended with %d bytes unsent", self, unsent_bytes, extra=self.log_fields)
        self._release()
        self._notify("on_closed", closed)
        self._listener = None  # it holds this connection: the two would wait for the garbage collector

    def _let_go(self) -> None:
        """Discard the timers, and record in the process's `Footprint` that this connection holds no memory any more."""
        for timer in (self._idle, self._close_deadline):
            if timer is not None:
                timer.discard()
        if self._share is not None:
            self._share.release()
            self._share = None

    def _notify(self, callback: str, *args: Any) -> None:
        """Call the listener on a later turn, in the order of these calls.

        So the listener is never called inside a call that it makes.
        """
        if self._dispatcher is not None and self._listener is not None:
            self._dispatcher.call_soon(partial(self._call_listener, getattr(self._listener, callback), *args))

    def _notify_overflow(self) -> None:
        # The count is taken only now: frames that the owner sent in between were dropped, too.
        dropped_bytes = self._writer.take_dropped()
        if not self._is_ended and self._listener is not None:
            self._call_listener(self._listener.on_overflowed, dropped_bytes)

    def _call_listener(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            callback(*args)
        except Exception:
            logger.exception("%s: its owner failed in %s", self, callback, extra=self.log_fields)
            self.abort()

    def _watch_again(self) -> None:
        if not self._is_ended and self._dispatcher is not None:
            self._watch(reading=not self._is_paused, writing=self._writer.is_blocked)

    # The byte stream, of a subclass.

    @property
    def _receive_bytes(self) -> int:
        """The most bytes that one read may bring."""
        return SLOW_READ_BYTES if self._reads_slowly else RECEIVE_BYTES

    @abc.abstractmethod
    def _receive(self) -> bytes | None:
        """Return received bytes: None if there are none now, `b""` at the end of the stream.

        Raises:
            OSError: the stream is broken.
        """

    @abc.abstractmethod
    def transmit(self, data: bytes | memoryview, /) -> int:
        """Write some of `data`; see `WriterOwner.transmit`."""

    @abc.abstractmethod
    def _watch(self, *, reading: bool, writing: bool) -> None:
        """Call `_read` when there is something to read, and the writer's `flush` when there is room to write."""

    @abc.abstractmethod
    def _hang_up(self) -> None:
        """Shut the stream after the bytes that are written, without the dispatcher. Any thread may call this method."""

    @abc.abstractmethod
    def _shut_writing(self) -> None:
        """Signal the peer that no byte follows, if the stream can."""

    @abc.abstractmethod
    def _release(self) -> None:
        """Stop watching the stream, and close it."""


_HANDLERS: Final[dict[type[frames.Event], Callable[[ProtocolConnection, Any], None]]] = {
    str: ProtocolConnection._on_text,  # noqa: SLF001 - the table of this class
    bytes: ProtocolConnection._on_binary,  # noqa: SLF001
    frames.Ping: ProtocolConnection._on_ping,  # noqa: SLF001
    frames.Pong: ProtocolConnection._on_pong,  # noqa: SLF001
    frames.Close: ProtocolConnection._on_close,  # noqa: SLF001
    frames.ProtocolViolation: ProtocolConnection._on_violation,  # noqa: SLF001
}
