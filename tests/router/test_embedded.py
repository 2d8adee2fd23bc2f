"""A router inside another application, in this process: its start, its requests, its end."""

import contextlib
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults

import orjson
import pytest
from websockets.sync.client import connect

from actors.connections.handover import HandshakeRefused
from actors.connections.memory import memory_pair
from router import Principal, Response, Router, RouterConfig, StartError
from tests.support.clients.voice_agent import CONVERSE, OPENAI, hold_text_turn
from tests.support.processes.children import child
from tests.support.processes.host_apps import ROOT, started
from tests.support.processes.serving import closing

pytestmark = pytest.mark.slow

WAIT_S = 5.0
UPGRADE = {
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args):
        """Log nothing."""


@contextlib.contextmanager
def hosting(application):
    """Serve an application with a server of the standard library; yield its address."""
    server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT_S)


@pytest.fixture
def router():
    router = Router()
    yield router
    router.close()


def request(path="/", **more):
    environ = {"PATH_INFO": path, **more}
    setup_testing_defaults(environ)
    return environ


def answered(application, environ):
    """Call a WSGI application; return the status and the body."""
    statuses = []
    body = b"".join(application(environ, lambda status, _headers: statuses.append(status)))
    return int(statuses[0].split()[0]), body.decode()


# The start.


def test_the_first_call_starts_the_router(router):
    with hosting(lambda environ, start: router.handle(environ)(environ, start)) as url:
        assert not router.is_alive
        with connect(url + "/anything") as connection:
            hold_text_turn(started(connection), "hello")
            assert router.is_alive
            assert len(router.sessions()) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_whole_application_starts_with_its_first_request_of_any_kind(router, path):
    assert answered(router.wsgi_app, request(path))[0] == 200
    assert router.is_alive
    assert router.wsgi_app is router.wsgi_app


def test_many_first_requests_start_the_router_once(router):
    gate = threading.Barrier(8)

    def first(_number):
        gate.wait(WAIT_S)
        return answered(router.wsgi_app, request("/readyz"))[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first, range(8))) == [200] * 8
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("dispatcher-0") == 1


def test_a_start_without_threads_leaves_nothing_behind_and_a_later_one_succeeds(caplog):
    router = Router(upstream="ws://127.0.0.1:9/v1/realtime", dispatchers=2)
    before = descriptors()
    threading.stack_size(1 << 46)  # more than any machine has: the system refuses each thread
    try:
        for _ in range(3):
            with pytest.raises(StartError, match="can't start new thread"):
                router.start()
        with pytest.raises(HandshakeRefused) as refused:
            router.begin({}, "converse", lambda _first_text: pytest.fail("it was accepted"))
    finally:
        threading.stack_size(0)
    assert refused.value.status == 503
    assert "the router cannot start: can't start new thread" in caplog.text
    assert descriptors() == before
    assert router.start().is_alive
    router.close(drain_s=0)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_start_with_the_simulator_is_logged(router, caplog):
    answered(router.wsgi_app, request("/readyz"))
    assert "simulator" in caplog.text


# A request.


@pytest.mark.parametrize("profile", [OPENAI, CONVERSE])
def test_a_session_has_the_requested_profile_and_an_id(router, profile):
    responses = []

    def application(environ, start_response):
        responses.append(router.handle(environ, profile="openai" if profile == OPENAI else "converse"))
        return responses[-1](environ, start_response)

    with hosting(application) as url, connect(url) as connection:
        turn = hold_text_turn(started(connection, profile), "hello")
        assert ("AgentDone" in turn.types) == (profile == OPENAI)
        assert [info.session_id for info in router.sessions()] == [responses[-1].session_id]
        assert responses[-1].is_upgraded


def test_a_plain_request_gets_a_response_and_raises_nothing(router):
    environ = request("/voice", **{"wsgi.input": None})
    response = router.handle(environ)
    assert isinstance(response, Response)
    assert (response.status, response.session_id, response.is_upgraded) == (HTTPStatus.NOT_IMPLEMENTED, None, False)
    status, body = answered(response, environ)
    assert status == 501
    assert "gunicorn --threads 8" in body


