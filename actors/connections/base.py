"""The narrow seam to the network: the interface between a connection and the actor that owns it.

A connection works on one dispatcher's thread. The real connections (`client`, `upstream`) and the fake
(`memory`) pass the same tests. Nothing above this package knows a WebSocket library.
"""

from __future__ import annotations

import abc
import enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from actors.connections.close_codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from actors.dispatcher import Dispatcher
    from actors.footprint import Footprint

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest message that a peer may send; a larger one is answered with close code 1009."""

MAX_FRAME_BYTES = 512 * 1024
"""The largest frame that the router sends: a longer text goes out fragmented, longer audio as several messages."""


class Ending(enum.Enum):
    """The way in which a connection ended."""

    CLOSED_BY_PEER = "closed by the peer"
    """The peer began the close handshake."""
    CLOSED_BY_US = "closed by us"
    """The router began the close handshake: `close` was called."""
    RESET = "reset"
    """The socket ended without a close frame."""
    TIMED_OUT = "timed out"
    """The peer answered no ping, or took no byte, within its deadline."""
    PROTOCOL_ERROR = "protocol error"
    """The peer broke RFC 6455, and was sent close code 1002, 1007 or 1009."""
    OVERFLOWED = "overflowed"
    """The peer did not read: the write buffer exceeded its bound, and the peer took no byte for `write_stall_s`."""


class ConnectionClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a connection, reported once, unless `Connection.detach` has handed the stream over.

    `code` and `reason` are those of the peer's close frame. If the router began the close, or the peer broke the
    protocol, they are those of the router's close frame. Code 1005 means that the close frame had no code, and 1006
    that there was no close frame (RFC 6455, 7.1.5).
    """

    ending: Ending
    code: int
    reason: str = ""


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds and deadlines of one connection, in bytes and seconds.

    docs/decisions/0021-bounds-for-a-slow-client.md has the reason of each bound for a slow peer.
    """

    write_buffer_bytes: int = 2 * 1024 * 1024
    """The most bytes that may wait for a slow peer. Beyond it the backlog is dropped, and the owner notified.

    The message that is being written does not count: a message larger than this bound can be sent to a peer that reads.
    """
    low_water_bytes: int = 64 * 1024
    """`on_drained` is called when the write buffer falls to this size after it has been above `high_water_bytes`."""
    high_water_bytes: int = 256 * 1024
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_text_bytes: int = MAX_MESSAGE_BYTES
    """The largest text message that a peer may send, if it is lower than `max_message_bytes`."""
    max_frame_bytes: int = MAX_FRAME_BYTES
    join_binary_bytes: int = 0
    """Binary messages that are read at once are joined into one of up to this size; 0 joins none.

    Joining suits a peer that sends a stream: under load several of its messages then cost as much as one.
    """
    footprint: Footprint | None = None
    """The account of what all connections of a process hold together; None for no bound."""
    ping_interval_s: float = 20.0
    """A ping is sent after this many seconds in which no byte was received; 0 switches pings off."""
    ping_timeout_s: float = 20.0
    """The seconds after a ping within which the peer must send a pong, or any other byte."""
    write_stall_s: float = 10.0
    """The longest time in which a peer may take no byte of a write buffer that is not empty."""
    close_timeout_s: float = 2.0
    """The longest time from `close` to the peer's close frame, which includes writing the backlog."""


class Detached(msgspec.Struct, frozen=True):
    """The stream of a connection, which another process continues."""

    descriptor: int
    """The descriptor of the socket. The receiver of this object closes it."""
    unread: bytes
    """The bytes of a frame from the peer that is not whole yet."""
    unsent: bytes
    """The bytes that are not written yet. They may begin within a frame."""


