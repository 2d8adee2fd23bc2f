"""The adoption of a session that another process carried."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec

from actors import lifecycle
from router import closes
from router.assembly.carried import MAX_ADOPTIONS, open_announcement, open_parcel
from router.establish.hand_over import hand_over, kept, repeating_settings, spec_of
from router.fronts.deepgram import LOST_FRAME
from router.fronts.table import FRONTS
from router.metrics.catalog import RECOVERIES, UNKEPT
from router.session.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors import messages
    from actors.connections.base import Connection, ConnectionLimits
    from actors.connections.upstream import DialTarget
    from router.assembly.dialling import DialledAhead
    from router.establish.parts import Parts

logger = logging.getLogger(__name__)


def adopt(
    parts: Parts,
    data: bytes,
    connection: Connection,
    adopted: messages.ClientAdopted,
    *,
    journal: Iterable[str | bytes] = (),
    ahead: DialledAhead | None = None,
    dialler: Callable[[DialTarget], Connection] | None = None,
) -> str:
    """Continue a session that another process carried, and return its id.

    `connection` is that of the client. The other process performed its handshake, so the client gets no second
    `Welcome`. The connection owns the bytes of a frame that the other process had read or written in part. The call
    blocks, and may load numpy, so it must not run on a dispatcher's thread.

    Args:
        parts: the parts of this process.
        data: the session as the other process stored it (`SessionSpec.carried`).
        connection: the connection to the client. It is aborted if the session cannot be continued.
        adopted: the first input of the session in this process.
        journal: the client's messages that the other process read after the snapshot.
        ahead: the next upstream, which was dialled in advance (`dial_ahead`). The session owns it, unless this call
            raises.
        dialler: the function that the connector calls to dial; None for its own.

    Raises:
        SnapshotError: `data` is damaged, of another version, or of a session that has killed `MAX_ADOPTIONS`
            processes.
        HandshakeRefused: the process is going away.
    """
    parcel = open_parcel(data)
    session_id, request = parcel.session_id, parcel.request
    if parcel.is_given_up:
        connection.abort()
        raise SnapshotError(f"session {session_id} has killed {MAX_ADOPTIONS} processes: it is given up")
    parts.start_lazily(dials=dialler is None)
    ticket = parts.admission.readmit(request.remote_address, request.principal.id if request.principal else None)
    try:
        carried = {"parcel": parcel, "journal": journal, "ahead": ahead}
        spec = spec_of(parts, ticket, session_id, request, parcel.turn_detection, **carried)
        spec = kept(parts, spec, request)
        if parcel.repeats_settings:
            spec = repeating_settings(spec)
        if dialler is not None:
            spec = msgspec.structs.replace(spec, dialler=dialler)
        hand_over(parts, spec, lambda: connection, adopted)
    except BaseException:
        ticket.release()
        connection.abort()
        raise
    if not adopted.is_planned:
        parts.metrics.add(RECOVERIES, ("recovered",))
    return session_id


def dial_ahead(parts: Parts, facts: bytes, route: str) -> DialledAhead | None:
    """Dial the next upstream of a session that another process announces. The call blocks.

    Return None if every upstream is paused, or if Deepgram serves a session that prefers the listed upstreams.

    Args:
        parts: the parts of this process.
        facts: the announcement of the session (`Carried.announcement`).
        route: the model that the session dials.

    Raises:
        SnapshotError: the announcement is damaged, or of another version.
        DialError: the dial failed.
    """
    request = open_announcement(facts)
    parts.start_lazily()
    return parts.session_factory.dial_ahead(request, route)


def give_up(parts: Parts, data: bytes, connection: Connection) -> None:
    """Close the connection of a client whose session no process continues, with an `Error` and code 1011.

    If `data` is damaged, or of another version, the protocol of the client is unknown. Then the client gets the `Error`
    of Deepgram's wire.
    """
    close = closes.of_error("SESSION_LOST")
    session_id, frame = "of an unknown id", LOST_FRAME
    with contextlib.suppress(SnapshotError):
        parcel = open_parcel(data)
        session_id, frame = parcel.session_id, FRONTS[parcel.request.profile].lost_frame
    logger.error("session %s is given up", session_id)
    count_lost(parts)
    recorder = parts.session_factory.machines.recorder
    if recorder is not None:
        recorder.keep(session_id)
    if frame:
        connection.send_text(frame)
    connection.close(close.code, close.reason)


def count_unkept(parts: Parts) -> None:
    """Count a session that continues in this process, but that would be lost if this process died."""
    parts.metrics.add(RECOVERIES, UNKEPT)


def count_lost(parts: Parts) -> None:
    """Count a session whose process died, and that no process continues."""
    parts.metrics.add(RECOVERIES, ("lost",))


def limits_of_value(parts: Parts, data: bytes) -> ConnectionLimits:
    """Return the connection limits of a client whose session another process stored as `data`.

    Raises:
        SnapshotError: `data` is damaged, or of another version.
    """
    return parts.session_factory.client_limits_of(FRONTS[open_parcel(data).request.profile])


def let_depart(parts: Parts, by: lifecycle.Exit) -> None:
    """Let the next drain move each session to another process by the functions of `by`, and not end it."""
    supervisor = parts.runtime.supervisor
    if supervisor is not None:
        supervisor.offer(lifecycle.LetDepart(by))
