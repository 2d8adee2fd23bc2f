"""The upgrade of a WSGI request to a session: the parameters of its query, and the response.

The server's thread is free as soon as the session has the socket. If the server's own TLS keeps its socket
(`actors.connections.handover`), the thread is held until the session ends. This module must not know what a message
means.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qsl

from actors.connections.handover import HandshakeRefused, has_own_handshake, is_lent, served_socket
from router.access.request import is_upgrade
from router.config.session_settings import TURN_DETECTIONS
from router.web.response import BodyLateError, Environ, Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.access.request import Principal
    from router.config.model import RouterConfig

logger = logging.getLogger(__name__)

RETRY_HELD_S: Final = 10
"""The `Retry-After` in seconds while all threads are held.

A thread becomes free when a call ends, and a call lasts for minutes.
"""


class Router(Protocol):
    """The part of the router that an upgrade needs. Its methods may be called from any thread."""

    @property
    def config(self) -> RouterConfig:
        """The configuration of the router."""

    def count_refusal(self, status: int) -> None:
        """Count a handshake that was refused with this HTTP status."""

    def identify(self, environ: Environ) -> Principal | None:
        """Return the client of a request that begins no session; None without authentication.

        Raises:
            HandshakeRefused: the credential is absent or wrong, or the page is a foreign one.
        """

    def accept(self, environ: Environ, profile: str, *, turn_detection: str | None) -> object:
        """Take over the socket of a WebSocket request, start a session, and return its id.

        Raises:
            HandshakeRefused: the request is invalid, or the router takes no more sessions; the socket is untouched.
        """


def upgrade(router: Router, profile: str, environ: Environ) -> Response:
    """Upgrade a request to a session of a profile. Return a failure as the response, and raise nothing."""
    return guarded(functools.partial(accept, router, profile), environ)


def accept(router: Router, profile: str, environ: Environ, *, service: str = "agent") -> Response:
    """Upgrade a request. The parameter `service` of its URL must be absent, or have the value of the argument.

    Raises:
        HandshakeRefused: the request is refused.
    """
    with counting(router):
        return _accept(router, profile, environ, service)


@contextlib.contextmanager
def counting(router: Router) -> Iterator[None]:
    """Count the refusal if the block raises `HandshakeRefused`."""
    try:
        yield
    except HandshakeRefused as refused:
        router.count_refusal(refused.status)
        raise


def _accept(router: Router, profile: str, environ: Environ, service: str) -> Response:
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    if query.get("service", service) != service:
        # The React component opens a second socket, only for transcription, with another service.
        raise refusal(router, environ, f"the parameter service must be {service} here, or be left out")
    requested = query.get("turn_detection")
    if requested is not None and requested not in TURN_DETECTIONS:
        raise refusal(router, environ, f"the parameter turn_detection must be one of {', '.join(TURN_DETECTIONS)}")
    session_id = router.accept(environ, profile, turn_detection=requested)
    return Response(HTTPStatus.SWITCHING_PROTOCOLS, session_id=str(session_id))


def refusal(router: Router, environ: Environ, problem: str) -> HandshakeRefused:
    """Return the refusal (400) of a request with a wrong parameter.

    Raises:
        HandshakeRefused: 401 or 403 if the client may not come in. Such a client must not learn which parameters are
            valid.
    """
    if is_upgrade(environ):
        router.identify(environ)
    return HandshakeRefused(HTTPStatus.BAD_REQUEST, problem)


def guarded(route: Callable[[Environ], Response], environ: Environ) -> Response:
    """Return the response of `route`. Turn a refusal or a failure into a response, too.

    The log line of a failure leaves out the query, which may hold a token.
    """
    path = environ.get("PATH_INFO") or "/"
    try:
        return route(environ)
    except HandshakeRefused as refused:
        logger.info("handshake refused on %s: %s", path, refused)
        headers = (*refused.headers, *_upgrade_headers(refused.status, environ))
        return Response(HTTPStatus(refused.status), f"{refused.description}\n", headers=headers)
    except BodyLateError as late:
        return Response(HTTPStatus.REQUEST_TIMEOUT, f"{late}\n", headers=(("Connection", "close"),))
    except Exception:
        # The failure is logged here, because the server's own line would contain the whole query.
        logger.exception("failure in %s %s", environ.get("REQUEST_METHOD"), path)
        return Response(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error; the server logged it.\n")


def _upgrade_headers(status: int, environ: Environ) -> Headers:
    # RFC 9110, 15.5.22 requires these headers. PEP 3333 forbids hop-by-hop headers to applications: gunicorn accepts
    # these two, but other servers (wsgiref) fail the request.
    is_due = status == HTTPStatus.UPGRADE_REQUIRED and "gunicorn.socket" in environ
    return (("Connection", "Upgrade"), ("Upgrade", "websocket")) if is_due else ()


class HeldServerThreads:
    """The server's threads that wait for the end of a session. Their number is at most `limit`.

    So the server still has threads for other requests.

    Methods may be called from any thread.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = threading.BoundedSemaphore(limit)

    @contextlib.contextmanager
    def hold(self, environ: Environ) -> Iterator[None]:
        """Count this thread as held until the block ends. Do not count it if the socket can leave the server.

        Raises:
            HandshakeRefused: 501 if there is no socket at all; 503 if `limit` threads are held.
        """
        if has_own_handshake(environ) or not is_lent(served_socket(environ)):
            yield
            return
        # Do not wait: a thread that waits for its turn is as lost to the server as a held one.
        if not self._free.acquire(blocking=False):
            problem = f"all {self._limit} threads for TLS in this server are held: terminate TLS in front of it"
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, (("Retry-After", str(RETRY_HELD_S)),))
        try:
            yield
        finally:
            self._free.release()
