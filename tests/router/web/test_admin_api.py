"""The verbs of an operator beyond single sessions."""

import io
import time

import orjson
import pytest

from actors.connections.handover import HandshakeRefused
from router.admin.peers import Answers
from router.admin.switches import Switches
from router.metrics.history import History
from router.metrics.metrics import Metrics
from router.shared_areas import OWN
from router.web.admin_api import Reload, Server, routes
from router.web.reload_board import ReloadBoard
from router.web.scoreboard import Row, Scoreboard, Stage

WORKER = {"pid": 1, "sessions": 2, "ready": True, "log_level": "info"}
UPSTREAM = {
    "position": 0,
    "upstream": "wss://a",
    "sessions": 2,
    "dials": {},
    "recent": [],
    "limits": [],
    "limits_at_s": 0.0,
}
ANSWERS = {"list": [{"id": "s1", "age_s": 1.0}], "upstreams": [UPSTREAM], "worker": WORKER, "pause": 2, "resume": 0}


class StandIn:
    """A router with one upstream."""

    def __init__(self):
        self.metrics = Metrics()
        self.switches = Switches(1)
        self.operator = self
        self.sampled = 0

    def has_upstream(self, position):
        return position == 0

    def sample_metrics(self):
        self.sampled += 1


class Workers:
    """Two workers, or one where the other gives no answer."""

    def __init__(self, *missing):
        self.asked = []
        self._missing = list(missing)

    def ask(self, verb):
        self.asked.append(verb)
        answer = ANSWERS.get(verb["verb"], verb.get("level"))
        answers = Answers([answer] if self._missing else [answer, {**answer, "pid": 2} if answer is WORKER else answer])
        answers.missing = self._missing
        return answers


def call(path, *, method="GET", query="", server=None, router=None, check=lambda _environ: None, body=b""):
    found = routes(router or StandIn(), server or Server(peers=Workers()), History(), check)
    prefix = next((it for it in found if it.endswith("/") and path.startswith(it)), None)
    serve, methods = found.get(path) or found[prefix]
    assert method in methods
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    response = serve(environ)
    is_json = response.content_type == "application/json"
    return int(response.status), orjson.loads(response.body) if is_json else response.body


def test_the_upstreams_are_those_of_all_workers():
    router = StandIn()
    router.switches.pause(0, is_paused=True)
    status, body = call("/admin/upstreams", router=router)
    assert (status, [(row["state"], row["sessions"]) for row in body["upstreams"]]) == (200, [("paused", 4)])


@pytest.mark.parametrize(("verb", "moving"), [("pause", 4), ("resume", 0)])
def test_a_pause_and_its_end_reach_every_worker(verb, moving):
    workers = Workers()
    answer = call(f"/admin/upstreams/0/{verb}", method="POST", server=Server(peers=workers))
    assert answer == (200, {"position": 0, "paused": verb == "pause", "moving_sessions": moving})
    assert workers.asked == [{"verb": verb, "position": 0}]


@pytest.mark.parametrize("path", ["/admin/upstreams/1/pause", "/admin/upstreams/x/pause", "/admin/upstreams/0/end"])
def test_an_unknown_upstream_or_verb_is_not_found(path):
    assert call(path, method="POST")[0] == 404


def test_workers_have_the_stage_of_the_scoreboard():
    board = Scoreboard(3)
    for pid, stage in ((1, Stage.SERVING), (2, Stage.DRAINING), (3, Stage.BOOTING)):
        board.write(board.take_slot(0.0), Row(pid=pid, stage=stage, sessions=9, seen_s=time.monotonic()))
    _, body = call("/admin/workers", server=Server(board, peers=Workers()))
    found = [(row["pid"], row["stage"], row["sessions"]) for row in body["workers"]]
    assert found == [(1, "serving", 2), (2, "draining", 2), (3, "booting", 9)]


def test_a_worker_without_an_answer_is_named():
    for path in ("/admin/upstreams", "/admin/workers", "/admin/overview"):
        assert call(path, server=Server(peers=Workers("worker 7")))[1]["missing_workers"] == ["worker 7"]


