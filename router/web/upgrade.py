"""The upgrade of a WSGI request to a session: what its query may ask, and what is answered.

The server's thread is free at once; where its own TLS keeps the socket from being taken over
(`actors.connections.handover`) it is parked until the session is over. Must not know what a message means.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qsl

from actors.connections.handover import HandshakeRefused, is_lent, served_socket
from router.config.schema import TURN_DETECTIONS
from router.web.response import Answer, Environ, Headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.config.model import RouterConfig

logger = logging.getLogger(__name__)

RETRY_HELD_S: Final = 10
"""A held thread is free at the end of a call, which lasts for minutes."""


class Router(Protocol):
    """What an upgrade needs of the router. From any thread."""

    @property
    def config(self) -> RouterConfig:
        """What it was made with."""

    def accept(self, environ: Environ, profile: str, *, turn_detection: str | None) -> object:
        """Take over the socket of a WebSocket request and begin a session; returns the session's id.

        Raises:
            HandshakeRefused: the request is no good, or the router takes no more; the socket was left alone.
        """


def upgrade(router: Router, profile: str, environ: Environ) -> Answer:
    """Upgrade a request to a session of a route profile; whatever is wrong with it is answered, never raised."""
    return guarded(functools.partial(accept, router, profile), environ)


def accept(router: Router, profile: str, environ: Environ) -> Answer:
    """Upgrade a request; raises `HandshakeRefused`."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    _check_service(query.get("service", "agent"))
    session_id = router.accept(environ, profile, turn_detection=_turn_detection(query.get("turn_detection")))
    return Answer(HTTPStatus.SWITCHING_PROTOCOLS, session_id=str(session_id))


def guarded(route: Callable[[Environ], Answer], environ: Environ) -> Answer:
    """Answer a request by `route`; what it refuses or fails at is answered, too, and logged without the query."""
    path = environ.get("PATH_INFO") or "/"
    try:
        return route(environ)
    except HandshakeRefused as refused:
        logger.info("handshake refused on %s: %s", path, refused)
        headers = (*refused.headers, *_upgrade_headers(refused.status, environ))
        return Answer(HTTPStatus(refused.status), f"{refused.description}\n", headers=headers)
    except Exception:
        # Said here and not by the server, which would put the whole query, with its token, into the line.
        logger.exception("failure in %s %s", environ.get("REQUEST_METHOD"), path)
        return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; it has been logged.\n")


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


class HeldServerThreads:
    """The server's threads that wait for the end of a session; at most `limit`, so that the server can serve others.

    From any thread.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = threading.BoundedSemaphore(limit)

    @contextlib.contextmanager
    def hold(self, environ: Environ) -> Iterator[None]:
        """Hold this thread while the request's socket is lent; hold nothing where the socket can be taken over.

        Raises:
            HandshakeRefused: 501, where there is no socket at all; 503, where `limit` threads are held.
        """
        if not is_lent(served_socket(environ)):
            yield
            return
        # Without waiting: a thread that waits for a place is as lost to the server as one that holds it.
        if not self._free.acquire(blocking=False):
            problem = f"all {self._limit} threads for TLS in this server are held: terminate TLS in front of it"
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, (("Retry-After", str(RETRY_HELD_S)),))
        try:
            yield
        finally:
            self._free.release()
