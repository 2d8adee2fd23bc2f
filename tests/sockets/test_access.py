"""Who may come in, checked from outside: the command as a process, and clients with and without a credential."""

import http.client
import json
import re
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import jwt
import pytest
import trustme
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from openai import OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.tls import trusting
from tests.support.clients.voice_agent import OPENAI, VoiceAgent, hold_text_turn
from tests.support.machine.playbook import settings
from tests.support.processes.children import RUN_PY, ChildError, child, router
from tests.support.processes.further import further

TIMEOUT_S = 20.0
PATHS = ("/openai", "/v1/agent/converse")
ALICE = "the-token-of-alice"
ENV = {"ROUTER_TOKENS": f"alice={ALICE},bob=the-token-of-bob"}
SHARED = "a phrase of many more than sixty-four bytes, which only the two sides know"


def run(*flags, env=None):
    """Run the command until it ends by itself; return its exit code and its output."""
    with child(sys.executable, RUN_PY, *flags, env=env) as process:
        status = process.wait(timeout_s=TIMEOUT_S)
        with pytest.raises(ChildError):  # the output is whole once no line can follow
            process.wait_for("a line that nothing prints")
        return status, process.output


@contextmanager
def guarded(*flags, env=None):
    """Run a simulator, and a router in front of it that knows alice and bob."""
    with (
        Simulator(SimulatorConfig()) as simulator,
        router("--upstream", simulator.url, *flags, env={**ENV, **(env or {})}) as running,
    ):
        yield running.address, simulator


@pytest.fixture(scope="module")
def served():
    with router("--auth", "token", "--workers", "2", env=ENV) as running:
        yield running.address


@pytest.fixture(scope="module")
def refusing():
    """A router that knows alice and bob, and the simulator behind it. Here it refuses all clients."""
    with guarded("--auth", "token", "--wire-view") as running:
        yield running


@pytest.fixture(scope="module")
def of_any_page():
    """A router that authenticates no client, and allows the pages of one origin."""
    with router("--allow-origin", "https://app.example") as running:
        yield running.address


def raw(address, text):
    """Send a request as bytes, and return the head and the body of its answer."""
    host, _, port = address.rpartition(":")
    with closing(socket.create_connection((host, int(port)), timeout=TIMEOUT_S)) as sock:
        sock.sendall(text.encode())
        with sock.makefile("rb") as answer:
            head = b"".join(iter(answer.readline, b"\r\n"))
            return head + answer.read(int(re.search(rb"Content-Length: (\d+)", head)[1]))


def upgrade(path="/openai", *headers, host="127.0.0.1"):
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join(lines) + "\r\n\r\n"


def status_of(address, path="/openai", **how):
    """Return 101, or the status of the refusal."""
    try:
        with connect(f"ws://{address}{path}", open_timeout=TIMEOUT_S, **how):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def request(address, method, path, body=None, **headers):
    with closing(http.client.HTTPConnection(address, timeout=TIMEOUT_S)) as connection:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def bearer(token):
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


# The start.


@pytest.mark.parametrize(
    ("host", "check"),
    [("0.0.0.0", ()), further("::", ("--check",)), further("0.0.0.0", ("--check",)), further("::", ())],
)
def test_an_open_address_without_authentication_stops_the_start(host, check):
    status, output = run("--host", host, "--port", "0", *check)
    assert status == 2
    assert output.count("\n") == 1
    assert "clients are not authenticated" in output


def test_an_open_address_starts_with_tokens_or_with_the_flag():
    assert run("--host", "0.0.0.0", "--check", "--auth", "token", env=ENV)[0] == 0
    assert run("--host", "0.0.0.0", "--check", "--insecure")[0] == 0
    with child(sys.executable, RUN_PY, "--port", "0", "--host", "0.0.0.0", "--auth", "token", env=ENV) as process:
        port = process.wait_for(r"//127\.0\.0\.1:(\d+)/openai")[1]
        assert status_of(f"127.0.0.1:{port}") == 401
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--auth", "token"), "needs tokens"),
        further(("--auth", "jwt"), "auth.jwt"),
        further(("--auth", "callable"), "a function"),
    ],
)
def test_a_kind_without_anything_to_compare_with_stops_the_start(flags, words):
    status, output = run(*flags, "--check")
    assert (status, words in output) == (2, True)


def test_a_function_that_does_not_exist_stops_the_start():
    status, output = run("--auth", "callable", "--check", env={"ROUTER_AUTH_CALLABLE": "no_such_module:f"})
    assert (status, "cannot be imported" in output) == (2, True)


