"""The narrow seam to the network: what a connection is to the actor that owns it.

Everything here happens on one dispatcher's thread. The real connections (`client`, `upstream`) and the
shipped fake (`memory`) pass the same tests. Nothing above this package knows a WebSocket library.
"""

from __future__ import annotations

import abc
import enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from actors.connections.close_codes import CloseCode

if TYPE_CHECKING:
    from actors.dispatcher import Dispatcher

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest message that a peer may send; a larger one is answered with close code 1009."""

MAX_FRAME_BYTES = 512 * 1024
"""The largest frame that we send: a longer text goes out fragmented, longer audio as several messages."""


class Ending(enum.Enum):
    """How a connection came to its end."""

    CLOSED_BY_PEER = "closed by the peer"
    """The peer began the close handshake."""
    CLOSED_BY_US = "closed by us"
    """We began it: `close` was called."""
    RESET = "reset"
    """The socket ended without a close frame."""
    TIMED_OUT = "timed out"
    """The peer answered no ping, or took no byte, within its deadline."""
    PROTOCOL_ERROR = "protocol error"
    """The peer broke RFC 6455; it was told with close code 1002, 1007 or 1009."""
    OVERFLOWED = "overflowed"
    """The peer did not read: the write buffer passed its bound, and the owner did not close in time."""


class ConnectionClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a connection, told exactly once.

    `code` and `reason` are those of the peer's close frame (or of ours, where we began or the peer broke the
    protocol); 1005 is a close frame without a code, 1006 no close frame at all (RFC 6455, 7.1.5).
    """

    ending: Ending
    code: int
    reason: str = ""


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and deadlines of one connection, in bytes and seconds."""

    write_buffer_bytes: int = 2 * 1024 * 1024
    """What may wait for a peer that does not read; beyond it the backlog is dropped and the owner told.

    The message that is being written does not count: one larger than this can be sent to a peer that reads.
    """
    low_water_bytes: int = 64 * 1024
    """`on_drained` is told when the write buffer falls to this after it has been above `high_water_bytes`."""
    high_water_bytes: int = 256 * 1024
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_frame_bytes: int = MAX_FRAME_BYTES
    join_binary_bytes: int = 0
    """Binary messages that are read at once are told as one, up to this size; 0: each by itself.

    For a peer that sends a stream: where we are behind, several of its messages cost as much as one.
    """
    ping_interval_s: float = 20.0
    """A ping is sent after so long without anything received; 0 switches pings off."""
    ping_timeout_s: float = 20.0
    """The peer must show life (a pong, or anything else) within this of a ping."""
    write_stall_s: float = 10.0
    """The longest that a non-empty write buffer may make no progress."""
    close_timeout_s: float = 2.0
    """The longest that `close` waits for the peer's close frame, and without patience for the backlog, too."""


class ConnectionListener(Protocol):
    """What the owner of a connection is told, on the dispatcher's thread, in order; never from inside its own call."""

    def on_text(self, text: str) -> None:
        """A text message arrived: whole, valid UTF-8."""

    def on_binary(self, data: bytes) -> None:
        """A binary message arrived: whole."""

    def on_overflowed(self, dropped_bytes: int) -> None:
        """The write buffer passed its bound and the backlog was dropped, at a frame border.

        What is sent from now on is taken again: a last word and `close`. A second overflow ends the connection.
        """

    def on_drained(self) -> None:
        """The write buffer, having been busy (`is_busy`), is nearly empty again."""

    def on_caught_up(self) -> None:
        """The peer has read all that was sent before a `probe`."""

    def on_closed(self, closed: ConnectionClosed) -> None:
        """The connection has ended. Exactly once, and the last call."""


class Connection(abc.ABC):
    """A WebSocket connection, open since before it was made, silent until `open`.

    `open`, `send_*`, `close`, `pause`, `resume` and `abort` are called on the dispatcher's thread; none of them
    blocks, and none of them calls the listener before it returns. After the end they do nothing.
    """

    __slots__ = ()

    @abc.abstractmethod
    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to read: from here on `listener` is told what arrives."""

    @abc.abstractmethod
    def send_text(self, text: str | bytes) -> None:
        """Send one text message (`bytes` are UTF-8 already), fragmented where it is longer than a frame may be."""

    @abc.abstractmethod
    def send_binary(self, data: bytes) -> None:
        """Send one binary message; longer than a frame may be, it goes out as several messages, cut at even offsets."""

    @abc.abstractmethod
    def probe(self) -> None:
        """Ask whether the peer reads: `on_caught_up` follows once it has read what was sent up to here."""

    @abc.abstractmethod
    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", linger_s: float = 0.0) -> None:
        """Begin the close handshake behind what is still to be written.

        `on_closed` follows in `close_timeout_s`, and where a backlog needs more, so much later as `linger_s` says.
        Messages that still arrive are ignored.
        """

    @abc.abstractmethod
    def abort(self) -> None:
        """End without a handshake, dropping what is unsent; told is RESET, 1006, or the close that was under way."""

    @abc.abstractmethod
    def abort_from_outside(self, last_word: str | None = None) -> None:
        """Say a last word, with close code 1011, and hang up: the dispatcher does not run. From any thread.

        Nothing is said to a peer that is in the middle of a message. Should the dispatcher go on after all, it finds
        a stream that has ended.
        """

    @abc.abstractmethod
    def pause(self) -> None:
        """Stop reading: the peer feels it through its own socket. Pings are not judged while paused."""

    @abc.abstractmethod
    def resume(self) -> None:
        """Read again."""

    @property
    @abc.abstractmethod
    def is_busy(self) -> bool:
        """Whether more than `high_water_bytes` wait to be written."""

    @property
    @abc.abstractmethod
    def peer(self) -> str:
        """The peer's address, for log lines."""
