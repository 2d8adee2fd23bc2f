"""The table of verbs: their requests, and the form of their answers."""

import pytest

from router.command.admin.verbs import VERBS

SESSION = {
    "id": "s1",
    "state": "live",
    "route": "/openai",
    "principal": None,
    "age_s": 75.0,
    "generation": 2,
    "restarts": 1,
    "worker": 7,
}
UPSTREAM = {
    "position": 0,
    "upstream": "wss://a",
    "state": "failing",
    "sessions": 2,
    "dials": {"ok": 5, "failed": 1},
    "last_dial": {"age_s": 4.0, "result": "tcp", "error": "no"},
    "breaker": "closed",
    "cool_down_s": 56.0,
    "rate_limits": [{"name": "requests", "left": 7, "limit": 10}],
}


@pytest.mark.parametrize(
    ("name", "argument", "request_line"),
    [
        ("sessions", "", "GET /admin/sessions"),
        ("sessions", "live", "GET /admin/sessions?state=live"),
        ("session", "s1", "GET /admin/sessions/s1"),
        ("end", "s/1", "POST /admin/sessions/s%2F1/end"),
        ("drain", "s1", "POST /admin/sessions/s1/drain"),
        ("drain", "", "POST /admin/drain"),
        ("upstreams", "", "GET /admin/upstreams"),
        ("pause", "1", "POST /admin/upstreams/1/pause"),
        ("resume", "1", "POST /admin/upstreams/1/resume"),
        ("workers", "", "GET /admin/workers"),
        ("log-level", "debug", "POST /admin/log-level?level=debug"),
        ("record", "25", "POST /admin/record?percent=25"),
    ],
)
def test_each_verb_has_its_request(name, argument, request_line):
    verb = VERBS[name]
    assert f"{verb.method} {verb.path(argument)}" == request_line


@pytest.mark.parametrize(
    ("name", "answer", "last_line"),
    [
        ("sessions", {"sessions": []}, "no session"),
        ("sessions", {"sessions": [SESSION]}, "s1 live /openai - 1m15s 2 1 7"),
        ("session", SESSION, "worker: 7"),
        ("end", {"id": "s1", "ended": True}, "session s1 is ended"),
        ("drain", {"id": "s1", "draining": True}, "session s1 ends after the turn in progress"),
        ("drain", {"draining": True}, "the server drains, and ends"),
        ("upstreams", {"upstreams": [UPSTREAM]}, "0 wss://a failing 2 5 1 tcp 4s ago 56s requests 7/10"),
        ("pause", {"position": 0, "paused": True, "moving_sessions": 3}, "upstream 0 is paused; sessions that move: 3"),
        ("resume", {"position": 0, "paused": False, "moving_sessions": 0}, "upstream 0 may be dialled again"),
        (
            "workers",
            {"workers": [{"pid": 7, "stage": "serving", "ready": True, "sessions": 2, "memory_bytes": 51e6}]},
            "7 serving yes 2 - 51 MB - - -",
        ),
        ("log-level", {"workers": 2, "log_level": "debug"}, "2 workers log from level debug on"),
        ("record", {"workers": 2, "record_percent": 25}, "2 workers record 25 % of new sessions"),
    ],
)
def test_an_answer_is_shown_as_text(name, answer, last_line):
    assert " ".join(VERBS[name].show(answer).splitlines()[-1].split()) == last_line
