"""The router as an ASGI application: `app.mount("/voice", router.asgi_app)`.

A request is converted to an environ. The WSGI application answers it on a thread of a pool, within milliseconds. So
WSGI and ASGI servers have the same routes and the same authentication. An accepted WebSocket stays with its server:
`actors.connections.asgi` carries the messages. This module must not know what a route means.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import logging
import sys
from functools import partial, wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from actors.connections.asgi_handshake import AsgiHandshake
from actors.connections.crossing import Crossing
from actors.connections.handover import HANDSHAKE, HandshakeRefused
from actors.pool import PoolClosed, PoolFull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from actors.pool import Pool

    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 1024 * 1024
"""The largest body of an HTTP request. The routes take only forms and short JSON."""

_SCHEMES: Final = {"ws": "http", "wss": "https"}
"""A map from the scheme of a WebSocket URL to the HTTP scheme of its upgrade request."""


class _Answer(msgspec.Struct, frozen=True):
    """A response of the WSGI application."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as pairs of bytes, as ASGI sends them."""
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]


_BUSY: Final = _Answer(HTTPStatus.SERVICE_UNAVAILABLE, (("Retry-After", "1"),), b"The server is busy; try again.\n")
_TOO_LARGE: Final = _Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, (), b"The body is too large.\n")
_FAILED: Final = _Answer(HTTPStatus.INTERNAL_SERVER_ERROR, (), b"Internal error; the server logged it.\n")


class AsgiApp:
    """The application: WebSocket routes, health, readiness and pages, below any mount point.

    The application needs no lifespan events. If a server sends them, their shutdown closes the router.
    """

    _path_routing = True
    """An attribute for Channels' `URLRouter`.

    With it, `URLRouter` treats the `path()` of this application as a prefix.
    """

    def __init__(self, app: WSGIApp, pool: Callable[[], Pool], close: Callable[[], None], loop: EventLoop) -> None:
        self._app = app
        self._pool = pool
        self._close = close
        self._loop = loop
        self._crossing: Crossing | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the server."""
        self._loop.enter()
        match scope["type"]:
            case "websocket":
                await self._serve_websocket(scope, receive, send)
            case "http":
                await self._serve_http(scope, receive, send)
            case "lifespan":
                await self._serve_lifespan(receive, send)
            case kind:
                raise ValueError(f"ASGI scope {kind} is not served here")

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        handshake = AsgiHandshake(self._crossing_of_loop(), offered=scope.get("subprotocols") or (), peer=_peer(scope))
        try:
            answer = await self._respond(_environ(scope, "GET", handshake))
        except BaseException:  # the server cancels a request when its client has gone
            handshake.abandon()
            raise
        if handshake.connection is not None:
            await handshake.connection.carry(receive, send)
        else:
            await _refuse(scope, send, answer)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _body(receive)
        except _ClientGone:
            return
        if body is None:
            answer = _TOO_LARGE
        else:
            answer = await self._respond(_environ(scope, scope["method"], _NoHandshake(), body))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        while (event := await receive())["type"] != "lifespan.shutdown":
            if event["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
        # The router's own pool ends with the router, so it cannot run this.
        await asyncio.to_thread(self._close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, environ: dict[str, Any]) -> _Answer:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Answer] = loop.create_future()

        def hand_in(result: _Answer | BaseException) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_settle, future, result)

        job = self._pool().submit(partial(_call, self._app, environ), hand_in)
        try:
            return await future
        except asyncio.CancelledError:
            job.withdraw()
            raise

    def _crossing_of_loop(self) -> Crossing:
        loop = asyncio.get_running_loop()
        if self._crossing is None or self._crossing.loop is not loop:
            self._crossing = Crossing(loop)
        return self._crossing


def _settle(future: asyncio.Future[_Answer], result: _Answer | BaseException) -> None:
    if future.done():  # the request was cancelled
        return
    if isinstance(result, _Answer):
        future.set_result(result)
        return
    if not isinstance(result, PoolFull | PoolClosed):
        logger.error("failure in the router's application", exc_info=result)
    future.set_result(_BUSY if isinstance(result, PoolFull | PoolClosed) else _FAILED)


def _call(app: WSGIApp, environ: dict[str, Any]) -> _Answer:
    """Call the WSGI application on a thread of the pool, and return its response."""
    started: list[tuple[int, tuple[tuple[str, str], ...]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_error: Any) -> None:
        started.append((int(status.partition(" ")[0]), tuple(headers)))

    result = app(environ, start_response)
    try:
        body = b"".join(result)
    finally:
        if hasattr(result, "close"):  # PEP 3333
            result.close()
    status, headers = started[-1]
    return _Answer(status, headers, body)


async def _refuse(scope: Scope, send: Send, answer: _Answer) -> None:
    """Answer a WebSocket request in plain HTTP, which is an extension of ASGI.

    If the server lacks this extension, close the connection. The server then answers with 403.
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1000})
        return
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": answer.status, "headers": answer.raw_headers})
    await send({"type": f"{kind}.body", "body": answer.body})


