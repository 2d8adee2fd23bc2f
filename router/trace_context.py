"""The W3C Trace Context of a request. It comes with the client's handshake, and goes to the endpoints of functions."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTGOING: Final[ContextVar[Mapping[str, str]]] = ContextVar("trace_headers", default={})  # noqa: B039 - it is never changed
"""The trace headers that this thread adds to the HTTP requests that it makes for a session."""

# W3C Trace Context, 3.2: version, trace id, parent id, flags. A trace id of zeros is invalid.
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def trace_of(traceparent: str) -> str | None:
    """Return the trace id of a `traceparent` header, or None if it is invalid."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return found[1] if found else None
