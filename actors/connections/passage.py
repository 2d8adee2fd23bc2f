"""The two queues of messages between an event loop and a dispatcher, and the size of each.

One thread appends to a queue, and another one empties it. Each count of bytes has one thread that changes it. So no
method takes a lock. A passage knows no server, no connection and no listener.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from actors.connections.base import ConnectionClosed

if TYPE_CHECKING:
    from actors.connections.base import ConnectionLimits

INCOMING_BYTES: Final = 256 * 1024
"""The bytes that may wait for a dispatcher. Beyond them `receive` is not called, so that TCP slows the client down."""

MESSAGE_BYTES: Final = 64
"""The bytes that a message counts in addition to its content, because an empty message takes memory, too."""


class CaughtUp:
    """The server has taken every message that was sent before a probe."""


class Drained:
    """The queue of outgoing messages is nearly empty again."""


class CloseSent:
    """The server has taken the router's close frame, and does the rest of the handshake."""


Event = str | bytes | CaughtUp | Drained | CloseSent | ConnectionClosed
"""An entry of the queue from the client."""


class Probe:
    """A probe in the queue of outgoing messages; see `Connection.probe`."""


class Close(msgspec.Struct, frozen=True):
    """A close frame in the queue of outgoing messages."""

    code: int
    reason: str


class End:
    """The end of the outgoing messages."""


Item = str | bytes | Probe | Close | End
"""An entry of the queue to the client."""


def size_bytes(entry: Event | Item) -> int:
    """Return the size of a message on the wire; 0 for an entry that is no message."""
    if isinstance(entry, bytes):
        return len(entry)
    if isinstance(entry, str):
        return len(entry) if entry.isascii() else len(entry.encode(errors="surrogatepass"))
    return 0


def _price_bytes(event: Event) -> int:
    return size_bytes(event) + MESSAGE_BYTES


class Passage:
    """The queues of one connection.

    The dispatcher calls `put`, `drop_backlog` and `take`, and the loop `begin`, `note_taken` and `arrive`. If a
    dispatcher is stalled, the watchdog puts the last entries. If the loop is closed, the thread that finds this out
    calls `arrive` with the last event.
    """

    __slots__ = (
        "_arrived_bytes",
        "_begun_bytes",
        "_incoming",
        "_limits",
        "_outgoing",
        "_put_bytes",
        "_taken_bytes",
        "_unpacked_bytes",
        "_was_busy",
    )

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._outgoing: deque[Item] = deque()
        self._incoming: deque[Event] = deque()
        self._put_bytes = 0
        """The size of all messages for the client, without those that were dropped."""
        self._begun_bytes = 0
        """The size of the messages for the client that the loop has begun to send."""
        self._taken_bytes = 0
        """The size of the messages for the client that the server has taken."""
        self._arrived_bytes = 0
        """The price of all events from the client: their size, and `MESSAGE_BYTES` for each."""
        self._unpacked_bytes = 0
        """The price of the client's events that the dispatcher has taken."""
        self._was_busy = False

    # To the client.

    def put(self, item: Item) -> None:
        """Queue an entry for the server."""
        self._put_bytes += size_bytes(item)
        self._outgoing.append(item)
        if self.is_busy:
            self._was_busy = True

    def drop_backlog(self) -> int:
        """Drop the entries that the loop has not begun to send. Return the size of the messages among them."""
        dropped_bytes = 0
        with contextlib.suppress(IndexError):  # the loop takes from the other end meanwhile
            while True:
                dropped_bytes += size_bytes(self._outgoing.pop())
        self._put_bytes -= dropped_bytes
        return dropped_bytes

    @property
    def has_outgoing(self) -> bool:
        """Whether an entry waits for the loop."""
        return bool(self._outgoing)

    @property
    def waiting_bytes(self) -> int:
        """The size of the messages that the server has not taken."""
        return self._put_bytes - self._taken_bytes

    @property
    def backlog_bytes(self) -> int:
        """The size of the messages that the loop has not begun to send."""
        return self._put_bytes - self._begun_bytes

    @property
    def taken_bytes(self) -> int:
        """The size of all messages that the server has taken so far."""
        return self._taken_bytes

    @property
    def is_busy(self) -> bool:
        """Whether more than `high_water_bytes` of messages to the client wait until the server takes them."""
        return self.waiting_bytes > self._limits.high_water_bytes

    def begin(self) -> Item | None:
        """Return the next entry for the server, which the loop sends now; None if there is none."""
        # Do not check first: the dispatcher may drop the entry between the check and this step.
        try:
            item = self._outgoing.popleft()
        except IndexError:
            return None
        self._begun_bytes += size_bytes(item)
        return item

    def note_taken(self, item: Item) -> bool:
        """Note that the server took a message. Return whether the queue was busy, and is now drained."""
        self._taken_bytes += size_bytes(item)
        if not self._was_busy or self.waiting_bytes > self._limits.low_water_bytes:
            return False
        self._was_busy = False
        return True

    # From the client.

    def arrive(self, event: Event) -> None:
        """Queue an event for the dispatcher."""
        self._arrived_bytes += _price_bytes(event)
        self._incoming.append(event)

    def take(self, most: int) -> list[Event]:
        """Remove the next events for the dispatcher, at most `most`, and return them."""
        events: list[Event] = []
        while self._incoming and len(events) < most:
            event = self._incoming.popleft()
            self._unpacked_bytes += _price_bytes(event)
            events.append(event)
        return events

    @property
    def has_incoming(self) -> bool:
        """Whether an event waits for the dispatcher."""
        return bool(self._incoming)

    @property
    def unread_bytes(self) -> int:
        """The bytes of the events that wait for the dispatcher, as the bound on memory counts them."""
        return self._arrived_bytes - self._unpacked_bytes

    @property
    def is_full(self) -> bool:
        """Whether `receive` has to wait."""
        return self.unread_bytes > INCOMING_BYTES

    @property
    def has_room(self) -> bool:
        """Whether a receiver that waits for room may call `receive` again."""
        return self.unread_bytes <= INCOMING_BYTES // 2

    def excess(self, message: str | bytes) -> str:
        """Return a text that names the bound which a message exceeds, or an empty text."""
        size, limits = size_bytes(message), self._limits
        if isinstance(message, str) and limits.max_text_bytes < min(size, limits.max_message_bytes):
            return f"text message over {limits.max_text_bytes} bytes"
        return f"message over {limits.max_message_bytes} bytes" if size > limits.max_message_bytes else ""
