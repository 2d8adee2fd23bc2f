"""The mark of the router's own dials. By the mark the router recognizes a call that comes back to it.

Without the mark, an upstream that is the router itself, or leads back to it, would start sessions without end.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from actors.connections.handover import HandshakeRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER: Final = "X-Switchboard-Via"
"""The header with the ids of the routers that a call passed, in order, as in `Via` (RFC 9110, 7.6.3).

The router has a header of its own, because a proxy may use `Via` itself.
"""

MAX_ROUTERS: Final = 3
"""The number of routers after which a call is refused.

The limit ends a loop over many machines, because each machine has its own id.
"""

OWN_ID: Final = os.urandom(8).hex()
"""The random id of this server. The workers share it, because it is made before they are forked."""


def check(headers: Mapping[str, str]) -> None:
    """Check that a request does not come from a dial of this router.

    Raises:
        HandshakeRefused: 508 if the request came through this router already, or through `MAX_ROUTERS` routers.
    """
    routers = _routers(headers)
    if OWN_ID in routers or len(routers) >= MAX_ROUTERS:
        raise HandshakeRefused(
            HTTPStatus.LOOP_DETECTED, "this call comes from the router: its upstream leads back here"
        )


def mark(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the header for a session's dials: its name and its value.

    The value lists the ids of the routers through which the session's request came, and the id of this router.
    """
    return HEADER, ", ".join((*_routers(headers), OWN_ID))


def _routers(headers: Mapping[str, str]) -> list[str]:
    return [part.strip() for part in headers.get(HEADER.lower(), "").split(",") if part.strip()]
