"""A router inside of another application, in this process: when it starts, with whom it lives, how it ends."""

import contextlib
import socket
import subprocess
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

import router as package
from actors.connections.handover import HandshakeRefused
from actors.connections.memory import memory_pair
from router import Answer, Principal, Router, RouterConfig, StartError
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
        """Be quiet."""


@contextlib.contextmanager
def hosting(application):
    """A server of the standard library: the address."""
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
    """Call a WSGI application; its status and body."""
    said = []
    body = b"".join(application(environ, lambda status, _headers: said.append(status)))
    return int(said[0].split()[0]), body.decode()


# The beginning.


def test_everything_public_can_be_imported():
    assert {name: getattr(package, name) for name in package.__all__}.keys() == set(package.__all__)
    with pytest.raises(AttributeError, match="Rooter"):
        _ = package.Rooter


def test_importing_and_making_one_starts_no_thread_and_opens_nothing():
    said = (
        "import os, threading\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "from router import Router\n"
        "import router.flask, router.django\n"
        "Router()\n"
        "print(threading.active_count(), len(os.listdir('/proc/self/fd')) - before)"
    )
    ran = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "0"]


def test_the_first_call_starts_it(router):
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


def test_many_first_requests_start_it_once(router):
    gate = threading.Barrier(8)

    def first(_number):
        gate.wait(WAIT_S)
        return answered(router.wsgi_app, request("/readyz"))[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first, range(8))) == [200] * 8
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("dispatcher-0") == 1


def test_where_no_thread_can_be_started_nothing_is_left_and_it_starts_later(caplog):
    router = Router(upstream="ws://127.0.0.1:9/v1/realtime", dispatchers=2)
    before = descriptors()
    threading.stack_size(1 << 46)  # which no machine has, as the system then says of threads, too
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


def test_without_a_key_the_simulator_is_told_of(router, caplog):
    answered(router.wsgi_app, request("/readyz"))
    assert "simulator" in caplog.text


# A request.


@pytest.mark.parametrize("profile", [OPENAI, CONVERSE])
def test_a_session_has_the_profile_that_was_asked_for_and_an_id(router, profile):
    answers = []

    def application(environ, start_response):
        answers.append(router.handle(environ, profile="openai" if profile == OPENAI else "converse"))
        return answers[-1](environ, start_response)

    with hosting(application) as url, connect(url) as connection:
        turn = hold_text_turn(started(connection, profile), "hello")
        assert ("AgentDone" in turn.types) == (profile == OPENAI)
        assert [info.session_id for info in router.sessions()] == [answers[-1].session_id]
        assert answers[-1].is_upgraded


def test_a_plain_request_is_answered_and_nothing_is_raised(router):
    environ = request("/voice", **{"wsgi.input": None})
    answer = router.handle(environ)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.session_id, answer.is_upgraded) == (HTTPStatus.NOT_IMPLEMENTED, None, False)
    status, body = answered(answer, environ)
    assert status == 501
    assert "gunicorn --threads 8" in body


def test_a_profile_that_there_is_not_is_the_programs_mistake(router):
    with pytest.raises(ValueError, match="profile must be one of openai, converse, not 'deepgram'"):
        router.handle(request(), profile="deepgram")


# Together, and the end.


def test_several_live_in_one_process():
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


def test_one_that_was_closed_stays_closed(router):
    router.close()
    with socket.socket() as asking:
        answer = router.handle(request(OPENAI, **UPGRADE, **{"gunicorn.socket": asking}))
    assert (answer.status, dict(answer.headers).keys()) == (503, {"Retry-After"})
    assert answered(router.wsgi_app, request("/readyz"))[0] == 503
    with pytest.raises(StartError):
        router.start()


def test_a_call_that_is_being_accepted_as_it_closes_is_ended_like_any_other():
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
    told = [peer.receive(WAIT_S) for _ in range(2)]
    assert orjson.loads(told[0])["code"] == "SERVER_GOING_AWAY"
    assert told[1].code == 1012


def test_who_is_let_in_as_it_closes_hears_that_it_is_going_away():
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


def test_a_process_that_ends_says_good_bye(tmp_path):
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


def test_a_process_may_fork_while_a_call_goes_on():
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with child(sys.executable, Path(__file__).with_name("forking.py"), env=env) as process:
        process.wait_for("the child is done")
        process.wait_for("the parent is done")
        assert process.wait() == 0
        assert "Traceback" not in process.output
