"""A session as bytes: `snapshot` writes its whole memory, and `restore` makes a session from these bytes.

A snapshot is taken between two inputs. It has an envelope, which is read without the session, and a body, which only a
program with the same `layouts` reads. A program with other layouts cannot adopt the session, which then drains in its
own process. A checksum protects the snapshot.

A snapshot holds the client's texts and Settings, which may contain credentials. It belongs into memory that only the
owner of the process reads.

Times are of a monotonic clock, which all processes of one machine share. `clock` names that clock. In a process with
another clock, each time moves by the difference of the clocks, which the wall clocks of both machines give.
"""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from router.policy.policy import Policy
from router.session.layouts import STATE, VERSION
from router.session.machine import Session
from router.session.packing import Packer, PackingError, Unpacker
from router.session.profile import PROFILES

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.options import SessionOptions
    from router.session.profile import Profile

LAYOUT: Final = zlib.crc32(STATE.fingerprint().encode())
"""The checksum of the layouts. It differs between two programs whose states differ."""


class SnapshotError(ValueError):
    """A snapshot that this program cannot read, or a session that cannot be written.

    The session then drains where it is, as without snapshots.
    """


class UnknownVersionError(SnapshotError):
    """A snapshot of another version of the program."""

    def __init__(self, version: object) -> None:
        super().__init__(version)
        self.version = version

    def __str__(self) -> str:
        return f"the snapshot has the version {self.version}, and this program reads {VERSION}.{LAYOUT:08x}"


class Envelope(msgspec.Struct, frozen=True, array_like=True, tag="switchboard session"):
    """The facts about a snapshot that are read without its session."""

    version: int
    layout: int
    body_sum: int
    session_id: str
    profile: str
    adoptions: int
    """The number of processes in a row that took the session over; see `State.adoptions`."""
    clock: str
    """The name of the monotonic clock: the id of the machine's start. It is empty if it does not matter."""
    taken_s: float
    """The time of the session's last input, on that clock."""
    taken_unix_s: float
    body: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_ENVELOPES: Final = msgspec.msgpack.Decoder(Envelope)


def snapshot(session: Session, *, clock: str = "", unix_s: float = 0.0, is_brief: bool = False) -> bytes:
    """Return the whole memory of a session, between two inputs.

    `clock` names the monotonic clock of this process, and `unix_s` is the present Unix time. With `is_brief`, only the
    newest audio of a microphone is included while the user does not speak.

    Raises:
        SnapshotError: the session holds a value without a layout.
    """
    context = session.context
    microphone = context.state.microphone if is_brief else None
    try:
        with contextlib.nullcontext() if microphone is None else microphone.shortened():
            body = _ENCODER.encode(Packer(STATE).pack(context))
    except (PackingError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise SnapshotError(f"the session cannot be written: {error}") from error
    return _ENCODER.encode(
        Envelope(
            version=VERSION,
            layout=LAYOUT,
            body_sum=zlib.crc32(body),
            session_id=context.state.session_id,
            profile=context.profile.name,
            adoptions=context.state.adoptions,
            clock=clock,
            taken_s=context.now_s,
            taken_unix_s=unix_s,
            body=body,
        )
    )


def open_envelope(data: bytes) -> Envelope:
    """Return the envelope of a snapshot.

    Raises:
        SnapshotError: the data is no snapshot, is damaged, or is of another version.
    """
    try:
        envelope = _ENVELOPES.decode(data)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the snapshot is damaged: {error}") from error
    if (envelope.version, envelope.layout) != (VERSION, LAYOUT):
        raise UnknownVersionError(f"{envelope.version}.{envelope.layout:08x}")
    if zlib.crc32(envelope.body) != envelope.body_sum:
        raise SnapshotError("the snapshot is damaged: its sum differs")
    return envelope


def count_adoption(data: bytes, by: int = 1) -> bytes:
    """Return a snapshot whose count of adoptions is higher by `by`.

    The adopting process stores the new snapshot before it restores the session, because the session may kill that
    process.
    """
    envelope = open_envelope(data)
    return _ENCODER.encode(msgspec.structs.replace(envelope, adoptions=envelope.adoptions + by))


def restore(
    data: bytes,
    options: SessionOptions,
    own: Profile | None = None,
    *,
    clock: str = "",
    now_s: float = 0.0,
    unix_s: float = 0.0,
) -> Session:
    """Return the session of a snapshot, under the present options.

    `own` is the profile of a front that is not in `PROFILES`. `clock` names the monotonic clock of this process.
    `now_s` is the present time on that clock, and `unix_s` the present Unix time. The two times matter if `clock`
    differs from the snapshot's. Do not call this on a dispatcher's thread, because it may load numpy if the session
    resamples audio.

    Raises:
        SnapshotError: the data is no snapshot, is damaged, is of another version, or has an unknown profile.
    """
    envelope = open_envelope(data)
    profile = own if own is not None and own.name == envelope.profile else PROFILES.get(envelope.profile)
    if profile is None:
        raise SnapshotError(f"the snapshot has the unknown profile {envelope.profile}")
    session = Session(envelope.session_id, profile, options)
    shift_s = _shift_s(envelope, clock, now_s, unix_s)
    try:
        found = Unpacker(STATE, shift_s).unpack(msgspec.msgpack.decode(envelope.body), session.context)
    except (PackingError, msgspec.MsgspecError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise SnapshotError(f"the snapshot is damaged: {error}") from error
    context = session.context
    if found is not context:
        raise SnapshotError("the snapshot is damaged: its body is no session")
    context.now_s += shift_s
    context.state.adoptions = envelope.adoptions
    _derive(context)
    session.enter_restored()
    return session


def _shift_s(envelope: Envelope, clock: str, now_s: float, unix_s: float) -> float:
    if clock == envelope.clock:
        return 0.0
    # If the wall clock went back, the session's past must not become its future.
    return now_s - envelope.taken_s - max(0.0, unix_s - envelope.taken_unix_s)


def _derive(context: Context) -> None:
    if context.overrides is not None:
        own = context.options.policy or Policy(is_lenient=True)
        context.policy = own.with_overrides(context.overrides, context.voice)