def test_the_server_is_drained():
    drained = []
    server = Server(drain=lambda: drained.append(True))
    assert call("/admin/drain", method="POST", server=server) == (202, {"draining": True})
    assert drained == [True]


def test_an_application_drains_its_embedded_router_itself():
    status, problem = call("/admin/drain", method="POST", server=Server())
    assert (status, "router.close()" in problem) == (409, True)


@pytest.mark.parametrize(
    ("query", "body"),
    [("level=debug", b""), ("", b'{"level": "debug"}'), ("", b'"debug"'), ("", b"level=debug"), ("", b"debug\n")],
)
def test_the_level_of_log_lines_is_set_in_every_worker(query, body):
    workers = Workers()
    answer = call("/admin/log-level", method="POST", query=query, body=body, server=Server(peers=workers))
    assert answer == (200, {"log_level": "debug", "workers": 2})
    assert workers.asked == [{"verb": "log-level", "level": "debug"}]


@pytest.mark.parametrize(("query", "body"), [("", b""), ("level=loud", b""), ("", b"\xff"), ("", b"[1]")])
def test_an_unknown_level_is_refused_with_the_known_ones(query, body):
    status, problem = call("/admin/log-level", method="POST", query=query, body=body)
    assert (status, "trace, debug, info" in problem) == (400, True)


def test_the_log_of_an_application_is_its_own():
    assert call("/admin/log-level", method="POST", query="level=debug", server=Server())[0] == 409


def test_the_share_of_recordings_is_set_in_every_worker(monkeypatch):
    monkeypatch.setitem(ANSWERS, "record", True)
    workers = Workers()
    answer = call("/admin/record", method="POST", query="percent=25", server=Server(peers=workers))
    assert answer == (200, {"record_percent": 25, "workers": 2})
    assert workers.asked == [{"verb": "record", "percent": 25}]


@pytest.mark.parametrize("query", ["", "percent=101", "percent=-1", "percent=1.5", "percent=many", "percent=٣"])
def test_a_share_that_is_no_percentage_is_refused(query):
    assert call("/admin/record", method="POST", query=query)[0] == 400


def test_a_server_without_a_folder_for_recordings_records_nothing(monkeypatch):
    monkeypatch.setitem(ANSWERS, "record", False)
    status, problem = call("/admin/record", method="POST", query="percent=25")
    assert (status, "--record DIR" in problem) == (409, True)


def test_the_overview_has_everything_that_the_page_shows():
    router = StandIn()
    status, body = call("/admin/overview", router=router)
    assert (status, router.sampled) == (200, 1)
    assert set(body) == {"version", "at", "sessions", "upstreams", "workers", "series"}
    assert [row["id"] for row in body["sessions"]] == ["s1", "s1"]


def refuse(_environ):
    raise HandshakeRefused(403, "no")


def test_a_client_that_is_no_operator_is_refused_everywhere():
    router = StandIn()
    for serve, _ in routes(router, Server(peers=Workers()), History(), refuse).values():
        with pytest.raises(HandshakeRefused):
            serve({})
    assert router.sampled == 0


def test_a_reload_is_begun_and_its_state_is_told():
    board, asked = ReloadBoard(OWN), []
    server = Server(peers=Workers(), reload=Reload(board, lambda: asked.append(1)))
    assert call("/admin/reload", server=server) == (200, {"finished": 0, "running": False, "problem": ""})
    assert call("/admin/reload", method="POST", server=server)[1]["reload"] == 1
    assert asked == [1]
    board.begin()
    assert call("/admin/reload", method="POST", server=server)[1]["reload"] == 2
    board.finish("broken")
    assert call("/admin/reload", server=server)[1] == {"finished": 1, "running": False, "problem": "broken"}


def test_a_router_that_another_process_runs_is_not_reloaded():
    assert call("/admin/reload", method="POST")[0] == 409
