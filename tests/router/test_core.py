"""The `Router` in this process: real sockets on both sides, the simulator as upstream."""

import contextlib
import datetime as dt
import functools
import socket
import ssl
import sys
import threading
from urllib.parse import urlsplit

import orjson
import pykka
import pytest
import trustme
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import connect
from websockets.sync.server import serve

from actors.connections.frames import text_frames
from actors.watchdog import Watchdog
from router.config import model_ends
from router.config.model import Deadlines, Limits, RouterConfig
from router.core import Router
from router.secrets import Secret
from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from tests.support.machine.playbook import settings
from tests.support.processes.serving import (
    apply_settings,
    closing,
    receive_until,
    receive_until_audio,
    say,
    serving,
    simulating,
)

pytestmark = pytest.mark.slow

KEY = "sk-test-0123456789abcdef"
DELTA_BYTES = 4800
"""100 ms of the agent's audio."""


@pytest.fixture
def simulator():
    with simulating(pace=0) as simulator:
        yield simulator


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_text_turn_is_carried_in_text_and_audio(simulator, profile):
    with serving(profile, upstream=simulator.url) as (_, url), connect(url) as client:
        assert apply_settings(client)[0]["type"] == "Welcome"
        say(client, type="InjectUserMessage", content="hello there")
        frames = receive_until(client, "AgentAudioDone")
        messages = [frame for frame in frames if isinstance(frame, dict)]
        texts = [message["content"] for message in messages if message["type"] == "ConversationText"]
        assert "hello there" in texts[0]
        assert len(texts) == 2
        assert sum(len(frame) for frame in frames if isinstance(frame, bytes)) > 24000


def test_several_sessions_on_several_dispatchers_do_not_mix(simulator):
    with serving(upstream=simulator.url, dispatchers=2) as (router, url), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(url)) for _ in range(6)]
        for client in clients:
            apply_settings(client)
        for n, client in enumerate(clients):
            say(client, type="InjectUserMessage", content=f"word{n}")
        for n, client in enumerate(clients):
            frames = receive_until(client, "AgentAudioDone")
            said = " ".join(frame["content"] for frame in frames if isinstance(frame, dict) and "content" in frame)
            assert [f"word{m}" in said for m in range(6)] == [m == n for m in range(6)]
        assert len(router.sessions()) == 6


def test_the_embedded_simulator_answers_where_there_is_no_key():
    with serving() as (_, url), connect(url) as client:
        apply_settings(client)
        say(client, type="InjectUserMessage", content="hello")
        receive_until(client, "AgentAudioDone")


# The credential.


def test_the_key_is_sent_as_bearer_and_reaches_no_client_and_no_log(simulator, caplog):
    caplog.set_level("DEBUG")
    config = {"upstream": simulator.url, "openai_api_key": Secret(KEY)}
    simulator.add_fault(
        Fault(
            point=FaultPoint.RESPONSE_CREATE,
            action=FaultAction.ERROR,
            error_code="odd",
            message=f"your key {KEY} is odd",
        )
    )
    with serving(**config) as (router, url), connect(url) as client:
        apply_settings(client)
        say(client, type="InjectUserMessage", content="hello")
        error = receive_until(client, "Error")[-1]
        record = simulator.connections[-1]
        assert record.headers["authorization"] == f"Bearer {KEY}"
        assert error["code"] == "odd"
        assert "[redacted]" in error["description"]
        assert KEY not in orjson.dumps(error).decode()
        assert KEY not in repr(router.config)
    assert KEY not in caplog.text


def test_a_redirect_is_not_followed():
    seen = []

    def redirect(_connection, request):
        seen.append(request.path)
        return Response(302, "Found", Headers({"Location": "/elsewhere", "Content-Length": "0"}), b"")

    with serve(lambda _connection: None, "127.0.0.1", 0, process_request=redirect) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with (
            serving(upstream=f"ws://127.0.0.1:{port}/v1", openai_api_key=Secret(KEY)) as (_, url),
            connect(url) as client,
        ):
            client.send(orjson.dumps(settings()).decode())
            assert receive_until(client, "Error")[-1]["code"] == "UPSTREAM_UNAVAILABLE"
        server.shutdown()
        thread.join()
    assert set(seen) == {"/v1?model=gpt-realtime-2.1"}


# Ends.


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_upstream_that_closes_1000_before_it_answered_is_replaced_and_the_question_answered(simulator, profile):
    simulator.add_fault(Fault(point=FaultPoint.RESPONSE_CREATE, action=FaultAction.CLOSE, code=1000))
    with serving(profile, upstream=simulator.url) as (router, url), connect(url) as client:
        apply_settings(client)
        say(client, type="InjectUserMessage", content="hello there")
        frames = [frame for frame in receive_until(client, "AgentAudioDone") if isinstance(frame, dict)]
        kinds = [frame["type"] for frame in frames if frame["type"] not in ("AgentStartedSpeaking", "History")]
        assert kinds == ["ConversationText", "Warning", "ConversationText", "AgentAudioDone"]
        assert "hello there" in frames[-2]["content"]
        (info,) = router.sessions()
        assert (info.generation, info.restarts) == (2, 1)


