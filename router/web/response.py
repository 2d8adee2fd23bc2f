"""The response to a request, as data, which a server, Flask or Django sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = tuple[tuple[str, str], ...]

SECURITY: Final[Headers] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""The headers of every response, whatever it contains."""

NO_PAGE: Final[Headers] = (("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),)
"""The content security policy of a response that is no page. It lets a browser load nothing, and frame it nowhere."""

PLAIN: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"


class BodyLateError(TimeoutError):
    """The failure of a request whose body did not arrive in time."""

    def __str__(self) -> str:
        return "the request did not arrive in time"


class Response(msgspec.Struct, frozen=True):
    """An HTTP response, which is also a WSGI application that sends it.

    After an upgrade the socket belongs to the session, and the server's response reaches no client. The status 101
    appears in the access log of the server (docs/decisions/0015).
    """

    status: HTTPStatus
    body: str | bytes = ""
    content_type: str = PLAIN
    headers: Headers = ()
    session_id: str | None = None
    """The id of the new session; None if the request was answered in plain HTTP."""

    @property
    def is_upgraded(self) -> bool:
        """Whether the request's socket has left the server."""
        return self.status == HTTPStatus.SWITCHING_PROTOCOLS

    @property
    def all_headers(self) -> Headers:
        """All headers of the response, including those about its body."""
        if self.is_upgraded:
            return self.headers
        length = str(len(self.encoded))
        about = (("Content-Type", self.content_type), ("Content-Length", length), ("Cache-Control", "no-store"))
        return (*about, *SECURITY, *NO_PAGE, *self.headers)

    @property
    def encoded(self) -> bytes:
        """The body as bytes."""
        return self.body if isinstance(self.body, bytes) else self.body.encode()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Send the response, as a WSGI application does."""
        start_response(f"{self.status.value} {self.status.phrase}", list(self.all_headers))
        return [] if self.is_upgraded or environ["REQUEST_METHOD"] == "HEAD" else [self.encoded]
