"""A request's socket, out of the hands of a threaded WSGI server.

Where the server has no TLS of its own the socket is taken over: ours is a duplicate, and in place of the server's
descriptor stands a dead one, so that its thread is free at once. Its TLS cannot be moved: there the socket is
only lent, and the server's thread must wait until it is given back. Knows WSGI servers, and nothing of WebSockets.
"""

from __future__ import annotations

import functools
import io
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USE_GTHREAD: Final = "serve it with gunicorn's gthread worker (gunicorn --threads 8)"

_GREEN: Final = ("gevent", "eventlet")


class HandshakeRefused(Exception):  # noqa: N818 - named for what happened
    """The request is no WebSocket handshake that can be accepted; not a byte was written to its socket.

    `status` and `headers` are what to answer in plain HTTP.
    """

    def __init__(self, status: int, description: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, description)
        self.status = status
        self.description = description
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status}: {self.description}"


def served_socket(environ: Mapping[str, Any]) -> socket.socket:
    """Return the request's socket, which is still the server's.

    Raises:
        HandshakeRefused: 501, where it cannot be had, or would be of no use; the description says what to use.
    """
    sock = _find(environ)
    for is_so, description in _REFUSALS:
        if is_so(environ, sock):
            raise HandshakeRefused(501, description)
    assert isinstance(sock, socket.socket)  # noqa: S101 - for the type checker: the last row
    return sock


def is_lent(sock: socket.socket) -> bool:
    """Whether it cannot be taken over: with TLS, half of a connection's state is in the server's own object."""
    return isinstance(sock, ssl.SSLSocket)


def take_over(environ: Mapping[str, Any]) -> socket.socket:
    """Take the request's socket out of the WSGI server's hands; the duplicate that is ours.

    A throw-away socket, whose other end is closed, is put in place of the server's descriptor: what the server
    still does there (answer, shut down, close) harms nobody. What the server has read already is lost; what is
    still in the kernel is ours.

    Raises:
        HandshakeRefused: the server gives no socket, or one with its own TLS (501); no descriptor is left (503).
    """
    served = served_socket(environ)
    if is_lent(served):
        raise HandshakeRefused(501, "TLS in the WSGI server itself: terminate it in front of the server")
    return take(served)


def take(served: socket.socket) -> socket.socket:
    """Take over a socket that is not only lent; see `take_over`."""
    # Few calls of the system: after each of them this thread may have to wait for the interpreter's lock.
    try:
        stand_in = _stand_in()
        ours = os.dup(served.fileno())
        os.dup2(stand_in, served.fileno(), inheritable=False)
    except OSError as error:  # no descriptor left
        raise HandshakeRefused(503, f"the request's socket cannot be taken over: {error.strerror}") from None
    return socket.socket(served.family, served.type, served.proto, fileno=ours)


@functools.cache
def _stand_in() -> int:
    """The descriptor of a socket whose other end is closed. One serves a whole process: nobody gets anything of it."""
    stand_in, other_end = socket.socketpair()
    other_end.close()
    return stand_in.detach()


# Where servers keep it.


def _find(environ: Mapping[str, Any]) -> object:
    return environ.get("gunicorn.socket") or environ.get("werkzeug.socket") or _behind(environ.get("wsgi.input"))


def _behind(stream: object) -> object:
    """Return the socket that a server of the standard library reads from (wsgiref, Django's `runserver`).

    Django wraps the stream, and keeps nothing of it but its `read`.
    """
    buffered = getattr(getattr(stream, "_read", None), "__self__", stream)
    raw = buffered.raw if isinstance(buffered, io.BufferedReader) else None
    return getattr(raw, "_sock", None) if isinstance(raw, socket.SocketIO) else None


# Where it cannot be had.


def _is_green(_environ: Mapping[str, Any], sock: object) -> bool:
    return type(sock).__module__.partition(".")[0] in _GREEN


def _is_shared(environ: Mapping[str, Any], _sock: object) -> bool:
    return environ.get("HTTP_VERSION") == "2" or environ.get("SERVER_PROTOCOL") == "HTTP/2"


def _ends_with_the_request(environ: Mapping[str, Any], _sock: object) -> bool:
    return "werkzeug.socket" in environ and bool(environ.get("wsgi.multiprocess"))


def _holds_up_everybody(environ: Mapping[str, Any], sock: object) -> bool:
    return isinstance(sock, ssl.SSLSocket) and not environ.get("wsgi.multithread", True)


def _is_none(_environ: Mapping[str, Any], sock: object) -> bool:
    return not isinstance(sock, socket.socket)


_REFUSALS: Final[tuple[tuple[Callable[[Mapping[str, Any], object], bool], str], ...]] = (
    (_is_green, f"no WebSocket can be served under gevent or eventlet, whose threads are none: {USE_GTHREAD}"),
    (_is_none, f"no WebSocket can be served by this server, which gives no access to the socket: {USE_GTHREAD}"),
    (_is_shared, "no WebSocket can be served over HTTP/2: connect with HTTP/1.1"),
    (_ends_with_the_request, "no WebSocket can be served by a process that ends with the request: use threads"),
    (_holds_up_everybody, f"no WebSocket can be served with TLS by a server of one thread: {USE_GTHREAD}"),
)
"""What is so of a request and its socket, and the sentence that says what to use."""
