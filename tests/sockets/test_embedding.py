"""The examples of docs/embedding.md, and other hosts, as processes: real servers, and a client that talks."""

import re
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support.clients.tls import trusting
from tests.support.clients.voice_agent import CONVERSE, hold_text_turn
from tests.support.processes.further import first_and_further, further
from tests.support.processes.host_apps import (
    ASGI_SERVERS,
    EXAMPLES,
    GUNICORN,
    SERVERS,
    TIMEOUT_S,
    converse,
    host,
    started,
)

FLASK = "flask_app:app"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
SERVICE_RESTART = 1012
IN_EVERY_RUN = ("flask under gunicorn", "flask under werkzeug", "django under gunicorn, preloaded")
TROUBLE = re.compile("Traceback|ERROR|CRITICAL|Exception")


def last_word(connection):
    """Read to the end; return the code of the close frame."""
    try:
        while True:
            connection.recv(TIMEOUT_S)
    except ConnectionClosed:
        return connection.close_code


# Every server with threads takes calls.


@pytest.mark.parametrize("server", [each if each in IN_EVERY_RUN else further(each) for each in SERVERS])
def test_an_application_takes_calls_and_serves_its_own_pages(server):
    with host(*SERVERS[server]) as served:
        with served.call() as first, served.call() as second:
            converse(first)
            assert served.get("/") == (200, "<p>Call ws://this-host/voice</p>")
            converse(second)
        assert served.get("/voice")[0] == 426
    assert not TROUBLE.search(served.child.output), served.child.output


@pytest.mark.parametrize("application", ["flask", further("django")])
def test_a_page_of_another_origin_gets_403_under_gunicorn(application):
    origins = {
        None: 101,
        "http://{}": 101,
        "http://localhost:3000": 101,
        "https://app.example": 101,
        "null": 403,
        "https://evil.example": 403,
        "https://app.example.evil.example": 403,
        "https://app.example:444": 403,
    }
    with host(*GUNICORN, f"tests.support.processes.origin_apps:{application}") as served:
        for origin, status in origins.items():
            headers = {} if origin is None else {"Origin": origin.format(served.address)}
            assert status_of(served, headers) == status, origin


