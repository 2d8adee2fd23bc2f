"""The verbs of an operator for a whole server: upstreams, workers, drain, reload, log level, recording, overview.

Each answer is JSON, except a refusal, which is a line of text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qs

import orjson

from router.admin import upstreams, verbs
from router.logs.levels import LEVELS
from router.version import VERSION
from router.web import sessions_page
from router.web.response import JSON, Environ, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.admin.peers import Answers, Peers
    from router.metrics.history import History
    from router.metrics.memory import Segment
    from router.metrics.metrics import Metrics
    from router.web.reload_board import ReloadBoard
    from router.web.scoreboard import Scoreboard

UPSTREAMS_PATH: Final = "/admin/upstreams"
WORKERS_PATH: Final = "/admin/workers"
DRAIN_PATH: Final = "/admin/drain"
RELOAD_PATH: Final = "/admin/reload"
LEVEL_PATH: Final = "/admin/log-level"
RECORD_PATH: Final = "/admin/record"
OVERVIEW_PATH: Final = "/admin/overview"

MAX_BODY_BYTES: Final = 1024
_ALL_PERCENT: Final = 100

_UPSTREAM: Final = re.compile(r"/admin/upstreams/([0-9]{1,4})/(pause|resume)")

GET: Final = ("GET", "HEAD")
POST: Final = ("POST",)


class Router(verbs.Router, Protocol):
    """The part of the router that the operator's paths need. Its methods may be called from any thread."""

    @property
    def metrics(self) -> Metrics:
        """The counters of this process."""

    def sample_metrics(self) -> None:
        """Update the counters of this process."""


class Reload(NamedTuple):
    """The means by which an operator reloads a server."""

    board: ReloadBoard
    ask: Callable[[], None]
    """A function that begins a reload."""


class Server(NamedTuple):
    """The server around the router. In an application that embeds the router, all fields are None."""

    scoreboard: Scoreboard | None = None
    segments: Iterable[Segment] | None = None
    peers: Peers | None = None
    history: History | None = None
    drain: Callable[[], None] | None = None
    """A function that begins the drain of the whole server."""
    reload: Reload | None = None
    """The means of a reload; None on a system that cannot start newer code beside the present workers."""


Serve = Callable[[Environ], Response]
Routes = dict[str, tuple[Serve, tuple[str, ...]]]


def routes(router: Router, server: Server, history: History, check: Callable[[Environ], None]) -> Routes:
    """Return the paths, each with its function and its methods.

    A path that ends with a slash stands for every path below it. `check` raises `HandshakeRefused` for a client that
    is no operator.
    """
    api = _Api(router, server, history)

    def checked(serve: Serve) -> Serve:
        def guarded(environ: Environ) -> Response:
            check(environ)
            return serve(environ)

        return guarded

    found: Routes = {
        UPSTREAMS_PATH: (api.upstreams, GET),
        UPSTREAMS_PATH + "/": (api.pause, POST),
        WORKERS_PATH: (api.workers, GET),
        DRAIN_PATH: (api.drain, POST),
        RELOAD_PATH: (api.reload, (*GET, *POST)),
        LEVEL_PATH: (api.log_level, POST),
        RECORD_PATH: (api.record, POST),
        OVERVIEW_PATH: (api.overview, GET),
    }
    return {path: (checked(serve), methods) for path, (serve, methods) in found.items()}


