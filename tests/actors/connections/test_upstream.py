"""`dial` against `websockets` (an independent server), and against servers that misbehave by hand."""

import contextlib
import email.utils
import socket
import ssl
import threading
import time
from concurrent.futures import Future

import pytest
from websockets.sync.server import serve

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.upstream import DialError, DialFailure, DialTarget, dial, shown_url
from tests.support.engine.links import answer_handshake

pytestmark = pytest.mark.slow

SECRET = "sk-very-secret"  # noqa: S105 - no real one


@pytest.fixture
def websockets_server(stack):
    """Return a function that starts a `websockets` server; its port."""

    def start(handler, **options):
        server = stack.enter_context(serve(handler, "127.0.0.1", 0, **options))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join, 5)
        stack.callback(server.shutdown)
        return server.socket.getsockname()[1]

    return start


def target(port, **fields):
    defaults = {
        "url": f"ws://127.0.0.1:{port}/v1/realtime?model=secret-model",
        "headers": (("Authorization", f"Bearer {SECRET}"),),
        "timeout_s": 5.0,
    }
    return DialTarget(**defaults | fields)


def failure(a_target):
    """Dial a target that has to fail. Return the error, which shows no secret anywhere."""
    with pytest.raises(DialError) as caught:
        dial(a_target)
    error = caught.value
    for shown in (str(error), repr(error), repr(error.__cause__), repr(error.__context__)):
        assert SECRET not in shown
        assert "secret-model" not in shown
    return error


def test_a_conversation_with_websockets(websockets_server, dispatcher, recorder):
    seen = Future()

    def handler(server):
        seen.set_result(server.request)
        assert server.recv() == "hällo"
        server.send("Grüß Gott")
        server.send(["frag", "ment"])
        assert server.ping("here?").wait(5)
        server.recv()
        server.close(4000, "enough")

    port = websockets_server(handler)
    connection = dial(target(port))
    dispatcher.call_soon(lambda: (connection.open(dispatcher, recorder), connection.send_text("hällo")))
    assert [recorder.next("text") for _ in range(2)] == ["Grüß Gott", "fragment"]
    dispatcher.call_soon(lambda: connection.send_text("go on"))
    assert recorder.next("closed") == ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=4000, reason="enough")
    request = seen.result(0)
    assert request.path == "/v1/realtime?model=secret-model"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert "Origin" not in request.headers
    assert "Sec-WebSocket-Extensions" not in request.headers


def test_16_mib_go_both_ways_with_websockets(websockets_server, dispatcher, recorder):
    text = "0123456789abcdef" * 2**20

    def handler(server):
        server.send(server.recv())
        server.recv()

    port = websockets_server(handler, max_size=None, compression=None)
    connection = dial(target(port))
    dispatcher.call_soon(lambda: (connection.open(dispatcher, recorder), connection.send_text(text)))
    assert recorder.next("text", ignoring="drained") == text
    dispatcher.call_soon(lambda: connection.close(1000, "thanks"))
    assert recorder.next("closed") == ConnectionClosed(ending=Ending.CLOSED_BY_US, code=1000, reason="thanks")


def test_tls_with_our_own_authority(websockets_server, dispatcher, recorder, tls, ca_file):
    port = websockets_server(lambda server: [server.send(message) for message in server], ssl=tls[0], max_size=None)
    connection = dial(target(port, url=f"wss://localhost:{port}/", ca_file=ca_file))
    dispatcher.call_soon(lambda: (connection.open(dispatcher, recorder), connection.send_text("x" * 3_000_000)))
    assert recorder.next("text", ignoring="drained") == "x" * 3_000_000
    dispatcher.call_soon(connection.close)
    assert recorder.next("closed").ending is Ending.CLOSED_BY_US


def test_bytes_that_came_with_the_answer_to_the_handshake_are_read_first(raw_server, dispatcher, recorder):
    def behave(sock):
        answer_handshake(sock, behind=b"\x81\x05first\x81\x06sec")
        sock.sendall(b"ond\x81\x05third")
        sock.recv(100)

    connection = dial(target(raw_server(behave)))
    dispatcher.call_soon(lambda: (connection.open(dispatcher, recorder), connection.pause()))
    dispatcher.call_soon(connection.resume)
    assert [recorder.next("text") for _ in range(3)] == ["first", "second", "third"]
    dispatcher.call_soon(connection.abort)
    recorder.next("closed")


