"""The spec of a session, and its hand-over: to its supervisor, and to the keeper if it may outlive this process."""

from __future__ import annotations

import functools
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pykka

from actors import lifecycle
from actors.connections.close_codes import GOING_AWAY
from actors.connections.handover import HandshakeRefused
from actors.connections.kept import KeptConnection
from router.access.hook import RETRY_SOON
from router.assembly.carried import CarriedSession
from router.fronts.table import FRONTS
from router.keeping import ShelvedMachine
from router.metrics.catalog import RECOVERIES, UNKEPT
from router.resume.keeping import GreetingMachine, KeepingMachine, ReturningMachine
from router.resume.resumption import asks_for_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import messages
    from actors.connections.base import Connection
    from actors.machine import Machine
    from actors.spec import SessionSpec
    from router.access.request import Request
    from router.access.session_limits import Ticket
    from router.establish.parts import Parts
    from router.keeping import Custody
    from router.metrics.metrics import Metrics

logger = logging.getLogger(__name__)

C = TypeVar("C", bound="Connection")


class _Ending:
    """The function that removes an ended session from the router's limits and its set of open sessions.

    A closure would take four times the memory.
    """

    __slots__ = ("_parts", "_session_id", "_ticket")

    def __init__(self, parts: Parts, ticket: Ticket, session_id: str) -> None:
        self._parts = parts
        self._ticket = ticket
        self._session_id = session_id

    def __call__(self) -> None:
        self._ticket.release()
        self._parts.open.discard(self._session_id)


def spec_of(
    parts: Parts, ticket: Ticket, session_id: str, request: Request, turn_detection: str | None, **carried: Any
) -> SessionSpec:
    """Return the spec of a session. At its end the session gives its place below the limits back.

    `carried` has the arguments of `SessionFactory.of` for a session that another process carried.

    Raises:
        SnapshotError: the snapshot of that session is damaged.
    """
    return parts.session_factory.of(
        session_id,
        request,
        turn_detection,
        perform=parts.work_runner,
        on_end=_Ending(parts, ticket, session_id),
        on_settings=ticket.settle if parts.config.limits.max_pending_sessions else None,
        spend_today=ticket.spend,
        **carried,
    )


def can_return(spec: SessionSpec) -> bool:
    """Whether a session may outlive its client's connection."""
    return isinstance(spec.carried, CarriedSession) and spec.carried.can_return


def kept(parts: Parts, spec: SessionSpec, request: Request, *, is_back: bool = False) -> SessionSpec:
    """Return a spec whose session is kept if the call is lost.

    If the client asked for no token with which it could come back, return `spec` unchanged. `is_back` says that the
    client has come back to its session.
    """
    if spec.carried is None or not can_return(spec) or not parts.resumption.is_on or not asks_for_token(request):
        return spec
    keep = functools.partial(parts.resumption.keep, spec.session_id)
    machine: Machine = KeepingMachine(spec.machine, spec.carried, keep)
    front = FRONTS[request.profile]
    if front.greetings:
        principal = request.principal.id if request.principal is not None else None
        greeting = parts.resumption.greeting(spec.session_id, principal, is_back=is_back)
        machine = GreetingMachine(machine, front.greetings, greeting)
    return msgspec.structs.replace(spec, machine=machine)


def repeating_settings(spec: SessionSpec) -> SessionSpec:
    """Return the spec of a session whose client has come back, and may send its Settings again."""
    if not isinstance(spec.carried, CarriedSession):
        return spec
    return msgspec.structs.replace(spec, machine=ReturningMachine(spec.machine, spec.carried))


def hand_over(
    parts: Parts, spec: SessionSpec, open_connection: Callable[[], C], adopted: messages.ClientAdopted | None = None
) -> C:
    """Open the client's connection, give the session to the supervisor, and return the connection.

    `adopted` is the first input of a session that continues.

    Raises:
        HandshakeRefused: the process is going away.
    """
    with parts.runtime.entry() as supervisor:
        if supervisor is None:
            raise going_away()
        connection = open_connection()
        spec = _shelved(parts, spec, connection)
        # Add the id before the supervisor has the session, whose end may come at once and remove the id.
        parts.open.add(spec.session_id)
        try:
            supervisor.tell(lifecycle.StartSession(spec, connection, adopted))
        except pykka.ActorDeadError:  # the drain did not wait for this call, and the dispatcher has already stopped
            spec.on_end()
            connection.close(*GOING_AWAY)
    return connection


def going_away() -> HandshakeRefused:
    """Return the refusal of a process that takes no more sessions."""
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the server is going away", RETRY_SOON)


def _shelved(parts: Parts, spec: SessionSpec, connection: Connection) -> SessionSpec:
    """Hand a session to the keeper if it may outlive this process.

    Return the spec with a machine that stores the session, or `spec` if the keeper does not have the session.
    """
    custody = parts.custody
    if custody is None or not (isinstance(spec.carried, CarriedSession) and spec.carried.can_outlive):
        return spec
    if not isinstance(connection, KeptConnection):
        return spec
    if not connection.is_detachable:
        return spec
    try:
        shelf = connection.keep(custody.arena)
    except (OSError, MemoryError) as error:
        logger.warning("session %s cannot be kept: %s", spec.session_id, error)
        parts.metrics.add(RECOVERIES, UNKEPT)
        return spec
    custodian = _Custodian(custody, parts.metrics, spec)
    connection.custodian = custodian
    hold = functools.partial(custody.hold, spec.session_id, connection, shelf)
    machine = ShelvedMachine(spec.machine, spec.carried, connection, hold)
    return msgspec.structs.replace(spec, machine=machine, on_end=custodian.end)


class _Custodian:
    """The functions by which the keeper forgets one session. A closure would keep the whole `spec` in memory."""

    __slots__ = ("_custody", "_metrics", "_on_end", "_session_id")

    def __init__(self, custody: Custody, metrics: Metrics, spec: SessionSpec) -> None:
        self._custody = custody
        self._metrics = metrics
        self._session_id = spec.session_id
        self._on_end = spec.on_end

    def end(self) -> None:
        """Let the keeper forget the session, which ends."""
        self.drop()
        self._on_end()

    def drop(self) -> None:
        """Let the keeper forget the session, whose client's connection ends."""
        self._custody.drop(self._session_id)

    def unkeep(self) -> None:
        """Let the keeper forget a session that continues without the keeper."""
        self.drop()
        self._metrics.add(RECOVERIES, UNKEPT)
