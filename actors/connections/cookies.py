"""websocket-client without cookies, for the router's dials alone.

The library keeps one cookie jar per process and has no switch for it. A cookie that one session's upstream set would be
sent with the next session's dial. An application that embeds the router may use the library, too, and keeps its
cookies. So `_Jar` replaces the library's jar and passes all calls on to it, except inside of `no_cookies`.
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
        """Add a cookie."""
        if not getattr(_here, "has_no_cookies", False):
            self._jar.add(set_cookie)

    def get(self, host: str) -> str:
        """Return the cookies for a host."""
        return "" if getattr(_here, "has_no_cookies", False) else self._jar.get(host)


_handshake.CookieJar = _Jar(_handshake.CookieJar)  # type: ignore[assignment]


@contextlib.contextmanager
def no_cookies() -> Iterator[None]:
    """Suppress cookies on this thread: no cookie is kept, and none is sent."""
    _here.has_no_cookies = True
    try:
        yield
    finally:
        _here.has_no_cookies = False