def test_bytes_that_tls_decrypted_with_the_handshake_are_read_though_the_socket_is_silent(
    raw_server, dispatcher, recorder, tls, ca_file
):
    def behave(sock):
        with tls[0].wrap_socket(sock, server_side=True) as wrapped:
            answer_handshake(wrapped, behind=b"\x81\x05first\x81\x06second")
            wrapped.recv(100)

    port = raw_server(behave)
    connection = dial(target(port, url=f"wss://localhost:{port}/", ca_file=ca_file))
    dispatcher.call_soon(lambda: connection.open(dispatcher, recorder))
    assert [recorder.next("text"), recorder.next("text")] == ["first", "second"]
    dispatcher.call_soon(connection.abort)
    recorder.next("closed")


def test_a_certificate_of_an_unknown_authority_is_refused(websockets_server, tls):
    port = websockets_server(lambda _server: None, ssl=tls[0])
    error = failure(target(port, url=f"wss://localhost:{port}/?key={SECRET}"))
    assert (error.kind, error.status) == (DialFailure.TLS, None)
    assert "certificate" in error.detail


def test_a_certificate_for_another_host_is_refused(raw_server, ca_file, authority):
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(other)

    def behave(sock):
        with contextlib.suppress(OSError):
            other.wrap_socket(sock, server_side=True).close()

    port = raw_server(behave)
    error = failure(target(port, url=f"wss://localhost:{port}/", ca_file=ca_file))
    assert error.kind is DialFailure.TLS


