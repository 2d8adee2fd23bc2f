"""The WSGI app, called as a server calls it."""

import json
import logging
import time
from http import HTTPStatus
from wsgiref.util import setup_testing_defaults

import pytest

from actors.connections.handover import HandshakeRefused
from actors.connections.transfer import TRANSFER
from router.audio.compiled import RESAMPLING
from router.config.model import RouterConfig
from router.fronts import table
from router.metrics.catalog import TURNS
from router.metrics.metrics import Metrics
from router.secrets import Secret
from router.version import VERSION
from router.web.admin_api import Server
from router.web.app import for_admins, make_app
from router.web.response import Response
from router.web.scoreboard import Row, Scoreboard, Stage


class StandIn:
    """A router that records the requests that it accepts, or refuses them."""

    def __init__(self, *, path="/openai", is_alive=True, readiness=(True, "ready"), failure=None, admin=None, **config):
        self.config = RouterConfig(path=path, **{"console": False, **config})
        self.is_alive = is_alive
        self._readiness = readiness
        self._failure = failure
        self._admin = admin
        self.accepted = []
        self.refused = []
        self.metrics = Metrics()
        self.own_load = 0.0

    def sample_metrics(self):
        self.metrics.add(TURNS)

    def count_refusal(self, status):
        self.refused.append(status)

    @property
    def front_routes(self):
        return table.routes(self)

    def accept(self, environ, profile, *, turn_detection=None, is_verified=False):
        assert not is_verified
        if self._failure:
            raise self._failure
        self.accepted.append((environ["PATH_INFO"], profile, turn_detection))

    def readiness(self):
        return self._readiness

    def load(self):
        return self.own_load

    @property
    def is_authenticating(self):
        return self._admin is not None

    def check_admin(self, environ):
        if self._admin is not None and environ.get("HTTP_AUTHORIZATION") != f"Bearer {self._admin}":
            raise HandshakeRefused(401, "authentication failed")


