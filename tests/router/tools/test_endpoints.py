"""Endpoints of functions: real servers on this machine."""

import contextlib
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from router.deepgram.blocks import Endpoint
from router.errors import EndpointError
from router.session.work import CallEndpoint
from router.tools.addresses import Addresses
from router.tools.endpoints import Endpoints

pytestmark = pytest.mark.slow

LOOPBACK = "127.0.0.1"
WAIT_S = 5.0
MOST_DRIPS = 100


class Handler(BaseHTTPRequestHandler):
    """Records its requests, and responds with the entry of `server.answers` for the path."""

    protocol_version = "HTTP/1.1"

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        status, headers, answer = self.server.answers.get(self.path.partition("?")[0], (200, {}, b'{"ok":true}'))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, context=None, address=LOOPBACK):
        super().__init__((address, 0), Handler)
        self.requests = []
        self.answers = {}
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def handle_error(self, *_args):
        pass  # a client that does not trust the certificate hangs up

    def close(self):
        self.shutdown()
        self.server_close()
        self.thread.join(WAIT_S)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@contextlib.contextmanager
def raw_server(*answers, holds=False):
    """Answers each connection with bytes, one after the other, and closes it, or holds it."""
    listener = socket.create_server((LOOPBACK, 0))
    done, seen = threading.Event(), []

    def serve():
        for answer in answers:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(WAIT_S)
                    seen.append(connection.recv(65536))
                    answer(connection) if callable(answer) else connection.sendall(answer)
                    if holds:
                        done.wait(WAIT_S)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT_S)
        listener.close()


def endpoints(networks=(LOOPBACK,), timeout_s=WAIT_S, max_bytes=1000, resolve=socket.getaddrinfo, **more):
    return Endpoints(Addresses(networks, resolve), timeout_s=timeout_s, max_bytes=max_bytes, **more)


def call(url, arguments="{}", method=None, headers=None, **options):
    return endpoints(**options).call(CallEndpoint(Endpoint(url=url, method=method, headers=headers), arguments))


def problem(*args, **options):
    with pytest.raises(EndpointError) as caught:
        call(*args, **options)
    return str(caught.value)


# A request.


def test_the_arguments_are_the_json_body_and_the_response_is_the_output(server):
    url = f"http://{LOOPBACK}:{server.server_port}/order?tenant=1"
    assert call(url, '{"city": "Rome"}', headers={"X-Key": "k", "user-agent": "mine"}) == '{"ok":true}'
    ((method, path, headers, body),) = server.requests
    assert (method, path, json.loads(body)) == ("POST", "/order?tenant=1", {"city": "Rome"})
    assert headers["Host"] == f"{LOOPBACK}:{server.server_port}"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Key"] == "k"
    assert headers["user-agent"] == "mine"
    assert "User-Agent" not in headers


@pytest.mark.parametrize("method", ["PUT", "patch", "POST"])
def test_other_methods_with_a_body_are_the_same(server, method):
    call(f"http://{LOOPBACK}:{server.server_port}", method=method)
    assert [(method, path, body) for method, path, _, body in server.requests] == [(method.upper(), "/", b"{}")]


@pytest.mark.parametrize("method", ["get", "DELETE"])
def test_without_a_body_the_arguments_go_into_the_query(server, method):
    arguments = '{"q":"a b&c","n":1.5,"yes":true,"none":null,"list":[1,"x"]}'
    call(f"http://{LOOPBACK}:{server.server_port}/find?tenant=1", arguments, method)
    ((method_seen, path, headers, body),) = server.requests
    assert (method_seen, body) == (method.upper(), b"")
    assert path == "/find?tenant=1&q=a+b%26c&n=1.5&yes=true&list=%5B1%2C%22x%22%5D"
    assert "Content-Type" not in headers


@pytest.mark.parametrize("arguments", ["[1]", "{", "7"])
def test_arguments_that_are_no_object_are_not_sent(server, arguments):
    assert "not a JSON object" in problem(f"http://{LOOPBACK}:{server.server_port}", arguments)
    assert server.requests == []


def test_no_arguments_are_an_empty_object(server):
    call(f"http://{LOOPBACK}:{server.server_port}", "")
    assert server.requests[0][3] == b"{}"


def test_an_empty_response_is_null(server):
    server.answers["/"] = (204, {}, b"")
    assert call(f"http://{LOOPBACK}:{server.server_port}/") == "null"


# Invalid responses.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server, status):
    elsewhere = f"http://{LOOPBACK}:{server.server_port}/elsewhere"
    server.answers["/"] = (status, {"Location": elsewhere}, b"")
    assert f"HTTP {status}, and redirects are not followed" in problem(f"http://{LOOPBACK}:{server.server_port}/")
    assert [path for _, path, _, _ in server.requests] == ["/"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_error_status_is_reported_and_the_request_not_repeated(server, status):
    server.answers["/"] = (status, {}, b"a stack trace")
    assert problem(f"http://{LOOPBACK}:{server.server_port}/", method="GET") == f"it responded with HTTP {status}"
    assert len(server.requests) == 1


def test_a_response_that_is_too_long_is_an_error(server):
    server.answers["/"] = (200, {}, b"x" * 1000)
    assert call(f"http://{LOOPBACK}:{server.server_port}/") == "x" * 1000
    server.answers["/"] = (200, {}, b"x" * 1001)
    assert problem(f"http://{LOOPBACK}:{server.server_port}/") == "its response is longer than 1000 bytes"


def test_an_endless_response_is_cut_off():
    def without_end(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"ff\r\n" + b"x" * 255 + b"\r\n")

    with raw_server(without_end) as (port, _):
        assert problem(f"http://{LOOPBACK}:{port}/") == "its response is longer than 1000 bytes"


def test_a_compressed_response_is_refused_unread(server):
    server.answers["/"] = (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b")
    assert "compressed" in problem(f"http://{LOOPBACK}:{server.server_port}/")
    assert server.requests[0][2]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_server_that_does_not_respond_in_time_is_abandoned(sent):
    with raw_server(sent, holds=True) as (port, _):
        assert problem(f"http://{LOOPBACK}:{port}/", timeout_s=0.2) == "it did not respond in time"


@pytest.mark.parametrize(
    ("scheme", "start"),
    [("http", b"HTTP/1.1 200 OK\r\nX: "), ("http", b"HTTP/1.1 200 OK\r\n\r\n"), ("https", b"\x16\x03\x03\x40\x00")],
)
def test_a_server_whose_response_drips_is_abandoned_in_the_same_time(scheme, start):
    """In the last case the first record of the TLS handshake drips."""
    done = threading.Event()
    dripped = 0

    def drip(connection):
        nonlocal dripped
        connection.sendall(start)
        with contextlib.suppress(OSError):
            while dripped < MOST_DRIPS and not done.wait(0.02):
                connection.sendall(b"x")
                dripped += 1

    with raw_server(drip) as (port, _):
        try:
            assert problem(f"{scheme}://{LOOPBACK}:{port}/", timeout_s=0.3) == "it did not respond in time"
        finally:
            done.set()
    assert dripped < MOST_DRIPS


@pytest.mark.parametrize("sent", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_malformed_response_is_an_endpoint_error(sent):
    with raw_server(sent, sent) as (port, _):
        assert problem(f"http://{LOOPBACK}:{port}/")


# Repeated requests.


def test_a_safe_request_without_a_response_is_repeated_once():
    with raw_server(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as (port, seen):
        assert call(f"http://{LOOPBACK}:{port}/", method="GET") == "ok"
    assert len(seen) == 2


def test_a_request_that_may_have_had_an_effect_is_never_repeated():
    with raw_server(b"", b"") as (port, seen):
        assert problem(f"http://{LOOPBACK}:{port}/") == "it closed the connection without a response"
    assert len(seen) == 1


def test_an_address_that_cannot_be_reached_is_followed_by_the_next(server):
    def resolve(_host, port, **_):
        return [(0, 0, 6, "", (address, port)) for address in ("127.0.0.9", LOOPBACK)]

    url = f"http://name.example:{server.server_port}/"
    assert call(url, networks=["127.0.0.0/8"], resolve=resolve) == '{"ok":true}'
    assert server.requests[0][2]["Host"] == f"name.example:{server.server_port}"


def test_a_server_that_is_not_there_cannot_be_reached():
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    assert problem(f"http://{LOOPBACK}:{port}/") == "it cannot be reached"


# The address.


def test_an_address_that_is_not_public_is_not_connected_to(server):
    assert "not public" in problem(f"http://{LOOPBACK}:{server.server_port}/", networks=())
    assert server.requests == []


def test_a_name_is_resolved_once_and_only_the_checked_address_is_called(server):
    """DNS rebinding: the first address is allowed, and a second one would not be."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    asked = []

    def resolve(host, port, **_):
        asked.append(host)
        return [(0, 0, 6, "", (address, port)) for address in answers.pop(0)]

    url = f"http://rebinding.example:{server.server_port}/"
    its = endpoints(resolve=resolve)
    assert its.call(CallEndpoint(Endpoint(url=url), "{}")) == '{"ok":true}'
    assert asked == ["rebinding.example"]
    with pytest.raises(EndpointError, match="not public"):
        its.call(CallEndpoint(Endpoint(url=url), "{}"))
    assert len(server.requests) == 1


def test_no_proxy_is_used(server, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert call(f"http://{LOOPBACK}:{server.server_port}/") == '{"ok":true}'


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return authority, str(path)


@contextlib.contextmanager
def tls_server(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    asked = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = Server(context)
    try:
        yield server, asked
    finally:
        server.close()


def named(_host, port, **_):
    return [(0, 0, 6, "", (LOOPBACK, port))]


def test_a_certificate_is_verified_against_the_name_and_not_the_address(authority):
    ca, path = authority
    with tls_server(ca, "api.example") as (server, asked):
        url = f"https://api.example:{server.server_port}/"
        assert call(url, resolve=named, ca_file=path) == '{"ok":true}'
        assert asked == ["api.example"]
        assert server.requests[0][2]["Host"] == f"api.example:{server.server_port}"


def test_an_address_in_the_url_is_verified_as_an_address(authority):
    ca, path = authority
    with tls_server(ca, LOOPBACK) as (server, _):
        assert call(f"https://{LOOPBACK}:{server.server_port}/", ca_file=path) == '{"ok":true}'


@pytest.mark.parametrize("names", [["other.example"], [LOOPBACK]])
def test_a_certificate_for_another_name_is_not_trusted(authority, names):
    ca, path = authority
    with tls_server(ca, *names) as (server, _):
        url = f"https://api.example:{server.server_port}/"
        assert problem(url, resolve=named, ca_file=path) == "its certificate is not trusted"
        assert server.requests == []


def test_a_certificate_of_an_unknown_authority_is_not_trusted(authority):
    ca, _ = authority
    with tls_server(ca, "api.example") as (server, _):
        url = f"https://api.example:{server.server_port}/"
        assert problem(url, resolve=named) == "its certificate is not trusted"


def test_an_error_repeats_neither_headers_nor_query(server):
    server.answers["/"] = (500, {}, b"")
    url = f"http://{LOOPBACK}:{server.server_port}/?key=secret"
    with pytest.raises(EndpointError) as caught:
        call(url, headers={"Authorization": "Bearer secret"})
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert "secret" not in repr(CallEndpoint(Endpoint(url=url, headers={"Authorization": "Bearer secret"}), "{}"))
