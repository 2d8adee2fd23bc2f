"""The verbs of `switchboard admin`: a row for each, with its request and the form of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from router.command.admin.tables import age, cell, outline, table

if TYPE_CHECKING:
    from collections.abc import Callable

_MB: Final = 1_000_000


class Verb(NamedTuple):
    """A row of the table of verbs."""

    argument: str
    """The name of the verb's argument, in brackets if it is optional; empty without an argument."""
    summary: str
    method: str
    path: Callable[[str], str]
    """The function that returns the path of the request for an argument."""
    show: Callable[[Any], str]
    """The function that returns the server's answer as text."""


def _sessions(answer: Any) -> str:
    rows = [
        (
            row["id"],
            row["state"],
            cell(row["route"]),
            cell(row["principal"]),
            age(row["age_s"]),
            cell(row["generation"]),
            cell(row["restarts"]),
            cell(row["worker"]),
        )
        for row in answer["sessions"]
    ]
    heads = ("SESSION", "STATE", "ROUTE", "PRINCIPAL", "AGE", "GENERATION", "RESTARTS", "WORKER")
    return table(heads, rows) if rows else "no session"


def _upstreams(answer: Any) -> str:
    rows = [
        (
            cell(row["position"]),
            row["upstream"],
            row["state"] if row["breaker"] == "closed" else f"{row['state']} ({row['breaker']})",
            cell(row["sessions"]),
            cell(row["dials"]["ok"]),
            cell(row["dials"]["failed"]),
            _last_dial(row["last_dial"]),
            age(row["cool_down_s"]) if row["cool_down_s"] else cell(None),
            cell([f"{it['name']} {cell(it['left'])}/{cell(it['limit'])}" for it in row["rate_limits"]]),
        )
        for row in answer["upstreams"]
    ]
    heads = ("N", "UPSTREAM", "STATE", "SESSIONS", "OK", "FAILED", "LAST DIAL", "COOL-DOWN", "LIMITS LEFT")
    return table(heads, rows)


def _last_dial(last: Any) -> str:
    return cell(None) if last is None else f"{last['result']} {age(last['age_s'])} ago"


def _workers(answer: Any) -> str:
    rows = [
        (
            cell(row["pid"]),
            row["stage"],
            cell(row["ready"]),
            cell(row["sessions"]),
            age(row.get("uptime_s")),
            cell(None) if row.get("memory_bytes") is None else f"{row['memory_bytes'] / _MB:.0f} MB",
            cell(row.get("lag_s")),
            cell(row.get("log_level")),
            cell(row.get("problems")),
        )
        for row in answer["workers"]
    ]
    return table(("WORKER", "STAGE", "READY", "SESSIONS", "UP", "MEMORY", "LAG S", "LOG", "PROBLEMS"), rows)


def _drained(answer: Any) -> str:
    if "id" in answer:
        return f"session {answer['id']} ends after the turn in progress"
    return "the server drains, and ends"


def _paused(answer: Any) -> str:
    if answer["paused"]:
        return f"upstream {answer['position']} is paused; sessions that move: {answer['moving_sessions']}"
    return f"upstream {answer['position']} may be dialled again"


def _of_session(verb: str) -> Callable[[str], str]:
    return lambda session_id: f"/admin/sessions/{quote(session_id, safe='')}{verb}"


def _of_upstream(verb: str) -> Callable[[str], str]:
    return lambda position: f"/admin/upstreams/{quote(position, safe='')}/{verb}"


def _drain_path(session_id: str) -> str:
    return _of_session("/drain")(session_id) if session_id else "/admin/drain"


def _sessions_path(state: str) -> str:
    return f"/admin/sessions?state={quote(state, safe='')}" if state else "/admin/sessions"


VERBS: Final = {
    "sessions": Verb("[STATE]", "list the sessions: all, or live, draining, ending", "GET", _sessions_path, _sessions),
    "session": Verb("ID", "show a session", "GET", _of_session(""), outline),
    "end": Verb(
        "ID", "end a session at once", "POST", _of_session("/end"), lambda answer: f"session {answer['id']} is ended"
    ),
    "drain": Verb("[ID]", "end a session after its turn; without ID, the server", "POST", _drain_path, _drained),
    "upstreams": Verb("", "list the upstreams", "GET", lambda _: "/admin/upstreams", _upstreams),
    "pause": Verb("N", "dial upstream N no more, and move its sessions", "POST", _of_upstream("pause"), _paused),
    "resume": Verb("N", "dial upstream N again", "POST", _of_upstream("resume"), _paused),
    "workers": Verb("", "list the workers", "GET", lambda _: "/admin/workers", _workers),
    "log-level": Verb(
        "LEVEL",
        "set the level of log lines: trace, debug, info, warning, error",
        "POST",
        lambda level: f"/admin/log-level?level={quote(level, safe='')}",
        lambda answer: f"{answer['workers']} workers log from level {answer['log_level']} on",
    ),
    "record": Verb(
        "PERCENT",
        "record this share of new sessions, with --record",
        "POST",
        lambda percent: f"/admin/record?percent={quote(percent, safe='')}",
        lambda answer: f"{answer['workers']} workers record {answer['record_percent']} % of new sessions",
    ),
}
