"""`/admin/sessions`: an operator lists the sessions of all workers, shows one, ends it or drains it. In JSON."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson

from actors.connections.handover import HandshakeRefused
from router.admin import verbs
from router.admin.peers import Answers
from router.web.response import JSON, Environ, Response

if TYPE_CHECKING:
    from router.admin.peers import Peers

SESSIONS_PATH: Final = "/admin/sessions"
SESSION_PREFIX: Final = SESSIONS_PATH + "/"

FORWARDED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
"""Keys of the environ in which a proxy names its client."""

_SESSION: Final = re.compile(r"/admin/sessions/([A-Za-z0-9-]{1,64})(?:/(end|drain))?")

_DONE: Final = {"end": "ended", "drain": "draining"}
"""The word in the JSON answer to each verb."""

Router = verbs.Router


Serve = Callable[[Environ], Response]


def session_routes(router: Router, peers: Peers | None, check: Callable[[Environ], None]) -> dict[str, Serve]:
    """Return the functions that serve `/admin/sessions` and the paths below it, by path.

    A path that ends with a slash stands for every path below it. If `peers` is None, the answers cover only this
    process. `check` raises `HandshakeRefused` for a client that is no operator.
    """

    def sessions(environ: Environ) -> Response:
        check(environ)
        states = parse_qs(environ.get("QUERY_STRING", "")).get("state")
        asked = ask(router, peers, {"verb": "list"})
        rows = [row for answer in asked.given for row in answer]
        shown = [row for row in rows if not states or row["state"] in states]
        missing = {"missing_workers": asked.missing} if asked.missing else {}
        return _json({"sessions": sorted(shown, key=lambda row: -row["age_s"]), **missing})

    def session(environ: Environ) -> Response:
        check(environ)
        found = _SESSION.fullmatch(environ.get("PATH_INFO", ""))
        if found is None:
            return Response(HTTPStatus.NOT_FOUND, "No such path.\n")
        session_id, verb = found[1], found[2]
        if (verb is not None) != (environ["REQUEST_METHOD"] == "POST"):
            allowed = "GET, HEAD" if verb is None else "POST"
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {allowed}.\n", headers=(("Allow", allowed),))
        asked = ask(router, peers, {"verb": verb or "show", "id": session_id})
        answer = next((it for it in asked.given if it is not None), None)
        if answer is None and asked.missing:
            problem = f"No answer from {', '.join(asked.missing)}, which may have this session; try again.\n"
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, problem)
        if answer is None:
            return Response(HTTPStatus.NOT_FOUND, "No such session.\n")
        return _json(answer if verb is None else {"id": session_id, _DONE[verb]: True})

    return {SESSIONS_PATH: sessions, SESSION_PREFIX: session}


def ask(router: Router, peers: Peers | None, verb: dict[str, Any]) -> Answers:
    """Send every worker of the server a verb, and return the answers. If `peers` is None, only this process answers."""
    return peers.ask(verb) if peers is not None else Answers([verbs.perform(router, verb)])


def check_local(environ: Environ) -> None:
    """Refuse a client of another machine, and a page of another site, if no authentication is configured.

    Raises:
        HandshakeRefused: 403.
    """
    # A proxy on this machine has a loopback address, too, but its clients are elsewhere.
    if not _is_loopback(environ.get("REMOTE_ADDR", "")) or any(name in environ for name in FORWARDED):
        raise HandshakeRefused(HTTPStatus.FORBIDDEN, "without authentication this is for the machine itself")
    host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
    if not _is_own_name(host):
        raise HandshakeRefused(HTTPStatus.FORBIDDEN, "without authentication, ask for localhost or an address")
    if origin is not None and urlsplit(origin).netloc != host:
        raise HandshakeRefused(HTTPStatus.FORBIDDEN, "this origin is not allowed")


def _is_own_name(host: str) -> bool:
    """Whether a `Host` is `localhost` or an address.

    Any other name may be that of a foreign page, resolved to this machine.
    """
    try:
        name = urlsplit(f"//{host}").hostname or "localhost"
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _json(value: Any) -> Response:
    return Response(HTTPStatus.OK, orjson.dumps(value, default=str).decode() + "\n", JSON)
