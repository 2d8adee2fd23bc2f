"""The console: the page at `/` and its files. No function here knows what a message means.

A browser revalidates every file by its ETag, the hash of its text: files of two versions never mix. The policy admits
nothing from another host. WebSockets are the exception, because the console connects to any endpoint.
"""

from __future__ import annotations

import functools
import hashlib
import html
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import orjson

from router.config.model import CONVERSE_PATH, READY_PATH
from router.web.response import Environ, Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config.model import RouterConfig

FOLDER: Final = "/console/"
"""The path of the files, below the path of the page."""

INDEX: Final = "index.html"

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

HEADERS: Final[Headers] = (
    ("Content-Security-Policy", POLICY),
    ("Permissions-Policy", "microphone=(self), camera=(), geolocation=()"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class File(Response, frozen=True):
    """A text that a browser may cache and has to revalidate."""

    etag: str = ""

    @property
    def all_headers(self) -> Headers:
        """The headers. A 304 has none that describe the body (RFC 9110, 15.4.5)."""
        body = (("Content-Type", self.content_type), ("Content-Length", str(len(self.body.encode()))))
        about = () if self.status == HTTPStatus.NOT_MODIFIED else body
        return (*about, ("ETag", self.etag), ("Cache-Control", "no-cache"), *HEADERS, *self.headers)


def routes(config: RouterConfig) -> dict[str, Callable[[Environ], Response]]:
    """Return the routes of the page and of each of its files."""
    texts = _texts()
    page = texts[INDEX].replace("{{facts}}", html.escape(orjson.dumps(_facts(config)).decode()))
    served = {FOLDER + name: _file(name, text) for name, text in texts.items() if name != INDEX}
    return {
        "/": functools.partial(_serve_page, _file(INDEX, page)),
        **{path: functools.partial(_serve, file) for path, file in served.items()},
    }


def _facts(config: RouterConfig) -> dict[str, object]:
    # The paths are relative to the page: an application may mount the router below any path.
    return {
        "openai": config.path.removeprefix("/"),
        "deepgram": CONVERSE_PATH.removeprefix("/"),
        "ready": READY_PATH.removeprefix("/"),
        "isSimulator": config.upstream == "simulator",
        "model": config.model,
        "hasWireView": config.wire_view,
    }


@functools.cache
def _texts() -> dict[str, str]:
    folder = files("router.web") / "console"
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if _suffix(file.name) in TYPES}


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _file(name: str, text: str) -> File:
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'
    return File(HTTPStatus.OK, text, TYPES[_suffix(name)], etag=etag)


def _serve_page(page: File, environ: Environ) -> Response:
    mount = environ.get("SCRIPT_NAME", "")
    if mount and not environ.get("PATH_INFO"):
        # Relative addresses of a page at /voice would start at the root.
        query = environ.get("QUERY_STRING", "")
        location = f"{quote(mount)}/{'?' if query else ''}{query}"
        return Response(HTTPStatus.TEMPORARY_REDIRECT, headers=(("Location", location),))
    return _serve(page, environ)


def _serve(file: File, environ: Environ) -> Response:
    # A proxy that compresses the body makes the tag a weak one.
    known = [tag.strip().removeprefix("W/") for tag in environ.get("HTTP_IF_NONE_MATCH", "").split(",")]
    if file.etag in known:
        return File(HTTPStatus.NOT_MODIFIED, etag=file.etag)
    return file
