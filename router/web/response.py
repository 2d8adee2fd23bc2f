"""The response to a request, as data: a server, Flask or Django sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = tuple[tuple[str, str], ...]

PLAIN: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"


class Response(msgspec.Struct, frozen=True):
    """An HTTP response, which is also a WSGI application that sends it.

    After an upgrade it is a throw-away one: the server needs a response, and the bytes that it writes are discarded.
    The status, 101, is what the access log of the server shows (docs/decisions/0015).
    """

    status: HTTPStatus
    body: str = ""
    content_type: str = PLAIN
    headers: Headers = ()
    session_id: str | None = None
    """The id of the new session; None where the request was answered in plain HTTP."""

    @property
    def is_upgraded(self) -> bool:
        """Whether the request's socket has left the server."""
        return self.status == HTTPStatus.SWITCHING_PROTOCOLS

    @property
    def all_headers(self) -> Headers:
        """The headers, with those that describe the body."""
        if self.is_upgraded:
            return self.headers
        length = str(len(self.body.encode()))
        about = (("Content-Type", self.content_type), ("Content-Length", length), ("Cache-Control", "no-store"))
        return (*about, *self.headers)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Send the response, as a WSGI application does."""
        start_response(f"{self.status.value} {self.status.phrase}", list(self.all_headers))
        return [] if self.is_upgraded or environ["REQUEST_METHOD"] == "HEAD" else [self.body.encode()]
