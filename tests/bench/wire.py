"""A minimal WebSocket for the load generator and the stub. It costs much less than the measured systems.

It has one thread, one epoll, no fragments and no extensions. It suits only peers of the benchmark on the same machine.
"""

import itertools
import select
import socket
import time

import orjson
from websockets.frames import apply_mask

from tests.bench.handshake import Answering, Asking, Refused

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

RECEIVED = memoryview(bytearray(256 * 1024))
"""The buffer for received bytes of all connections. A buffer of this size for each would be mapped every time."""
TICK_NS = 250_000
"""The least time in ns between two rounds of sending, because a wake-up costs more than a message."""


class Loop:
    """Waits for sockets until a moment, exactly."""

    def __init__(self):
        self._epoll = select.epoll()
        self._callbacks = {}

    def watch(self, fd, callback, *, reading=True, writing=False):
        """Call `callback(mask)` when `fd` is ready, and always when its peer ends."""
        events = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if writing else 0)
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd):
        """Stop watching `fd`."""
        if self._callbacks.pop(fd, None):
            self._epoll.unregister(fd)

    def turn(self, until_ns=None):
        """Serve the sockets that are ready, or become ready before `until_ns` (monotonic), and return."""
        # epoll counts in whole milliseconds, select in microseconds: so select waits, on the epoll.
        ready = self._epoll.poll(0)
        if not ready:
            wait_s = None if until_ns is None else max(0, until_ns - time.monotonic_ns()) / 1e9
            if not select.select([self._epoll.fileno()], [], [], wait_s)[0]:
                return
            ready = self._epoll.poll(0)
        for fd, mask in ready:
            callback = self._callbacks.get(fd)
            if callback:
                callback(mask)


class Wire:
    """A WebSocket from its handshake on. `on_message(opcode, payload)` is called with every text and binary message."""

    def __init__(self, loop, connection, handshake, *, mask=None):
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_open = True
        self.failure = None
        """The peer's answer in place of a handshake, or None."""
        self.on_open = lambda: None
        self.on_message = lambda _opcode, _payload: None
        self.on_closed = lambda: None
        self.on_drained = lambda: None
        """Called when everything was sent."""
        self._loop = loop
        self._connection = connection
        self._handshake = handshake
        self._mask = mask
        self._is_reading = True
        self._rest = b""
        self._unsent = b""
        self._watch()
        if handshake.opening:
            self.write(handshake.opening)

    @property
    def port(self):
        """The port of this end."""
        return self._connection.getsockname()[1]

    @property
    def is_blocked(self):
        """Whether bytes wait until the peer reads."""
        return bool(self._unsent)

    def send(self, opcode, payload):
        """Send one message at once, or as soon as the peer reads."""
        self.write(self.frame(opcode, payload))

    def send_json(self, event):
        """Send an event as a JSON text."""
        self.send(TEXT, orjson.dumps(event))

    def stop_reading(self):
        """Read nothing from now on, so that the kernel's buffers fill."""
        self._is_reading = False
        self._watch()

    def close(self):
        """Send a close frame, and end the connection."""
        if self.is_open:
            self.send(CLOSE, (1000).to_bytes(2, "big"))
            self.end()

    def end(self):
        """End the connection."""
        if self.is_open:
            self.is_open = False
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self.on_closed()

    def frame(self, opcode, payload):
        """Return one message as bytes. The mask of a connection never changes, so the bytes can be kept."""
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

    def write(self, data):
        """Send the bytes of frames."""
        if self._unsent:
            self._unsent += data
            return
        self._transmit(data)
        if self._unsent:
            self._watch()

    def _transmit(self, data):
        try:
            sent = self._connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.end()
            return
        self._unsent = data[sent:]

    def _watch(self):
        if self.is_open:
            fd = self._connection.fileno()
            self._loop.watch(fd, self._on_ready, reading=self._is_reading, writing=bool(self._unsent))

    def _on_ready(self, mask):
        if mask & select.EPOLLOUT and self._unsent:
            unsent, self._unsent = self._unsent, b""
            self._transmit(unsent)
            if not self._unsent and self.is_open:
                self._watch()
                self.on_drained()
        if not self.is_open:
            return
        if self._is_reading and mask & ~select.EPOLLOUT:
            self._read()
        elif mask & (select.EPOLLERR | select.EPOLLHUP):
            self.end()

    def _read(self):
        try:
            size = self._connection.recv_into(RECEIVED)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.end()
            return
        data = bytes(RECEIVED[:size])
        if self._handshake is not None:
            self._shake_hands(data)
        else:
            self._parse(self._rest + data if self._rest else data)

    def _shake_hands(self, data):
        try:
            done = self._handshake.feed(data)
        except Refused as refused:
            self.failure = str(refused)
            self.end()
            return
        if done:
            self._handshake = None
            answer, rest = done
            if answer:
                self.write(answer)
            self.on_open()
            self._parse(rest)

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


_masks = itertools.count(0x5DEECE66)


def connect(loop, host, port, path, headers=()):
    """Open a client connection without waiting. `on_open` is called at its handshake."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex((host, port))
    mask = next(_masks).to_bytes(4, "big")
    return Wire(loop, connection, Asking(host, port, path, headers), mask=mask)


def accept(loop, connection):
    """Accept a server connection without waiting. `on_open` is called at its handshake."""
    return Wire(loop, connection, Answering())
