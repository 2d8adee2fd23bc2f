"""The console: the page at `/` and its files. No function here knows the meaning of a message.

A browser revalidates every file by its ETag, the hash of the text, so files of two versions never mix. The content
security policy admits nothing from another host except WebSockets, because the console connects to any endpoint.
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

from router.config.model import CONVERSE_PATH, DEEPGRAM_BASE, READY_PATH
from router.web.banner import voice_advice
from router.web.response import SECURITY, Environ, Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config.model import RouterConfig

FOLDER: Final = "/console/"
"""The URL path of the files, below the path of the page."""

INDEX: Final = "index.html"
SHARED: Final = "theme"
"""The folder of the files that each page has."""

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
    *SECURITY,
)
"""The headers of the page and its files. Cross-Origin-Opener-Policy is not among them: on an insecure origin Chromium
reports it as an error in the console."""


class File(Response, frozen=True):
    """A file that a browser may cache, but has to revalidate."""

    etag: str = ""
    page_headers: Headers = HEADERS

    @property
    def all_headers(self) -> Headers:
        """The headers. A response 304 has no headers about the body (RFC 9110, 15.4.5)."""
        body = (("Content-Type", self.content_type), ("Content-Length", str(len(self.encoded))))
        about = () if self.status == HTTPStatus.NOT_MODIFIED else body
        return (*about, ("ETag", self.etag), ("Cache-Control", "no-cache"), *self.page_headers, *self.headers)


def routes(config: RouterConfig) -> dict[str, Callable[[Environ], Response]]:
    """Return the routes of the console's page and of each file of the page."""
    found = texts("console")
    page = found[INDEX].replace("{{facts}}", html.escape(orjson.dumps(_facts(config)).decode()))
    served = {FOLDER + name: file(name, text) for name, text in found.items() if name != INDEX}
    return {
        "/": functools.partial(_serve_page, file(INDEX, page)),
        **{path: functools.partial(serve, it) for path, it in served.items()},
    }


def _facts(config: RouterConfig) -> dict[str, object]:
    # The paths are relative to the page, because an application may mount the router below any path.
    return {
        "openai": config.path.removeprefix("/"),
        "deepgram": CONVERSE_PATH.removeprefix("/"),
        # Listed only if Deepgram's key is set.
        **({"agent": DEEPGRAM_BASE.removeprefix("/")} if config.deepgram_api_key is not None else {}),
        "ready": READY_PATH.removeprefix("/"),
        "isSimulator": config.upstream == "simulator",
        "hasMind": config.simulator_llm is not None,
        "voiceAdvice": voice_advice(config),
        "model": config.model,
        "hasWireView": config.wire_view,
    }


@functools.cache
def texts(folder: str) -> dict[str, str]:
    """Return the texts of the files in a folder of this package, and of the files that all pages share, by name."""
    found = [it for name in (SHARED, folder) for it in (files("router.web") / name).iterdir()]
    return {it.name: it.read_text(encoding="utf-8") for it in found if _suffix(it.name) in TYPES}


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def file(name: str, text: str, headers: Headers = HEADERS) -> File:
    """Return a file as a response."""
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'
    return File(HTTPStatus.OK, text, TYPES[_suffix(name)], etag=etag, page_headers=headers)


def _serve_page(page: File, environ: Environ) -> Response:
    mount = environ.get("SCRIPT_NAME", "")
    if mount and not environ.get("PATH_INFO"):
        # Without the slash, the relative addresses of a page at /voice would start at the root.
        query = environ.get("QUERY_STRING", "")
        location = f"{quote(mount)}/{'?' if query else ''}{query}"
        return Response(HTTPStatus.TEMPORARY_REDIRECT, headers=(("Location", location),))
    return serve(page, environ)


def serve(file: File, environ: Environ) -> Response:
    """Return a file, or 304 if the browser already has it."""
    # A proxy that compresses the body turns the tag into a weak one.
    known = [tag.strip().removeprefix("W/") for tag in environ.get("HTTP_IF_NONE_MATCH", "").split(",")]
    if file.etag in known:
        return File(HTTPStatus.NOT_MODIFIED, etag=file.etag, page_headers=file.page_headers)
    return file
