"""The least WebSocket a load generator and a stub need: far cheaper than what they measure.

One thread, one epoll, blocking handshakes, no fragments, no extensions. Good for peers on the same machine that we
started ourselves, and for nothing else.
"""

import base64
import hashlib
import itertools
import os
import select
import socket
import time

import orjson
from websockets.frames import apply_mask

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

HANDSHAKE_TIMEOUT_S = 15.0
GLANCE_NS = 10_000_000
"""How often the end of a run looks whether everything has come."""
RECEIVE_BYTES = 256 * 1024
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Loop:
    """Waits for sockets until a moment, exactly."""

    def __init__(self):
        self._epoll = select.epoll()
        self._callbacks = {}

    def watch(self, fd, callback, *, writable=False):
        """Call `callback(mask)` when `fd` is readable (or writable, where asked for)."""
        events = select.EPOLLIN | (select.EPOLLOUT if writable else 0)
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd):
        """Watch `fd` no more."""
        if self._callbacks.pop(fd, None):
            self._epoll.unregister(fd)

    def turn(self, until_ns=None):
        """Serve what is ready, or becomes ready before `until_ns` (monotonic); then return."""
        wait_s = None if until_ns is None else max(0, until_ns - time.monotonic_ns()) / 1e9
        # epoll counts in whole milliseconds, select in microseconds: so select waits, on the epoll.
        if select.select([self._epoll.fileno()], [], [], wait_s)[0]:
            for fd, mask in self._epoll.poll(0):
                callback = self._callbacks.get(fd)
                if callback:
                    callback(mask)


class Wire:
    """An open WebSocket: `on_message(opcode, payload)` is told every text and binary message."""

    def __init__(self, loop, connection, *, mask=None, rest=b""):
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_open = True
        self.on_message = lambda _opcode, _payload: None
        self.on_closed = lambda: None
        self._loop = loop
        self._connection = connection
        self._mask = mask
        self._rest = rest
        self._unsent = b""
        loop.watch(connection.fileno(), self._on_ready)

    def send(self, opcode, payload):
        """Send one message at once, or as soon as the peer reads."""
        data = self._frame(opcode, payload)
        if self._unsent:
            self._unsent += data
            return
        self._write(data)

    def send_json(self, event):
        """Send one JSON text."""
        self.send(TEXT, orjson.dumps(event))

    def close(self):
        """Say goodbye and hang up."""
        if self.is_open:
            self.send(CLOSE, (1000).to_bytes(2, "big"))
            self._end()

    def _frame(self, opcode, payload):
        size = len(payload)
        if size < 126:
            head = bytes((0x80 | opcode, size))
        elif size < 65536:
            head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
        if self._mask is None:
            return head + payload
        return bytes((head[0], head[1] | 0x80)) + head[2:] + self._mask + apply_mask(payload, self._mask)

    def _write(self, data):
        try:
            sent = self._connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end()
            return
        self._unsent = data[sent:]
        if self._unsent:
            self._loop.watch(self._connection.fileno(), self._on_ready, writable=True)

    def _on_ready(self, mask):
        if mask & select.EPOLLOUT and self._unsent:
            unsent, self._unsent = self._unsent, b""
            self._write(unsent)
            if self.is_open and not self._unsent:
                self._loop.watch(self._connection.fileno(), self._on_ready)
        if self.is_open and mask & ~select.EPOLLOUT:
            self._read()

    def _read(self):
        try:
            data = self._connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._parse(self._rest + data if self._rest else data)

    def _parse(self, data):
        at, size = 0, len(data)
        while size - at >= 2:
            opcode, length, start = data[at], data[at + 1] & 0x7F, at + 2
            if length == 126:
                length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif length == 127:
                length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            mask_at = start
            if data[at + 1] & 0x80:
                start += 4
            if start + length > size:
                break
            payload = data[start : start + length]
            at = start + length
            self._on_frame(opcode, apply_mask(payload, data[mask_at:start]) if start > mask_at else payload)
        self._rest = data[at:]

    def _on_frame(self, opcode, payload):
        if opcode in (0x80 | TEXT, 0x80 | BINARY):
            self.on_message(opcode & 0x0F, payload)
        elif opcode == 0x80 | PING:
            self.send(PONG, payload)
        elif opcode == 0x80 | CLOSE:
            self.close()
        elif opcode != 0x80 | PONG:
            raise ValueError(f"a frame this benchmark does not speak: {opcode:#x}")

    def _end(self):
        if self.is_open:
            self.is_open = False
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self.on_closed()


class Commands:
    """JSON lines from the process that started us: one `{name: argument}` each; its end is ours."""

    def __init__(self, loop, handlers):
        self.is_over = False
        self._handlers = handlers
        self._rest = b""
        loop.watch(0, self._on_ready)

    def _on_ready(self, _mask):
        data = os.read(0, RECEIVE_BYTES)
        self.is_over = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            for name, argument in orjson.loads(line).items():
                self._handlers[name](argument)


def say(answer):
    """Tell the process that started us."""
    print(orjson.dumps(answer).decode(), flush=True)


_masks = itertools.count(0x5DEECE66)


def connect(loop, host, port, path):
    """Client side: an open Wire."""
    connection = socket.create_connection((host, port), timeout=HANDSHAKE_TIMEOUT_S)
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    connection.sendall(request.encode())
    head, rest = _head(connection)
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise ConnectionError(f"no WebSocket at {host}:{port}{path}: {head[:200]!r}")
    return Wire(loop, connection, mask=next(_masks).to_bytes(4, "big"), rest=rest)


def accept(loop, connection):
    """Server side: an open Wire. Waits for the request, which our peers send at once."""
    connection.settimeout(HANDSHAKE_TIMEOUT_S)
    head, rest = _head(connection)
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    key = next(value for name, value in headers.items() if name.lower() == b"sec-websocket-key")
    token = base64.b64encode(hashlib.sha1(key.strip() + ACCEPT_GUID).digest())  # noqa: S324 - RFC 6455 says so
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
    )
    return Wire(loop, connection, rest=rest)


def _head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("closed during the handshake")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest
