"""The router as an ASGI application, without a server; tests/sockets/test_asgi.py has real ones."""

import asyncio
import threading

import pytest

from router import Principal, Router
from router.asgi import MAX_BODY_BYTES, EventLoop, _environ, _split_path
from router.testing import CallHarness

pytestmark = pytest.mark.slow  # an event loop opens a socket pair

HTTP = {
    "type": "http",
    "method": "GET",
    "http_version": "1.1",
    "scheme": "https",
    "path": "/voice/readyz",
    "raw_path": b"/voice/readyz",
    "root_path": "/voice",
    "query_string": b"a=b",
    "headers": [
        (b"host", b"here.example"),
        (b"x-many", b"1"),
        (b"x-many", b"2"),
        (b"x_many", b"3"),
        (b"content-type", b"text/plain"),
    ],
    "client": ("192.0.2.7", 5555),
    "server": ("127.0.0.1", 8000),
}
SOCKET = HTTP | {
    "type": "websocket",
    "scheme": "wss",
    "path": "/voice/openai",
    "raw_path": b"/voice/openai",
    "subprotocols": ["token", "ada"],
    "headers": [(b"sec-websocket-protocol", b"token, ada")],
    "extensions": {"websocket.http.response": {}},
}
REQUEST = {"type": "http.request", "body": b""}
CONNECT = {"type": "websocket.connect"}


class Server:
    """A server that plays one request, and records the answer."""

    def __init__(self, *events):
        self._events = list(events)
        self.sent = []

    async def receive(self):
        return self._events.pop(0)

    async def send(self, event):
        self.sent.append(event)

    def serve(self, app, scope):
        asyncio.run(app(scope, self.receive, self.send))
        return self.sent


@pytest.fixture
def make_router():
    made = []

    def make(**how):
        made.append(Router(**how))
        return made[-1]

    yield make
    for router in made:
        router.close(drain_s=0)


# Requests.


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"path": "/voice/openai", "root_path": "/voice"}, ("/voice", "/openai")),
        ({"path": "/voice", "root_path": "/voice"}, ("/voice", "")),
        ({"path": "/voices", "root_path": "/voice"}, ("", "/voices")),
        ({"path": "/openai", "root_path": ""}, ("", "/openai")),
        ({"path": "/openai/", "root_path": "", "raw_path": b"/voice/openai"}, ("/voice", "/openai")),
        ({"path": "/", "root_path": "", "raw_path": b"/voice/"}, ("/voice", "/")),
        ({"path": "/voice/v1/x", "path_remaining": "v1/x"}, ("/voice", "/v1/x")),
        ({"path": "/a b/openai", "root_path": "/a b", "raw_path": b"/a%20b/openai?x=y"}, ("/a b", "/openai")),
    ],
    ids=["starlette", "the mount point", "another path", "alone", "litestar", "litestar's root", "channels", "a space"],
)
def test_the_mount_point_is_told_from_the_path_below_it(scope, expected):
    assert _split_path(scope) == expected


def test_a_request_becomes_an_environ():
    environ = _environ(HTTP | {"path": "/voice/ü", "raw_path": b"/voice/%C3%BC"}, "GET", None, b"body")
    expected = {
        "SCRIPT_NAME": "/voice",
        "PATH_INFO": "/\xc3\xbc",
        "QUERY_STRING": "a=b",
        "REMOTE_ADDR": "192.0.2.7",
        "SERVER_PORT": "8000",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "here.example",
        "HTTP_X_MANY": "1,2",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "4",
    }
    assert {name: environ[name] for name in expected} == expected
    assert environ["wsgi.input"].read() == b"body"
    assert _environ(SOCKET, "GET", None)["wsgi.url_scheme"] == "https"


def test_pages_are_served_below_the_mount_point(make_router):
    start, body = Server(REQUEST).serve(make_router().asgi_app, HTTP)
    assert (start["status"], body["body"]) == (200, b'{"ready":true,"reason":"ready"}\n')
    assert (b"content-type", b"application/json") in start["headers"]


def test_a_plain_request_for_a_websocket_path_is_answered_with_426(make_router):
    start, _ = Server(REQUEST).serve(make_router().asgi_app, HTTP | {"path": "/voice/openai"})
    assert start["status"] == 426


def test_a_body_without_bound_is_refused(make_router):
    piece = {"type": "http.request", "body": bytes(MAX_BODY_BYTES), "more_body": True}
    start, _ = Server(piece, piece).serve(make_router().asgi_app, HTTP | {"method": "POST"})
    assert start["status"] == 413


def test_a_body_comes_in_pieces(make_router, monkeypatch):
    router, bodies = make_router(), []

    def application(environ, start_response):
        bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    monkeypatch.setattr(router.asgi_app, "_app", application)
    pieces = [{"type": "http.request", "body": b"ab", "more_body": True}] * 3
    Server(*pieces, REQUEST).serve(router.asgi_app, HTTP | {"method": "POST"})
    assert bodies == [b"ababab"]


