"""The WSGI app: WebSocket routes, health, readiness, pages. This module must not know the meaning of a message."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qs, parse_qsl

import orjson

from actors.connections.handover import HandshakeRefused
from actors.connections.transfer import TRANSFER
from router.access.gate import Gate
from router.access.request import Request
from router.audio.compiled import RESAMPLING
from router.config.model import CONVERSE_PATH, HEALTH_PATH, METRICS_PATH, READY_PATH
from router.load import PARAMETER, UNREADY, ProbeError, most_of, status_of
from router.metrics.history import History
from router.version import VERSION
from router.web import admin_api, admin_page, grants, metrics_page, pages, sessions_page, upgrade, wire
from router.web.response import JSON, Environ, Response, StartResponse, WSGIApp

if TYPE_CHECKING:
    from router.web.scoreboard import Scoreboard

MAX_BODY_BYTES: Final = 1024 * 1024
"""The largest body that a request may announce. Each route that takes a body has a lower bound of its own."""

MAX_LENGTH_DIGITS: Final = 20

VERBOSE: Final = "verbose"
"""The parameter of a health check that asks for the version, and for the implementation of resampling."""


class Router(upgrade.Router, wire.Router, grants.Router, metrics_page.Router, admin_api.Router, Protocol):
    """The part of the router that the app needs. Its methods may be called from any thread."""

    @property
    def is_alive(self) -> bool:
        """Whether every dispatcher runs, so that the router can carry sessions."""

    @property
    def front_routes(self) -> Iterable[FrontRoute]:
        """The paths of the fronts: WebSockets, and the requests that belong to them."""

    @property
    def is_authenticating(self) -> bool:
        """Whether a client needs a credential."""

    def readiness(self) -> tuple[bool, str]:
        """Return whether the router is ready for new sessions, and the reason, such as `ready` or `draining`."""

    def load(self) -> float:
        """Return the share in use of the fullest limit, queue or dispatcher; 1.0 is full."""

    def check_admin(self, environ: Environ) -> None:
        """Check that a request may see the pages for administrators; raises `HandshakeRefused`."""


Serve = Callable[[Environ], Response]


class FrontRoute(Protocol):
    """A path that a front serves."""

    @property
    def path(self) -> str:
        """The path, with its leading slash."""

    @property
    def serve(self) -> Serve:
        """The function that serves requests for the path."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods that the path takes."""


class Route(NamedTuple):
    """The function that serves a path of the app, and the HTTP methods that the path takes."""

    serve: Serve
    methods: tuple[str, ...] = ("GET", "HEAD")


EMBEDDED: Final = admin_api.Server()
"""The server around an embedded router. It belongs to the host application, so the app reports on this process alone.
"""


def make_app(router: Router, server: admin_api.Server = EMBEDDED) -> WSGIApp:
    """Make the WSGI app that serves `router`.

    Health, metrics and the pages for administrators cover all workers of `server`.
    """
    config, scoreboard = router.config, server.scoreboard
    served: dict[str, Serve] = {
        **(pages.routes(config) if config.console else {"/": functools.partial(_welcome, router)}),
        **(wire.routes(router) if config.console and config.wire_view else {}),
    }
    routes = {path: Route(serve) for path, serve in served.items()}
    routes |= {path: Route(serve, ("POST",)) for path, serve in grants.routes(router).items()}
    routes |= _health_routes(router, scoreboard)
    if config.admin_bind is None:
        routes |= _admin_routes(router, server)
    routes |= {route.path: Route(route.serve, route.methods) for route in router.front_routes}
    # Clients reach the router's own server under its configured names, so the gate checks them. A host application
    # checks the names itself.
    return _app(routes, Gate(config, is_server=scoreboard is not None))


def make_admin_app(router: Router, server: admin_api.Server) -> WSGIApp:
    """Make the WSGI app for the separate address of administrators (`--admin-bind`)."""
    routes = {**_health_routes(router, server.scoreboard), **_admin_routes(router, server)}
    return _app(routes, Gate(router.config, is_server=True))


def _health_routes(router: Router, scoreboard: Scoreboard | None) -> dict[str, Route]:
    return {
        HEALTH_PATH: Route(functools.partial(_health, router, scoreboard)),
        READY_PATH: Route(functools.partial(_readiness, router, scoreboard)),
    }


def _admin_routes(router: Router, server: admin_api.Server) -> dict[str, Route]:
    def check(environ: Environ) -> None:
        router.check_admin(environ)
        if not router.is_authenticating:
            sessions_page.check_local(environ)

    history = server.history if server.history is not None else History()
    api = admin_api.routes(router, server, history, check)
    overview, _ = api[admin_api.OVERVIEW_PATH]
    page = admin_page.routes(check, overview, is_authenticating=router.is_authenticating)
    return {
        METRICS_PATH: Route(for_admins(router, metrics_page.metrics_route(router, server.segments))),
        **{
            path: Route(serve, ("GET", "HEAD", "POST") if path.endswith("/") else ("GET", "HEAD"))
            for path, serve in sessions_page.session_routes(router, server.peers, check).items()
        },
        **{path: Route(serve, methods) for path, (serve, methods) in api.items()},
        **{path: Route(serve) for path, serve in page.items()},
    }