class _Api:
    def __init__(self, router: Router, server: Server, history: History) -> None:
        self._router = router
        self._server = server
        self._history = history

    def _ask(self, verb: dict[str, Any]) -> Answers:
        return sessions_page.ask(self._router, self._server.peers, verb)

    def upstreams(self, _environ: Environ) -> Response:
        asked = self._ask({"verb": "upstreams"})
        return _json({"upstreams": self._added_up(asked), **_missing(asked)})

    def _added_up(self, asked: Answers) -> list[dict[str, Any]]:
        rows = [row for answer in asked.given for row in answer]
        switches = self._router.operator.switches
        paused = [row["position"] for row in rows if switches.is_paused(row["position"])]
        return upstreams.added_up(rows, paused, time.monotonic())

    def pause(self, environ: Environ) -> Response:
        found = _UPSTREAM.fullmatch(environ.get("PATH_INFO", ""))
        if found is None or not self._router.operator.has_upstream(int(found[1])):
            return Response(HTTPStatus.NOT_FOUND, "No such upstream: the first one is 0.\n")
        asked = self._ask({"verb": found[2], "position": int(found[1])})
        answer = {"position": int(found[1]), "paused": found[2] == "pause", "moving_sessions": sum(asked.given)}
        return _json({**answer, **_missing(asked)})

    def workers(self, _environ: Environ) -> Response:
        asked = self._ask({"verb": "worker"})
        return _json({"workers": self._with_stages(asked), **_missing(asked)})

    def _with_stages(self, asked: Answers) -> list[dict[str, Any]]:
        facts = {row["pid"]: row for row in asked.given}
        if self._server.scoreboard is None:
            return [{"stage": "serving", **row} for row in facts.values()]
        now_s = time.monotonic()
        board = {
            row.pid: {
                "pid": row.pid,
                "stage": row.stage.name.lower(),
                "ready": row.is_ready,
                "sessions": row.sessions,
                "seen_s": round(now_s - row.seen_s, 3),
            }
            for row in self._server.scoreboard.rows()
        }
        return [{**row, **facts.get(pid, {})} for pid, row in sorted(board.items())]

    def drain(self, _environ: Environ) -> Response:
        if self._server.drain is None:
            return Response(HTTPStatus.CONFLICT, "An embedded router is drained by its application: router.close().\n")
        self._server.drain()
        return _json({"draining": True}, HTTPStatus.ACCEPTED)

    def reload(self, environ: Environ) -> Response:
        if self._server.reload is None:
            return Response(HTTPStatus.CONFLICT, "The process around this router reloads by itself.\n")
        board, ask = self._server.reload
        state = board.state()
        answer = {"finished": state.finished, "running": state.is_running, "problem": state.problem}
        if environ["REQUEST_METHOD"] != "POST":
            return _json(answer)
        ask()
        # A reload that already runs may have read older files, so this request counts as the reload after it.
        return _json({**answer, "reload": state.finished + 1 + state.is_running}, HTTPStatus.ACCEPTED)

    def log_level(self, environ: Environ) -> Response:
        if self._server.peers is None:
            return Response(HTTPStatus.CONFLICT, "The application around this router sets the level of its log.\n")
        level = _level(environ)
        if level not in LEVELS:
            return Response(HTTPStatus.BAD_REQUEST, f"Give ?level= one of {', '.join(LEVELS)}.\n")
        asked = self._ask({"verb": "log-level", "level": level})
        return _json({"log_level": level, "workers": len(asked.given), **_missing(asked)})

    def record(self, environ: Environ) -> Response:
        given = parse_qs(environ.get("QUERY_STRING", "")).get("percent", [""])[-1]
        if not re.fullmatch("[0-9]{1,3}", given, re.ASCII) or int(given) > _ALL_PERCENT:
            return Response(HTTPStatus.BAD_REQUEST, "Give ?percent= as a whole number from 0 to 100.\n")
        asked = self._ask({"verb": "record", "percent": int(given)})
        if not any(asked.given):
            return Response(
                HTTPStatus.CONFLICT, "The server has no folder for recordings: start it with --record DIR.\n"
            )
        return _json({"record_percent": int(given), "workers": len(asked.given), **_missing(asked)})

    def overview(self, _environ: Environ) -> Response:
        return _json(self.facts())

    def facts(self) -> dict[str, Any]:
        """Return the facts that the page `/admin` shows: sessions, upstreams, workers and the last hour."""
        self._router.sample_metrics()
        segments = self._server.segments
        self._history.note(segments if segments is not None else [self._router.metrics.segment])
        listed, found, workers = (self._ask({"verb": verb}) for verb in ("list", "upstreams", "worker"))
        missing = sorted({name for asked in (listed, found, workers) for name in asked.missing})
        rows = [row for answer in listed.given for row in answer]
        return {
            "version": VERSION,
            "at": round(time.time(), 3),
            "sessions": sorted(rows, key=lambda row: -row["age_s"]),
            "upstreams": self._added_up(found),
            "workers": self._with_stages(workers),
            "series": self._history.series(),
            **({"missing_workers": missing} if missing else {}),
        }


def _level(environ: Environ) -> str:
    given = parse_qs(environ.get("QUERY_STRING", "")).get("level")
    if given:
        return str(given[-1])
    length = environ.get("CONTENT_LENGTH") or "0"
    size = min(int(length), MAX_BODY_BYTES) if length.isdecimal() else 0
    body = environ["wsgi.input"].read(size) if size else b""
    try:
        written = orjson.loads(body)
    except orjson.JSONDecodeError:
        return str(body, "utf-8", "replace").strip().removeprefix("level=")
    return str(written.get("level", "")) if isinstance(written, dict) else str(written)


def _missing(asked: Answers) -> dict[str, Any]:
    return {"missing_workers": asked.missing} if asked.missing else {}


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(status, orjson.dumps(value, default=str).decode() + "\n", JSON)
