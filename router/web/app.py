"""The WSGI app: WebSocket routes for the two profiles, health, readiness.

A WebSocket request is given to the router, which takes its socket over; from then on the HTTP server has nothing
to do with it, and is told so by `StopIteration`. Must not know what a message means.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl

import msgspec
import orjson

from actors.connections.client import HandshakeRefused
from router.config import CONVERSE_PATH, HEALTH_PATH, READY_PATH
from router.settings import TURN_DETECTIONS

if TYPE_CHECKING:
    from router.config import RouterConfig
    from router.web.board import Board

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = tuple[tuple[str, str], ...]

PLAIN: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"


class Router(Protocol):
    """What the app needs of the router. Every member may be used from any thread."""

    @property
    def config(self) -> RouterConfig:
        """What it was made with."""

    @property
    def is_alive(self) -> bool:
        """Whether it can carry sessions at all."""

    def accept(self, environ: Environ, profile: str, *, turn_detection: str | None) -> object:
        """Take over the socket of a WebSocket request and begin a session.

        Raises:
            HandshakeRefused: the request is no good, or the router takes no more; the socket was left alone.
        """

    def readiness(self) -> tuple[bool, str]:
        """Whether new sessions would come to life, and why (not)."""


class Response(msgspec.Struct, frozen=True):
    """An HTTP response."""

    status: HTTPStatus
    body: str
    content_type: str = PLAIN
    headers: Headers = ()


Route = Callable[[Environ], Response]


def make_app(router: Router, board: Board | None = None) -> WSGIApp:
    """Make the WSGI app that serves `router`. With a board it speaks for all workers where it is asked how it is."""
    routes: dict[str, Route] = {
        "/": functools.partial(_welcome, router),
        HEALTH_PATH: functools.partial(_health, router, board),
        READY_PATH: functools.partial(_readiness, router, board),
        router.config.path: functools.partial(_web_socket, router, "openai"),
        CONVERSE_PATH: functools.partial(_web_socket, router, "converse"),
    }

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        response = _respond(routes, environ)
        body = response.body.encode()
        about = (("Content-Type", response.content_type), ("Content-Length", str(len(body))))
        status = f"{response.status.value} {response.status.phrase}"
        start_response(status, [*about, ("Cache-Control", "no-store"), *response.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return app


def _respond(routes: dict[str, Route], environ: Environ) -> Response:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
    route = routes.get(path)
    if route is None:
        return Response(HTTPStatus.NOT_FOUND, f"There is nothing here. See {_here(environ)}/\n")
    if method not in ("GET", "HEAD"):
        return Response(HTTPStatus.METHOD_NOT_ALLOWED, "Use GET.\n", headers=(("Allow", "GET, HEAD"),))
    try:
        return route(environ)
    except HandshakeRefused as refused:
        logger.info("handshake refused on %s: %s", path, refused)
        headers = (*refused.headers, *_upgrade_headers(refused.status, environ))
        return Response(HTTPStatus(refused.status), f"{refused.description}\n", headers=headers)
    except StopIteration:
        raise
    except Exception:
        # Said here and not by the server, which would put the whole query, with its token, into the line.
        logger.exception("failure in %s %s", method, path)
        return Response(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; it has been logged.\n")


def _web_socket(router: Router, profile: str, environ: Environ) -> Response:
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    _check_service(query.get("service", "agent"))
    router.accept(environ, profile, turn_detection=_turn_detection(query.get("turn_detection")))
    raise StopIteration  # the socket is the router's now: gunicorn's thread drops the connection without a word


def _upgrade_headers(status: int, environ: Environ) -> Headers:
    # RFC 9110, 15.5.22 asks for them; PEP 3333 keeps hop-by-hop headers from applications, and gunicorn alone takes
    # these two, where other servers (wsgiref) fail the request.
    is_due = status == HTTPStatus.UPGRADE_REQUIRED and "gunicorn.socket" in environ
    return (("Connection", "Upgrade"), ("Upgrade", "websocket")) if is_due else ()


def _check_service(service: str) -> None:
    if service != "agent":
        problem = "the voice agent alone is served here: leave the parameter service out, or set it to agent"
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, problem)


def _turn_detection(asked: str | None) -> str | None:
    if asked is not None and asked not in TURN_DETECTIONS:
        problem = f"the parameter turn_detection must be one of {', '.join(TURN_DETECTIONS)}"
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, problem)
    return asked


def _health(router: Router, board: Board | None, _environ: Environ) -> Response:
    ailments = board.ailments(time.monotonic()) if board is not None else []
    if not router.is_alive:
        ailments = ["not alive", *ailments]
    if not ailments:
        return Response(HTTPStatus.OK, "ok\n")
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(ailments) + "\n")


def _readiness(router: Router, board: Board | None, _environ: Environ) -> Response:
    is_ready, reason = router.readiness()
    if not is_ready and board is not None and board.is_any_ready(time.monotonic()):
        is_ready, reason = True, "ready"
    told: dict[str, Any] = {"ready": is_ready, "reason": reason, **(_of_all(board) if board is not None else {})}
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(status, orjson.dumps(told).decode() + "\n", JSON)


def _of_all(board: Board) -> dict[str, Any]:
    rows = board.rows()
    told = [
        {"pid": row.pid, "stage": row.stage.name.lower(), "ready": row.is_ready, "sessions": row.sessions}
        for row in rows
    ]
    return {"sessions": sum(row.sessions for row in rows), "workers": told}


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
    return f"{environ['wsgi.url_scheme']}://{host}"
