"""A client on one thread, for tests that hold many conversations at once: no reader thread, no event loop.

`WireClient` dials a router, and `StreamClient` gets a stream after the handshake. A client records each frame with its
time, and the oracle judges each message. It answers pings while it reads, and can vanish as real clients do. The parser
of `websockets` reads the frames, but the client has its own rules: a library drops frames after a close frame, and a
test has to see them.
"""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Generator
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from tests.support.data.oracle import assert_message_of

RESET = struct.pack("ii", 1, 0)
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class SilenceError(AssertionError):
    """The `wanted` frame did not come in time. The error also has the frames that came instead."""

    def __init__(self, wanted: str, timeout_s: float, frames: list[Any]) -> None:
        self.wanted = wanted
        self.timeout_s = timeout_s
        self.frames = frames

    def __str__(self) -> str:
        return f"no {self.wanted} within {self.timeout_s:g} s after {told(self.frames)}"


class ClosedError(AssertionError):
    """The router closed the connection before the `wanted` frame came."""

    def __init__(self, wanted: str, code: int | None, frames: list[Any]) -> None:
        self.wanted = wanted
        self.code = code
        self.frames = frames

    def __str__(self) -> str:
        return f"closed ({self.code}) instead of {self.wanted} after {told(self.frames)}"


class Stream(Protocol):
    """The methods of a socket that a client uses."""

    def sendall(self, data: bytes, /) -> None: ...

    def recv(self, most_bytes: int, /) -> bytes: ...

    def settimeout(self, timeout_s: float, /) -> None: ...

    def close(self) -> None: ...