class ConnectionListener(Protocol):
    """The owner of a connection.

    The connection calls the listener's methods on the dispatcher's thread, in order, and never inside a call that the
    listener makes.
    """

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the connection."""

    def on_text(self, text: str) -> None:
        """Handle a complete text message, which is valid UTF-8."""

    def on_binary(self, data: bytes) -> None:
        """Handle a complete binary message."""

    def on_late_text(self, text: str) -> None:
        """Handle a text message that arrived after `close`, ahead of the peer's close frame."""

    def on_overflowed(self, dropped_bytes: int) -> None:
        """Handle an overflow: the write buffer exceeded its bound, and the backlog was dropped at a frame border.

        The dropped frames are gone. The listener sends a last text and calls `close`: the buffer takes the text and the
        close frame. From now on binary messages are dropped. If the buffer overflows again, the texts that wait are
        dropped, too.
        """

    def on_evicted(self) -> None:
        """Handle that all peers together hold too much memory, and that this peer holds the most (`actors.footprint`).

        The peer's backlog and its unfinished message were dropped, and no message from it follows. The listener sends a
        last text and calls `close`.
        """

    def on_drained(self) -> None:
        """Handle that the write buffer, having been busy (`is_busy`), is nearly empty again."""

    def on_caught_up(self) -> None:
        """Handle that the peer has read every message that was sent before a `probe`."""

    def on_closed(self, closed: ConnectionClosed) -> None:
        """Handle the end of the connection.

        The connection calls this method once, and no other method after it. After `Connection.detach` it calls no
        method.
        """


class Connection(abc.ABC):
    """A WebSocket connection whose handshake is done, and which calls no listener until `open`.

    `open`, `send_*`, `close`, `pause`, `resume` and `abort` are called on the dispatcher's thread, except that before
    `open` any thread may close or abort. They do not block, and do not call the listener before they return. After the
    end they do nothing.
    """

    __slots__ = ()

    @abc.abstractmethod
    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to read. The connection calls `listener` from now on."""

    @abc.abstractmethod
    def send_text(self, text: str | bytes) -> None:
        """Send one text message (`bytes` are UTF-8 already), fragmented if it is longer than a frame may be."""

    @abc.abstractmethod
    def send_binary(self, data: bytes) -> None:
        """Send one binary message. If it is longer than a frame may be, send several messages.

        The message is cut at even offsets, so that no 16-bit sample is split.
        """

    @abc.abstractmethod
    def probe(self) -> None:
        """Ask whether the peer reads.

        `on_caught_up` follows once the peer has read the messages that were sent so far.
        """

    @abc.abstractmethod
    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", linger_s: float = 0.0) -> None:
        """Begin the close handshake after the messages that wait to be written.

        `on_closed` follows within `close_timeout_s`, or up to `linger_s` seconds later if the backlog takes longer. A
        text that still arrives goes to `on_late_text`, and other messages are ignored.
        """

    @abc.abstractmethod
    def abort(self) -> None:
        """End without a handshake, and drop unsent bytes.

        `on_closed` reports RESET and 1006, or the close whose handshake had begun already.
        """

    @abc.abstractmethod
    def abort_from_outside(self, last_text: str | None = None) -> None:
        """Send a last text with close code 1011, and hang up, because the dispatcher does not run.

        Any thread may call this method. If the peer has received only a part of a message, nothing is sent, because the
        text would corrupt that message. If the dispatcher runs again, it finds a stream that has ended.
        """

    @abc.abstractmethod
    def pause(self) -> None:
        """Stop reading, so that TCP slows the peer down. Meanwhile an unanswered ping does not end the connection."""

    @abc.abstractmethod
    def resume(self) -> None:
        """Read again."""

    @property
    def outlives_process(self) -> bool:
        """Whether another process continues the stream if this process dies now. Any thread may ask."""
        return False

    @property
    def is_detachable(self) -> bool:
        """Whether another process could continue the stream."""
        return False

    @property
    def can_detach(self) -> bool:
        """Whether `detach` would succeed now: no message that was read waits here, and no close has begun."""
        return False

    def detach(self) -> Detached | None:
        """Hand the stream over without a close frame, and call the listener no more.

        Return None if `can_detach` is false.
        """
        return None

    @property
    @abc.abstractmethod
    def is_busy(self) -> bool:
        """Whether more than `high_water_bytes` wait to be written."""

    @property
    @abc.abstractmethod
    def held_bytes(self) -> int:
        """The bytes that are kept for the peer: its unfinished message, and the messages that it has not read."""

    @property
    @abc.abstractmethod
    def peer(self) -> str:
        """The peer's address, for log lines."""


class AcceptedConnection(Connection):
    """The connection to a client whose request the router has accepted."""

    __slots__ = ()

    subprotocol: str | None
    """The subprotocol that was selected from the client's offer; None if there is none."""

    @abc.abstractmethod
    def wait_until_given_back(self) -> None:
        """Wait until the server may have its socket back; return at once if no thread of the server is held.

        Any thread may call this method.
        """
