"""Requests that have not arrived yet: their TLS handshakes and heads, read by the loop of a worker without a thread.

A request gets a thread when its whole head has arrived, and each kind of request has separate threads. So a client that
sends slowly, or does not read its answer, delays neither the calls nor the health checks of others.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import re
import selectors
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING, Any, Final

import gunicorn.sock
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

from router.access.session_limits import group_of
from router.config.model import HEALTH_PATH, READY_PATH
from router.web.response import BodyLateError

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST_S: Final = 10.0
"""Seconds for a whole request, head and body, from its first byte. The time of a TLS handshake counts, too."""

DRAIN_S: Final = 0.05
"""Seconds for the rest of a body that the response did not need.

If the rest takes longer, the router closes the connection.
"""

LINGER_S: Final = 2.0
"""Seconds in which a client may close after the last response.

If the router closed earlier, the client might not receive the whole response.
"""

SEND_S: Final = 10
"""The longest time in seconds in which a write of a response may make no progress."""

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_WAITING: Final = 2048
"""The most connections without a whole head.

Beyond it, the address with the most such connections loses its oldest one.
"""
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""The most bytes of all unfinished heads. Beyond it a connection is closed as for `MAX_WAITING`."""

_READ_BYTES: Final = 16 * 1024
_END: Final = b"\r\n\r\n"
"""The end of a head. It is an end for gunicorn's parser, too: otherwise the parser would wait, and hold a thread."""
_PROXY_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXY_V2_HEAD: Final = 16
_HEALTH: Final = re.compile(rb"(?m)^(?:GET|HEAD) (?:%s|%s)[ ?]" % (HEALTH_PATH.encode(), READY_PATH.encode()))
_UPGRADE: Final = re.compile(rb"\n(?i:upgrade)[ \t]*:")
_CREDENTIAL: Final = re.compile(rb"(?i)authorization|sec-websocket-protocol|token")
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Kind(enum.Enum):
    """The kinds of requests, each with separate threads."""

    HEALTH = enum.auto()
    """A health check without a credential. It waits for no hook, and its response fits into every buffer."""
    UPGRADE = enum.auto()
    """The beginning of a call."""
    OTHER = enum.auto()
    """Pages and tokens: such a request may have a body, and a response that its client reads slowly."""


def kind_of(head: bytes) -> Kind:
    """Return the kind of a request, by the request line and the headers."""
    if _HEALTH.search(head) and not _CREDENTIAL.search(head):
        return Kind.HEALTH
    return Kind.UPGRADE if _UPGRADE.search(head) else Kind.OTHER


def end_of_head(received: bytes | bytearray, known: int = 0) -> int:
    """Return the number of bytes up to the end of a head; 0 while the head is incomplete.

    The first `known` bytes contain no end, as the caller knows. So a head that arrives byte by byte is searched only
    once.
    """
    start = 0
    if received[:12] == _PROXY_V2[: len(received[:12])] and len(received) > 1:
        # The header of the PROXY protocol, version 2, contains an empty line.
        if len(received) < _PROXY_V2_HEAD:
            return 0
        start = _PROXY_V2_HEAD + int.from_bytes(received[14:16], "big")
    found = received.find(_END, max(start, known - len(_END) + 1))
    return found + len(_END) if found >= 0 else 0


