"""The routes that give short-lived tokens: Deepgram's `/v1/auth/grant`, and OpenAI's `/v1/realtime/client_secrets`.

The server of an application calls a route through the vendor's SDK, with its lasting credential. It gives the token to
a browser.
"""

from __future__ import annotations

import functools
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from actors.connections.handover import HandshakeRefused
from router.access.grants import EPHEMERAL_PREFIX
from router.config.model import CLIENT_SECRETS_PATHS, GRANT_PATHS
from router.json_bounds import is_too_deep
from router.policy.rules import Denied
from router.web.response import JSON, Environ, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.access.request import Principal
    from router.config.model import RouterConfig
    from router.policy.policy import Policy

MAX_BODY_BYTES: Final = 64 * 1024

GRANT_S: Final = (30, 1, 3600)
"""The default, the shortest and the longest validity of a Deepgram token, in seconds."""
CLIENT_SECRET_S: Final = (600, 10, 7200)
"""The default, the shortest and the longest validity of an OpenAI client secret, in seconds."""


class Router(Protocol):
    """The part of the router that the routes for tokens need. Its methods may be called from any thread."""

    @property
    def config(self) -> RouterConfig:
        """The configuration of the router."""

    def identify(self, environ: Environ) -> Principal | None:
        """Return the client of a request that begins no session; None without authentication.

        Raises:
            HandshakeRefused: the credential or the page is refused.
        """

    def grant(
        self, principal: Principal | None, ttl_s: int, *, is_single_use: bool, session: Mapping[str, Any] | None = None
    ) -> tuple[str, int]:
        """Return a short-lived token for a client, and its validity in seconds; raises `HandshakeRefused`."""


def routes(router: Router) -> dict[str, Callable[[Environ], Response]]:
    """Return the functions that serve the paths of Deepgram's and of OpenAI's tokens, by path. All take POST."""
    return {
        **dict.fromkeys(GRANT_PATHS, functools.partial(_grant, router)),
        **dict.fromkeys(CLIENT_SECRETS_PATHS, functools.partial(_client_secret, router)),
    }


def _grant(router: Router, environ: Environ) -> Response:
    # Check the credential first, so that the body of an unknown client holds no thread.
    principal = router.identify(environ)
    body = _body(environ)
    token, ttl_s = router.grant(principal, _seconds(body, "ttl_seconds", GRANT_S), is_single_use=_is_single_use(body))
    return _json({"access_token": token, "expires_in": ttl_s})


def _client_secret(router: Router, environ: Environ) -> Response:
    principal = router.identify(environ)
    body = _body(environ)
    requested = body.get("expires_after")
    if not isinstance(requested, dict | None):
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "expires_after must be an object")
    seconds = _seconds(requested or {}, "seconds", CLIENT_SECRET_S)
    bound = _session(body)
    session = {
        "type": "realtime",
        "object": "realtime.session",
        "id": f"sess_{uuid.uuid4().hex}",
        "model": router.config.model,
        **(bound or {}),
    }
    policy = router.config.policy_of(principal.policy if principal is not None else None)
    if policy is not None:
        _check_session(policy, bound)
        session = policy.server_event({"type": "session.created", "session": session})["session"]
    token, ttl_s = router.grant(principal, seconds, is_single_use=_is_single_use(body), session=bound)
    return _json({"value": EPHEMERAL_PREFIX + token, "expires_at": int(time.time()) + ttl_s, "session": session})


_OF_THE_SERVER: Final = frozenset({"type", "object", "id", "expires_at", "client_secret"})
"""Fields of a session that the server sets. The router drops them from the request for a client secret."""


def _session(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the `session` of a request's body, to which the client secret is bound.

    Drop the fields that the server sets. Return None if no field is left, or if the body has no `session`.
    """
    session = body.get("session")
    if session is None:
        return None
    if not isinstance(session, dict) or session.get("type", "realtime") != "realtime":
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "session must be an object of the type realtime")
    return {name: value for name, value in session.items() if name not in _OF_THE_SERVER} or None


def _is_single_use(body: dict[str, Any]) -> bool:
    found = body.get("single_use", False)
    if not isinstance(found, bool):
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "single_use must be true or false")
    return found


def _check_session(policy: Policy, session: object) -> None:
    """Raise `HandshakeRefused` if the policy would deny the session in a `session.update`.

    So the application learns of its mistake now, and not in the call.
    """
    judged = policy.client_event({"type": "session.update", "session": session}) if session is not None else None
    if isinstance(judged, Denied):
        raise HandshakeRefused(HTTPStatus.FORBIDDEN, judged.sentence)


def _body(environ: Environ) -> dict[str, Any]:
    written = environ["wsgi.input"].read(MAX_BODY_BYTES + 1) if _has_body(environ) else b""
    if len(written) > MAX_BODY_BYTES:
        raise HandshakeRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        body = orjson.loads(written) if written.strip() else {}
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or is_too_deep(body):
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "the body must be a JSON object of a few levels")
    return body


def _has_body(environ: Environ) -> bool:
    # Without a length, some servers would read until the connection ends.
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or environ.get("wsgi.input_terminated", False)


def _seconds(body: dict[str, Any], name: str, bounds: tuple[int, int, int]) -> int:
    default, least, most = bounds
    seconds = body.get(name, default)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not least <= seconds <= most:
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number from {least} to {most}")
    return seconds


def _json(value: object) -> Response:
    return Response(HTTPStatus.OK, orjson.dumps(value).decode() + "\n", JSON)
