"""The right of a request to begin a session: its credential, a single-use token, a place below the limits."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from actors.connections.handover import HandshakeRefused
from router.access.authentication import REFUSAL_S, refusal
from router.access.request import is_upgrade
from router.access.session_limits import NO_TICKET, Ticket
from router.assembly.options import named_policy
from router.config.policy_table import limits_of
from router.fronts.table import FRONTS

if TYPE_CHECKING:
    from router.access.request import Request
    from router.config.model import Limits
    from router.establish.parts import Parts
    from router.web.response import Environ


def identify(parts: Parts, request: Request, session_id: str) -> Request:
    """Authenticate a request, and return it with its principal. The call blocks while `authenticate` runs.

    Raises:
        HandshakeRefused: 401 for an absent or wrong credential; 500 or 503 if `authenticate` gave no verdict.
    """
    tracing = parts.session_factory.tracing.get() if parts.authentication.is_required else None
    with contextlib.nullcontext() if tracing is None else tracing.authenticating(session_id, request):
        return parts.authentication.identify(
            request, parts.runtime.auth_pool, session_id=session_id, timeout_s=parts.config.deadlines.hook_s
        )


def spend(parts: Parts, request: Request) -> None:
    """Mark a single-use token as used. Refuse a second use in the same way as a wrong token.

    Raises:
        HandshakeRefused: 401 for a token that was already used.
    """
    if request.principal is not None and not parts.admission.spend(request.principal):
        time.sleep(REFUSAL_S)
        raise refusal()


def ticket_for(parts: Parts, environ: Environ, request: Request) -> Ticket:
    """Take a place below the limits on sessions, and return its ticket.

    Raises:
        HandshakeRefused: a limit is reached. A single-use token stays unused.
    """
    if not is_upgrade(environ):
        return NO_TICKET
    try:
        principal = request.principal.id if request.principal is not None else None
        return parts.admission.admit(request.remote_address, principal, _limits_of(parts, request))
    except HandshakeRefused:
        parts.admission.restore(request.principal)
        raise


def _limits_of(parts: Parts, request: Request) -> Limits:
    config = parts.config
    return limits_of(config.limits, named_policy(config, FRONTS[request.profile], request))
