"""The WSGI app: WebSocket routes of the two profiles, health, readiness. Must not know what a message means."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from router.config.model import CONVERSE_PATH, HEALTH_PATH, READY_PATH
from router.web import pages, upgrade, wire
from router.web.response import JSON, Environ, Response, StartResponse, WSGIApp

if TYPE_CHECKING:
    from router.web.scoreboard import Scoreboard


class Router(upgrade.Router, wire.Router, Protocol):
    """The part of the router that the app needs. From any thread."""

    @property
    def is_alive(self) -> bool:
        """Whether the router can carry sessions at all."""

    def readiness(self) -> tuple[bool, str]:
        """Return whether a new session would succeed, and the reason."""


Route = Callable[[Environ], Response]


def make_app(router: Router, scoreboard: Scoreboard | None = None) -> WSGIApp:
    """Make the WSGI app that serves `router`. With a scoreboard its health and readiness are those of all workers."""
    config = router.config
    routes: dict[str, Route] = {
        **(pages.routes(config) if config.console else {"/": functools.partial(_welcome, router)}),
        **(wire.routes(router) if config.console and config.wire_view else {}),
        HEALTH_PATH: functools.partial(_health, router, scoreboard),
        READY_PATH: functools.partial(_readiness, router, scoreboard),
        config.path: functools.partial(upgrade.accept, router, "openai"),
        CONVERSE_PATH: functools.partial(upgrade.accept, router, "converse"),
    }

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return _respond(routes, environ)(environ, start_response)

    return app


def _respond(routes: dict[str, Route], environ: Environ) -> Response:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
    route = routes.get(path)
    if route is None:
        return Response(HTTPStatus.NOT_FOUND, f"No such path. See {_here(environ)}/\n")
    if method not in ("GET", "HEAD"):
        return Response(HTTPStatus.METHOD_NOT_ALLOWED, "Use GET.\n", headers=(("Allow", "GET, HEAD"),))
    return upgrade.guarded(route, environ)


def _health(router: Router, scoreboard: Scoreboard | None, _environ: Environ) -> Response:
    problems = scoreboard.problems(time.monotonic()) if scoreboard is not None else []
    if not router.is_alive:
        problems = ["not alive", *problems]
    if not problems:
        return Response(HTTPStatus.OK, "ok\n")
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(problems) + "\n")


def _readiness(router: Router, scoreboard: Scoreboard | None, _environ: Environ) -> Response:
    is_ready, reason = router.readiness()
    # Whichever worker answers: another one that is ready would take the call.
    if not is_ready and scoreboard is not None and scoreboard.is_any_ready(time.monotonic()):
        is_ready, reason = True, "ready"
    report: dict[str, Any] = {
        "ready": is_ready,
        "reason": reason,
        **(_of_all(scoreboard) if scoreboard is not None else {}),
    }
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(status, orjson.dumps(report).decode() + "\n", JSON)


def _of_all(scoreboard: Scoreboard) -> dict[str, Any]:
    rows = scoreboard.rows()
    workers = [
        {"pid": row.pid, "stage": row.stage.name.lower(), "ready": row.is_ready, "sessions": row.sessions}
        for row in rows
    ]
    return {"sessions": sum(row.sessions for row in rows), "workers": workers}


def _welcome(router: Router, environ: Environ) -> Response:
    here = _here(environ)
    web_socket = here.replace("http", "ws", 1)
    lines = [
        "Switchboard: Deepgram Voice Agent clients in front, the OpenAI Realtime API behind.",
        "",
        f"{web_socket}{router.config.path}  for the React component",
        f"{web_socket}{CONVERSE_PATH}  for Deepgram's SDKs",
        f"{here}{HEALTH_PATH}  whether it is alive",
        f"{here}{READY_PATH}  whether it takes calls",
    ]
    return Response(HTTPStatus.OK, "\n".join(lines) + "\n")


def _here(environ: Environ) -> str:
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return f"{environ['wsgi.url_scheme']}://{host}{environ.get('SCRIPT_NAME', '')}"
