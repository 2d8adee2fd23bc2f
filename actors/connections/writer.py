"""The writer of a connection: frames are gathered, written, bounded, and given a deadline.

This module knows no frame format, no socket and no listener. Its owner, the connection of `protocol`, builds the frames
and supplies the byte stream. The owner decides what follows from an overflow, a stall or a failed write.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from actors.connections.outbox import Outbox
from actors.traffic import NO_TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from actors.connections.base import ConnectionLimits
    from actors.dispatcher import Dispatcher
    from actors.timers import Timer
    from actors.traffic import Traffic

logger = logging.getLogger(__name__)

INLINE_FLUSH_BYTES: Final = 128 * 1024
"""The bytes that may wait for the end of a turn.

The first write of a turn leaves at once. The others leave together at its end, or when more bytes wait.
"""


class WriterOwner(Protocol):
    """The connection that a writer belongs to.

    Its methods are called on the dispatcher's thread. Before `open`, its maker's thread may call `transmit`.
    """

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the connection."""

    def transmit(self, data: bytes | memoryview, /) -> int:
        """Write some of `data`. Return how many bytes the stream took: 0 while it is full.

        Raises:
            OSError: the stream is broken.
        """

    def on_written(self, *, is_moving_again: bool) -> None:
        """Handle a write to a slow peer, or during the close handshake.

        `is_moving_again` means that the stream was full before, and took bytes now.
        """

    def on_backlog(self) -> None:
        """Handle that many bytes wait, or that the stream took only a part of a frame."""

    def on_write_drained(self) -> None:
        """Handle that a busy writer has little left to write."""

    def on_write_overflowed(self) -> None:
        """Handle the first overflow; see `Writer.take_dropped`.

        At each further overflow the backlog is dropped again.
        """

    def on_write_stalled(self) -> None:
        """Handle that the peer took no byte within `write_stall_s`."""

    def on_write_failed(self) -> None:
        """Handle that the stream takes no bytes any more."""