def for_admins(router: Router, serve: Serve) -> Serve:
    """Return a function that calls `serve` for administrators and refuses all other clients."""

    def checked(environ: Environ) -> Response:
        router.check_admin(environ)
        return serve(environ)

    return checked


def _app(routes: dict[str, Route], gate: Gate) -> WSGIApp:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return upgrade.guarded(lambda given: _respond(routes, gate.admit(_bounded(given))), environ)(
            environ, start_response
        )

    return app


def _bounded(environ: Environ) -> Environ:
    """Return a request unchanged. Raise `HandshakeRefused` if its announced body is too large for every route."""
    length = (environ.get("CONTENT_LENGTH") or "").lstrip("0")
    # Python converts no text of thousands of digits.
    if len(length) > MAX_LENGTH_DIGITS or (length.isdecimal() and int(length) > MAX_BODY_BYTES):
        raise HandshakeRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MAX_BODY_BYTES} bytes")
    return environ


def _respond(routes: dict[str, Route], environ: Environ) -> Response:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
    route = routes.get(path) or _below(routes, path)
    trimmed = path[:-1]
    if route is None and trimmed and path == f"{trimmed}/" and trimmed != "/":
        # Some clients end the URL with a slash.
        environ["PATH_INFO"] = trimmed
        route = routes.get(trimmed)
    if route is None:
        return Response(HTTPStatus.NOT_FOUND, f"No such path. See {_here(environ)}/\n")
    if method not in route.methods:
        allowed = (("Allow", ", ".join(route.methods)),)
        return Response(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {route.methods[0]}.\n", headers=allowed)
    return route.serve(environ)


def _below(routes: dict[str, Route], path: str) -> Route | None:
    """Return the route whose path ends with a slash and is a prefix of `path`; None if there is none."""
    below = {prefix: route for prefix, route in routes.items() if prefix != "/" and prefix.endswith("/")}
    return next((route for prefix, route in below.items() if path.startswith(prefix)), None)


def _may_see_details(router: Router, environ: Environ) -> bool:
    """Whether a probe may get facts that a load balancer does not need: pids, numbers of calls, problems."""
    if not router.is_authenticating:
        return True
    # A probe without a credential is no attempt to guess one.
    if Request.of(environ, "").credential is None:
        return False
    try:
        router.check_admin(environ)
    except HandshakeRefused:
        return False
    return True


def _health(router: Router, scoreboard: Scoreboard | None, environ: Environ) -> Response:
    problems = scoreboard.problems(time.monotonic()) if scoreboard is not None else []
    if not router.is_alive:
        problems = ["not alive", *problems]
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    details = [f"switchboard {VERSION}", f"resampling: {RESAMPLING}", f"keeper: {TRANSFER}"] if VERBOSE in asked else []
    if (problems or details) and not _may_see_details(router, environ):
        problems, details = (["unhealthy"] if problems else []), []
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    return Response(status, "\n".join([*(problems or ["ok"]), *details]) + "\n")


def _readiness(router: Router, scoreboard: Scoreboard | None, environ: Environ) -> Response:
    asked = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    try:
        most = most_of(asked[PARAMETER]) if PARAMETER in asked else None
        unready = status_of(asked.get(UNREADY, "503"))
    except ProbeError as error:
        return Response(HTTPStatus.BAD_REQUEST, f"{error}\n")
    is_ready, reason = router.readiness()
    # One ready worker is enough, even if another worker answers this request: the ready one would take the call.
    if not is_ready and scoreboard is not None and scoreboard.is_any_ready(time.monotonic()):
        is_ready, reason = True, "ready"
    if is_ready and most is not None and _least_load(router, scoreboard) > most:
        is_ready, reason = False, "busy"
    has_details = scoreboard is not None and _may_see_details(router, environ)
    report: dict[str, Any] = {
        "ready": is_ready,
        "reason": reason,
        **(_of_all(scoreboard) if scoreboard is not None and has_details else {}),
    }
    return Response(HTTPStatus.OK if is_ready else unready, orjson.dumps(report).decode() + "\n", JSON)


def _least_load(router: Router, scoreboard: Scoreboard | None) -> float:
    """Return the load of the least loaded ready worker, which gets the next call.

    If no worker is ready or there is no scoreboard, return the load of this process.
    """
    least = scoreboard.least_used(time.monotonic()) if scoreboard is not None else None
    return router.load() if least is None else least


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
