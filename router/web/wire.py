"""The rows of the wire view, as JSON for the console."""

from __future__ import annotations

import functools
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qs

import msgspec

from router.web.response import JSON, Environ, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.access.request import Principal
    from router.wire_view import WireView

PATH: Final = "/console/wire"


class Router(Protocol):
    """The part of the router that the routes of the wire view use. Its methods may be called from any thread."""

    @property
    def wire_view(self) -> WireView | None:
        """The messages of recent sessions; None if the wire view is off."""

    def identify(self, environ: Environ) -> Principal | None:
        """Return the client of a request that begins no session; None without authentication.

        Raises:
            HandshakeRefused: the credential or the page is refused.
        """


def routes(router: Router) -> dict[str, Callable[[Environ], Response]]:
    """Return the function that serves the rows, by its path."""
    return {PATH: functools.partial(_serve, router)}


def _serve(router: Router, environ: Environ) -> Response:
    """Answer with the rows of `?session=` after the number `&after=`.

    Without `?session=` answer with the list of sessions.

    An administrator sees the sessions of all clients, and any other client only its own. Without authentication every
    client sees all sessions.
    """
    principal = router.identify(environ)
    owner = None if principal is None or principal.is_admin else principal.id
    view = router.wire_view
    query = parse_qs(environ.get("QUERY_STRING", ""))
    if view is None:
        return Response(HTTPStatus.NOT_FOUND, "The wire view is off.\n")
    if "session" not in query:
        return _json({"sessions": view.sessions(owner)})
    page = view.rows(query["session"][-1], _whole(query.get("after", ["0"])[-1]), owner)
    if page is None:
        return Response(HTTPStatus.NOT_FOUND, "No such session in this process.\n")
    return _json(page)


def _whole(written: str) -> int:
    return int(written) if re.fullmatch(r"[0-9]{1,15}", written) else 0


def _json(value: object) -> Response:
    return Response(HTTPStatus.OK, msgspec.json.encode(value).decode(), JSON)