class Writer:
    """The frames that one connection sends, on their way to its byte stream.

    Frames are queued in units, the frames of one call, which are kept or dropped together. Everything runs on the
    dispatcher's thread; before `open` frames only wait, unless `flush_unopened` writes them.
    """

    __slots__ = (
        "_calm_bytes",
        "_dispatcher",
        "_dropped_bytes",
        "_is_closing",
        "_is_flush_due",
        "_limits",
        "_owner",
        "_stall",
        "_traffic",
        "_was_busy",
        "_written_turn",
        "has_failed",
        "is_blocked",
        "is_closed",
        "outbox",
        "overflows",
    )

    def __init__(self, owner: WriterOwner, limits: ConnectionLimits) -> None:
        self._owner = owner
        self._limits = limits
        self.outbox = Outbox()
        self._calm_bytes = min(INLINE_FLUSH_BYTES, limits.high_water_bytes, limits.write_buffer_bytes)
        """The size up to which a backlog exceeds no bound. So one comparison replaces three for nearly every frame."""
        self._dispatcher: Dispatcher | None = None
        self._traffic = NO_TRAFFIC
        self._stall: Timer | None = None
        self._is_flush_due = False
        self._is_closing = False
        self._was_busy = False
        self._written_turn = -1
        """The dispatcher's turn in which a frame was last written at once."""
        self._dropped_bytes: int | None = None
        """Bytes that an overflow dropped, until the owner takes the count."""
        self.overflows = 0
        self.is_blocked = False
        """Whether the stream is full: it took no byte, or only a part of a write.

        The owner calls `flush` when the stream takes more.
        """
        self.has_failed = False
        """Whether a write failed: no frame is taken any more."""
        self.is_closed = False

    def open(self, dispatcher: Dispatcher, traffic: Traffic) -> None:
        """Write from now on, beginning with the frames that wait, and count in `traffic`."""
        self._dispatcher = dispatcher
        self._traffic = traffic
        if self.outbox.waiting_bytes:
            self._flush_later()

    def begin_close(self) -> None:
        """Apply no bound from now on, because the close frame follows."""
        self._is_closing = True

    def close(self) -> int:
        """Drop all frames, and forget the owner. Return how many bytes were unsent. Call this once."""
        self.is_closed = True
        if self._stall is not None:
            self._stall.discard()
        del self._owner  # it holds this writer: the two would stay in memory until the garbage collector runs
        return self.outbox.clear()

    @property
    def unsent(self) -> bytes | None:
        """The bytes that another writer has to write; None if this writer has failed, or has overflowed."""
        return None if self.has_failed or self.overflows else self.outbox.unsent()

    @property
    def is_busy(self) -> bool:
        """Whether more than `high_water_bytes` wait to be written."""
        return self.outbox.waiting_bytes > self._limits.high_water_bytes

    @property
    def waiting_bytes(self) -> int:
        """The bytes that wait to be written."""
        return self.outbox.waiting_bytes

    @property
    def is_cut(self) -> bool:
        """Whether the peer may have received a part of a frame, and not yet the rest."""
        return self.outbox.is_cut

    @property
    def takes_last_text_alone(self) -> bool:
        """Whether the owner was notified of an overflow. Then a last text is still taken, but no binary message."""
        return self.overflows > 0 and self._dropped_bytes is None

    # Queueing.

    def send(self, unit: list[bytes]) -> None:
        """Write or queue the frames of one call."""
        if self.has_failed:
            return
        frame = unit[0] if len(unit) == 1 else b"".join(unit)
        if self._dropped_bytes is not None and not self._is_closing:
            # The owner does not know of the overflow yet. A frame that followed the gap would be misunderstood.
            self._dropped_bytes += len(frame)
            return
        outbox, dispatcher, size_bytes = self.outbox, self._dispatcher, len(frame)
        traffic = self._traffic
        traffic.sent_messages += 1
        traffic.sent_bytes += size_bytes
        if dispatcher is None:
            outbox.append(frame)
            return
        # A closing connection only queues. Its close frame is flushed together with the frames that wait, and then its
        # end follows.
        if not outbox.waiting_bytes and self._written_turn != dispatcher.turns and not self._is_closing:
            self._written_turn = dispatcher.turns
            # Write at once: the first frame of a turn is nearly always the only one, and must not wait for others.
            try:
                taken_bytes = self._owner.transmit(frame)
            except OSError as error:
                self._fail(error)
                return
            if taken_bytes < size_bytes:
                self.keep_rest(frame, taken_bytes)
                self._bound()
            return
        outbox.append(frame)
        if outbox.waiting_bytes > self._calm_bytes:
            self._bound()
        elif not (self._is_flush_due or self.is_blocked):
            self._flush_later()

    def send_pong(self, pong: bytes) -> None:
        """Write a pong, or put it before the frames that wait. At most one pong waits before the backlog: the newest.

        Otherwise a peer that pings and reads nothing would fill the memory, even after the router's close frame.
        """
        if not self.outbox.waiting_bytes:
            self.send([pong])
        elif not self.has_failed:
            self.outbox.put_pong(pong)

    def keep_rest(self, unit: bytes, taken_bytes: int) -> None:
        """Queue the rest of a unit of which the stream took `taken_bytes`.

        The rest leaves first, and is never dropped.
        """
        self.outbox.append(unit)
        self.outbox.head()
        self.outbox.advance(taken_bytes)

    def drop_backlog(self) -> None:
        """Drop the backlog. The unit that is being written, and a pong that waits, stay."""
        self.outbox.drop_backlog()

    def take_dropped(self) -> int:
        """Return how many bytes were dropped since the overflow. From now on the writer takes frames again."""
        dropped_bytes, self._dropped_bytes = self._dropped_bytes or 0, None
        return dropped_bytes

    def _bound(self) -> None:
        """Flush the bytes that wait, or drop the backlog if it exceeds `write_buffer_bytes`.

        If the stream takes bytes, flush: now if more than `INLINE_FLUSH_BYTES` or `write_buffer_bytes` wait, and
        otherwise later in the turn. If the backlog still exceeds `write_buffer_bytes`, drop it, unless the connection
        is closing.
        """
        outbox, limits = self.outbox, self._limits
        # While the stream is full, a flush cannot help. Otherwise flush first, which may satisfy the bound.
        if not self.is_blocked:
            if outbox.waiting_bytes > min(INLINE_FLUSH_BYTES, limits.write_buffer_bytes):
                self.flush()
            elif not self._is_flush_due:
                self._flush_later()
        self._owner.on_backlog()
        if outbox.backlog_bytes > limits.write_buffer_bytes and not self._is_closing:
            self._overflow()
        elif self.is_busy:
            self._was_busy = True

    def _overflow(self) -> None:
        self.overflows += 1
        dropped_bytes = self.outbox.drop_backlog()
        self._traffic.dropped_bytes += dropped_bytes
        level = logging.WARNING if self.overflows == 1 else logging.DEBUG
        logger.log(
            level,
            "%s: write buffer overflowed, %d bytes dropped",
            *(self._owner, dropped_bytes),
            extra=self._owner.log_fields,
        )
        if self.overflows == 1:
            self._dropped_bytes = dropped_bytes
            self._owner.on_write_overflowed()

    # Writing.

    def flush(self) -> None:
        """Write until nothing is left, or the stream takes no more."""
        outbox, written_bytes = self.outbox, 0
        was_blocked, self.is_blocked = self.is_blocked, False
        while outbox.waiting_bytes and not self.is_blocked:
            try:
                taken_bytes = self._owner.transmit(outbox.head())
            except OSError as error:
                self._fail(error)
                return
            outbox.advance(taken_bytes)
            written_bytes += taken_bytes
            self.is_blocked = taken_bytes == 0
        # The owner is called only if the peer is slow, or the end is near: not for nearly every frame.
        if was_blocked or self.is_blocked or self._was_busy or self._is_closing:
            self._follow_up(written_bytes, was_blocked)

    def flush_unopened(self) -> None:
        """Write as much as the stream takes, without a dispatcher that could write the rest later."""
        outbox = self.outbox
        try:
            while outbox.waiting_bytes and (taken_bytes := self._owner.transmit(outbox.head())):
                outbox.advance(taken_bytes)
        except OSError as error:
            logger.debug("%s: write failed: %s", self._owner, error, extra=self._owner.log_fields)

    def _flush_later(self) -> None:
        assert self._dispatcher is not None  # noqa: S101 - callers looked
        self._is_flush_due = True
        self._dispatcher.flush_later(self._on_flush_due)

    def _on_flush_due(self) -> None:
        self._is_flush_due = False
        if not self.is_blocked:
            self.flush()

    def _follow_up(self, written_bytes: int, was_blocked: bool) -> None:
        if self.is_closed:  # a flush that was due when the connection ended
            return
        self._watch_stall(written_bytes)
        if self._was_busy and self.outbox.waiting_bytes <= self._limits.low_water_bytes:
            self._was_busy = False
            self._owner.on_write_drained()
        self._owner.on_written(is_moving_again=was_blocked and written_bytes > 0)

    def _watch_stall(self, written_bytes: int) -> None:
        if self._stall is None:
            assert self._dispatcher is not None  # noqa: S101 - nothing is flushed before `open`
            self._stall = self._dispatcher.timer(self._on_stalled)
        if not self.is_blocked:
            self._stall.cancel()
        elif written_bytes or not self._stall.is_active:  # any byte taken starts the time anew
            self._stall.restart(self._limits.write_stall_s)

    def _on_stalled(self) -> None:
        self._owner.on_write_stalled()

    def _fail(self, error: OSError) -> None:
        logger.debug("%s: write failed: %s", self._owner, error, extra=self._owner.log_fields)
        self.has_failed = True
        self.is_blocked = False
        self.outbox.clear()
        self._owner.on_write_failed()