class _ClientGone(Exception):  # noqa: N818 - no error of ours
    """The end of a request whose client left before the request was complete."""


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request, or None if it is larger than `MAX_BODY_BYTES`.

    Raises:
        _ClientGone: the client left before the body was complete.
    """
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _ClientGone
        body += event.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not event.get("more_body"):
            return bytes(body)


class _NoHandshake:
    """The handshake in the environ of a plain HTTP request. It refuses the upgrade with status 426."""

    def accept(self, **_how: Any) -> Any:
        """Refuse the request, because it came as plain HTTP."""
        raise HandshakeRefused(HTTPStatus.UPGRADE_REQUIRED, "a WebSocket is served here")


# The environ.


def _environ(scope: Scope, method: str, handshake: object, body: bytes = b"") -> dict[str, Any]:
    """Return the WSGI environ of an ASGI request, with the object that performs or refuses the upgrade."""
    mount, path = _split_path(scope)
    host, port = scope.get("server") or ("localhost", None)
    scheme = scope.get("scheme", "http")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": _latin(mount),
        "PATH_INFO": _latin(path),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": _SCHEMES.get(scheme, scheme),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        HANDSHAKE: handshake,
    }
    for name, value in scope.get("headers", ()):
        if b"_" in name:  # an underscore would pass for a hyphen, and so for a header that a proxy may have set
            continue
        key = _header_key(name.decode("latin-1"))
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    if body:  # a body that came in chunks has no header with its length
        environ["CONTENT_LENGTH"] = str(len(body))
    if scope["type"] == "websocket":
        # A server may serve WebSockets over HTTP/2, which lacks these headers.
        environ |= {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
    return environ


def _split_path(scope: Scope) -> tuple[str, str]:
    """Return the mount point of the application, and the path of the request below the mount point."""
    path, root = scope["path"], (scope.get("root_path") or "").rstrip("/")
    requested = unquote(scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")) or path
    if "path_remaining" in scope:  # Channels' `URLRouter`
        below = "/" + scope["path_remaining"].lstrip("/")
    elif root and (path == root or path.startswith(f"{root}/")):
        below = path[len(root) :]
    else:
        # Litestar removes the mount point, and adds a slash that was not requested.
        below = path if requested.endswith("/") else path.removesuffix("/")
    return requested.removesuffix(below) if requested.endswith(below) else root, below


def _latin(path: str) -> str:
    """Return a path in the form of WSGI: its bytes as characters (PEP 3333)."""
    return path.encode().decode("latin-1")


def _header_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _peer(scope: Scope) -> str:
    host, port = (*(scope.get("client") or ("unknown",)), None)[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if port else host


# Hooks that are coroutines.


class EventLoop:
    """The event loop of the application's server, on which hooks that are coroutine functions run."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self.hooks: list[str] = []
        """The names of the hooks that are coroutine functions."""

    def enter(self) -> None:
        """Store the running event loop. That loop's thread calls this."""
        self._loop = asyncio.get_running_loop()

    def plain(self, name: str, hook: Any) -> Any:
        """Return a plain function for a hook that is a coroutine function. Return any other object unchanged."""
        if not inspect.iscoroutinefunction(hook) and not inspect.iscoroutinefunction(type(hook).__call__):
            return hook
        self.hooks.append(name)
        return wraps(hook)(partial(self._run, hook))

    def _run(self, hook: Any, *args: Any) -> Any:
        """Run a hook on the event loop, and return its result. The caller, a pool's thread, waits for the result."""
        loop = self._loop
        if loop is None or not loop.is_running():
            # A call in memory (`router.testing`) has no server, so the hook gets a separate event loop.
            return asyncio.run(asyncio.wait_for(hook(*args), self._timeout_s))
        future = asyncio.run_coroutine_threadsafe(hook(*args), loop)
        try:
            return future.result(self._timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    def refuse_hooks(self) -> None:
        """Raise `ValueError` if a hook needs an event loop, which a WSGI server does not have."""
        if self.hooks:
            problem = "a coroutine, which only `asgi_app` can run: make it a plain function"
            raise ValueError(f"{' and '.join(self.hooks)} must not be {problem}")