def test_no_credential_is_printed_or_logged():
    status, output = run("--check", "--auth", "token", env=ENV)
    assert (status, ALICE in output) == (0, False)


# Credentials.


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "how",
    [
        bearer(ALICE),
        {"additional_headers": {"Authorization": f"Token {ALICE}"}},
        {"subprotocols": ["token", ALICE]},
        {"subprotocols": ["bearer", ALICE]},
        {"subprotocols": ["realtime", f"openai-insecure-api-key.{ALICE}", "openai-beta.realtime-v1"]},
    ],
)
def test_a_client_comes_in_with_its_token_in_each_place(served, path, how):
    with connect(f"ws://{served}{path}", open_timeout=TIMEOUT_S, **how) as connection:
        assert json.loads(connection.recv(TIMEOUT_S))["type"] == "Welcome"
        assert connection.subprotocol == (how.get("subprotocols") or [None])[0]


def test_a_client_comes_in_with_its_token_in_the_url(served):
    assert status_of(served, f"/openai?token={ALICE}") == 101


@pytest.mark.parametrize("path", [*PATHS, "/console/wire", "/v1/listen", "/openai?turn_detection=odd"])
def test_every_other_credential_gets_the_same_bytes_and_no_upstream(refusing, path):
    address, simulator = refusing
    answers = {
        re.sub(rb"Date: [^\r]*\r\n", b"", raw(address, upgrade(path, *headers)))
        for headers in (
            (),
            ("Authorization: Bearer wrong",),
            ("Authorization: Token ",),
            (f"Authorization: Basic {ALICE}",),
            ("Sec-WebSocket-Protocol: token, wrong",),
            (f"Authorization: Bearer {ALICE}x",),
        )
    }
    (answer,) = answers
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"WWW-Authenticate: Bearer" in answer
    assert simulator.connections == []


def test_nothing_of_the_token_reaches_the_upstream():
    with guarded("--auth", "token") as (address, simulator):
        with connect(f"ws://{address}/openai?token={ALICE}", open_timeout=TIMEOUT_S, **bearer(ALICE)) as connection:
            agent = VoiceAgent(connection, OPENAI)
            agent.start()
            hold_text_turn(agent, "Is anybody there?")
        (record,) = simulator.connections
        assert ALICE not in repr((record.headers, record.query, record.events))


def test_a_json_web_token_lets_its_client_in_and_no_forged_one(tmp_path):
    (tmp_path / "router.toml").write_text(
        f'[auth]\nkinds = ["jwt"]\n[auth.jwt]\nkey = "{SHARED}"\naudience = "voice"\nissuer = "me"\n'
    )
    claims = {"sub": "ada", "aud": "voice", "iss": "me", "exp": int(time.time()) + 60}
    with router("--config", str(tmp_path / "router.toml")) as running:
        assert status_of(running.address, **bearer(jwt.encode(claims, SHARED))) == 101
        for wrong in ({"exp": 1}, {"aud": "other"}, {"iss": "other"}):
            assert status_of(running.address, **bearer(jwt.encode({**claims, **wrong}, SHARED))) == 401
        assert status_of(running.address, **bearer(jwt.encode(claims, None, algorithm="none"))) == 401
        del claims["exp"]
        assert status_of(running.address, **bearer(jwt.encode(claims, SHARED))) == 401


def test_a_function_of_the_operator_decides(tmp_path):
    (tmp_path / "own_auth.py").write_text(
        "from router import Principal\n\ndef decide(request):\n"
        "    return Principal('ada') if request.credential == 'open sesame'.replace(' ', '-') else None\n"
    )
    env = {"ROUTER_AUTH_CALLABLE": "own_auth:decide", "PYTHONPATH": str(tmp_path)}
    with router("--auth", "callable", env=env) as running:
        assert status_of(running.address, **bearer("open-sesame")) == 101
        assert status_of(running.address, **bearer("wrong")) == 401


# Short-lived tokens.


def test_a_grant_is_good_on_every_worker_and_earns_no_other(served):
    address = served
    status, body = request(address, "POST", "/v1/auth/grant", "{}", Authorization=f"Token {ALICE}")
    grant = json.loads(body)
    assert (status, grant["expires_in"]) == (200, 30)
    for _ in range(6):
        assert status_of(address, subprotocols=["bearer", grant["access_token"]]) == 101
    again = request(address, "POST", "/v1/auth/grant", Authorization=f"Bearer {grant['access_token']}")
    assert again[0] == 403
    assert request(address, "POST", "/v1/auth/grant")[0] == 401
    assert request(address, "GET", "/v1/auth/grant", Authorization=f"Token {ALICE}")[0] == 405


