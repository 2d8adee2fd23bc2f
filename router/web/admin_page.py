"""`/admin`: the page of an operator, and its files. The page itself contains no data: it reads `/admin/overview`.

Its files are public, because a browser sends no credential for a script. If the router authenticates its clients, a
browser without a credential gets the page with status 401. The page then asks for a token.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from router.access.request import Request
from router.web import pages
from router.web.response import SECURITY, Environ, Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable

PATH: Final = "/admin"
FOLDER: Final = "/admin/files/"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

HEADERS: Final[Headers] = (
    ("Content-Security-Policy", POLICY),
    ("Permissions-Policy", "microphone=(), camera=(), geolocation=()"),
    *SECURITY,
)


def routes(
    check: Callable[[Environ], None],
    overview: Callable[[Environ], Response],
    *,
    is_authenticating: bool,
) -> dict[str, Callable[[Environ], Response]]:
    """Return the routes of the page and of its files.

    Args:
        check: raises `HandshakeRefused` for a client that is no operator.
        overview: returns the facts of the page as JSON, for a client that prefers JSON.
        is_authenticating: whether a client needs a credential.
    """
    texts = pages.texts("operator")
    files = {name: pages.file(name, text, HEADERS) for name, text in texts.items()}

    def page(environ: Environ) -> Response:
        if is_authenticating and Request.of(environ, "").credential is None:
            return _without_credential(files[pages.INDEX], environ)
        check(environ)
        return overview(environ) if _prefers_json(environ) else pages.serve(files[pages.INDEX], environ)

    served = {FOLDER + name: functools.partial(pages.serve, it) for name, it in files.items() if name != pages.INDEX}
    return {PATH: page, **served}


def _without_credential(page: pages.File, environ: Environ) -> Response:
    # A page that is missing its token is no attempt to guess one, so no failed attempt is counted.
    challenge = (("WWW-Authenticate", "Bearer"),)
    if _prefers_json(environ):
        return Response(HTTPStatus.UNAUTHORIZED, "This page is for administrators: send a token.\n", headers=challenge)
    headers = (*challenge, *HEADERS)
    return pages.File(HTTPStatus.UNAUTHORIZED, page.body, page.content_type, etag=page.etag, page_headers=headers)


def _prefers_json(environ: Environ) -> bool:
    accepted = environ.get("HTTP_ACCEPT", "")
    return "application/json" in accepted and "text/html" not in accepted
