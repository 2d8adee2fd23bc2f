"""`/admin/sessions`: list, show and end, for an operator alone."""

import orjson
import pytest

from actors.connections.handover import HandshakeRefused
from actors.lifecycle import SessionInfo
from router.admin.peers import Answers
from router.web.sessions_page import SESSION_PREFIX, SESSIONS_PATH, check_local, session_routes


class StandIn:
    """A router with two sessions."""

    def __init__(self):
        self.ended, self.drained = [], []

    def sessions(self):
        fields = {"route": "/openai", "principal": None}
        return [SessionInfo("s1", "live", 1, 0, 1.0, fields), SessionInfo("s2", "ending", 1, 0, 9.0, fields)]

    def describe_session(self, _session_id):
        return {"turns": 3}

    @property
    def operator(self):
        return self

    def drain_session(self, session_id):
        self.drained.append(session_id)
        return session_id in ("s1", "s2")

    def end_session(self, session_id):
        self.ended.append(session_id)
        return session_id in ("s1", "s2")


class Others:
    """The answers of other workers; of each in `missing` there is none."""

    def __init__(self, *missing):
        self._missing = missing

    def ask(self, verb):
        is_list = verb["verb"] == "list"
        answers = Answers([[{"id": "s3", "age_s": 5.0, "state": "live"}], []] if is_list else [None, {"id": "s4"}])
        if self._missing:
            answers.missing, answers.given = list(self._missing), answers.given[:1]
        return answers


def call(path, *, method="GET", query="", router=None, peers=None, check=lambda _environ: None, **environ):
    routes = session_routes(router or StandIn(), peers, check)
    serve = routes.get(path) or routes[SESSION_PREFIX]
    response = serve({"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **environ})
    return int(response.status), orjson.loads(response.body) if response.status == 200 else response.body


def test_the_list_has_the_oldest_session_first():
    status, body = call(SESSIONS_PATH)
    assert status == 200
    assert [row["id"] for row in body["sessions"]] == ["s2", "s1"]


def test_the_list_may_be_of_one_state():
    assert [row["id"] for row in call(SESSIONS_PATH, query="state=live")[1]["sessions"]] == ["s1"]


def test_the_list_is_of_all_workers():
    assert call(SESSIONS_PATH, peers=Others())[1]["sessions"] == [{"id": "s3", "age_s": 5.0, "state": "live"}]


def test_a_session_is_shown():
    assert call("/admin/sessions/s1")[1]["turns"] == 3
    assert call("/admin/sessions/s4", peers=Others()) == (200, {"id": "s4"})


def test_a_session_is_ended():
    router = StandIn()
    assert call("/admin/sessions/s1/end", method="POST", router=router) == (200, {"id": "s1", "ended": True})
    assert router.ended == ["s1"]


def test_a_session_is_drained():
    router = StandIn()
    assert call("/admin/sessions/s1/drain", method="POST", router=router) == (200, {"id": "s1", "draining": True})
    assert (router.drained, router.ended) == (["s1"], [])


@pytest.mark.parametrize("path", ["/admin/sessions/s9", "/admin/sessions/", "/admin/sessions/s1/dance"])
def test_an_unknown_session_or_path_is_not_found(path):
    assert call(path)[0] == 404


def test_a_worker_without_an_answer_is_named():
    others = Others("worker 7")
    assert call(SESSIONS_PATH, peers=others)[1]["missing_workers"] == ["worker 7"]
    for path, method in (("/admin/sessions/s4", "GET"), ("/admin/sessions/s4/end", "POST")):
        status, problem = call(path, method=method, peers=others)
        assert status == 503
        assert "worker 7" in problem


def test_the_end_of_an_unknown_session_is_not_found():
    assert call("/admin/sessions/s9/end", method="POST") == (404, "No such session.\n")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/admin/sessions/s1/end", "GET"), ("/admin/sessions/s1/drain", "GET"), ("/admin/sessions/s1", "POST")],
)
def test_a_verb_has_its_method(path, method):
    router = StandIn()
    assert call(path, method=method, router=router)[0] == 405
    assert router.ended == []


def refuse(_environ):
    raise HandshakeRefused(403, "no")


@pytest.mark.parametrize(
    ("path", "method"), [(SESSIONS_PATH, "GET"), ("/admin/sessions/s1", "GET"), ("/admin/sessions/s1/end", "POST")]
)
def test_a_client_that_is_no_operator_is_refused(path, method):
    router = StandIn()
    with pytest.raises(HandshakeRefused):
        call(path, method=method, router=router, check=refuse)
    assert router.ended == []


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "127.0.0.1"},
        {"REMOTE_ADDR": "::1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080", "HTTP_ORIGIN": "http://localhost:8080"},
        {"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:8080"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8080"},
    ],
)
def test_the_machine_itself_is_an_operator(environ):
    check_local(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080", "HTTP_ORIGIN": "https://evil.example"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080", "HTTP_ORIGIN": "null"},
        # A page whose own name leads to this machine.
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "evil.example:8080", "HTTP_ORIGIN": "http://evil.example:8080"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "evil.example:8080"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "[::1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=203.0.113.9"},
    ],
)
def test_another_machine_a_proxy_s_client_and_a_foreign_page_are_refused(environ):
    with pytest.raises(HandshakeRefused):
        check_local(environ)