def test_a_server_without_tls_is_a_tls_failure(raw_server):
    port = raw_server(lambda sock: (sock.recv(100), sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
    assert failure(target(port, url=f"wss://localhost:{port}/")).kind is DialFailure.TLS


@pytest.mark.parametrize("status", [200, 301, 302, 307, 308, 401, 403, 404, 429, 500, 503])
def test_any_other_status_than_101_is_reported_and_no_redirect_followed(raw_server, status):
    answer = (
        f"HTTP/1.1 {status} X\r\nLocation: ws://127.0.0.1:1/?key={SECRET}\r\nContent-Length: 3\r\n"
        f"Set-Cookie: session={SECRET}\r\n\r\nabc"
    ).encode()
    port = raw_server(lambda sock: (sock.recv(4096), sock.sendall(answer)))
    error = failure(target(port))
    assert (error.kind, error.status) == (DialFailure.HTTP_STATUS, status)
    assert str(error) == f"ws://127.0.0.1:{port}/v1/realtime: refused (HTTP {status})"


@pytest.mark.parametrize(
    ("header", "low_s", "high_s"),
    [
        ("Retry-After: 7", 7.0, 7.0),
        ("Retry-After: Thu, 01 Jan 1970 00:00:00 GMT", 0.0, 0.0),
        (f"Retry-After: {email.utils.formatdate(time.time() + 3600, usegmt=True)}", 3000.0, 3600.0),
    ],
    ids=["seconds", "a date that is past", "a date"],  # each process that runs tests must collect the same names
)
def test_the_time_that_a_refusal_names_is_reported(raw_server, header, low_s, high_s):
    answer = f"HTTP/1.1 429 X\r\n{header}\r\nContent-Length: 0\r\n\r\n".encode()
    port = raw_server(lambda sock: (sock.recv(4096), sock.sendall(answer)))
    assert low_s <= failure(target(port)).retry_after_s <= high_s


@pytest.mark.parametrize("header", ["X: 1", "Retry-After: soon", "Retry-After: -1", "Retry-After: 9999999999999"])
def test_a_refusal_without_a_readable_time_names_none(raw_server, header):
    answer = f"HTTP/1.1 503 X\r\n{header}\r\nContent-Length: 0\r\n\r\n".encode()
    port = raw_server(lambda sock: (sock.recv(4096), sock.sendall(answer)))
    assert failure(target(port)).retry_after_s is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_handshake_is_reported(raw_server, answer):
    port = raw_server(lambda sock: (sock.recv(4096), sock.sendall(answer)))
    assert failure(target(port)).kind is DialFailure.HANDSHAKE


def test_an_extension_that_was_not_offered_is_refused(raw_server):
    port = raw_server(lambda sock: answer_handshake(sock, b"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
    error = failure(target(port))
    assert (error.kind, error.detail) == (
        DialFailure.HANDSHAKE,
        "the server selected an extension that was not offered",
    )


def test_a_subprotocol_that_was_not_offered_is_refused(raw_server):
    port = raw_server(lambda sock: answer_handshake(sock, b"Sec-WebSocket-Protocol: realtime\r\n"))
    assert failure(target(port)).detail == "the server selected a subprotocol that was not offered"


def test_an_unknown_host_is_a_dns_failure(monkeypatch):
    """The resolver is replaced: the answer of a real one depends on the network."""

    def resolve(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = failure(target(1, url="ws://unknown.invalid/"))
    assert (error.kind, error.detail) == (DialFailure.DNS, "no address")


def test_a_port_without_a_listener_is_a_tcp_failure():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    error = failure(target(port))
    assert (error.kind, error.detail) == (DialFailure.TCP, "Connection refused")


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "nonsense", "ws://[::1/", "ws://host:port/", "ws:///path"])
def test_an_invalid_url_is_a_dial_error_too(url):
    assert failure(target(1, url=url)).kind is DialFailure.HANDSHAKE


def test_a_missing_file_of_certificates_is_a_tls_failure(tmp_path):
    missing = str(tmp_path / "missing.pem")
    error = failure(target(1, url="wss://localhost:1/", ca_file=missing))
    assert (error.kind, error.detail) == (DialFailure.TLS, f"no certificates in {missing}: No such file or directory")


def test_a_header_with_a_line_break_is_refused():
    error = failure(target(1, headers=(("X-Evil", f"a\r\n{SECRET}"),)))
    assert str(error) == "ws://127.0.0.1:1/v1/realtime: no WebSocket handshake (header 'X-Evil' has a line break)"


def test_a_server_that_drips_its_answer_does_not_get_more_time(raw_server):
    """Each byte is in time; all of them together are not."""
    gone = threading.Event()

    def drip(sock):
        sock.recv(4096)
        with contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-Slow: x\r\n" * 1000:
                sock.sendall(bytes([byte]))
                if gone.wait(0.02):
                    break

    port = raw_server(drip)
    started_s = time.monotonic()
    error = failure(target(port, timeout_s=0.3))
    gone.set()
    assert error.kind is DialFailure.TIMEOUT
    assert time.monotonic() - started_s < 1


def test_a_silent_server_times_out(raw_server):
    done = threading.Event()
    port = raw_server(lambda _sock: done.wait(5))
    error = failure(target(port, timeout_s=0.2))
    done.set()
    assert str(error) == f"ws://127.0.0.1:{port}/v1/realtime: timed out (0.2 s)"


def test_a_tls_handshake_that_hangs_times_out(raw_server):
    done = threading.Event()
    port = raw_server(lambda _sock: done.wait(5))
    error = failure(target(port, url=f"wss://localhost:{port}/", timeout_s=0.2))
    done.set()
    assert error.kind is DialFailure.TIMEOUT


def test_a_name_server_that_hangs_is_abandoned(monkeypatch):
    """Getaddrinfo cannot be interrupted: the thread of an abandoned dial ends with it."""
    released, ended = threading.Event(), threading.Event()

    def resolve(*_args, **_options):
        released.wait(5)
        ended.set()
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = failure(target(1, url="ws://slow.example/", timeout_s=0.1))
    assert error.kind is DialFailure.TIMEOUT
    released.set()
    assert ended.wait(5)
    for thread in threading.enumerate():
        if thread.name == "dial":
            thread.join(5)


def test_a_connection_that_comes_too_late_is_closed(raw_server, monkeypatch):
    late, hung_up = threading.Event(), Future()

    def behave(sock):
        answer_handshake(sock)
        hung_up.set_result(sock.recv(1) == b"")

    port = raw_server(behave)
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: late.wait(5) and resolve(*args))
    assert failure(target(port, timeout_s=0.1)).kind is DialFailure.TIMEOUT
    late.set()
    assert hung_up.result(5)


def test_a_target_never_shows_its_secrets():
    shown = repr(target(80, url=f"wss://user:{SECRET}@host:1/path?key={SECRET}#{SECRET}"))
    assert shown == "DialTarget('wss://host:1/path', headers=[Authorization], timeout_s=5)"
    assert shown_url("") == ""


def test_nagle_is_off(raw_server):
    port = raw_server(lambda sock: (answer_handshake(sock), sock.recv(1)))
    connection = dial(target(port))
    assert connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connection._sock.gettimeout() == 0
    connection.abort()
