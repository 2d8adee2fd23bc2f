"""Authentication of clients: the request, the credential in it, and the verdict of the application's hook.

The application decides who a client is; this module reads the credential, waits for the verdict and refuses.
"""

from __future__ import annotations

import itertools
import logging
import queue
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import msgspec

from actors.connections.handover import HandshakeRefused
from actors.pool import PoolClosed, PoolFull

if TYPE_CHECKING:
    from actors.pool import Pool

logger = logging.getLogger(__name__)

RETRY_SOON: Final = (("Retry-After", "1"),)
"""The header of a refusal whose cause is expected to pass within seconds."""

SCHEMES: Final = ("token", "bearer")
"""The words before a credential: Deepgram's SDKs send the first, most other clients the second."""


class Principal(msgspec.Struct, frozen=True):
    """The identity of a client, as `authenticate` returns it."""

    id: str
    attributes: Mapping[str, Any] = {}
    """Facts that the application wants in its other hooks."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP request for a session. Its `repr` shows no credential."""

    path: str
    profile: str
    """`openai` or `converse`."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""
    remote_address: str | None = None
    credential: str | None = None
    """From the Authorization header, the subprotocol after `token` or `bearer`, or the parameter `token`."""
    principal: Principal | None = None
    """The identity of the client, after authentication."""

    @classmethod
    def of(cls, environ: Mapping[str, Any], profile: str) -> Request:
        """Make one from the environ of a WSGI server."""
        headers = {
            key[5:].replace("_", "-").lower(): str(value) for key, value in environ.items() if key.startswith("HTTP_")
        }
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        return cls(
            path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            profile=profile,
            query=query,
            headers=headers,
            remote_address=environ.get("REMOTE_ADDR"),
            credential=credential_of(headers, query),
        )

    def __repr__(self) -> str:
        return f"Request({self.path!r}, profile={self.profile!r}, principal={self.principal!r})"


Authenticate = Callable[[Request], Principal | None]


def is_upgrade(environ: Mapping[str, Any]) -> bool:
    """Whether a request asks for a WebSocket at all."""
    return "websocket" in environ.get("HTTP_UPGRADE", "").lower()


def credential_of(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the credential of a request, or None; the header wins over the subprotocols, those over the query."""
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    if scheme.lower() in SCHEMES and credential.strip():
        return credential.strip()
    # A browser's WebSocket can set no header: its subprotocols carry the credential, as `token, CREDENTIAL`.
    offered = [part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")]
    for name, following in itertools.pairwise(offered):
        if name.lower() in SCHEMES and following:
            return following
    return query.get("token") or None


def admit(
    authenticate: Authenticate | None, request: Request, pool: Pool, *, session_id: str, timeout_s: float
) -> Request:
    """Authenticate a request on a thread of `pool`, and return it with its principal. Blocks at most `timeout_s`.

    Raises:
        HandshakeRefused: 401 for an unknown client, 500 where the hook failed, 503 where it gave no verdict in time.
    """
    if authenticate is None:
        return request
    verdicts: queue.SimpleQueue[Principal | BaseException | None] = queue.SimpleQueue()
    job = pool.submit(partial(authenticate, request), verdicts.put)
    try:
        verdict = verdicts.get(timeout=timeout_s)
    except queue.Empty:
        job.withdraw()  # a hook that waits for a thread is not called any more; a running one cannot be stopped
        logger.error("session %s: authenticate timed out after %g s", session_id, timeout_s)  # noqa: TRY400
        raise _unavailable() from None
    return msgspec.structs.replace(request, principal=_principal(session_id, verdict))


def _principal(session_id: str, verdict: Principal | BaseException | None) -> Principal:
    if isinstance(verdict, Principal):
        return verdict
    if verdict is None:
        raise HandshakeRefused(
            HTTPStatus.UNAUTHORIZED, "authentication failed: check the credential", (("WWW-Authenticate", "Bearer"),)
        )
    if isinstance(verdict, PoolFull | PoolClosed):
        logger.error("session %s: authenticate was not called: %s", session_id, verdict)
        raise _unavailable()
    error = verdict if isinstance(verdict, BaseException) else _wrong_type(verdict)
    logger.error("session %s: authenticate failed", session_id, exc_info=error)
    raise HandshakeRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error in authentication; the server logged it")


def _wrong_type(verdict: object) -> TypeError:
    # Only the type is named: a hook that returns the wrong object may return a decoded credential.
    return TypeError(f"authenticate must return a Principal or None, not a {type(verdict).__name__}")


def _unavailable() -> HandshakeRefused:
    problem = "authentication is unavailable at the moment; try again"
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, RETRY_SOON)
