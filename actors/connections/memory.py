"""The fake connection of this package: its peer is a test in the same process.

`memory_pair` gives the actor's end and the test's end; `memory_link` gives two ends for two actors. An actor's end is
the same `ProtocolConnection` as the real ones, over a byte stream in memory: it behaves as they do.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import Final, Protocol

from actors.connections import frames
from actors.connections.base import ConnectionClosed, ConnectionLimits, Ending
from actors.connections.close_codes import CloseCode
from actors.connections.protocol import ProtocolConnection

RECEIVE_TIMEOUT_S: Final = 5.0


class Peer(Protocol):
    """The other end of a memory connection. Its methods are called on the thread of the connection's dispatcher."""

    def take(self, data: bytes) -> int:
        """Take written bytes. Return how many were taken; 0 while the peer does not read."""

    def lose(self) -> None:
        """Note that the stream has ended."""


class MemoryConnection(ProtocolConnection):
    """An actor's end of a connection in memory. `memory_pair` and `memory_link` make it."""

    memory_peer: Peer

    def __init__(self, limits: ConnectionLimits, *, is_server: bool = True) -> None:
        super().__init__(is_server=is_server, limits=limits, peer="memory")
        self._incoming: deque[bytes | OSError] = deque()
        self._is_reading = False

    def arrive(self, data: bytes | OSError) -> None:
        """Take bytes that the peer wrote; `b""` is the end of its stream. Any thread may call this method."""
        self._incoming.append(data)
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._on_readable)

    def make_room(self) -> None:
        """Write again, because the peer reads. Any thread may call this method."""
        if self._dispatcher is not None:
            self._dispatcher.call_soon(self._on_writable)

    def _on_readable(self) -> None:
        if self._is_reading:
            self._read()
            self._watch_again()

    def _on_writable(self) -> None:
        if self._writer.is_blocked:
            self._writer.flush()

    def _receive(self) -> bytes | None:
        if not self._incoming:
            return None
        data = self._incoming.popleft()
        if isinstance(data, OSError):
            raise data
        return data

    def transmit(self, data: bytes | memoryview, /) -> int:
        """Hand `data` to the peer; see `WriterOwner.transmit`."""
        return self.memory_peer.take(bytes(data))

    def _watch(self, *, reading: bool, writing: bool) -> None:  # noqa: ARG002 - make_room() tells of room
        self._is_reading = reading
        if reading and self._incoming and self._dispatcher is not None:
            self._dispatcher.call_soon(self._on_readable)

    def _hang_up(self) -> None:
        self.memory_peer.lose()

    def _shut_writing(self) -> None:
        """Do nothing, because the peer hangs up by itself when it gets the close frame."""

    def _release(self) -> None:
        self._is_reading = False
        self._incoming.clear()
        self.memory_peer.lose()


