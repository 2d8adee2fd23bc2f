"""Links for the tests of connections: a connection of the router, a peer that the test controls, and a recording owner.

The peers speak through wsproto, not through the code under test.
"""

import base64
import contextlib
import hashlib
import queue
import socket
import struct
import threading
from concurrent.futures import Future
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from wsproto import ConnectionType
from wsproto import events as wire
from wsproto.connection import Connection as Protocol

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.client import accept
from actors.connections.frames import text_frames
from actors.connections.memory import memory_pair
from actors.connections.stream import StreamConnection
from actors.connections.upstream import DialTarget, dial
from tests.support.engine.dispatching import WAIT_S, on

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The GUID of the handshake (RFC 6455, 1.3)."""

HANDSHAKE = (
    b"GET /openai HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

KINDS = ("memory", "unix-server", "unix-client", "tcp-server", "tls-server", "tls-client", "accepted", "dialled")
"""Every kind of connection: in memory, over each kind of socket in each role, and from `accept` and `dial`."""


class Recorder:
    """An owner of a connection that records its calls. The test's thread takes them."""

    def __init__(self):
        self.log_fields = {"session": "s"}
        self.calls = queue.SimpleQueue()
        self.closings = []
        self.late = []
        self.has_late = threading.Event()
        self.hooks = {}
        """Functions to call within the callback of a name, by that name."""

    def on_text(self, text):
        self._record("text", text)

    def on_binary(self, data):
        self._record("binary", data)

    def on_late_text(self, text):
        self.late.append(text)
        self.has_late.set()

    def on_overflowed(self, dropped_bytes):
        self._record("overflowed", dropped_bytes)

    def on_evicted(self):
        self._record("evicted", None)

    def on_drained(self):
        self._record("drained", None)

    def on_caught_up(self):
        self._record("caught up", None)

    def on_closed(self, closed):
        self.closings.append(closed)
        self._record("closed", closed)

    def _record(self, name, value):
        self.calls.put((name, value))
        hook = self.hooks.get(name)
        if hook is not None:
            hook(value)

    def next(self, name, *, ignoring=""):
        """Return the value of the next call, which must have this name. Calls with the name `ignoring` are skipped."""
        found, value = self.calls.get(timeout=WAIT_S)
        while found == ignoring:
            found, value = self.calls.get(timeout=WAIT_S)
        assert found == name, (found, value)
        return value

    def is_idle(self):
        """Whether every call has been taken."""
        return self.calls.empty()


