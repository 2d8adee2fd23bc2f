"""What is answered to a request, as data: a server, Flask or Django makes a response of it."""

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


class Answer(msgspec.Struct, frozen=True):
    """An HTTP response, which is also a WSGI application that gives it.

    After an upgrade it is a throw-away one: the server must be given something, and what it writes goes nowhere. Its
    status, 101, is what stands in the server's access log.
    """

    status: HTTPStatus
    body: str = ""
    content_type: str = PLAIN
    headers: Headers = ()
    session_id: str | None = None
    """The session that was begun; None where the request was answered in plain HTTP."""

    @property
    def is_upgraded(self) -> bool:
        """Whether the request's socket is in other hands now."""
        return self.status == HTTPStatus.SWITCHING_PROTOCOLS

    @property
    def all_headers(self) -> Headers:
        """The headers with those that say what the body is."""
        if self.is_upgraded:
            return self.headers
        length = str(len(self.body.encode()))
        about = (("Content-Type", self.content_type), ("Content-Length", length), ("Cache-Control", "no-store"))
        return (*about, *self.headers)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI has it."""
        start_response(f"{self.status.value} {self.status.phrase}", list(self.all_headers))
        return [] if self.is_upgraded or environ["REQUEST_METHOD"] == "HEAD" else [self.body.encode()]
