"""A relay as a value: `written` writes its whole memory, and `fill` puts it into the relay of another process."""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from router.fronts.realtime.layouts import RELAY, VERSION
from router.session.packing import Packer, PackingError, Unpacker
from router.session.snapshot import SnapshotError, UnknownVersionError

if TYPE_CHECKING:
    from router.fronts.realtime.relay import Context

LAYOUT: Final = zlib.crc32(f"{VERSION} {RELAY.fingerprint()}".encode())
"""The checksum of the layouts. It differs between two programs whose relays differ."""


class _Value(msgspec.Struct, frozen=True, array_like=True, tag="switchboard relay"):
    layout: int
    body_sum: int
    body: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_VALUES: Final = msgspec.msgpack.Decoder(_Value)
_DAMAGES: Final = (
    PackingError,
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
)
"""The errors of data that this program has not written."""


def written(context: Context, *, is_brief: bool = False) -> bytes:
    """Return the whole memory of a relay. Call this between two inputs.

    With `is_brief`, only the newest audio of a microphone is included while the user does not speak.

    Raises:
        SnapshotError: the relay holds a value without a layout.
    """
    speech, configuration = context.state.speech, context.state.configuration
    is_shortened = is_brief and configuration.turn_detection is not None
    shortened = speech.shortened(configuration.input_bytes_per_ms) if is_shortened else contextlib.nullcontext()
    try:
        with shortened:
            body = _ENCODER.encode(Packer(RELAY).pack(context))
    except (PackingError, AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SnapshotError(f"the relay cannot be written: {error}") from error
    return _ENCODER.encode(_Value(LAYOUT, zlib.crc32(body), body))


def fill(context: Context, data: bytes) -> None:
    """Put the memory of another process's relay into a new relay.

    Raises:
        SnapshotError: the data is no relay's, is damaged, or is of another version.
    """
    try:
        value = _VALUES.decode(data)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the relay's memory is damaged: {error}") from error
    if value.layout != LAYOUT:
        raise UnknownVersionError(f"{value.layout:08x}")
    if zlib.crc32(value.body) != value.body_sum:
        raise SnapshotError("the relay's memory is damaged: its sum differs")
    try:
        found = Unpacker(RELAY).unpack(msgspec.msgpack.decode(value.body), context)
    except _DAMAGES as error:
        raise SnapshotError(f"the relay's memory is damaged: {error}") from error
    if found is not context:
        raise SnapshotError("the relay's memory is damaged: it is no relay")