class WirePeer:
    """The test's end of a socket, with the methods of `MemoryPeer`. It reads only within `receive`."""

    def __init__(self, sock, *, is_client):
        sock.settimeout(WAIT_S)
        self.sock = sock
        self.protocol = Protocol(ConnectionType.CLIENT if is_client else ConnectionType.SERVER)
        self.events = self.protocol.events()
        self.own_close = None
        self.closed = None
        self.text, self.data = [], []
        self.pongs = []
        self.pings = []

    def send_bytes(self, *data):
        for some in data:
            self.sock.sendall(some)

    def send_text(self, text):
        self.send_bytes(self.protocol.send(wire.TextMessage(data=text)))

    def send_binary(self, data):
        self.send_bytes(self.protocol.send(wire.BytesMessage(data=data)))

    def ping(self, payload):
        self.send_bytes(self.protocol.send(wire.Ping(payload=payload)))

    def close(self, code=1000, reason=""):
        self.own_close = ConnectionClosed(ending=Ending.CLOSED_BY_US, code=code, reason=reason)
        self.send_bytes(self.protocol.send(wire.CloseConnection(code=code, reason=reason)))

    def hang_up(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def stop_reading(self):
        """Do nothing: the peer reads only in `receive`."""

    def read_again(self):
        """Do nothing: the next `receive` reads."""

    def receive(self):
        while self.closed is None:
            for event in self.protocol.events():
                message = self._take(event)
                if message is not None:
                    return message
            self._read()
        return self.closed

    def _read(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.closed = self.own_close or ConnectionClosed(ending=Ending.RESET, code=1006)

    def _take(self, event):
        match event:
            case wire.TextMessage():
                return self._join(self.text, event, "")
            case wire.BytesMessage():
                return self._join(self.data, event, b"")
            case wire.Ping():
                self.pings.append(bytes(event.payload))
                self.send_bytes(self.protocol.send(event.response()))
            case wire.Pong():
                self.pongs.append(bytes(event.payload))
            case wire.CloseConnection():
                return self._take_close(event)
        return None

    def _take_close(self, event):
        if self.own_close is None:
            with contextlib.suppress(OSError):
                self.send_bytes(self.protocol.send(event.response()))
        code, reason = int(event.code), event.reason or ""
        self.closed = self.own_close or ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=code, reason=reason)
        return self.closed

    @staticmethod
    def _join(parts, event, empty):
        parts.append(event.data)
        if not event.message_finished:
            return None
        whole = empty.join(type(empty)(part) for part in parts)
        parts.clear()
        return whole

    def next_event(self):
        """Return the next frame as wsproto parses it: for tests of control frames."""
        while True:
            for event in self.protocol.events():
                return event
            data = self.sock.recv(65536)
            assert data, "the end"
            self.protocol.receive_data(data)


class Link:
    """A connection of the router, the peer that the test controls, and the thread of the owner."""

    def __init__(self, connection, peer, dispatcher):
        self.connection = connection
        self.peer = peer
        self.dispatcher = dispatcher
        self.listener = Recorder()

    def open(self):
        self.do(lambda: self.connection.open(self.dispatcher, self.listener))
        return self

    def do(self, call):
        """Run a call on the dispatcher's thread. Return its result, or raise its exception."""
        return on(self.dispatcher, call)

    def send_text(self, text):
        self.do(lambda: self.connection.send_text(text))

    def send_binary(self, data):
        self.do(lambda: self.connection.send_binary(data))

    def close(self, code=1000, reason=""):
        self.do(lambda: self.connection.close(code, reason))


def make_pair(kind, limits, stack, sockets):
    """Make a connection of a kind, and its peer."""
    if kind == "memory":
        return memory_pair(limits)
    if kind == "accepted":
        connection, sock = accepted_pair(stack, limits)
        return connection, WirePeer(sock, is_client=True)
    if kind == "dialled":
        connection, sock = dialled_pair(stack, limits)
        return connection, WirePeer(sock, is_client=False)
    family, role = kind.split("-")
    server, client = sockets(family)
    ours, theirs = (server, client) if role == "server" else (client, server)
    connection = StreamConnection(ours, is_server=role == "server", limits=limits)
    return connection, WirePeer(theirs, is_client=role == "server")


def tcp_pair(stack):
    """Make two ends of a TCP connection: the server's and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    return stack.enter_context(server), stack.enter_context(client)


def tls_pair(stack, tls):
    """Make two ends of a TLS connection: the server's and the client's."""
    server, client = tcp_pair(stack)
    for sock in (server, client):
        sock.settimeout(WAIT_S)
    box = Future()

    def shake():
        box.set_result(tls[0].wrap_socket(server, server_side=True))

    thread = threading.Thread(target=shake)
    thread.start()
    wrapped = tls[1].wrap_socket(client, server_hostname="localhost")
    thread.join()
    return stack.enter_context(box.result(0)), stack.enter_context(wrapped)


class _Handler(WSGIRequestHandler):
    """The standard library's WSGI server, with the request's socket in its environ as Werkzeug has it."""

    protocol_version = "HTTP/1.1"

    def get_environ(self):
        return super().get_environ() | {"werkzeug.socket": self.connection}

    def log_message(self, *_args):
        """Write nothing."""


@contextlib.contextmanager
def wsgi_server(application):
    """Serve an application on a thread. Yield the address."""
    server = WSGIServer(("127.0.0.1", 0), _Handler)
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="wsgi")
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        thread.join(WAIT_S)
        server.server_close()


def read_head(sock):
    """Read an HTTP head, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        some = sock.recv(1)
        assert some, head
        head += some
    return head


def accepted_pair(stack, limits):
    """Accept a client behind a WSGI server. The test itself writes the client's handshake."""
    box = Future()

    def application(environ, start_response):
        box.set_result(accept(environ, limits=limits))
        start_response("200 OK", [])
        return []

    address = stack.enter_context(wsgi_server(application))
    sock = stack.enter_context(socket.create_connection(address, timeout=WAIT_S))
    sock.sendall(HANDSHAKE)
    assert read_head(sock).startswith(b"HTTP/1.1 101 ")
    return box.result(WAIT_S), sock


def answer_handshake(sock, extra=b"", behind=b""):
    """Play a WebSocket server's part of the handshake. Return the request's head."""
    head = read_head(sock)
    key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: "))
    proof = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - RFC 6455, 4.2.2
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + proof + b"\r\n" + extra + b"\r\n" + behind
    )
    return head


def dialled_pair(stack, limits):
    """Dial a server whose handshake the test itself writes."""
    box = Future()
    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve():
        sock, _ = listening.accept()
        answer_handshake(sock)
        box.set_result(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    port = listening.getsockname()[1]
    connection = dial(DialTarget(url=f"ws://127.0.0.1:{port}/v1/realtime", limits=limits))
    thread.join(WAIT_S)
    return connection, stack.enter_context(box.result(0))


def closed(ending, code=1006, reason=""):
    """Return the report of a closed connection."""
    return ConnectionClosed(ending=ending, code=code, reason=reason)


def peer_frames(kind, text, max_frame_bytes):
    """Return frames as the peer would send them: masked if it is the client."""
    return text_frames(text, mask=peer_masks(kind), max_frame_bytes=max_frame_bytes)


def peer_masks(kind):
    """Whether the peer of a link is the client, whose frames are masked."""
    return kind not in ("unix-client", "tls-client", "dialled")