def test_a_grant_is_good_on_another_machine_and_ends(served):
    with router("--auth", "token", env=ENV) as other:
        body = json.dumps({"ttl_seconds": 2})
        grant = json.loads(request(served, "POST", "/v1/auth/grant", body, Authorization=f"Token {ALICE}")[1])
        assert status_of(other.address, **bearer(grant["access_token"])) == 101
        threading.Event().wait(2.1)  # the end of the token is what the test is about
        assert status_of(other.address, **bearer(grant["access_token"])) == 401


def test_the_sdks_of_deepgram_and_openai_get_tokens_that_let_a_browser_in(served):
    address = served
    host = f"ws://{address}"
    environment = DeepgramClientEnvironment(base=f"http://{address}", production=host, agent=host, agent_rest=host)
    with httpx.Client() as http_client:
        client = DeepgramClient(api_key=ALICE, environment=environment, httpx_client=http_client)
        granted = client.auth.v1.tokens.grant(ttl_seconds=60)
    assert status_of(address, PATHS[1], subprotocols=["bearer", granted.access_token]) == 101
    with OpenAI(api_key=ALICE, base_url=f"http://{address}/v1") as client:
        secret = client.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-realtime-2.1"})
    assert secret.value.startswith("ek_")
    assert secret.session.type == "realtime"
    offered = ["realtime", f"openai-insecure-api-key.{secret.value}"]
    with connect(f"ws://{address}/openai", open_timeout=TIMEOUT_S, subprotocols=offered) as connection:
        assert connection.subprotocol == "realtime"


# Pages, hosts and proxies.


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{address}", 101),
        ("http://localhost:3000", 101),
        ("https://app.example", 101),
        ("null", 403),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("https://app.example.evil.example", 403),
    ],
)
def test_a_page_comes_in_from_allowed_origins_alone(of_any_page, origin, status):
    for path in PATHS:
        assert status_of(of_any_page, path, origin=origin.format(address=of_any_page)) == status


def test_a_host_that_is_not_served_is_refused_on_pages_too():
    with router("--allow-host", "voice.example") as running:
        for path in ("/", "/healthz", "/console/main.js", "/v1/auth/grant"):
            for host, is_refused in (("evil.example", True), ("voice.example", False), ("127.0.0.1:1", False)):
                status, _ = request(running.address, "GET", path, Host=host)
                assert (status == 403) is is_refused
        assert raw(running.address, upgrade("/openai", host="evil.example")).startswith(b"HTTP/1.1 403 ")


def test_a_trusted_proxy_names_the_client_by_header_or_by_its_own_protocol(of_any_page):
    with router("--trusted-proxy", "127.0.0.0/8", "--allow-host", "voice.example") as running:
        page = "GET /openai HTTP/1.1\r\nHost: inner\r\nX-Forwarded-Host: voice.example\r\nConnection: close\r\n\r\n"
        assert raw(running.address, page).startswith(b"HTTP/1.1 426 ")
        announced = "PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\nGET /healthz HTTP/1.0\r\n\r\n"
        assert raw(running.address, announced).startswith(b"HTTP/1.0 200 ")
    assert b" 400 " in raw(of_any_page, announced).partition(b"\r\n")[0]


# Administration.


@pytest.fixture
def administered(tmp_path):
    (tmp_path / "router.toml").write_text(
        "[auth.tokens.root]\nadmin = true\n"
        "sha256 = '4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2'\n"  # of "root"
    )
    with child(
        sys.executable,
        RUN_PY,
        *("--port", "0", "--admin-bind", "127.0.0.1:0", "--config", str(tmp_path / "router.toml")),
        env=ENV,
    ) as process:
        admin = process.wait_for(r"administration +http://(127\.0\.0\.1:\d+)")[1]
        process.wait_for(r"worker \d+ serves")
        yield process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1], admin
        assert process.stop() == 0


def test_health_answers_on_an_address_of_its_own_while_every_thread_is_held(administered):
    address, admin = administered
    host, _, port = address.rpartition(":")
    assert request(address, "GET", "/healthz") == (200, "ok\n")  # the worker's loop runs
    silent = []
    for _ in range(8):
        sock = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: ")
        silent.append(sock)
    assert request(admin, "GET", "/healthz") == (200, "ok\n")
    assert "workers" not in json.loads(request(admin, "GET", "/readyz")[1])
    for sock in silent:
        sock.close()
    details = request(admin, "GET", "/readyz", Authorization="Bearer root")[1]
    assert json.loads(details)["workers"][0]["stage"] == "serving"
    assert "workers" not in json.loads(request(admin, "GET", "/readyz", Authorization=f"Bearer {ALICE}")[1])