class MemoryPeer:
    """The test's end of a connection in memory: a well-behaved client.

    All methods may be called from any thread; only `receive` waits. It answers pings and close frames by itself, unless
    it has stopped reading. Messages that it sends once the connection has ended are dropped.
    """

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection
        # Reentrant: once the dispatcher has ended, `arrive` runs the connection on this thread, which may call `lose`.
        self._lock = threading.RLock()
        self._received: queue.SimpleQueue[str | bytes | ConnectionClosed] = queue.SimpleQueue()
        self._parser = frames.FrameParser(is_server=False, max_message_bytes=2**62)  # no bound
        self._is_reading = True
        self._own_close: ConnectionClosed | None = None
        self._closed: ConnectionClosed | None = None

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self.send_bytes(*frames.text_frames(text, mask=True, max_frame_bytes=max(1, len(text) * 4)))

    def send_binary(self, data: bytes) -> None:
        """Send one binary message."""
        self.send_bytes(*frames.binary_frames(data, mask=True, max_frame_bytes=max(1, len(data))))

    def send_bytes(self, *data: bytes) -> None:
        """Send raw bytes: frames that the test has built."""
        with self._lock:
            if self._closed is None:
                for some in data:
                    self._connection.arrive(some)

    def receive(self, timeout_s: float = RECEIVE_TIMEOUT_S) -> str | bytes | ConnectionClosed:
        """Return the next message, or the end as the peer sees it. Each call after the end returns the end again.

        Raises:
            TimeoutError: nothing came in time.
        """
        try:
            message = self._received.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f"nothing received within {timeout_s:g} s") from None
        if isinstance(message, ConnectionClosed):
            self._received.put(message)
        return message

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the close handshake."""
        with self._lock:
            if self._own_close is None and self._closed is None:
                self._own_close = ConnectionClosed(ending=Ending.CLOSED_BY_US, code=code, reason=reason)
                self._connection.arrive(frames.close_frame(code, reason, mask=True))

    def hang_up(self) -> None:
        """End the stream from the peer to the connection without a close frame (a half-close)."""
        self._connection.arrive(b"")

    def reset(self) -> None:
        """Reset the stream."""
        self._connection.arrive(ConnectionResetError("reset by the test"))

    def stop_reading(self) -> None:
        """Stop taking bytes, like a peer whose buffers are full."""
        with self._lock:
            self._is_reading = False

    def read_again(self) -> None:
        """Take bytes again."""
        with self._lock:
            self._is_reading = True
        self._connection.make_room()

    # For the connection, on its dispatcher's thread.

    def take(self, data: bytes) -> int:
        """Take bytes that the connection writes; see `Peer.take`."""
        with self._lock:
            if not self._is_reading:
                return 0
            for event in self._parser.feed(data):
                self._handle(event)
            return len(data)

    def lose(self) -> None:
        """Note that the stream has ended."""
        with self._lock:
            self._end(self._own_close or ConnectionClosed(ending=Ending.RESET, code=CloseCode.ABNORMAL_CLOSURE))

    def _handle(self, event: frames.Event) -> None:
        match event:
            case str() | bytes():
                self._received.put(event)
            case frames.Ping(payload):
                self._connection.arrive(frames.pong_frame(payload, mask=True))
            case frames.Close(code, reason):
                self._take_close(code, reason)
            case frames.ProtocolViolation(_, description):
                raise AssertionError(description)

    def _take_close(self, code: int, reason: str) -> None:
        # A client answers a close frame, and leaves the stream to the server to close (RFC 6455, 7.1.1); a test cannot
        # tell the difference, so the end of the stream follows at once.
        if self._own_close is None:
            self._connection.arrive(frames.close_frame(code, mask=True))
            self._connection.arrive(b"")
        self._end(self._own_close or ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=code, reason=reason))

    def _end(self, closed: ConnectionClosed) -> None:
        if self._closed is None:
            self._closed = closed
            self._received.put(closed)


def memory_pair(limits: ConnectionLimits | None = None) -> tuple[MemoryConnection, MemoryPeer]:
    """Return a connection for an actor, and the peer that a test plays."""
    connection = MemoryConnection(limits or ConnectionLimits())
    peer = MemoryPeer(connection)
    connection.memory_peer = peer
    return connection, peer


class _OtherEnd:
    """A connection in the role of the peer of another connection."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection

    def take(self, data: bytes) -> int:
        """Pass bytes to the connection."""
        self._connection.arrive(data)
        return len(data)

    def lose(self) -> None:
        """Pass the end of the stream to the connection."""
        self._connection.arrive(b"")


def memory_link(limits: ConnectionLimits | None = None) -> tuple[MemoryConnection, MemoryConnection]:
    """Return the client's and the server's end of one connection, for two actors of the same or two dispatchers."""
    client = MemoryConnection(limits or ConnectionLimits(), is_server=False)
    server = MemoryConnection(limits or ConnectionLimits())
    client.memory_peer, server.memory_peer = _OtherEnd(server), _OtherEnd(client)
    return client, server