def test_with_restarts_switched_off_an_upstream_that_closes_ends_the_session(simulator):
    simulator.add_fault(Fault(point=FaultPoint.RESPONSE_CREATE, action=FaultAction.CLOSE, code=1000))
    with serving(upstream=simulator.url, restarts=0) as (router, url), connect(url) as client:
        apply_settings(client)
        say(client, type="InjectUserMessage", content="hello")
        assert receive_until(client, "Error")[-1]["code"] == "UPSTREAM_CLOSED"
        assert closing(client) == 1011
        assert router.readiness() == (True, "ready")


def test_a_key_that_is_refused_after_the_handshake_ends_the_session_for_good():
    with (
        Simulator(SimulatorConfig(required_key="another")) as simulator,
        serving(upstream=simulator.url, openai_api_key=Secret(KEY)) as (_, url),
        connect(url) as client,
    ):
        client.send(orjson.dumps(settings()).decode())
        assert receive_until(client, "Error")[-1]["code"] == "invalid_api_key"
        assert closing(client) == 1000


def test_a_client_that_leaves_closes_its_upstream(simulator):
    with serving(upstream=simulator.url) as (_, url):
        with connect(url) as client:
            apply_settings(client)
        assert simulator.wait_for(lambda records: records and records[-1].closed).code == 1000


@contextlib.contextmanager
def closing_meanwhile(router, drain_s):
    closer = threading.Thread(target=router.close, args=(drain_s,))
    closer.start()
    yield closer
    closer.join()


def test_close_ends_every_session_with_a_message_and_a_close_frame(simulator):
    with serving(upstream=simulator.url) as (router, url), connect(url) as client:
        apply_settings(client)
        with closing_meanwhile(router, 30.0):
            assert receive_until(client, "Warning")[-1]["code"] == "SERVER_GOING_AWAY"
            assert closing(client) == 1012
        assert router.readiness() == (False, "draining")
        with pytest.raises(InvalidStatus, match="503"):
            connect(url)


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_answer_in_progress_is_delivered_whole_before_close_ends_its_session(profile):
    with (
        Simulator(SimulatorConfig(pace=4)) as simulator,
        serving(profile, upstream=simulator.url) as (router, url),
        connect(url) as client,
    ):
        apply_settings(client)
        say(client, type="InjectUserMessage", content="hello there")
        frames = receive_until_audio(client)
        with closing_meanwhile(router, 30.0):
            frames += receive_until(client, "AgentAudioDone")
            assert closing(client) == 1012
        heard_bytes = sum(len(frame) for frame in frames if isinstance(frame, bytes))
        deltas = simulator.connections[-1].sent["response.output_audio.delta"]
    kinds = [frame["type"] for frame in frames if isinstance(frame, dict)]
    assert "Warning" in kinds
    assert (deltas - 1) * DELTA_BYTES < heard_bytes <= deltas * DELTA_BYTES


def test_a_second_close_shortens_the_first_one_s_time(simulator):
    hung = Fault(point=FaultPoint.RESPONSE_CREATED, action=FaultAction.HANG)
    simulator.add_fault(hung)
    with serving(upstream=simulator.url) as (router, url), connect(url) as client:
        apply_settings(client)
        say(client, type="InjectUserMessage", content="hello")
        simulator.wait_for(lambda records: records[-1].sent["response.created"])
        with closing_meanwhile(router, 3600.0):
            receive_until(client, "Warning")
            router.close(drain_s=0)
            assert receive_until(client, "Error")[-1]["code"] == "SERVER_GOING_AWAY"
            assert closing(client) == 1012


def test_an_upstream_that_cannot_be_dialled_makes_it_not_ready():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"ws://127.0.0.1:{closed.getsockname()[1]}/"
    with serving(upstream=address, deadlines=Deadlines(dial_s=2.0)) as (router, url):
        assert router.readiness() == (True, "ready")
        with connect(url) as client:
            client.send(orjson.dumps(settings()).decode())
            assert receive_until(client, "Error")[-1]["code"] == "UPSTREAM_UNAVAILABLE"
            assert closing(client) == 1011
        assert router.readiness() == (False, "no upstream can be dialled")


def test_nothing_runs_before_start_and_close_is_harmless_when_repeated():
    before = threading.active_count()
    router = Router(RouterConfig())
    assert threading.active_count() == before
    assert not router.is_alive
    assert router.readiness() == (True, "ready"), "the first call starts it, and a load balancer is to send one"
    router.start()
    assert router.is_alive
    router.close()
    router.close()


def test_the_former_name_of_problems_is_accepted_with_a_warning():
    router = Router(RouterConfig())
    with pytest.warns(DeprecationWarning, match="`Router.ailments` is called `problems` now") as caught:
        assert router.ailments() == router.problems() == []
    assert caught[0].filename == __file__, "the warning points at the program"


# TLS.


