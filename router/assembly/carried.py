"""A session that may move to another process: its snapshot with its request, as one value.

The value holds the client's request, with its credential, because hooks and policies need the request. So it may only
be in memory that no other user can read.
"""

from __future__ import annotations

import functools
import os
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from router.access.request import Request
from router.assembly import guard_memory as guards
from router.audio import convert
from router.fronts.failover.value import VALUE as BACKENDS
from router.fronts.front import Returnable
from router.fronts.table import FRONTS
from router.session import snapshot as snapshots
from router.session.layouts import VERSION
from router.session.snapshot import SnapshotError
from router.session.state.states import Lifecycle
from router.translation.voices import Voices  # noqa: TC001 - msgspec resolves the annotation

if TYPE_CHECKING:
    from actors.machine import Marks
    from router.fronts.front import Noting, Standalone
    from router.guard.inputs import GuardedInputs
    from router.session.machine import Session
    from router.session.options import SessionOptions
    from router.session.profile import Profile

MAX_ADOPTIONS: Final = 2
"""The number of processes that a session may kill, one after the other, without a completed turn in between."""

INNOCENT: Final = 3
"""A death of a process within a step of the session counts as this many deaths in which the session was at rest."""


class Parcel(msgspec.Struct, frozen=True, array_like=True, tag="switchboard parcel"):
    """One session on its way to another process."""

    request: Request
    turn_detection: str | None
    """The turn detection of the URL; None means the configured one."""
    session: bytes
    """The snapshot of the session."""
    repeats_settings: bool = False
    """Whether the client has come back, and may send its Settings again."""
    voices: Voices | None = None
    """The voices of the session; None before its Settings. It keeps them even under a newer configuration."""
    memory: bytes = b""
    """The memory of the front's machine, if it has one."""
    guard: bytes = b""
    """The memory of the guard around the session, if it has one."""
    backends: bytes = b""
    """The memory of the machine of two backends, if one has the session in it."""

    @property
    def session_id(self) -> str:
        """The id of the session."""
        return snapshots.open_envelope(self.session).session_id

    @property
    def is_given_up(self) -> bool:
        """Whether the session has killed more processes than it may."""
        return snapshots.open_envelope(self.session).adoptions > MAX_ADOPTIONS * INNOCENT


_LAYOUTS: Final = [snapshots.LAYOUT, guards.LAYOUT, BACKENDS.layout, *(front.layout for front in FRONTS.values())]

VALUE_LAYOUT: Final = f"{VERSION}.{zlib.crc32(repr(_LAYOUTS).encode()):08x}"
"""The name of the form in which this program reads and writes sessions."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_PARCELS: Final = msgspec.msgpack.Decoder(Parcel)
_REQUESTS: Final = msgspec.msgpack.Decoder(Request)


def open_parcel(data: bytes) -> Parcel:
    """Decode a session on its way to another process.

    Raises:
        SnapshotError: the data is damaged, or of another version of the program.
    """
    try:
        parcel = _PARCELS.decode(data)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the parcel is damaged: {error}") from error
    snapshots.open_envelope(parcel.session)
    return parcel


def open_announcement(facts: bytes) -> Request:
    """Decode the request of a session that moves soon.

    Raises:
        SnapshotError: the facts are damaged, or of another version of the program.
    """
    try:
        return _REQUESTS.decode(facts)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the announcement is damaged: {error}") from error


def count_adoption(data: bytes, *, is_suspect: bool = True) -> bytes:
    """Return a parcel with one more adoption counted.

    The adopting process stores the result in place of `data` before it adopts the session, because the session may kill
    that process. Do not call this for a planned move. `is_suspect` says that the previous process died while it handled
    an input of this session. Such a death counts three times as much as another one.
    """
    parcel, by = open_parcel(data), INNOCENT if is_suspect else 1
    return _ENCODER.encode(msgspec.structs.replace(parcel, session=snapshots.count_adoption(parcel.session, by)))


class Memory(Protocol):
    """A function that returns the memory of a front's machine; see `Remembering.memory`."""

    def __call__(self, *, is_brief: bool = False) -> bytes:
        """Return the memory. Call this between two inputs. `is_brief` leaves out older audio of a silent user."""


def no_memory(*, is_brief: bool = False) -> bytes:  # noqa: ARG001 - of the protocol
    """Return the memory of a machine that has none."""
    return b""


