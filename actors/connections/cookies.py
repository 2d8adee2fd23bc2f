"""websocket-client without cookies, for our dials alone.

The library keeps one cookie jar per process and offers no way around it: a cookie that one session's upstream set
would be sent with the next session's dial. Applications that we are embedded in may use the library, too, and keep
theirs: hence a jar that stands in front of the library's and is empty only where `no_cookies` says so.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from websocket import _handshake

if TYPE_CHECKING:
    from collections.abc import Iterator

_here = threading.local()


class _Jar:
    def __init__(self, jar: Any) -> None:
        self._jar = jar

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jar, name)

    def add(self, set_cookie: str | None) -> None:
        """Keep a cookie."""
        if not getattr(_here, "has_no_cookies", False):
            self._jar.add(set_cookie)

    def get(self, host: str) -> str:
        """The cookies for a host."""
        return "" if getattr(_here, "has_no_cookies", False) else self._jar.get(host)


_handshake.CookieJar = _Jar(_handshake.CookieJar)  # type: ignore[assignment]


@contextlib.contextmanager
def no_cookies() -> Iterator[None]:
    """Neither keep nor send cookies on this thread."""
    _here.has_no_cookies = True
    try:
        yield
    finally:
        _here.has_no_cookies = False