def test_an_upstream_behind_tls_is_dialled_with_its_own_certificates(simulator, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    # Without a bound of the queues: unread messages would keep the close frame from being read.
    def relay(tls_client):
        with connect(simulator.url + "?model=gpt-realtime", max_queue=None) as plain:
            back = threading.Thread(target=pump, args=(plain, tls_client))
            back.start()
            pump(tls_client, plain)
            plain.close()
            back.join()

    def pump(source, target):
        with contextlib.suppress(ConnectionClosed):
            for frame in source:
                target.send(frame)

    with serve(relay, "localhost", 0, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        config = {"upstream": f"wss://localhost:{port}/v1", "ca_file": str(tmp_path / "ca.pem")}
        with serving(**config) as (_, url), connect(url, max_queue=None) as client:
            apply_settings(client)
            say(client, type="InjectUserMessage", content="over TLS " + "x" * 2000)
            receive_until_audio(client)
        server.shutdown()
        thread.join()


# A client that does not read.


UPGRADE = (
    "GET /openai HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@contextlib.contextmanager
def deaf_client(url, *messages):
    """Connect a client that sends messages and reads nothing, with a small buffer in its kernel."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", urlsplit(url).port))
        deaf.sendall(UPGRADE.encode())
        assert deaf.recv(12) == b"HTTP/1.1 101"
        for message in messages:
            deaf.sendall(b"".join(text_frames(orjson.dumps(message), mask=True, max_frame_bytes=65536)))
        yield deaf


def test_a_client_that_does_not_read_is_closed_and_the_others_are_not_delayed(simulator, caplog):
    question = {"type": "InjectUserMessage", "content": "tell me more " * 200}
    limits = Limits(write_buffer_bytes=256 * 1024)
    deadlines = Deadlines(close_s=0.5)
    with (
        serving(upstream=simulator.url, limits=limits, deadlines=deadlines) as (router, url),
        deaf_client(url, settings(), *[question] * 12),
        connect(url) as other,
    ):
        apply_settings(other)
        say(other, type="InjectUserMessage", content="hello")
        receive_until(other, "AgentAudioDone")
        simulator.wait_for(lambda records: any(record.closed for record in records), timeout_s=20)
        assert [info.state for info in router.sessions()].count("live") == 1
    assert "the client does not read" in caplog.text


# A dispatcher that does not run.


@pytest.fixture
def actors_of_a_dead_dispatcher():
    """Forget the actors of a dead dispatcher: no thread runs them, and so they cannot stop."""
    yield
    for ref in pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.unregister(ref)


@pytest.mark.usefixtures("actors_of_a_dead_dispatcher")
def test_sessions_of_a_dispatcher_that_dies_are_ended_with_an_error_and_no_other_begins(simulator, caplog):
    with serving(upstream=simulator.url) as (router, url), connect(url) as client:
        apply_settings(client)
        (dispatcher,) = router._parts.runtime.dispatchers
        dispatcher.call_soon(sys.exit)
        assert receive_until(client, "Error")[-1]["code"] == "INTERNAL_SERVER_ERROR"
        assert closing(client) == 1011
        assert simulator.wait_for(lambda records: records[-1].closed)
        assert not router.is_alive
        assert router.problems() == ["dispatcher-0 is dead"]
        assert router.readiness() == (False, "not running")
        with pytest.raises(InvalidStatus, match="503"):
            connect(url)
    for abortable in dispatcher._abortables:
        abortable._connection._sock.close()
    assert "dispatcher-0 died" in caplog.text


def test_sessions_of_a_dispatcher_that_stalls_are_ended_with_an_error_and_others_begin_once_it_runs_again(
    simulator, monkeypatch
):
    monkeypatch.setattr("router.runtime.Watchdog", functools.partial(Watchdog, look_s=0.02))
    go_on = threading.Event()
    with serving(upstream=simulator.url) as (router, url), connect(url) as client:
        apply_settings(client)
        router._parts.runtime.dispatchers[0].call_soon(go_on.wait)
        assert receive_until(client, "Error")[-1]["code"] == "INTERNAL_SERVER_ERROR"
        assert closing(client) == 1011
        assert router.problems() == ["dispatcher-0 is stalled"]
        go_on.set()
        assert until(lambda: router.is_alive)
        with connect(url) as another:
            apply_settings(another)


def until(holds):
    pause = threading.Event()
    return any(holds() or pause.wait(0.02) for _ in range(250))


def test_a_start_with_a_model_that_ends_soon_warns(caplog, monkeypatch):
    monkeypatch.setattr(model_ends, "WARNED_BEFORE", dt.timedelta(days=100_000))
    router = Router(upstream="ws://nowhere.invalid/v1/realtime", model="gpt-realtime", transcription_model="whisper-1")
    with caplog.at_level("WARNING"):
        router.start().close(drain_s=0)
    ends = [record.message for record in caplog.records if "configure another one" in record.message]
    assert [sentence.split()[2] for sentence in ends] == ["gpt-realtime", "whisper-1"]