def call(router, path, *, method="GET", query="", scoreboard=None, segments=None, **more):
    """Call the app; return status, headers and body."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **more}
    setup_testing_defaults(environ)
    answered = []
    body = b"".join(
        make_app(router, Server(scoreboard, segments))(
            environ, lambda status, headers: answered.append((status, dict(headers)))
        )
    )
    ((status, headers),) = answered
    assert status.startswith("101 ") or method == "HEAD" or headers["Content-Length"] == str(len(body))
    return int(status.partition(" ")[0]), headers, body.decode()


@pytest.mark.parametrize(
    ("path", "profile"), [("/openai", "openai"), ("/v1/agent/converse", "converse"), ("/voice", "openai")]
)
def test_a_web_socket_request_goes_to_the_router_and_the_server_gets_a_throw_away_response(path, profile):
    router = StandIn(path="/voice" if path == "/voice" else "/openai")
    assert call(router, path)[0] == 101
    assert router.accepted == [(path, profile, None)]


@pytest.mark.parametrize("length", ["1048577", "99999999999999999999", "9" * 5000])
def test_a_request_that_announces_a_huge_body_is_refused(length):
    for path in ("/healthz", "/v1/auth/grant", "/no/such/path"):
        assert call(StandIn(), path, CONTENT_LENGTH=length)[0] == 413
    assert call(StandIn(), "/healthz", CONTENT_LENGTH="1048576")[0] == 200


@pytest.mark.parametrize(
    ("query", "turn_detection"),
    [
        ("", None),
        ("service=agent", None),
        ("service=", None),
        ("turn_detection=server_vad", "server_vad"),
        ("turn_detection=semantic_vad&service=agent", "semantic_vad"),
        ("token=abc&turn_detection=manual&anything=else", "manual"),
    ],
)
def test_the_query_may_choose_the_turn_detection(query, turn_detection):
    router = StandIn()
    assert call(router, "/openai", query=query)[0] == 101
    assert router.accepted == [("/openai", "openai", turn_detection)]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("service=transcription", "service"),
        ("service=both", "service"),
        ("turn_detection=vad", "turn_detection"),
        ("turn_detection=Manual", "turn_detection"),
    ],
)
@pytest.mark.parametrize("path", ["/openai", "/v1/agent/converse"])
def test_a_query_that_cannot_be_served_is_refused_with_a_sentence(path, query, named):
    router = StandIn()
    status, headers, body = call(router, path, query=query)
    assert status == 400
    assert headers["Content-Type"].startswith("text/plain")
    assert named in body
    assert router.accepted == []


def test_a_refusal_of_the_router_is_a_plain_http_response_with_its_headers():
    refused = HandshakeRefused(503, "the server is going away", (("Retry-After", "1"),))
    status, headers, body = call(StandIn(failure=refused), "/openai")
    assert (status, headers["Retry-After"], body) == (503, "1", "the server is going away\n")


@pytest.mark.parametrize(("server", "upgrade"), [({"gunicorn.socket": None}, "websocket"), ({}, None)])
def test_a_plain_request_gets_the_upgrade_headers_where_the_server_permits_them(server, upgrade):
    refused = HandshakeRefused(426, "a WebSocket is served here")
    status, headers, body = call(StandIn(failure=refused), "/openai", **server)
    assert (status, headers.get("Upgrade"), body) == (426, upgrade, "a WebSocket is served here\n")


def test_a_failure_is_answered_with_500_and_logged_without_the_query(caplog):
    status, _, body = call(StandIn(failure=ZeroDivisionError()), "/openai", query="token=hunter2")
    assert status == 500
    assert "ZeroDivisionError" in caplog.text
    assert "hunter2" not in caplog.text + body


def test_the_token_of_a_refused_request_is_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    call(StandIn(), "/openai", query="token=hunter2&service=other")
    assert "service" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(("is_alive", "status"), [(True, 200), (False, 503)])
def test_health_is_whether_it_is_alive(is_alive, status):
    answered, headers, body = call(StandIn(is_alive=is_alive), "/healthz")
    assert answered == status
    assert body == ("ok\n" if is_alive else "not alive\n")
    assert headers["Cache-Control"] == "no-store"


def test_a_verbose_health_check_says_the_version_and_what_is_compiled():
    details = f"switchboard {VERSION}\nresampling: {RESAMPLING}\nkeeper: {TRANSFER}\n"
    assert call(StandIn(), "/healthz", query="verbose")[::2] == (200, f"ok\n{details}")
    assert call(StandIn(is_alive=False), "/healthz", query="verbose=1")[::2] == (503, f"not alive\n{details}")
    assert call(StandIn(admin="root"), "/healthz", query="verbose")[::2] == (200, "ok\n"), "not to everybody"


@pytest.mark.parametrize(("readiness", "status"), [((True, "ready"), 200), ((False, "draining"), 503)])
def test_readiness_is_the_router_s_with_its_reason(readiness, status):
    answered, headers, body = call(StandIn(readiness=readiness), "/readyz")
    assert answered == status
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"ready": readiness[0], "reason": readiness[1]}


def test_the_front_page_names_the_addresses():
    status, _, body = call(StandIn(path="/voice"), "/", HTTP_HOST="voice.example:81")
    assert status == 200
    for address in ("ws://voice.example:81/voice ", "ws://voice.example:81/v1/agent/converse ", "/healthz", "/readyz"):
        assert address in body


def test_the_front_page_of_a_mounted_router_names_its_path():
    body = call(StandIn(), "/", HTTP_HOST="voice.example", SCRIPT_NAME="/agent")[2]
    assert "ws://voice.example/agent/openai " in body
    assert "http://voice.example/agent/readyz " in body


def test_with_the_console_the_front_page_is_a_page():
    status, headers, body = call(StandIn(console=True), "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<main" in body


def test_without_the_console_neither_its_files_nor_the_wire_are_served():
    router = StandIn(console=False, wire_view=True)
    assert "<" not in call(router, "/")[2]
    assert {call(router, path)[0] for path in ("/console/main.js", "/console/wire")} == {404}


def test_the_front_page_behind_tls_names_wss_addresses():
    body = call(StandIn(), "/", **{"HTTP_HOST": "voice.example", "wsgi.url_scheme": "https"})[2]
    assert "wss://voice.example/openai " in body


@pytest.mark.parametrize("path", ["/openai//", "/OPENAI", "/v1/agent", "/v1/agent/converse/x", "/favicon.ico", "//"])
def test_paths_are_exact(path):
    assert call(StandIn(), path)[0] == 404


@pytest.mark.parametrize("path", ["/openai", "/v1/realtime", "/deepgram/v1/agent/converse"])
def test_a_slash_behind_a_path_changes_nothing(path):
    router = StandIn(deepgram_api_key=Secret("dg-0123456789"))
    for asked in (path, f"{path}/"):
        call(router, asked, HTTP_UPGRADE="websocket")
    assert [it[0] for it in router.accepted] == [path, path]
    assert call(StandIn(), "/healthz/")[0] == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/openai", "/v1/agent/converse"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"])
def test_other_methods_are_not_allowed(path, method):
    status, headers, _ = call(StandIn(), path, method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head_is_get_without_a_body():
    status, headers, body = call(StandIn(), "/healthz", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "3", "")


# Several workers.


@pytest.fixture
def scoreboard():
    scoreboard = Scoreboard(4)
    now_s = time.monotonic()
    for row in (
        Row(pid=1, stage=Stage.SERVING, is_ready=True, sessions=3, seen_s=now_s),
        Row(pid=2, stage=Stage.DRAINING, sessions=2, seen_s=now_s),
    ):
        scoreboard.write(scoreboard.take_slot(now_s), row)
    return scoreboard


def test_readiness_lists_all_workers_and_one_that_is_ready_suffices(scoreboard):
    status, _, body = call(StandIn(readiness=(False, "draining")), "/readyz", scoreboard=scoreboard)
    assert status == 200
    assert json.loads(body) == {
        "ready": True,
        "reason": "ready",
        "sessions": 5,
        "workers": [
            {"pid": 1, "stage": "serving", "ready": True, "sessions": 3},
            {"pid": 2, "stage": "draining", "ready": False, "sessions": 2},
        ],
    }


def test_a_server_is_busy_where_every_ready_worker_is_above_the_load_of_the_probe(scoreboard):
    now_s = time.monotonic()
    scoreboard.write(0, Row(pid=1, stage=Stage.SERVING, is_ready=True, used=0.75, seen_s=now_s))
    assert call(StandIn(), "/readyz", query="load=0.8", scoreboard=scoreboard)[0] == 200
    status, _, body = call(StandIn(), "/readyz", query="load=0.7", scoreboard=scoreboard)
    assert (status, json.loads(body)["ready"], json.loads(body)["reason"]) == (503, False, "busy")
    row = Row(pid=3, stage=Stage.SERVING, is_ready=True, used=0.1, seen_s=now_s)
    scoreboard.write(scoreboard.take_slot(now_s), row)
    assert call(StandIn(), "/readyz", query="load=0.7", scoreboard=scoreboard)[0] == 200
    assert call(StandIn(), "/readyz", scoreboard=scoreboard)[0] == 200


def test_an_embedded_router_is_busy_by_its_own_load_and_a_draining_one_is_draining():
    router = StandIn()
    router.own_load = 1.5
    assert call(router, "/readyz")[0] == 200
    assert json.loads(call(router, "/readyz", query="load=1")[2]) == {"ready": False, "reason": "busy"}
    draining = StandIn(readiness=(False, "draining"))
    assert json.loads(call(draining, "/readyz", query="load=1")[2])["reason"] == "draining"


def test_a_probe_may_ask_for_the_status_that_keeps_present_calls():
    draining = StandIn(readiness=(False, "draining"))
    assert call(draining, "/readyz", query="load=0.9&unready=404")[0] == 404
    assert call(StandIn(), "/readyz", query="load=0.9&unready=404")[0] == 200


@pytest.mark.parametrize("query", ["load=much", "load=0", "load=-1", "load=inf", "load=nan", "unready=200"])
def test_a_probe_with_an_invalid_parameter_is_told_what_to_send(query):
    status, _, body = call(StandIn(), "/readyz", query=query)
    assert status == 400
    assert query.partition("=")[0] in body


def test_health_is_that_of_all_workers(scoreboard):
    assert call(StandIn(), "/healthz", scoreboard=scoreboard)[::2] == (200, "ok\n")
    scoreboard.free_slot(0, 1, time.monotonic(), was_stopped=False)
    assert call(StandIn(), "/healthz", scoreboard=scoreboard)[::2] == (503, "worker 1 is dead\n")
    assert call(StandIn(is_alive=False), "/healthz", scoreboard=scoreboard)[::2] == (
        503,
        "not alive\nworker 1 is dead\n",
    )


def test_a_refused_handshake_is_counted():
    router = StandIn(failure=HandshakeRefused(426, "a WebSocket is served here"))
    call(router, "/openai")
    call(router, "/openai", query="service=both")
    assert router.refused == [426, 400]


# Access.


def test_another_host_is_refused_on_every_path_of_the_router_s_own_server():
    board = Scoreboard(1)
    for path in ("/", "/openai", "/healthz", "/readyz", "/none"):
        assert call(StandIn(), path, scoreboard=board, HTTP_HOST="rebound.example:8080")[0] == 403
        assert call(StandIn(), path, scoreboard=board, HTTP_HOST="127.0.0.1:8080")[0] != 403
    allowed = StandIn(allow_hosts=("*.example",))
    assert call(allowed, "/", scoreboard=board, HTTP_HOST="rebound.example:8080")[0] == 200


def test_in_a_host_application_any_host_is_served_unless_hosts_are_listed():
    assert call(StandIn(), "/openai", HTTP_HOST="app.example")[0] == 101
    assert call(StandIn(allow_hosts=("voice.example",)), "/openai", HTTP_HOST="app.example")[0] == 403


def test_a_foreign_page_is_refused_on_every_path():
    for origin in ("https://evil.example", "null"):
        for path in ("/", "/openai", "/v1/agent/converse", "/healthz"):
            status, _, body = call(StandIn(), path, HTTP_HOST="app.example", HTTP_ORIGIN=origin)
            assert (status, "origin" in body) == (403, True)
    listed = StandIn(allow_origins=("https://evil.example",))
    assert call(listed, "/openai", HTTP_HOST="app.example", HTTP_ORIGIN="https://evil.example")[0] == 101


def test_with_authentication_a_probe_learns_the_verdict_and_an_administrator_the_details():
    board = Scoreboard(1)
    board.write(0, Row(pid=4711, stage=Stage.UNHEALTHY, seen_s=time.monotonic()))
    router = StandIn(admin="root")
    for more in ({}, {"HTTP_AUTHORIZATION": "Bearer other"}):
        assert call(router, "/healthz", scoreboard=board, **more)[2] == "unhealthy\n"
        assert "workers" not in json.loads(call(router, "/readyz", scoreboard=board, **more)[2])
    more = {"HTTP_AUTHORIZATION": "Bearer root"}
    assert "4711" in call(router, "/healthz", scoreboard=board, **more)[2]
    assert json.loads(call(router, "/readyz", scoreboard=board, **more)[2])["workers"][0]["pid"] == 4711


def test_a_page_for_administrators_is_served_to_no_other_client():
    serve = for_admins(StandIn(admin="root"), lambda _environ: Response(HTTPStatus.OK, "secret"))
    with pytest.raises(HandshakeRefused):
        serve({})
    assert serve({"HTTP_AUTHORIZATION": "Bearer root"}).body == "secret"


OPERATOR_S = (
    "/admin",
    "/admin/overview",
    "/admin/sessions",
    "/admin/sessions/x",
    "/admin/upstreams",
    "/admin/workers",
    "/metrics",
)
VERBS = ("/admin/drain", "/admin/log-level", "/admin/upstreams/0/pause", "/admin/sessions/x/end")


@pytest.mark.parametrize("path", OPERATOR_S)
def test_the_operator_s_pages_need_a_credential_and_are_at_the_administrators_address_alone(path):
    assert call(StandIn(admin="secret"), path)[0] == 401
    assert call(StandIn(admin_bind="127.0.0.1:9"), path)[0] == 404


@pytest.mark.parametrize("path", VERBS)
def test_the_operator_s_verbs_need_a_credential_and_post(path):
    assert call(StandIn(admin="secret"), path, method="POST")[0] == 401
    assert call(StandIn(admin_bind="127.0.0.1:9"), path, method="POST")[0] == 404
    assert call(StandIn(), path, method="GET", REMOTE_ADDR="127.0.0.1")[0] == 405


@pytest.mark.parametrize("path", [*OPERATOR_S[:-1], *VERBS])
def test_without_authentication_the_operator_s_pages_are_for_the_machine_itself(path):
    method = "POST" if path in VERBS else "GET"
    assert call(StandIn(), path, method=method, REMOTE_ADDR="192.0.2.7")[0] == 403
    foreign = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1", "HTTP_ORIGIN": "https://evil.example"}
    assert call(StandIn(), path, method=method, **foreign)[0] == 403