class TimedUnreader(SocketUnreader):  # type: ignore[misc]
    """gunicorn's reader of one connection, with a deadline for each request."""

    until_s = 0.0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read from the socket until the deadline.

        Raises:
            BodyLateError: the deadline has passed.
        """
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise BodyLateError
        self.sock.settimeout(left_s)
        try:
            data: bytes = super().chunk(size_hint)
        except TimeoutError as error:
            raise BodyLateError from error
        finally:
            with contextlib.suppress(OSError):
                self.sock.setblocking(True)
        return data


class _Arriving:
    """A connection whose next request has not arrived whole."""

    __slots__ = ("conn", "group", "is_handshaking", "received", "until_s")

    def __init__(self, conn: Any, until_s: float) -> None:
        self.conn = conn
        self.group = group_of(conn.client[0]) if isinstance(conn.client, tuple) else ""
        self.received = bytearray()
        self.until_s = until_s
        self.is_handshaking = False


class Intake:
    """The connections of one worker that wait for a head. Only the thread of the worker's loop may call its methods.

    Args:
        poller: the worker's selector.
        on_whole: called with a connection whose head has arrived, and the kind of its request.
        on_lost: called with a connection that is late, closed, too large, or too many.
    """

    def __init__(self, poller: Any, on_whole: Callable[[Any, Kind], None], on_lost: Callable[[Any], None]) -> None:
        self._poller = poller
        self._on_whole = on_whole
        self._on_lost = on_lost
        # Dictionaries serve as ordered sets: the first entry of each has the earliest deadline.
        self._silent: dict[_Arriving, None] = {}
        self._started: dict[_Arriving, None] = {}
        self._closing: dict[_Arriving, None] = {}
        self._groups: dict[str, dict[_Arriving, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._silent) + len(self._started) + len(self._closing)

    def add(self, conn: Any) -> None:
        """Begin to wait for the next request of a connection, which is new or was kept alive."""
        arriving = _Arriving(conn, time.monotonic() + conn.cfg.keepalive)
        self._silent[arriving] = None
        self._groups.setdefault(arriving.group, {})[arriving] = None
        try:
            self._prepare(arriving)
            self._poller.register(conn.sock, selectors.EVENT_READ, functools.partial(self._on_readable, arriving))
        except (OSError, ValueError):
            self._lose(arriving)
            return
        if conn.parser.unreader.buf.getvalue():  # a part of the next request came with the last one
            self._on_readable(arriving, conn.sock)
        self._make_room()

    def linger(self, conn: Any) -> None:
        """Close a connection when its client has closed it, and at the latest after `LINGER_S`.

        gunicorn's own method would make the loop wait for the client. A connection whose socket was handed over holds a
        dead socket, and is closed at once.
        """
        arriving = _Arriving(conn, time.monotonic() + LINGER_S)
        self._closing[arriving] = None
        self._groups.setdefault(arriving.group, {})[arriving] = None
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self._poller.register(conn.sock, selectors.EVENT_READ, functools.partial(self._discard, arriving))
        except (OSError, ValueError):
            self._lose(arriving)
            return
        self._discard(arriving, conn.sock)
        self._make_room()

    def expire(self) -> None:
        """Close the connections whose deadline has passed."""
        now_s = time.monotonic()
        for waiting in (self._silent, self._started, self._closing):
            for arriving in list(waiting):
                if arriving.until_s > now_s:
                    break
                self._lose(arriving)

    def close(self) -> None:
        """Close all connections."""
        for arriving in (*self._silent, *self._started, *self._closing):
            self._lose(arriving)

    # Steps.

    def _prepare(self, arriving: _Arriving) -> None:
        conn = arriving.conn
        if not conn.initialized:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_S, 0))
            if conn.cfg.is_ssl:
                conn.sock = gunicorn.sock.ssl_wrap_socket(conn.sock, conn.cfg)
                arriving.is_handshaking = True
            conn.parser = RequestParser(conn.cfg, conn.sock, conn.client)
            conn.parser.unreader = TimedUnreader(conn.sock)
            conn.initialized = True
        conn.sock.setblocking(False)

    def _on_readable(self, arriving: _Arriving, _sock: Any) -> None:
        if arriving in self._silent:
            del self._silent[arriving]
            self._started[arriving] = None
            arriving.until_s = time.monotonic() + REQUEST_S
        try:
            if arriving.is_handshaking:
                arriving.conn.sock.do_handshake()
                arriving.is_handshaking = False
            self._read(arriving)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            # A handshake is smaller than the send buffer of a socket, so a client whose buffer is full follows no
            # protocol.
            self._lose(arriving)
        except (OSError, ValueError):
            self._lose(arriving)
        if self._bytes > MAX_WAITING_BYTES:
            self._make_room()

    def _discard(self, arriving: _Arriving, sock: Any) -> None:
        try:
            if sock.recv(_READ_BYTES):
                return
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except (OSError, ValueError):
            pass
        self._lose(arriving)

    def _read(self, arriving: _Arriving) -> None:
        conn, received = arriving.conn, arriving.received
        known = len(received)
        self._extend(arriving, conn.parser.unreader.take_buffered())
        end = end_of_head(received, known)
        while not end:
            if len(received) > MAX_HEAD_BYTES:
                with contextlib.suppress(OSError):
                    conn.sock.send(_TOO_LARGE)
                self._lose(arriving)
                return
            # A plain socket keeps the bytes after the head: they may be the first frames of a session.
            data = conn.sock.recv(_READ_BYTES, 0 if conn.cfg.is_ssl else socket.MSG_PEEK)
            if not data:
                self._lose(arriving)
                return
            known = len(received)
            self._extend(arriving, data)
            end = end_of_head(received, known)
            if not conn.cfg.is_ssl:
                if end:
                    self._bytes -= len(received) - end
                    del received[end:]
                conn.sock.recv(len(received) - known)
        self._remove(arriving)
        conn.parser.unreader.unread(bytes(received))
        conn.parser.unreader.until_s = arriving.until_s
        conn.data_ready = True
        self._on_whole(conn, kind_of(bytes(received[:end])))

    def _extend(self, arriving: _Arriving, data: bytes) -> None:
        arriving.received += data
        self._bytes += len(data)

    def _make_room(self) -> None:
        while len(self) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            largest = max(self._groups.values(), key=len)
            self._lose(next(iter(largest)))

    def _remove(self, arriving: _Arriving) -> None:
        self._silent.pop(arriving, None)
        self._started.pop(arriving, None)
        self._closing.pop(arriving, None)
        group = self._groups.get(arriving.group)
        if group is not None:
            group.pop(arriving, None)
            if not group:
                del self._groups[arriving.group]
        self._bytes -= len(arriving.received)
        with contextlib.suppress(OSError, KeyError, ValueError):
            self._poller.unregister(arriving.conn.sock)

    def _lose(self, arriving: _Arriving) -> None:
        self._remove(arriving)
        self._on_lost(arriving.conn)
