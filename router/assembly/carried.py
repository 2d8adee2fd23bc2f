"""A session that may move to another process: its snapshot with its request, as one value.

The value holds the client's request, with its credential, because hooks and policies ask for it. It belongs into memory
that only the owner of the process reads.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from router.access.request import Request  # noqa: TC001 - msgspec resolves the annotation
from router.session import snapshot as snapshots
from router.session.snapshot import SnapshotError
from router.session.state.states import Lifecycle

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.options import SessionOptions

MAX_ADOPTIONS: Final = 2
"""The processes that a session may kill, one after the other, without a completed turn between."""

INNOCENT: Final = 3
"""The deaths of processes in which the session was at rest, that count as much as one within a step of the session."""


class Parcel(msgspec.Struct, frozen=True, array_like=True, tag="switchboard parcel"):
    """One session on its way to another process."""

    request: Request
    turn_detection: str | None
    """The turn detection of the URL; None means the configured one."""
    session: bytes
    """The snapshot of the session."""

    @property
    def session_id(self) -> str:
        """The id of the session."""
        return snapshots.open_envelope(self.session).session_id

    @property
    def is_given_up(self) -> bool:
        """Whether the session has killed as many processes as it may."""
        return snapshots.open_envelope(self.session).adoptions > MAX_ADOPTIONS * INNOCENT


_ENCODER: Final = msgspec.msgpack.Encoder()
_PARCELS: Final = msgspec.msgpack.Decoder(Parcel)


def open_parcel(data: bytes) -> Parcel:
    """Return a session on its way.

    Raises:
        SnapshotError: the data is damaged, or of another version of the program.
    """
    try:
        parcel = _PARCELS.decode(data)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the parcel is damaged: {error}") from error
    snapshots.open_envelope(parcel.session)
    return parcel


def count_adoption(data: bytes, *, is_suspect: bool = True) -> bytes:
    """Return a parcel whose count of adoptions is higher.

    The adopting process stores it in place of `data` before it adopts the session, because the session may kill that
    process. A planned move counts as none. With `is_suspect` the process before died in a step of the session.
    """
    parcel, by = open_parcel(data), INNOCENT if is_suspect else 1
    return _ENCODER.encode(msgspec.structs.replace(parcel, session=snapshots.count_adoption(parcel.session, by)))


class CarriedSession:
    """The view of a session for the engine, which stores it outside of the process."""

    def __init__(self, session: Session, request: Request, turn_detection: str | None) -> None:
        self._session = session
        self._request = request
        self._turn_detection = turn_detection

    @property
    def snapshot_due(self) -> int:
        """A number that changes when the next snapshot has to be stored; see `Session.snapshot_due`."""
        return self._session.snapshot_due

    @property
    def has_settings(self) -> bool:
        """Whether the session has had its client's Settings."""
        return self._session.state.lifecycle is not Lifecycle.AWAITING_SETTINGS

    @property
    def is_applied(self) -> bool:
        """Whether the client has had `SettingsApplied`."""
        return self._session.state.is_applied

    @property
    def can_move(self) -> bool:
        """Whether the session is between two turns."""
        return self._session.can_move

    @property
    def marks(self) -> Session:
        """The signs that the value has to be stored."""
        return self._session

    def snapshot(self, *, is_brief: bool = False) -> bytes:
        """Return the session as a value. On the session's dispatcher, between two inputs.

        Raises:
            SnapshotError: the session cannot be written, such as where the application's facts about the client are no
                JSON. It then drains, as without snapshots.
        """
        session = snapshots.snapshot(self._session, clock=clock(), unix_s=time.time(), is_brief=is_brief)
        try:
            return _ENCODER.encode(Parcel(self._request, self._turn_detection, session))
        except (TypeError, ValueError, OverflowError) as error:
            raise SnapshotError(f"the request of the session cannot be written: {error}") from error


def restored(parcel: Parcel, options: SessionOptions) -> Session:
    """Return the session of a parcel, under the options of now. May load numpy: not for a dispatcher's thread.

    Raises:
        SnapshotError: the snapshot is damaged.
    """
    return snapshots.restore(parcel.session, options, clock=clock(), now_s=time.monotonic(), unix_s=time.time())


@functools.cache
def clock() -> str:
    """Return the name of this machine's monotonic clock: the id of its start, and the namespace of its time."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {Path('/proc/self/ns/time').readlink()}"
    except OSError:
        # No other process has this clock.
        return f"process {os.getpid()}"
