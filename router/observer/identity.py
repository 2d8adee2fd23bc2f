"""The facts about a session's request that identify the session in logs and in the usage log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.trace_context import trace_of

if TYPE_CHECKING:
    from router.access.request import Request

MAX_CHARS: Final = 256
"""The longest user agent and principal in a log line. A client chooses them, but must not be able to fill the log."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One session, and the client that asked for it."""

    session_id: str
    route: str
    """The path of the request."""
    principal: str | None = None
    trace: str | None = None
    """The trace id of the client's `traceparent`."""
    peer: str | None = None
    user_agent: str | None = None

    @classmethod
    def of(cls, session_id: str, request: Request) -> Identity:
        """Make the identity of a session from its request."""
        return cls(
            session_id=session_id,
            route=request.path,
            principal=request.principal.id[:MAX_CHARS] if request.principal is not None else None,
            trace=trace_of(request.headers.get("traceparent", "")),
            peer=request.remote_address,
            user_agent=(request.headers.get("user-agent") or "")[:MAX_CHARS] or None,
        )

    @property
    def log_fields(self) -> dict[str, str | None]:
        """The fields of every log line of the session."""
        return {"session": self.session_id, "route": self.route, "trace": self.trace, "principal": self.principal}
