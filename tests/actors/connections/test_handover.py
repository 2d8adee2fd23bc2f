"""The sockets of requests, as WSGI servers keep them: found, taken over, lent."""

import contextlib
import io
import socket
import ssl
import threading

import pytest

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.client import accept
from actors.connections.handover import HandshakeRefused, is_lent, served_socket, take_over

pytestmark = pytest.mark.slow

WAIT_S = 5.0
GOOD = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


class DjangosStream(io.IOBase):
    """A stream that keeps the one it wraps as `django.core.handlers.wsgi.LimitedStream` does."""

    def __init__(self, stream):
        self._read = stream.read


# Where a server keeps it.


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_server_may_give_its_socket(pair, key):
    assert served_socket({key: pair[0]}) is pair[0]


def test_the_socket_of_a_standard_library_server_is_found_behind_its_input(pair):
    with pair[0].makefile("rb") as stream:
        assert served_socket({"wsgi.input": stream}) is pair[0]
        assert served_socket({"wsgi.input": DjangosStream(stream)}) is pair[0]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"gunicorn.socket": None},
        {"werkzeug.socket": "a socket"},
        {"wsgi.input": io.BytesIO()},
        {"wsgi.input": DjangosStream(io.BytesIO())},
        {"wsgi.input": io.BufferedReader(io.BytesIO())},
    ],
)
def test_a_server_that_gives_no_socket_is_refused_with_a_server_to_use(environ):
    with pytest.raises(HandshakeRefused) as refusal:
        served_socket(environ)
    assert refusal.value.status == 501
    assert "gunicorn --threads 8" in refusal.value.description


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"gunicorn.socket": "ours", "HTTP_VERSION": "2"}, "HTTP/2"),
        ({"werkzeug.socket": "ours", "wsgi.multiprocess": True}, "threads"),
    ],
)
def test_a_socket_that_cannot_be_used_is_refused(pair, environ, reason):
    given = {key: pair[0] if value == "ours" else value for key, value in environ.items()}
    with pytest.raises(HandshakeRefused) as refusal:
        served_socket(given)
    assert refusal.value.status == 501
    assert reason in refusal.value.description


def test_several_workers_of_gunicorn_are_fine(pair):
    assert served_socket({"gunicorn.socket": pair[0], "wsgi.multiprocess": True}) is pair[0]


def test_a_green_socket_is_refused():
    class Green(socket.socket):
        __module__ = "gevent._socket3"

    with Green() as sock, pytest.raises(HandshakeRefused) as refusal:
        served_socket({"gunicorn.socket": sock})
    assert refusal.value.status == 501
    assert "gevent" in refusal.value.description


# Taken over.


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_after_the_hand_over_the_server_can_do_no_harm(pair, key):
    servers, client = pair
    client.sendall(b"in the kernel")
    with take_over({key: servers}) as ours:
        with pytest.raises(BrokenPipeError):
            servers.sendall(b"HTTP/1.1 500 Oops")
        assert servers.recv(10) == b""
        with contextlib.suppress(OSError):
            servers.shutdown(socket.SHUT_RDWR)
        servers.close()
        assert ours.recv(100) == b"in the kernel"
        ours.sendall(b"ours alone")
        assert client.recv(100) == b"ours alone"


# Lent.


@pytest.fixture
def secured(sockets):
    """A server's end of a TLS connection, and the client's."""
    return sockets("tls")


def test_a_socket_with_tls_of_the_server_itself_is_only_lent(secured):
    server, _ = secured
    assert isinstance(server, ssl.SSLSocket)
    assert is_lent(served_socket({"gunicorn.socket": server}))
    with pytest.raises(HandshakeRefused) as refusal:
        take_over({"gunicorn.socket": server})
    assert refusal.value.status == 501


def test_tls_in_a_server_of_one_thread_is_refused(secured):
    with pytest.raises(HandshakeRefused) as refusal:
        served_socket({"werkzeug.socket": secured[0], "wsgi.multithread": False})
    assert refusal.value.status == 501


def test_a_lent_socket_is_given_back_when_the_connection_has_ended(secured, dispatcher, recorder):
    server, client = secured
    connection = accept(GOOD | {"gunicorn.socket": server})
    assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
    waiting = threading.Thread(target=connection.wait_until_given_back)
    waiting.start()
    dispatcher.call_soon(lambda: connection.open(dispatcher, recorder))
    client.sendall(b"\x81\x85\0\0\0\0hello")
    assert recorder.next("text") == "hello"
    assert waiting.is_alive()
    client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    assert recorder.next("closed") == ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)
    waiting.join(WAIT_S)
    assert not waiting.is_alive()
    assert client.recv(100) == b"\x88\x02\x03\xe8"
    assert server.fileno() >= 0, "the server closes it itself"
    with pytest.raises(OSError):  # noqa: PT011 - any error of a socket that was shut
        server.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


def test_a_socket_that_was_taken_over_is_not_waited_for(pair):
    connection = accept(GOOD | {"gunicorn.socket": pair[0]})
    connection.wait_until_given_back()
    connection.abort()