def status_of(served, headers):
    try:
        with connect(f"ws://{served.address}/voice", open_timeout=TIMEOUT_S, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_the_whole_router_can_be_mounted_below_a_path():
    with host(*SERVERS["a plain application under gunicorn"]) as served:
        assert served.get("/agent/readyz") == (200, '{"ready":true,"reason":"ready"}\n')
        assert "<title>Switchboard</title>" in served.get("/agent/")[1]
        with served.call("/agent/openai") as component:
            converse(component)
        with served.call("/agent/v1/agent/converse", profile=CONVERSE) as client:
            converse(client)


@pytest.mark.parametrize("path", [further("/voice/"), "/voice/x", further("/Voice")])
def test_flask_is_mounted_at_exactly_its_path(path):
    with host(*SERVERS["flask under werkzeug"]) as served:
        assert served.get(path, UPGRADE)[0] == 404


# Forks.


def test_a_router_that_runs_before_the_fork_begins_anew_in_each_worker(tmp_path):
    (tmp_path / "eager.py").write_text("from flask_app import app, router\nrouter.start()\n")
    with host(*GUNICORN, "--preload", "--workers", "2", "eager:app", modules=tmp_path) as served, ExitStack() as stack:
        for agent in [stack.enter_context(served.call()) for _ in range(4)]:
            converse(agent)
    assert not TROUBLE.search(served.child.output), served.child.output


# gunicorn, with live sessions.


def test_sessions_hold_neither_threads_nor_connections_of_the_server():
    with host(*GUNICORN, "--threads", "2", "--worker-connections", "4", FLASK) as served, ExitStack() as stack:
        agents = [stack.enter_context(served.call()) for _ in range(12)]
        assert served.get("/")[0] == 200
        for agent in agents:
            hold_text_turn(agent, "hello")


def test_ended_calls_leave_no_descriptor_in_the_server():
    with host(*GUNICORN, FLASK) as served:
        worker = int(served.child.wait_for(r"Booting worker with pid: (\d+)")[1])

        def call(count):
            for _ in range(count):
                with served.call():
                    pass
            assert served.get("/")[0] == 200

        call(3)
        before = open_files(worker)
        call(20)
        until_s = time.monotonic() + TIMEOUT_S
        while open_files(worker) > before and time.monotonic() < until_s:
            served.get("/")  # the last call may still be ending
        assert open_files(worker) <= before


def open_files(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_kept_alive_connection_can_be_upgraded():
    with host(*GUNICORN, FLASK) as served:
        name, _, port = served.address.partition(":")
        with socket.create_connection((name, int(port)), timeout=TIMEOUT_S) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            page = b""
            while not page.endswith(b"</p>"):
                page += sock.recv(4096)
            assert b"Connection: keep-alive" in page
            with connect(f"ws://{served.address}/voice", sock=sock) as connection:
                converse(started(connection))


def test_the_time_outs_of_the_server_are_those_of_requests_and_not_of_sessions():
    with host(*GUNICORN, "--timeout", "2", "--keep-alive", "1", FLASK) as served, served.call() as agent:
        until_s = time.monotonic() + 4.0
        while time.monotonic() < until_s:
            hold_text_turn(agent, "tell me more and more and more of it, please, and take your time")
        assert "WORKER TIMEOUT" not in served.child.output


def test_the_access_log_has_one_line_for_a_call_at_its_start():
    with host(*GUNICORN, "--access-logfile", "-", FLASK) as served:
        with served.call() as agent:
            served.child.wait_for(r'"GET /voice HTTP/1.1" 101 ')
            hold_text_turn(agent, "hello")
        assert served.get("/")[0] == 200
        served.child.wait_for(r'"GET / HTTP/1.1" 200 ')
        assert served.child.output.count("/voice") == 1


def test_a_worker_that_served_its_number_of_requests_drains_its_calls_and_the_next_one_takes_over():
    with host(*GUNICORN, "--max-requests", "2", FLASK) as served:
        with connect(f"ws://{served.address}/voice") as connection:
            started(connection)
            assert served.get("/")[0] == 200
            assert last_word(connection) == 1012
        with served.call() as agent:
            converse(agent)


@pytest.mark.parametrize("stop", [signal.SIGTERM, further(signal.SIGHUP)])
def test_a_stopped_worker_drains_its_calls(stop):
    with host(*GUNICORN, FLASK) as served, connect(f"ws://{served.address}/voice") as connection:
        started(connection)
        served.child.send_signal(stop)
        assert last_word(connection) == 1012


def test_on_sighup_an_answer_is_finished_by_the_old_worker_and_new_calls_land_on_the_new():
    with host(*GUNICORN, FLASK) as served, served.call() as old:
        old.send("InjectUserMessage", content="Tell me about the sea, and about the land.")
        old.wait_for_audio()
        served.child.send_signal(signal.SIGHUP)
        old.wait_for("Warning")
        with served.call() as new:
            hold_text_turn(new, "hello there")
            assert old.wait_for_turn().types.count("AgentAudioDone") == 1
            assert old.wait_for_close() == SERVICE_RESTART
            hold_text_turn(new, "are you still there")


def test_a_turn_that_does_not_end_is_cut_off_before_gunicorn_kills_its_worker():
    with host(*GUNICORN, "--graceful-timeout", "4", FLASK) as served, served.call() as agent:
        agent.send("InjectUserMessage", content="What is the weather in Paris?")
        agent.wait_for("FunctionCallRequest")
        served.child.send_signal(signal.SIGTERM)
        agent.wait_for("Warning")
        assert agent.wait_for("Error").messages[-1]["code"] == "SERVER_GOING_AWAY"
        assert agent.wait_for_close() == SERVICE_RESTART
        assert served.child.wait() == 0
    assert "SIGKILL" not in served.child.output


def test_ctrl_c_again_cuts_the_drain_of_any_other_process_short():
    with host(*SERVERS["flask under werkzeug"]) as served, served.call() as agent:
        agent.send("InjectUserMessage", content="What is the weather in Paris?")
        agent.wait_for("FunctionCallRequest")
        served.child.send_signal(signal.SIGINT)
        agent.wait_for("Warning")
        served.child.send_signal(signal.SIGINT)
        assert agent.wait_for("Error").messages[-1]["code"] == "SERVER_GOING_AWAY"
        assert agent.wait_for_close() == SERVICE_RESTART
        assert served.child.wait() == 0
    assert not TROUBLE.search(served.child.output), served.child.output


HOOKED = """
from flask import Flask
from router import Principal, Router
from router.flask import mount

def authenticate(request):
    return Principal("ada") if request.credential == "a-secret" else None

def on_turn(session, turn):
    print(f"{session.principal.id} said {turn.text('user')}", flush=True)

app = Flask(__name__)
mount(app, Router(authenticate=authenticate, on_turn=on_turn), "/voice", profile="openai")
"""


def test_hooks_refuse_with_an_http_status_and_receive_turns(tmp_path):
    (tmp_path / "hooked_app.py").write_text(HOOKED)
    with host(*GUNICORN, "hooked_app:app", modules=tmp_path) as served:
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{served.address}/voice?token=another")
        response = refused.value.response
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        with served.call("/voice?token=a-secret") as agent:
            hold_text_turn(agent, "hello there")
            served.child.wait_for("ada said hello there")
    assert "a-secret" not in served.child.output


# TLS in the server itself.


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def certificate(authority, tmp_path):
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    return str(tmp_path / "server.pem")


def test_with_tls_in_the_server_a_session_holds_a_thread_and_some_are_left(certificate, authority, tmp_path):
    (tmp_path / "few.py").write_text(
        "from router import Router\nrouter = Router(limits={'held_server_threads': 2})\napplication = router.wsgi_app\n"
    )
    tls = ("--certfile", certificate, "--keyfile", certificate)
    with host(*GUNICORN, "--threads", "3", *tls, "few:application", modules=tmp_path) as served:
        url = f"wss://{served.address}/openai"
        with served.call("/openai", ssl=trusting(authority)) as first:
            with served.call("/openai", ssl=trusting(authority)) as second:
                with pytest.raises(InvalidStatus) as refused, connect(url, ssl=trusting(authority)):
                    pass
                assert refused.value.response.status_code == 503
                assert b"all 2 threads" in refused.value.response.body
                converse(first)
                converse(second)
            with served.call("/openai", ssl=trusting(authority)) as third:
                converse(third)
    assert not TROUBLE.search(served.child.output), served.child.output


def test_a_held_thread_does_not_delay_the_end_of_its_worker(certificate, authority):
    tls = ("--certfile", certificate, "--keyfile", certificate)
    with (
        host(*GUNICORN, *tls, FLASK) as served,
        connect(f"wss://{served.address}/voice", ssl=trusting(authority)) as connection,
    ):
        started(connection)
        served.child.send_signal(signal.SIGTERM)
        assert last_word(connection) == SERVICE_RESTART
        served.child.wait(timeout_s=TIMEOUT_S)
    assert not TROUBLE.search(served.child.output), served.child.output


# Who cannot upgrade says so.


def test_waitress_gets_a_sentence_that_names_a_server_to_use():
    with host("-m", "waitress", "--listen", "127.0.0.1:0", "wsgi_app:application") as served:
        status, said = served.get("/voice", UPGRADE)
        assert (status, "gunicorn --threads 8" in said) == (501, True)


ASGI = {
    "a2wsgi": "import a2wsgi, wsgi_app\napp = a2wsgi.WSGIMiddleware(wsgi_app.application)\n",
    "django": "import django_app, django.core.asgi\napp = django.core.asgi.get_asgi_application()\n",
}


@pytest.mark.parametrize("bridge", first_and_further({name: name for name in ASGI}))
def test_an_asgi_server_gets_a_sentence_that_names_a_server_to_use(bridge, tmp_path):
    (tmp_path / "bridged.py").write_text(ASGI[bridge])
    uvicorn = ("-m", "uvicorn", "--port", "0", "--ws", "none", "--lifespan", "off")
    with host(*uvicorn, "bridged:app", modules=tmp_path) as served:
        status, said = served.get("/voice", UPGRADE)
        assert (status, "gunicorn --threads 8" in said) == (501, True)


# The documentation.


def test_each_example_is_run_here():
    run = " ".join(part for argv in (*SERVERS.values(), *ASGI_SERVERS.values()) for part in argv)
    examples = {path.stem for path in EXAMPLES.glob("*_app.py") if not path.stem.startswith("test_")}
    assert examples == set(re.findall(r"\w+_app", run))
