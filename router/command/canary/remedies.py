"""Advice for each kind of failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.connections.upstream import DialFailure

if TYPE_CHECKING:
    from actors.connections.upstream import DialError

_NO_REALTIME_API: Final = "a server that is no Realtime API listens at --upstream"

BY_CODE: Final = {
    "UPSTREAM_UNAUTHORIZED": "check OPENAI_API_KEY",
    "invalid_api_key": "check OPENAI_API_KEY",
    "insufficient_quota": "the account has no credit left",
    "model_not_found": "name a model that the account may use with --model",
    "invalid_model": "name a model that the upstream has with --model",
    "UPSTREAM_PROTOCOL_ERROR": _NO_REALTIME_API,
    "UPSTREAM_TIMEOUT": "the upstream is slow, or hangs: look into its log",
    "UPSTREAM_CLOSED": "look into the log of the upstream",
}
"""Advice by the code of the `Error` that ended the call."""

BY_DIAL: Final = {
    DialFailure.TIMEOUT: "the host accepts connections and does not answer, or a firewall drops them",
    DialFailure.DNS: "correct the host of --upstream, or the name server",
    DialFailure.TCP: "start the upstream, or correct --upstream",
    DialFailure.TLS: "name the certificate of its issuer with ROUTER_CA_FILE, where the upstream has one of its own",
    DialFailure.BUSY: "earlier dials of this router hang: start it again",
    DialFailure.HANDSHAKE: _NO_REALTIME_API,
}
"""Advice by the failure of a dial."""

BY_STATUS: Final = {
    404: "correct the path of --upstream",
    429: "the account has too many calls or no credit; try again later",
}
"""Advice by the HTTP status with which the upstream refused the latest dial."""


def remedy(code: str, dial_error: DialError | None) -> str:
    """Return advice for the code, else for the HTTP status, else for the step of the dial; empty if none fits."""
    if code in BY_CODE:
        return BY_CODE[code]
    if dial_error is None:
        return ""
    return BY_STATUS.get(dial_error.status or 0, BY_DIAL.get(dial_error.kind, ""))
