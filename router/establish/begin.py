"""The steps from a request to a session: the checks of page and credential, the limits, the spec, the connection."""

from __future__ import annotations

import functools
import logging
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import msgspec

from actors import messages
from actors.connections.handover import HandshakeRefused
from router.access import loops
from router.access.hook import RETRY_SOON
from router.access.request import Request, is_upgrade
from router.assembly.carried import CarriedSession, open_parcel
from router.establish import authorize
from router.establish.hand_over import can_return, going_away, hand_over, kept, repeating_settings, spec_of
from router.fronts.table import FRONTS
from router.resume.resumption import asks_for_token
from router.session.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.spec import SessionSpec
    from router.establish.parts import Parts
    from router.web.response import Environ

logger = logging.getLogger(__name__)

C = TypeVar("C", bound="Connection")


def begin(
    parts: Parts,
    environ: Environ,
    profile: str,
    open_connection: Callable[[str | None], C],
    *,
    turn_detection: str | None = None,
    is_verified: bool = False,
    dialler: Callable[[DialTarget], Connection] | None = None,
) -> tuple[str, C]:
    """Start a session, and return its id and its connection.

    Args:
        parts: the parts of this process.
        environ: the request.
        profile: the name of the client's profile.
        open_connection: makes the connection. Its argument is the first text for the client, or None.
        turn_detection: the turn detection that the URL chooses; None for the configured one.
        is_verified: whether the front has verified the request itself, so that `authenticate` is not called.
        dialler: the function that the connector calls to dial; None for its own. `router.testing` passes a function
            that connects in memory.

    Raises:
        HandshakeRefused: the router takes no more sessions; the page or the credential is refused; `authenticate`
            gives no verdict; or the call comes back to this router.
    """
    environ = parts.gate.admit(environ)
    parts.start_lazily(dials=dialler is None)
    _check_running(parts)
    session_id = str(uuid.uuid4())
    request = Request.of(environ, profile)
    loops.check(request.headers)
    # `open_connection` refuses a plain GET, so the application need not authenticate it.
    if is_upgrade(environ) and not is_verified:
        request = authorize.identify(parts, request, session_id)
        authorize.spend(parts, request)
    ticket = authorize.ticket_for(parts, environ, request)
    try:
        make_spec = functools.partial(spec_of, parts, ticket, session_id, request)
        spec = _resumed(parts, request, session_id, make_spec) if is_upgrade(environ) else None
        is_back = spec is not None
        if spec is None:
            spec = kept(parts, make_spec(turn_detection), request)
        if dialler is not None:
            spec = msgspec.structs.replace(spec, dialler=dialler)
        first_text = _first_text(parts, spec, request, is_back=is_back)
        # This comes after `authenticate`, so that a refused client takes no place in the queue.
        if parts.is_standalone and not is_back:
            parts.call_pacer.wait(parts.runtime.dispatchers)
        adopted = messages.ClientAdopted(is_planned=True, is_new_client=True) if is_back else None
        return session_id, hand_over(parts, spec, lambda: open_connection(first_text), adopted)
    except BaseException:
        ticket.release()
        parts.admission.restore(request.principal)
        raise


def _check_running(parts: Parts) -> None:
    if parts.runtime.is_closing:
        raise going_away()
    # Sessions of a stalled dispatcher hang, and a dead dispatcher is not replaced (docs/decisions/0012).
    if not parts.runtime.is_alive:
        problem = "the server cannot carry calls at the moment; try again"
        raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, RETRY_SOON)


def _resumed(
    parts: Parts, request: Request, session_id: str, make_spec: Callable[..., SessionSpec]
) -> SessionSpec | None:
    """Return the spec of a session to which its client comes back; None if a new session has to begin."""
    data = parts.resumption.take(request) if FRONTS[request.profile].can_return else None
    if data is None:
        return None
    try:
        parcel = open_parcel(data)
        spec = make_spec(parcel.turn_detection, parcel=parcel)
    except SnapshotError as error:
        logger.warning("session %s begins anew: %s", session_id, error)
        return None
    logger.info("session %s goes on as %s: its client is back", parcel.session_id, session_id)
    spec, carried = kept(parts, spec, request, is_back=True), spec.carried
    is_applying = isinstance(carried, CarriedSession) and carried.has_settings
    return repeating_settings(spec) if is_applying else spec


def _first_text(parts: Parts, spec: SessionSpec, request: Request, *, is_back: bool) -> str | None:
    """Return the text that is written together with the answer to the handshake (docs/decisions/0018).

    `is_back` says that the client has come back to its session.
    """
    text = FRONTS[request.profile].first_text(spec.session_id)
    if not can_return(spec) or not asks_for_token(request):
        return text
    principal = request.principal.id if request.principal is not None else None
    return parts.resumption.welcome(text, spec.session_id, principal, is_back=is_back)
