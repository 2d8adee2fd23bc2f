"""TLS and the kernel below a connection: the behaviour that the seam does not show."""

import re
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from actors.connections.stream import TLS_WRITE_BYTES, StreamConnection
from actors.dispatcher import READABLE, WRITABLE

pytestmark = pytest.mark.slow


class Stubborn:
    """A socket that first raises the exceptions of the test, and then works."""

    def __init__(self, sock):
        self._sock = sock
        self.raising = {"recv": [], "send": []}
        self.sent = []

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def recv(self, size):
        if self.raising["recv"]:
            raise self.raising["recv"].pop()
        return self._sock.recv(size)

    def send(self, data):
        self.sent.append(bytes(data))
        if self.raising["send"]:
            raise self.raising["send"].pop()
        return self._sock.send(data)


@pytest.fixture
def stubborn(make_link):
    link = make_link("tls-server")
    sock = Stubborn(link.connection._sock)
    link.connection._sock = sock
    return link.open(), sock


def test_a_tls_read_that_has_to_write_first_is_tried_again_when_it_can(stubborn):
    link, sock = stubborn
    link.do(lambda: sock.raising["recv"].append(ssl.SSLWantWriteError()))
    link.peer.send_text("renegotiated")
    assert link.listener.next("text") == "renegotiated"
    assert link.do(lambda: link.connection._watched) == READABLE


def test_a_tls_write_that_has_to_read_first_waits_for_input_and_presents_the_same_bytes(stubborn):
    link, sock = stubborn
    link.do(lambda: (sock.raising["send"].append(ssl.SSLWantReadError()), link.connection.send_text("first")))
    assert link.do(lambda: link.connection._watched) == READABLE
    link.send_text("second")
    link.peer.send_text("input")
    assert [link.peer.receive(), link.peer.receive()] == ["first", "second"]
    assert sock.sent[0] == sock.sent[1]


def test_a_tls_write_that_is_tried_again_presents_the_same_bytes(stubborn):
    link, sock = stubborn
    link.do(lambda: (sock.raising["send"].append(ssl.SSLWantWriteError()), link.connection.send_text("x" * 10_000)))
    link.send_text("more")
    assert [link.peer.receive(), link.peer.receive()] == ["x" * 10_000, "more"]
    assert sock.sent[0] == sock.sent[1]
    assert max(map(len, sock.sent)) <= TLS_WRITE_BYTES


def test_a_broken_tls_record_is_a_reset(make_link):
    link = make_link("tls-server").open()
    socket.socket.sendall(link.peer.sock, b"this is no TLS record")
    assert link.listener.next("closed").code == 1006


def test_room_to_write_is_watched_only_while_the_kernel_is_full(make_link):
    link = make_link("tcp-server").open()
    assert link.do(lambda: link.connection._watched) == READABLE
    while not link.do(lambda: link.connection.is_busy):
        link.send_binary(bytes(100_000))
    assert link.do(lambda: link.connection._watched) == READABLE | WRITABLE
    link.do(link.connection.pause)
    assert link.do(lambda: link.connection._watched) == WRITABLE


def test_a_paused_connection_with_nothing_to_write_is_not_watched_at_all(make_link):
    link = make_link("tcp-server").open()
    link.do(link.connection.pause)
    assert link.do(lambda: link.connection._watched) == 0
    link.do(link.connection.resume)
    assert link.do(lambda: link.connection._watched) == READABLE


@pytest.mark.parametrize("family", ["tcp", "tls", "unix"])
def test_at_the_end_nothing_is_left(make_link, family):
    link = make_link(f"{family}-server").open()
    registered = lambda: len(link.dispatcher._watchers)  # noqa: E731
    assert link.do(registered) == 2
    link.do(link.connection.abort)
    link.listener.next("closed")
    assert link.do(registered) == 1
    assert link.connection._sock.fileno() == -1
    assert not link.do(lambda: [timer for _, _, timer in link.dispatcher._timers.heap if timer.is_active])


def test_nagle_is_off_and_the_socket_does_not_block(make_link):
    sock = make_link("tcp-server").connection._sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.gettimeout() == 0


# A real renegotiation, and real key updates: Python's ssl cannot begin them, openssl's s_server can.


class OpenSslServer:
    """`openssl s_server`: text that is written to it goes to its client, but for one-letter commands."""

    def __init__(self, certificate, version):
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.seen = b""
        self.has_seen_more = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.port = int(self.wait_for(rb"ACCEPT 127.0.0.1:(\d+)\n")[1])

    def read(self):
        while some := self.process.stdout.read1():
            with self.has_seen_more:
                self.seen += some
                self.has_seen_more.notify()

    def wait_for(self, pattern):
        with self.has_seen_more:
            assert self.has_seen_more.wait_for(lambda: re.search(pattern, self.seen), 5), self.seen
            return re.search(pattern, self.seen)

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait(5)
        self.reader.join(5)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def start_openssl(stack, authority, tmp_path):
    def start(version):
        certificate = tmp_path / "server.pem"
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        server = OpenSslServer(str(certificate), version)
        stack.callback(server.close)
        return server

    return start


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.parametrize("how", ["-tls1_2 r", "-tls1_3 k", "-tls1_3 K"])
def test_the_peer_may_change_its_keys_at_any_time(dispatcher, recorder, start_openssl, tls, how):
    version, command = how.split()
    server = start_openssl(version)
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    # As a server, although a client of TLS: what it sends is not masked, and can be recognised.
    connection = StreamConnection(tls[1].wrap_socket(raw, server_hostname="localhost"), is_server=True)
    dispatcher.call_soon(lambda: connection.open(dispatcher, recorder))
    for word in (b"once", b"more", b"over"):
        server.write(b"\x81\x85\0\0\0\0" + word + b"\n")
        assert recorder.next("text").encode() == word + b"\n"
        server.write(f"{command}\n".encode())
        dispatcher.call_soon(lambda word=word: connection.send_text("x" * 70_000 + f" {word.decode()}"))
        server.wait_for(b"x " + word)
    server.write(b"\x81\x85\0\0\0\0last\n")
    assert recorder.next("text") == "last\n"
    assert server.seen.count(b"SSL_do_handshake -> 1") == 3
    dispatcher.call_soon(connection.abort)
    assert recorder.next("closed").code == 1006