def test_a_client_that_leaves_within_its_body_is_not_answered_and_starts_nothing(make_router, monkeypatch):
    router, calls = make_router(), []
    monkeypatch.setattr(router.asgi_app, "_app", lambda *request: calls.append(request))
    piece = {"type": "http.request", "body": b"half of it", "more_body": True}
    sent = Server(piece, {"type": "http.disconnect"}).serve(router.asgi_app, HTTP | {"method": "POST"})
    assert (sent, calls) == ([], [])


class Body:
    """The body of a WSGI application, which counts how often it was closed."""

    def __init__(self, *pieces):
        self._pieces = pieces
        self.closings = 0

    def __iter__(self):
        for piece in self._pieces:
            yield piece()

    def close(self):
        self.closings += 1


@pytest.mark.parametrize(("piece", "status"), [(lambda: b"fine", 200), (lambda: 1 / 0, 500)])
def test_the_body_of_the_application_is_closed(make_router, monkeypatch, piece, status):
    router, body = make_router(), Body(piece)

    def application(_environ, start_response):
        start_response("200 OK", [])
        return body

    monkeypatch.setattr(router.asgi_app, "_app", application)
    start, _ = Server(REQUEST).serve(router.asgi_app, HTTP)
    assert (start["status"], body.closings) == (status, 1)


def test_a_refused_websocket_gets_the_answer_in_plain_http_where_the_server_can_send_it(make_router):
    router = make_router(authenticate=lambda _request: None)
    start, body = Server(CONNECT).serve(router.asgi_app, SOCKET)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert body == {"type": "websocket.http.response.body", "body": b"authentication failed: check the credential\n"}
    assert Server(CONNECT).serve(router.asgi_app, SOCKET | {"extensions": None}) == [
        {"type": "websocket.close", "code": 1000}
    ]


def test_a_router_that_was_closed_answers_that_it_is_busy(make_router):
    router = make_router().start()
    router.close(drain_s=0)
    start, _ = Server(REQUEST).serve(router.asgi_app, HTTP)
    assert start["status"] == 503


def test_a_failure_of_the_application_is_logged_and_answered(make_router, monkeypatch, caplog):
    router = make_router()
    monkeypatch.setattr(router.asgi_app, "_app", lambda *_request: 1 / 0)
    start, _ = Server(REQUEST).serve(router.asgi_app, HTTP)
    assert start["status"] == 500
    assert "ZeroDivisionError" in caplog.text


def test_a_router_that_is_the_whole_application_is_closed_with_its_server(make_router):
    router = make_router().start()
    sent = Server({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}).serve(
        router.asgi_app, {"type": "lifespan"}
    )
    assert [event["type"] for event in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not router.is_alive


def test_another_kind_of_scope_is_an_error(make_router):
    with pytest.raises(ValueError, match="ASGI scope grpc is not served here"):
        Server().serve(make_router().asgi_app, {"type": "grpc"})


# Hooks that are coroutines.


def test_a_coroutine_hook_runs_on_the_loop_of_the_server(make_router):
    threads = []

    async def authenticate(request):
        await asyncio.sleep(0)
        threads.append(threading.current_thread())
        return None if request.credential == "ada" else Principal("never")

    start, _ = Server(CONNECT).serve(make_router(authenticate=authenticate).asgi_app, SOCKET)
    assert start["status"] == 401
    assert threads == [threading.main_thread()]


class Asynchronous:
    """A hook that is an object."""

    async def __call__(self, request):
        return Principal(request.credential)


def test_a_coroutine_hook_runs_in_a_call_in_memory_too(simulator):
    with CallHarness(authenticate=Asynchronous()) as harness:
        harness.call(simulator=simulator, headers={"Authorization": "Token ada"}).client.start()


def test_a_coroutine_hook_that_takes_too_long_is_cancelled():
    ends = []

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    loop = EventLoop(timeout_s=0.05)
    with pytest.raises(TimeoutError):
        loop.plain("on_turn", hang)()

    async def call_from_a_thread():
        loop.enter()
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(loop.plain("on_turn", hang))
        await asyncio.sleep(0)

    asyncio.run(call_from_a_thread())
    assert ends == ["cancelled", "cancelled"]


def test_a_wsgi_server_refuses_a_router_with_a_coroutine_hook(make_router):
    router = make_router(authenticate=Asynchronous(), on_turn=Asynchronous())
    problem = "authenticate and on_turn must not be a coroutine, which only `asgi_app` can run"
    for serve in (lambda: router.wsgi_app, lambda: router.handle({})):
        with pytest.raises(ValueError, match=problem):
            serve()
