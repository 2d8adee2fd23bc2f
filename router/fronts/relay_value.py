"""The memory of a relay as a value: written by one process, and put into the relay of another one.

A relay lists its classes and fields as `Layouts`. A relay moves only between processes of one machine, which have one
clock. So stored times stay as they are.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.fronts.call_limits import CallLimits, Playback
from router.session import layouts as session
from router.session.packing import Layout, Packer, PackingError, Unpacker
from router.session.snapshot import SnapshotError, UnknownVersionError
from router.session.state.limited import Limited, Spending

if TYPE_CHECKING:
    from router.session.packing import Layouts


class _Value(msgspec.Struct, frozen=True, array_like=True, tag="switchboard relay"):
    layout: int
    body_sum: int
    body: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_VALUES: Final = msgspec.msgpack.Decoder(_Value)
DAMAGES: Final = (
    PackingError,
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
)
"""The exceptions that the reading of damaged data may raise."""


class RelayValue:
    """The conversion of the memory of a relay to bytes and back, by the layouts of one front."""

    def __init__(self, layouts: Layouts, version: int) -> None:
        self._layouts = layouts
        self.layout = zlib.crc32(f"{version} {layouts.fingerprint()}".encode())
        """The checksum of the layouts. It differs between two programs whose relays differ."""

    def written(self, memory: object) -> bytes:
        """Return the whole memory of a relay: an object with a layout. Call this between two inputs.

        Raises:
            SnapshotError: the memory holds a value without a layout.
        """
        try:
            body = _ENCODER.encode(Packer(self._layouts).pack(memory))
        except (PackingError, AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SnapshotError(f"the relay cannot be written: {error}") from error
        return _ENCODER.encode(_Value(self.layout, zlib.crc32(body), body))

    def fill(self, memory: object, data: bytes) -> None:
        """Put the memory of another process's relay into that of a new relay.

        Raises:
            SnapshotError: the data is no relay's, is damaged, or is of another version.
        """
        try:
            value = _VALUES.decode(data)
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"the relay's memory is damaged: {error}") from error
        if value.layout != self.layout:
            raise UnknownVersionError(f"{value.layout:08x}")
        if zlib.crc32(value.body) != value.body_sum:
            raise SnapshotError("the relay's memory is damaged: its sum differs")
        try:
            found = Unpacker(self._layouts).unpack(msgspec.msgpack.decode(value.body), memory)
        except DAMAGES as error:
            raise SnapshotError(f"the relay's memory is damaged: {error}") from error
        if found is not memory:
            raise SnapshotError("the relay's memory is damaged: it is no relay")


def layout_of(kind: type, stored: str, *, derived: str = "", is_filled: bool = False, **own: Any) -> Layout:
    """Return the layout of a class, with the names of its fields separated by spaces.

    An object of a class with derived fields is filled, not replaced, because such a field depends on the new relay's
    options. With `is_filled` that holds for a class without derived fields, too. `own` has other fields of `Layout`.
    """
    names, apart = tuple(stored.split()), tuple(derived.split())
    return Layout(kind=kind, stored=names, derived=apart, is_filled=is_filled or bool(apart), **own)


LIMITS: Final = (
    layout_of(CallLimits, "limited playback _heard_at_s _is_over", derived="_wire _limits"),
    layout_of(Playback, "ends_s"),
    *(layout for layout in session.LAYOUTS if layout.kind in (Limited, Spending)),
)
"""The layouts of the limits of a relay's call."""