@pytest.mark.parametrize("path", ["/", "/healthz", "/none", "/openai", "/console/main.js", "/v1/auth/grant"])
def test_every_response_has_the_headers_that_restrict_browsers(served, path):
    with closing(http.client.HTTPConnection(served, timeout=TIMEOUT_S)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


# Limits and loops.


def test_two_workers_count_the_sessions_of_an_address_together():
    limits = 'max_sessions_per_address = 3\nnew_sessions = "100/minute"'
    with guarded_by_limits(limits, ENV) as address, ExitStack() as calls:
        for _ in range(3):
            calls.enter_context(connect(f"ws://{address}/openai", open_timeout=TIMEOUT_S, **bearer(ALICE)))
        for _ in range(4):
            with pytest.raises(InvalidStatus) as refused:
                connect(f"ws://{address}/openai", open_timeout=TIMEOUT_S, **bearer(ALICE))
            assert refused.value.response.status_code == 429
            assert int(refused.value.response.headers["Retry-After"]) > 0
        assert status_of(address, **bearer("wrong")) == 401


def test_an_address_begins_so_many_sessions_in_a_minute_at_all_workers():
    with guarded_by_limits('new_sessions = "3/minute"', ENV) as address:
        statuses = [status_of(address, **bearer(ALICE)) for _ in range(8)]
    assert statuses == [101] * 3 + [429] * 5


@contextmanager
def guarded_by_limits(limits, env):
    with TemporaryDirectory() as folder:
        path = Path(folder, "router.toml")
        path.write_text(f"[limits]\n{limits}\n")
        with router("--config", str(path), "--workers", "2", env=env) as running:
            yield running.address


def read_to_the_end(connection):
    """Return the messages up to the close frame, and its code."""
    messages = []
    with suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(connection.recv(TIMEOUT_S)))
    return messages, connection.close_code


def test_a_call_that_has_reached_its_length_ends_with_a_warning_an_error_and_a_close():
    with (
        guarded_by_limits("max_call_s = 2", ENV) as address,
        connect(f"ws://{address}/v1/agent/converse", open_timeout=TIMEOUT_S, **bearer(ALICE)) as connection,
    ):
        connection.send(json.dumps(settings()))
        messages, code = read_to_the_end(connection)
    ends = [(each["type"], each["code"]) for each in messages if "code" in each]
    assert (ends, code) == ([("Warning", "MAX_CALL_LENGTH"), ("Error", "MAX_CALL_LENGTH")], 1000)


def test_an_upstream_that_is_the_router_itself_ends_the_call_with_an_error():
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with child(
        sys.executable, RUN_PY, "--port", str(port), "--upstream", f"ws://127.0.0.1:{port}/openai", "--restarts", "1"
    ) as process:
        process.wait_for("listens on")
        with connect(f"ws://127.0.0.1:{port}/openai", open_timeout=TIMEOUT_S) as connection:
            connection.send(json.dumps(settings()))
            messages, code = read_to_the_end(connection)
        assert code == 1011
        assert (messages[-1]["type"], messages[-1]["code"]) == ("Error", "UPSTREAM_UNAVAILABLE")
        assert process.stop() == 0
        assert process.output.count(" started") == 1


# TLS.


def test_calls_with_tls_hold_no_thread_and_outlive_a_renewed_certificate(tmp_path):
    authority = trustme.CA()

    def write():
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")

    write()
    pem = str(tmp_path / "both.pem")
    with router("--tls-cert", pem, "--tls-key", pem) as running, ExitStack() as calls:
        url = f"wss://{running.address}/openai"
        opened = [
            calls.enter_context(connect(url, open_timeout=TIMEOUT_S, ssl=trusting(authority))) for _ in range(20)
        ]  # more than the server's threads, and than those that may be held
        agent = VoiceAgent(opened[0], OPENAI)
        agent.start()
        hold_text_turn(agent, "Is anybody there?")
        before = opened[0].socket.getpeercert(binary_form=True)
        write()
        running.child.send_signal(signal.SIGHUP)
        running.child.wait_for("the certificate was read again")
        with connect(url, open_timeout=TIMEOUT_S, ssl=trusting(authority)) as after:
            assert after.socket.getpeercert(binary_form=True) != before
        hold_text_turn(agent, "Is anybody there?")


def test_a_certificate_that_is_missing_stops_the_start():
    status, output = run("--tls-cert", "gone.pem", "--tls-key", "gone.pem", "--check")
    assert (status, "cannot be used" in output) == (2, True)