class CarriedSession:
    """A session in the form that the engine needs to store the session outside of the process, or to move it."""

    __slots__ = (
        "_backends",
        "_guard",
        "_marks",
        "_memory",
        "_relay",
        "_request",
        "_session",
        "_turn_detection",
        "can_outlive",
        "can_return",
        "repeats_settings",
    )

    def __init__(
        self,
        session: Session,
        request: Request,
        turn_detection: str | None,
        memory: Memory = no_memory,
        *,
        relay: Standalone | None = None,
        can_outlive: bool = True,
        can_return: bool = True,
        guard: GuardedInputs | None = None,
        front: Noting | None = None,
        backends: Memory = no_memory,
    ) -> None:
        self._session = session
        self._request = request
        self._turn_detection = turn_detection
        self._memory = memory
        self._relay = relay
        """The relay that takes the place of the session, or the machine of two backends around it; None without one.

        If a relay takes its place, the session has only counts.
        """
        self._backends = backends
        self._guard = guard
        marks: Marks = session if relay is None else relay.marks
        if guard is not None:
            marks = guard.marks_around(marks)
        self._marks = marks if front is None else front.marks_around(marks)
        self.can_outlive = can_outlive
        """Whether the session may outlive its process. Otherwise it can only move."""
        self.can_return = can_return
        """Whether the session may outlive its client's connection."""
        self.repeats_settings = False
        """Whether the client has come back, and may send its Settings again."""

    @property
    def snapshot_due(self) -> int:
        """A number that changes when the next snapshot has to be stored; see `Session.snapshot_due`."""
        if self._relay is not None:
            return self._marks.record_due
        return self._session.snapshot_due + (0 if self._guard is None else self._guard.record_due)

    @property
    def has_settings(self) -> bool:
        """Whether the session has received its client's Settings."""
        relay: object = self._relay  # of another protocol, too
        if isinstance(relay, Returnable):
            return relay.has_settings
        return self._session.state.lifecycle is not Lifecycle.AWAITING_SETTINGS

    @property
    def is_applied(self) -> bool:
        """Whether the client has received `SettingsApplied`."""
        relay: object = self._relay  # of another protocol, too
        if isinstance(relay, Returnable):
            return relay.is_applied
        return self._session.state.is_applied

    @property
    def can_move(self) -> bool:
        """Whether the session is between two turns, also for its guard."""
        return (self._relay or self._session).can_move and (self._guard is None or self._guard.can_move)

    @property
    def marks(self) -> Marks:
        """The object whose attributes show when the session has to be stored again."""
        return self._marks

    def announcement(self) -> bytes:
        """Return the request, with which another process dials the next upstream in advance.

        Raises:
            SnapshotError: msgpack cannot encode a value in `Principal.attributes`.
        """
        return _written(self._request)

    def snapshot(self, *, is_brief: bool = False) -> bytes:
        """Return a parcel: the session and its request as bytes. Call this on the dispatcher, between two inputs.

        With `is_brief` the parcel lacks older audio of a silent user.

        Raises:
            SnapshotError: the session cannot be written. For example, msgpack cannot encode a value in
                `Principal.attributes`. Such a session stays in this process, and drains at a reload.
        """
        guard = b"" if self._guard is None else guards.written(self._guard)
        session = snapshots.snapshot(self._session, clock=clock(), unix_s=time.time(), is_brief=is_brief)
        memory, backends = self._memory(is_brief=is_brief), self._backends(is_brief=is_brief)
        # A call that the other backend serves may come back to a session.
        voices = self._session.context.options.voices if self.has_settings or backends else None
        parts = (self.repeats_settings, voices, memory, guard, backends)
        return _written(Parcel(self._request, self._turn_detection, session, *parts))


def _written(message: Request | Parcel) -> bytes:
    try:
        return _ENCODER.encode(message)
    except (TypeError, ValueError, OverflowError) as error:
        raise SnapshotError(f"the request of the session cannot be written: {error}") from error


def restored(parcel: Parcel, options: SessionOptions, profile: Profile | None = None) -> Session:
    """Return the session of a parcel, under the present options.

    A dispatcher's thread must not call this: it may load numpy.

    The session keeps the voices of its start, because a caller must not hear another voice during the call.

    Raises:
        SnapshotError: the snapshot is damaged.
    """
    if parcel.voices is not None:
        options = msgspec.structs.replace(options, voices=parcel.voices)
    times = {"now_s": time.monotonic(), "unix_s": time.time()}
    session = snapshots.restore(parcel.session, options, profile, clock=clock(), **times)
    if session.state.has_converters:
        # The session relies on it that its process has loaded numpy.
        convert.load()
    return session


@functools.cache
def clock() -> str:
    """Return a name for this machine's monotonic clock: the id of the boot, and the time namespace of the process."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {Path('/proc/self/ns/time').readlink()}"
    except OSError:
        # No other process has this name for its clock.
        return f"process {os.getpid()}"
