"""The writer of a connection of an ASGI server: bounds the messages that wait, and gives them a deadline.

`asgi` uses this writer as `protocol` uses `writer`. The server writes the bytes, so this writer handles whole messages,
which leave through a `Passage`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from actors.connections.passage import Close, End, size_bytes
from actors.traffic import NO_TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.connections.base import ConnectionLimits
    from actors.connections.passage import Item, Passage
    from actors.dispatcher import Dispatcher
    from actors.timers import Timer

logger = logging.getLogger(__name__)


class AsgiWriterOwner(Protocol):
    """The connection that a writer belongs to. Every method except `wake_loop` is called on the dispatcher's thread."""

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the connection."""

    def on_backlog(self) -> None:
        """Handle that more messages wait, or that the server took some of the waiting messages."""

    def on_write_overflowed(self) -> None:
        """Handle the first overflow; see `AsgiWriter.take_dropped`."""

    def on_write_stalled(self) -> None:
        """Handle that the server took no message within `write_stall_s`."""

    def wake_loop(self) -> None:
        """Make the server's event loop look at the passage."""


class AsgiWriter:
    """The messages that one connection sends, on their way into its passage."""

    __slots__ = (
        "_dispatcher",
        "_dropped_bytes",
        "_is_flush_due",
        "_limits",
        "_owner",
        "_passage",
        "_stall",
        "_stalled_at_bytes",
        "_traffic",
        "overflows",
    )

    def __init__(self, owner: AsgiWriterOwner, passage: Passage, limits: ConnectionLimits) -> None:
        self._owner: AsgiWriterOwner | None = owner
        self._passage = passage
        self._limits = limits
        self._dispatcher: Dispatcher | None = None
        self._traffic = NO_TRAFFIC
        self._is_flush_due = False
        self._dropped_bytes: int | None = None
        """Bytes that an overflow dropped, until the owner takes the count."""
        self._stall: Timer | None = None
        self._stalled_at_bytes = -1
        """The bytes that the server had taken when the timer `_stall` was started."""
        self.overflows = 0

    def open(self, dispatcher: Dispatcher) -> None:
        """Begin to watch and count the messages that wait."""
        self._dispatcher = dispatcher
        self._traffic = dispatcher.client_traffic
        self._stall = dispatcher.timer(self._on_stall_deadline)
        self._flush()

    def close(self) -> None:
        """Release the owner, and stop the timer."""
        self._owner = None
        if self._stall is not None:
            self._stall.discard()

    @property
    def takes_last_text_alone(self) -> bool:
        """Whether the owner was notified of an overflow. Then a last text is still taken, but no binary message."""
        return self.overflows > 0 and self._dropped_bytes is None

    def send(self, messages: Sequence[str | bytes]) -> None:
        """Queue the messages of one call of `send_text` or `send_binary`."""
        size = sum(map(size_bytes, messages))
        if self._dropped_bytes is not None:  # the owner does not know of the overflow yet
            self._dropped_bytes += size
            return
        self._traffic.sent_messages += len(messages)
        self._traffic.sent_bytes += size
        for message in messages:
            self._passage.put(message)
        if self._passage.backlog_bytes > self._limits.write_buffer_bytes:
            self._overflow()
        self._flush_later()

    def put(self, item: Item) -> None:
        """Queue a probe or a close frame after the messages. The bound for messages does not apply."""
        self._passage.put(item)
        self._flush_later()

    def put_last(self, closing: Close, last_text: str | None = None) -> None:
        """Queue a last text and the close frame after the messages, without the dispatcher.

        Any thread may call this method.
        """
        if last_text is not None:
            self._passage.put(last_text)
        self._passage.put(closing)
        self._passage.put(End())
        if self._owner is not None:
            self._owner.wake_loop()

    def take_dropped(self) -> int:
        """Return how many bytes were dropped since the overflow. From now on the writer takes messages again."""
        dropped_bytes, self._dropped_bytes = self._dropped_bytes or 0, None
        return dropped_bytes

    def _overflow(self) -> None:
        self.overflows += 1
        dropped_bytes = self._passage.drop_backlog()
        self._traffic.dropped_bytes += dropped_bytes
        level = logging.WARNING if self.overflows == 1 else logging.DEBUG
        fields = self._owner.log_fields if self._owner is not None else {}
        logger.log(level, "%s: write buffer overflowed, %d bytes dropped", self._owner, dropped_bytes, extra=fields)
        if self.overflows == 1:
            self._dropped_bytes = dropped_bytes
            if self._owner is not None:
                self._owner.on_write_overflowed()

    # To the loop.

    def _flush_later(self) -> None:
        if self._dispatcher is None:
            if self._owner is not None:
                self._owner.wake_loop()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._dispatcher.flush_later(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._owner is None or self._stall is None or not self._passage.has_outgoing:
            return
        self._owner.wake_loop()
        self._owner.on_backlog()
        if not self._stall.is_active:
            self._watch_stall(self._stall)

    def _watch_stall(self, stall: Timer) -> None:
        self._stalled_at_bytes = self._passage.taken_bytes
        stall.restart(self._limits.write_stall_s)

    def _on_stall_deadline(self) -> None:
        if self._owner is None or self._stall is None:
            return
        self._owner.on_backlog()
        if not self._passage.waiting_bytes:
            return
        if self._passage.taken_bytes != self._stalled_at_bytes:
            self._watch_stall(self._stall)
        else:
            self._owner.on_write_stalled()
