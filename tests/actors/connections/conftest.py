"""Links for the seam tests: each real kind of connection, and the fake, with a peer that the test plays.

The peers speak through wsproto, not through the code under test.
"""

import base64
import contextlib
import hashlib
import queue
import socket
import ssl
import struct
import threading
from concurrent.futures import Future
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
import trustme
from wsproto import ConnectionType
from wsproto import events as wire
from wsproto.connection import Connection as Protocol

from actors.connections.base import ConnectionClosed, ConnectionLimits, Ending
from actors.connections.client import accept
from actors.connections.memory import memory_pair
from actors.connections.stream import StreamConnection
from actors.connections.upstream import DialTarget, dial
from actors.dispatcher import Dispatcher

WAIT_S = 5.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

HANDSHAKE = (
    b"GET /openai HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Recorder:
    """A listener that keeps what it is told, for the test's thread to take."""

    def __init__(self):
        self.told = queue.SimpleQueue()
        self.closings = []
        self.hooks = {}

    def on_text(self, text):
        self._tell("text", text)

    def on_binary(self, data):
        self._tell("binary", data)

    def on_overflowed(self, dropped_bytes):
        self._tell("overflowed", dropped_bytes)

    def on_drained(self):
        self._tell("drained", None)

    def on_caught_up(self):
        self._tell("caught up", None)

    def on_closed(self, closed):
        self.closings.append(closed)
        self._tell("closed", closed)

    def _tell(self, what, value):
        self.told.put((what, value))
        hook = self.hooks.get(what)
        if hook is not None:
            hook(value)

    def next(self, what, *, ignoring=""):
        """The next thing told, which must be a `what`, unless it is one to ignore."""
        told, value = self.told.get(timeout=WAIT_S)
        while told == ignoring:
            told, value = self.told.get(timeout=WAIT_S)
        assert told == what, (told, value)
        return value

    def is_told_nothing(self):
        return self.told.empty()


class WirePeer:
    """The test's end of a socket: `MemoryPeer`'s methods. It reads only while in `receive`."""

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
        """Nobody reads while nobody is in `receive`."""

    def read_again(self):
        """The next `receive` does."""

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
        """The next frame as wsproto sees it: for tests about control frames."""
        while True:
            for event in self.protocol.events():
                return event
            data = self.sock.recv(65536)
            assert data, "the end"
            self.protocol.receive_data(data)


class Link:
    """A connection of ours, the peer that the test plays, and the owner's thread."""

    def __init__(self, connection, peer, dispatcher):
        self.connection = connection
        self.peer = peer
        self.dispatcher = dispatcher
        self.listener = Recorder()

    def open(self):
        self.do(lambda: self.connection.open(self.dispatcher, self.listener))
        return self

    def do(self, call):
        """Call on the dispatcher's thread; what it returned or raised."""
        return on(self.dispatcher, call)

    def send_text(self, text):
        self.do(lambda: self.connection.send_text(text))

    def send_binary(self, data):
        self.do(lambda: self.connection.send_binary(data))

    def close(self, code=1000, reason=""):
        self.do(lambda: self.connection.close(code, reason))


def on(dispatcher, call):
    future = Future()

    def run():
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - the test's own
            future.set_exception(error)

    dispatcher.call_soon(run)
    return future.result(WAIT_S)


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher("test").start()
    yield dispatcher
    assert dispatcher.stop()
    assert not dispatcher.failures


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def tls(authority):
    """The contexts of both sides."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def tcp_pair(stack):
    """Two ends of a TCP connection: server's, client's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    return stack.enter_context(server), stack.enter_context(client)


def tls_pair(stack, tls):
    """Two ends of a TLS connection: server's, client's."""
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


@pytest.fixture
def sockets(stack, tls):
    """Makes two connected sockets, the server's and the client's, of a kind."""
    makers = {
        "unix": lambda: tuple(stack.enter_context(sock) for sock in socket.socketpair()),
        "tcp": lambda: tcp_pair(stack),
        "tls": lambda: tls_pair(stack, tls),
    }
    return lambda kind: makers[kind]()


class _Handler(WSGIRequestHandler):
    """The standard library's WSGI server, with the request's socket in its environ as Werkzeug has it."""

    protocol_version = "HTTP/1.1"

    def get_environ(self):
        return super().get_environ() | {"werkzeug.socket": self.connection}

    def log_message(self, *_args):
        """Be quiet."""


@contextlib.contextmanager
def wsgi_server(application):
    """A real, tiny WSGI server on a thread; its address."""
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


@pytest.fixture(name="wsgi_server")
def wsgi_server_fixture():
    return wsgi_server


def read_head(sock):
    """Read an HTTP head, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        some = sock.recv(1)
        assert some, head
        head += some
    return head


def accepted_pair(stack, limits):
    """`accept` behind a WSGI server, with a client that shook hands by hand."""
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
    """Play a WebSocket server's part of the handshake."""
    head = read_head(sock)
    key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: "))
    proof = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - RFC 6455, 4.2.2
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + proof + b"\r\n" + extra + b"\r\n" + behind
    )
    return head


def dialled_pair(stack, limits):
    """`dial` to a server that shakes hands by hand."""
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


@pytest.fixture(name="answer_handshake")
def answer_handshake_fixture():
    return answer_handshake


@pytest.fixture
def recorder():
    return Recorder()


KINDS = ("memory", "unix-server", "unix-client", "tcp-server", "tls-server", "tls-client", "accepted", "dialled")


@pytest.fixture(params=[it if it == "memory" else pytest.param(it, marks=pytest.mark.slow) for it in KINDS])
def kind(request):
    return request.param


@pytest.fixture
def make_link(dispatcher, stack, sockets):
    """Makes a link of a kind; whatever the test does, no connection outlives it."""
    links = []

    def make(kind, **limits):
        connection, peer = _pair(kind, ConnectionLimits(**limits))
        links.append(Link(connection, peer, dispatcher))
        return links[-1]

    def _pair(kind, limits):
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

    yield make
    for link in links:
        link.do(link.connection.abort)
        on(dispatcher, lambda: None)
        assert len(link.listener.closings) <= 1


@pytest.fixture
def link(make_link, kind):
    """An open link of each kind, with the default limits."""
    return make_link(kind).open()