class StreamClient:
    """One WebSocket connection after its handshake, for use by one thread."""

    def __init__(self, stream: Stream, profile: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        """The monotonic clock of its waits."""
        self.frames: list[dict[str, Any] | bytes] = []
        self.times_s: list[float] = []
        """The arrival time of each frame, by the clock."""
        self.close_code: int | None = None
        """The code of the router's close frame; 1006 if the stream ended without a close frame."""
        self.after_close: list[Frame] = []
        """The frames after a close frame. There should be none."""
        self._taken = 0
        self.is_over = False
        """The stream has ended."""
        self._has_sent_close = False
        self._fragments: list[Frame] = []
        self._incoming = StreamReader()
        self._parser = self._parse()
        self._profile = profile
        self._stream = stream
        next(self._parser)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._stream.close()

    # What it says.

    def say(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        self.send_text(json.dumps({"type": kind, **fields}))

    def send_text(self, text: str) -> None:
        """Send text."""
        self._send(Opcode.TEXT, text.encode())

    def send_audio(self, pcm: bytes) -> None:
        """Send microphone audio."""
        self._send(Opcode.BINARY, pcm)

    # What it hears.

    def wait_for(self, kind: str, *, timeout_s: float) -> list[dict[str, Any] | bytes]:
        """Return all frames since the last call, up to the first message of this type.

        Raises:
            SilenceError: it did not come in time.
            ClosedError: the router closed.
        """
        return self.wait_until(lambda frame: isinstance(frame, dict) and frame["type"] == kind, kind, timeout_s)

    def wait_until(
        self, is_it: Callable[[dict[str, Any] | bytes], bool], wanted: str, timeout_s: float
    ) -> list[dict[str, Any] | bytes]:
        """Return all frames since the last call, up to the first that `is_it` accepts. Raises as `wait_for` does."""
        deadline_s = self.clock() + timeout_s
        start = self._taken
        while True:
            while self._taken < len(self.frames):
                self._taken += 1
                if is_it(self.frames[self._taken - 1]):
                    return self.frames[start : self._taken]
            if self.is_over:
                raise ClosedError(wanted, self.close_code, self.frames[start:])
            if not self._read(deadline_s):
                raise SilenceError(wanted, timeout_s, self.frames[start:])

    def wait_for_end(self, *, timeout_s: float) -> int:
        """Read until the end of the connection, and return the close code."""
        deadline_s = self.clock() + timeout_s
        while not self.is_over:
            if not self._read(deadline_s):
                raise SilenceError("close frame and end of the stream", timeout_s, self.frames[-10:])
        assert self.close_code is not None
        return self.close_code

    def close(self, *, timeout_s: float = 2.0) -> int:
        """Close with code 1000, and read until the end."""
        self._send_close(struct.pack("!H", 1000))
        return self.wait_for_end(timeout_s=timeout_s)

    def hear(self, duration_s: float) -> None:
        """Record all frames of this time, and leave them out of later waits."""
        deadline_s = self.clock() + duration_s
        while not self.is_over and self._read(deadline_s):
            pass
        self._taken = len(self.frames)

    # Steps.

    def _send(self, opcode: Opcode, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the peer is gone: reading will say so
            self._stream.sendall(Frame(opcode, data).serialize(mask=True))

    def _send_close(self, data: bytes) -> None:
        if not self._has_sent_close:
            self._has_sent_close = True
            self._send(Opcode.CLOSE, data)

    def _read(self, deadline_s: float) -> bool:
        """Read from the stream once, and record the frames. Return False if the deadline passed first."""
        self._stream.settimeout(max(0.001, deadline_s - self.clock()))
        try:
            data = self._stream.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if data:
            self._feed(data)
        else:
            self._over()
        return True

    def _feed(self, data: bytes) -> None:
        self._incoming.feed_data(data)
        next(self._parser)

    def _parse(self) -> Generator[None, None, None]:
        while True:
            frame = yield from Frame.parse(self._incoming.read_exact, mask=False, max_size=None)
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if self.close_code is not None:
            self.after_close.append(frame)
        elif frame.opcode is Opcode.PING:
            self._send(Opcode.PONG, bytes(frame.data))
        elif frame.opcode is Opcode.CLOSE:
            self.close_code = int.from_bytes(frame.data[:2], "big") if frame.data else 1005
            self._send_close(bytes(frame.data))
        elif frame.opcode is not Opcode.PONG:
            self._fragments.append(frame)
            if frame.fin:
                self._keep()

    def _keep(self) -> None:
        fragments, self._fragments = self._fragments, []
        data = b"".join(fragment.data for fragment in fragments)
        self.frames.append(self._judged(data) if fragments[0].opcode is Opcode.TEXT else data)
        self.times_s.append(self.clock())

    def _judged(self, data: bytes) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(data)
        assert_message_of(self._profile, message)
        return message

    def _over(self) -> None:
        self.is_over = True
        if self.close_code is None:
            self.close_code = 1006
        self._stream.close()


class WireClient(StreamClient):
    """One connection that it dialled to a router, for use by one thread."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout_s)
        try:
            rest = self._shake_hands(parts.netloc, parts.path or "/", timeout_s)
        except BaseException:
            self._socket.close()
            raise
        super().__init__(self._socket, parts.path.strip("/"))
        self._feed(rest)

    def reset(self) -> None:
        """Let the kernel reset the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._socket.close()

    def _shake_hands(self, host: str, path: str, timeout_s: float) -> bytes:
        """Perform the handshake, and return the bytes after the router's answer."""
        self._socket.sendall(UPGRADE.format(host=host, path=path).encode())
        self._socket.settimeout(timeout_s)
        head = b""
        while b"\r\n\r\n" not in head:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionRefusedError("the router hung up in the handshake")
            head += received
        head, _, rest = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionRefusedError(head.split(b"\r\n")[0].decode())
        return rest


def told(frames: list[Any]) -> str:
    """Return the frames on one line, with the length of audio in place of the audio."""
    return ", ".join(_shown(frame) for frame in frames) or "nothing"


def _shown(frame: dict[str, Any] | bytes) -> str:
    if isinstance(frame, bytes):
        return f"{len(frame)} B"
    said = frame.get("content") or frame.get("code") or ""
    return f"{frame['type']}({said})" if said else str(frame["type"])
