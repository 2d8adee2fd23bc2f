"""The hand-over of a request's socket from a threaded WSGI server. See docs/decisions/0015-the-hand-over.md.

If the server has no TLS of its own, the socket is taken over. The router gets a duplicate, and a dead socket takes the
place of the server's descriptor, so that the server's thread is free at once. The server's own TLS cannot be moved.
Then the socket is only lent, and the server's thread must wait until the socket is given back. This module knows WSGI
servers, and nothing of WebSockets.
"""

from __future__ import annotations

import io
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USE_GTHREAD: Final = "serve it with gunicorn's gthread worker (gunicorn --threads 8)"

HANDSHAKE: Final = "switchboard.handshake"
"""The key of an environ under which a server without a WSGI socket puts a handshake of its own (`asgi`)."""

_GREEN: Final = ("gevent", "eventlet")
"""The packages whose sockets belong to green threads: a dispatcher is a real thread, and cannot wait on them."""


class HandshakeRefused(Exception):  # noqa: N818 - named for what happened
    """The request is no WebSocket handshake that can be accepted. Nothing was written to its socket.

    `status` and `headers` are those of the answer in plain HTTP.
    """

    def __init__(self, status: int, description: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, description)
        self.status = status
        self.description = description
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status}: {self.description}"


class TlsSocket:
    """A TLS socket of a server. A session can take it over together with the state of its TLS.

    The server uses this object like any socket. After `take` it uses a dead socket instead.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock: socket.socket = sock

    def take(self) -> socket.socket:
        """Return the TLS socket, and leave a dead socket to the server."""
        taken, self._sock = self._sock, socket.socket(fileno=os.dup(_stand_in()))
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def served_socket(environ: Mapping[str, Any]) -> socket.socket | TlsSocket:
    """Return the request's socket, which is still the server's.

    Raises:
        HandshakeRefused: 501, if the server gives no socket, or one that the router cannot use. The description
            names a server to use instead.
    """
    sock = _find(environ)
    if isinstance(sock, TlsSocket):
        return sock
    for applies, description in _REFUSALS:
        if applies(environ, sock):
            raise HandshakeRefused(501, description)
    assert isinstance(sock, socket.socket)  # noqa: S101 - for the type checker: the last row
    return sock


def has_own_handshake(environ: Mapping[str, Any]) -> bool:
    """Whether the server speaks WebSocket itself, so that no socket is taken over or lent."""
    return HANDSHAKE in environ


def is_lent(sock: socket.socket | TlsSocket) -> bool:
    """Whether a socket can only be lent: with TLS, half of a connection's state is in the server's own object."""
    return isinstance(sock, ssl.SSLSocket)


def take_over(environ: Mapping[str, Any]) -> socket.socket:
    """Take the request's socket over from the WSGI server. Return a duplicate, which belongs to the router.

    A dead socket, whose other end is closed, takes the place of the server's descriptor. So the server may still
    answer, shut down and close its descriptor. Bytes that the server has read already are lost. The router reads the
    bytes that are still in the kernel.

    Raises:
        HandshakeRefused: the server gives no socket, or one with its own TLS (501); no descriptor is left (503).
    """
    served = served_socket(environ)
    if is_lent(served):
        raise HandshakeRefused(501, "TLS in the WSGI server itself: terminate it in front of the server")
    return take(served)


def take(served: socket.socket | TlsSocket) -> socket.socket:
    """Take over a socket for which `is_lent` is false; see `take_over`."""
    if isinstance(served, TlsSocket):
        return served.take()
    # Make few system calls: after each of them this thread may have to wait for the interpreter's lock.
    try:
        stand_in = _stand_in()
        ours = os.dup(served.fileno())
        os.dup2(stand_in, served.fileno(), inheritable=False)
    except OSError as error:  # no descriptor left
        raise HandshakeRefused(503, f"the request's socket cannot be taken over: {error.strerror}") from None
    return socket.socket(served.family, served.type, served.proto, fileno=ours)


_stand_ins: dict[None, int] = {}


def _stand_in() -> int:
    """Return the descriptor of a socket whose other end is closed.

    One such socket serves the whole process, because each use only copies its descriptor.
    """
    found = _stand_ins.get(None)
    if found is not None:
        return found
    stand_in, other_end = socket.socketpair()
    other_end.close()
    made = stand_in.detach()
    # Two threads may both have made one: the dictionary keeps the first, and the other is closed.
    kept = _stand_ins.setdefault(None, made)
    if kept != made:
        os.close(made)
    return kept


# Where servers keep a request's socket.


def _find(environ: Mapping[str, Any]) -> object:
    return environ.get("gunicorn.socket") or environ.get("werkzeug.socket") or _behind(environ.get("wsgi.input"))


def _behind(stream: object) -> object:
    """Return the socket that a server of the standard library reads from (wsgiref, Django's `runserver`).

    Django's wrapper keeps no stream, only methods of it. The `__self__` of its `_read` is the stream.
    """
    buffered = getattr(getattr(stream, "_read", None), "__self__", stream)
    raw = buffered.raw if isinstance(buffered, io.BufferedReader) else None
    return getattr(raw, "_sock", None) if isinstance(raw, socket.SocketIO) else None


# The reasons for which a socket cannot be used.


def _is_green(_environ: Mapping[str, Any], sock: object) -> bool:
    return type(sock).__module__.partition(".")[0] in _GREEN


def _is_shared(environ: Mapping[str, Any], _sock: object) -> bool:
    return environ.get("HTTP_VERSION") == "2" or environ.get("SERVER_PROTOCOL") == "HTTP/2"


def _ends_with_the_request(environ: Mapping[str, Any], _sock: object) -> bool:
    return "werkzeug.socket" in environ and bool(environ.get("wsgi.multiprocess"))


def _blocks_the_server(environ: Mapping[str, Any], sock: object) -> bool:
    return isinstance(sock, ssl.SSLSocket) and not environ.get("wsgi.multithread", True)


def _is_none(_environ: Mapping[str, Any], sock: object) -> bool:
    return not isinstance(sock, socket.socket)


_REFUSALS: Final[tuple[tuple[Callable[[Mapping[str, Any], object], bool], str], ...]] = (
    (_is_green, f"no WebSocket can be served under gevent or eventlet, whose threads are none: {USE_GTHREAD}"),
    (_is_none, f"no WebSocket can be served by this server, which gives no access to the socket: {USE_GTHREAD}"),
    (_is_shared, "no WebSocket can be served over HTTP/2: connect with HTTP/1.1"),
    (_ends_with_the_request, "no WebSocket can be served by a process that ends with the request: use threads"),
    (_blocks_the_server, f"no WebSocket can be served with TLS by a server of one thread: {USE_GTHREAD}"),
)
"""The conditions of a request and its socket, each with a sentence that names a server to use."""
