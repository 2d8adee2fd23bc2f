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

    from router.wire_view import WireView

PATH: Final = "/console/wire"

HEADERS: Final = (("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"))


class Router(Protocol):
    """The part of the router that these routes need. From any thread."""

    wire_view: WireView | None


def routes(router: Router) -> dict[str, Callable[[Environ], Response]]:
    """Return the route of the rows."""
    return {PATH: functools.partial(_serve, router)}


def _serve(router: Router, environ: Environ) -> Response:
    """Answer with the rows of `?session=` behind `&after=`, or with the sessions."""
    view = router.wire_view
    query = parse_qs(environ.get("QUERY_STRING", ""))
    if view is None:
        return Response(HTTPStatus.NOT_FOUND, "The wire view is off.\n")
    if "session" not in query:
        return _json({"sessions": view.sessions()})
    page = view.rows(query["session"][-1], _whole(query.get("after", ["0"])[-1]))
    if page is None:
        return Response(HTTPStatus.NOT_FOUND, "No such session in this process.\n")
    return _json(page)


def _whole(written: str) -> int:
    return int(written) if re.fullmatch(r"[0-9]{1,15}", written) else 0


def _json(value: object) -> Response:
    return Response(HTTPStatus.OK, msgspec.json.encode(value).decode(), JSON, HEADERS)
