"""Requests that have not arrived yet, over socket pairs and a real selector."""

import selectors
import socket
from types import SimpleNamespace

import pytest

from router.web import intake
from router.web.intake import Intake, Kind, end_of_head, kind_of
from router.web.response import BodyLateError

HEAD = b"GET /openai HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (HEAD, Kind.UPGRADE),
        (b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n", Kind.HEALTH),
        (b"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nHEAD /readyz HTTP/1.1\r\n\r\n", Kind.HEALTH),
        (b"GET /healthz HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n", Kind.OTHER),
        (b"GET /healthz?token=x HTTP/1.1\r\n\r\n", Kind.OTHER),
        (b"GET /healthzz HTTP/1.1\r\n\r\n", Kind.OTHER),
        (b"POST /v1/auth/grant HTTP/1.1\r\n\r\n", Kind.OTHER),
    ],
)
def test_each_kind_of_request_is_known_by_its_head(head, kind):
    assert kind_of(head) is kind


def test_the_end_of_a_head_is_found_behind_the_proxy_protocol():
    address = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)
    assert end_of_head(HEAD + b"frames") == len(HEAD)
    assert end_of_head(address + HEAD) == len(address + HEAD)
    assert [end_of_head(address[:count]) for count in range(2, len(address))] == [0] * (len(address) - 2)
    assert end_of_head(HEAD, known=len(HEAD) - 1) == len(HEAD)
    assert end_of_head(HEAD[:-1]) == 0


class Loop:
    """A selector, and an intake on it."""

    def __init__(self):
        self.poller = selectors.DefaultSelector()
        self.whole = []
        self.lost = []
        self.intake = Intake(self.poller, lambda conn, kind: self.whole.append((conn, kind)), self.lost.append)
        self._open = []

    def connect(self, address="192.0.2.1"):
        served, client = socket.socketpair()
        self._open += [served, client]
        cfg = SimpleNamespace(is_ssl=False, keepalive=15)
        conn = SimpleNamespace(sock=served, client=(address, 1), cfg=cfg, initialized=False, data_ready=False)
        self.intake.add(conn)
        return conn, client

    def turn(self):
        for key, _ in self.poller.select(0):
            key.data(key.fileobj)

    def close(self):
        self.intake.close()
        self.poller.close()
        for sock in self._open:
            sock.close()


@pytest.fixture
def loop(monkeypatch):
    # gunicorn's parser reads more of a configuration than this test has.
    monkeypatch.setattr(intake, "RequestParser", lambda *_: SimpleNamespace(unreader=None))
    loop = Loop()
    yield loop
    loop.close()


pytestmark = pytest.mark.slow


def test_a_head_that_arrives_byte_by_byte_is_handed_on_whole(loop):
    conn, client = loop.connect()
    for byte in HEAD:
        assert not loop.whole
        client.sendall(bytes([byte]))
        loop.turn()
    assert loop.whole == [(conn, Kind.UPGRADE)]
    assert conn.parser.unreader.read() == HEAD
    assert len(loop.intake) == 0


def test_frames_behind_a_handshake_stay_in_the_socket(loop):
    conn, client = loop.connect()
    client.sendall(HEAD[:20])
    loop.turn()
    client.sendall(HEAD[20:] + b"frames")
    loop.turn()
    assert conn.parser.unreader.read() == HEAD
    assert conn.sock.recv(100) == b"frames"


def test_an_unfinished_head_has_one_deadline_however_often_bytes_arrive(loop, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(intake.time, "monotonic", lambda: now_s[0])
    conn, client = loop.connect()
    silent, _ = loop.connect()
    for _ in range(9):
        client.sendall(b"x")
        loop.turn()
        now_s[0] += 1.0
        loop.intake.expire()
    assert loop.lost == []
    now_s[0] += 1.0
    loop.intake.expire()
    assert loop.lost == [conn]
    now_s[0] += 5.0
    loop.intake.expire()
    assert loop.lost == [conn, silent]


def test_a_body_that_is_late_raises(loop):
    conn, client = loop.connect()
    client.sendall(HEAD)
    loop.turn()
    assert conn.parser.unreader.read() == HEAD
    conn.parser.unreader.until_s = intake.time.monotonic() + 0.01
    with pytest.raises(BodyLateError):
        conn.parser.unreader.read(1)
    with pytest.raises(BodyLateError):  # at once
        conn.parser.unreader.read(1)
    assert conn.sock.gettimeout() is None


def test_a_client_that_closes_is_lost(loop):
    conn, client = loop.connect()
    client.sendall(HEAD[:-2])
    client.close()
    loop.turn()
    assert loop.lost == [conn]


def test_a_head_without_end_is_refused(loop, monkeypatch):
    monkeypatch.setattr(intake, "MAX_HEAD_BYTES", 100)
    conn, client = loop.connect()
    client.sendall(b"x" * 101)
    loop.turn()
    assert loop.lost == [conn]
    assert client.recv(100).startswith(b"HTTP/1.1 431 ")


def test_the_address_with_the_most_connections_loses_its_oldest(loop, monkeypatch):
    monkeypatch.setattr(intake, "MAX_WAITING", 4)
    other, _ = loop.connect("192.0.2.9")
    flood = [loop.connect()[0] for _ in range(10)]
    assert loop.lost == flood[:7]
    assert other not in loop.lost


def test_the_bytes_of_unfinished_heads_are_bounded(loop, monkeypatch):
    monkeypatch.setattr(intake, "MAX_WAITING_BYTES", 250)
    flood = [loop.connect(f"2001:db8::{number:x}") for number in range(3)]
    for _, client in flood:
        client.sendall(b"x" * 100)
        loop.turn()
    assert loop.lost == [flood[0][0]]


def test_a_connection_that_ends_waits_for_its_client_and_not_for_long(loop, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(intake.time, "monotonic", lambda: now_s[0])
    (closing, client), (staying, _), (gone, other) = (loop.connect() for _ in range(3))
    other.close()
    for conn in (closing, staying, gone):
        loop.poller.unregister(conn.sock)
        loop.intake.linger(conn)
    assert loop.lost == [gone]
    client.close()
    loop.turn()
    assert loop.lost == [gone, closing]
    now_s[0] += intake.LINGER_S
    loop.intake.expire()
    assert loop.lost == [gone, closing, staying]


def test_a_kept_connection_begins_with_the_bytes_that_came_ahead(loop):
    conn, client = loop.connect()
    client.sendall(HEAD)
    loop.turn()
    conn.parser.unreader.read()
    conn.parser.unreader.unread(HEAD[:10])
    loop.intake.add(conn)
    client.sendall(HEAD[10:])
    loop.turn()
    assert len(loop.whole) == 2
    assert conn.parser.unreader.read() == HEAD