def test_an_unknown_profile_is_a_value_error(router):
    with pytest.raises(ValueError, match="profile must be one of openai, converse, not 'deepgram'"):
        router.handle(request(), profile="deepgram")


# Several routers, and the end.


def test_several_routers_live_in_one_process():
    first, second = Router(), Router(RouterConfig())
    try:
        with (
            hosting(first.wsgi_app) as here,
            hosting(second.wsgi_app) as there,
            connect(here + OPENAI) as one,
            connect(there + OPENAI) as other,
        ):
            hold_text_turn(started(one), "hello")
            agent = started(other)
            assert (len(first.sessions()), len(second.sessions())) == (1, 1)
            first.close()
            assert closing(one) == 1012
            hold_text_turn(agent, "are you still there?")
    finally:
        first.close()
        second.close()


def test_a_closed_router_stays_closed(router):
    router.close()
    with socket.socket() as asking:
        response = router.handle(request(OPENAI, **UPGRADE, **{"gunicorn.socket": asking}))
    assert (response.status, dict(response.headers).keys()) == (503, {"Retry-After"})
    assert answered(router.wsgi_app, request("/readyz"))[0] == 503
    with pytest.raises(StartError):
        router.start()


def test_a_call_in_acceptance_is_drained_like_any_other():
    router = Router(upstream="ws://127.0.0.1:9/v1/realtime").start()
    connection, peer = memory_pair()
    accepting, may_accept = threading.Event(), threading.Event()

    def accept(_first_text):
        accepting.set()
        assert may_accept.wait(WAIT_S)
        return connection

    environ = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "websocket"}
    caller = threading.Thread(target=router.begin, args=(environ, "converse", accept))
    closer = threading.Thread(target=router.close, args=(0.0,))
    caller.start()
    assert accepting.wait(WAIT_S)
    closer.start()
    closer.join(0.2)
    assert router.readiness() == (False, "draining")
    may_accept.set()
    caller.join(WAIT_S)
    closer.join(WAIT_S)
    warning, closed = (peer.receive(WAIT_S) for _ in range(2))
    assert orjson.loads(warning)["code"] == "SERVER_GOING_AWAY"
    assert closed.code == 1012


def test_a_client_that_is_authenticated_during_the_close_is_refused_with_503():
    asked, may_answer = threading.Event(), threading.Event()

    def authenticate(_request):
        asked.set()
        assert may_answer.wait(WAIT_S)
        return Principal("ada")

    refused = []

    def call():
        with pytest.raises(HandshakeRefused) as caught:
            router.begin({"HTTP_UPGRADE": "websocket"}, "converse", lambda _first_text: pytest.fail("it was accepted"))
        refused.append(caught.value.status)

    router = Router(upstream="ws://127.0.0.1:9/v1/realtime", authenticate=authenticate).start()
    caller = threading.Thread(target=call)
    caller.start()
    assert asked.wait(WAIT_S)
    router.close(drain_s=0)
    may_answer.set()
    caller.join(WAIT_S)
    assert refused == [503]


def test_the_end_of_a_process_closes_its_calls(tmp_path):
    (tmp_path / "ending.py").write_text(
        "import sys, threading\n"
        "from wsgiref.simple_server import make_server\n"
        "from router import Router\n"
        "server = make_server('127.0.0.1', 0, Router().wsgi_app)\n"
        "print(server.server_port, flush=True)\n"
        "server.handle_request()\n"
    )
    with child(sys.executable, tmp_path / "ending.py", env={"PYTHONPATH": str(ROOT)}) as process:
        port = process.wait_for(r"^(\d+)$")[1]
        with connect(f"ws://127.0.0.1:{port}{OPENAI}") as connection:
            assert closing(connection) == 1012
        assert process.wait() == 0


def test_a_process_may_fork_during_a_call():
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with child(sys.executable, ROOT / "tests" / "support" / "processes" / "forking.py", env=env) as process:
        process.wait_for("the child is done")
        process.wait_for("the parent is done")
        assert process.wait() == 0
        assert "Traceback" not in process.output
