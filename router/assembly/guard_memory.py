"""The memory of a guard as a value: `written` writes it, and `fill` puts it into the guard of another process."""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.messages import ClientTextReceived, SendToClient
from router.fronts.deepgram_agent.guarded import DeepgramDialect
from router.fronts.listen.guarded import ListenDialect
from router.fronts.realtime.guarded import RealtimeDialect
from router.fronts.relay_value import DAMAGES
from router.guard.dialect import Kind, Seen
from router.guard.machine import GuardedMachine, HeldFrame, OpenWindow
from router.guard.relay import AgentText, GuardedRelay, RelayFrame, RelayWindow
from router.guard.windows import Windows
from router.session.packing import Layout, Layouts, Packer, PackingError, Unpacker
from router.session.snapshot import SnapshotError, UnknownVersionError

if TYPE_CHECKING:
    from router.guard.inputs import GuardedInputs

VERSION: Final = 1
"""Increase this number when a field of the same name gets another meaning."""


def _pack(guard: GuardedMachine, packer: Packer) -> Any:
    # A router's own function whose process died counts as failed, so its output must not follow.
    waiting = deque(it for it in guard.waiting if isinstance(it, ClientTextReceived))
    return [packer.pack(waiting), *(packer.pack(getattr(guard, name)) for name in _STORED)]


def _fill(made: GuardedMachine, packed: Any, unpacker: Unpacker) -> None:
    waiting, *fields = packed
    made.waiting = unpacker.unpack(waiting)
    for name, value in zip(_STORED, fields, strict=True):
        setattr(made, name, unpacker.unpack(value, getattr(made, name)))
    made.count_held()


def _pack_relay(guard: GuardedRelay, packer: Packer) -> Any:
    waiting = deque(it for it in guard.waiting if isinstance(it, ClientTextReceived))
    # A frame of the relay has the same fields as its text. Only a new frame for a window has other ones. The list lives
    # until the end, because the packer tells objects apart by their ids.
    held = [
        msgspec.structs.replace(it, fields=None) if it.command.frame else it
        for it in guard._held  # noqa: SLF001 - of the same memory as the fields below
    ]
    packed = [packer.pack(waiting), packer.pack(held)]
    texts = guard._texts.items()  # noqa: SLF001 - the same
    packed.append([(key, [packer.pack(getattr(it, name)) for name in _TEXT]) for key, it in texts])
    return [*packed, *(packer.pack(getattr(guard, name)) for name in _OF_RELAY)]


def _fill_relay(made: GuardedRelay, packed: Any, unpacker: Unpacker) -> None:
    waiting, held, texts, *fields = packed
    made.waiting = unpacker.unpack(waiting)
    found: dict[str, Any] = {"_held": deque(unpacker.unpack(held)), "_texts": {}}
    for key, values in texts:
        plain = dict(zip(_TEXT, values, strict=True))
        windows = unpacker.unpack(plain.pop("windows"), made.new_windows(is_whole=plain["is_whole"]))
        found["_texts"][key] = AgentText(windows, **{name: unpacker.unpack(it) for name, it in plain.items()})
    for name, value in zip(_OF_RELAY, fields, strict=True):
        found[name] = unpacker.unpack(value, getattr(made, name))
    for name, value in found.items():
        setattr(made, name, value)
    made.complete()


_TEXT: Final = ("windows", "answer", "delta", "passed", "is_altered", "newest", "is_whole", "replaced")

_OF_RELAY: Final = (
    "hits",
    "_dialect",
    "_open",
    "_started",
    "_muted",
    "_active",
    "_last_answer",
    "_cancels_next",
    "_fates",
    "_say",
    "_own",
    "dropped",
)

_STORED: Final = (
    "hits",
    "_windows",
    "_open",
    "_started",
    "_answer",
    "_held",
    "_transcripts",
    "_replaced",
    "_is_muted",
    "_has_delta",
    "_generation",
    "_own",
    "_typed",
    "dropped",
)

LAYOUTS: Final = (
    Layout(
        kind=GuardedMachine,
        stored=("waiting", *_STORED),
        # The numbers of checks and of records begin again, because no other process refers to them.
        derived=(
            "_machine",
            "_session",
            "_guard",
            "_session_id",
            "_checks",
            "_said",
            "_is_item",
            "_held_bytes",
            "_running",
            "_ended",
            "record_due",
        ),
        is_filled=True,
        pack=_pack,
        fill=_fill,
    ),
    Layout(kind=Windows, stored=("_rest",), derived=("_chars",), is_filled=True),
    Layout(kind=OpenWindow, stored=("text", "number", "answer")),
    Layout(kind=HeldFrame, stored=("awaited", "command", "answer")),
    Layout(
        kind=GuardedRelay,
        stored=("waiting", "_held", "_texts", *_OF_RELAY),
        derived=("_machine", "_guard", "_session_id", "_checks", "_said", "_held_bytes", "_now_s", "record_due"),
        is_filled=True,
        pack=_pack_relay,
        fill=_fill_relay,
    ),
    Layout(kind=AgentText, stored=_TEXT),
    Layout(kind=RelayWindow, stored=("number", "source", "key", "answer", "text")),
    Layout(kind=RelayFrame, stored=("awaited", "command", "fields", "seen", "text", "size_bytes")),
    Layout(kind=Seen, stored=("kind", "key", "answer", "text")),
    Layout(kind=RealtimeDialect, stored=("_count", "_given"), is_filled=True),
    Layout(kind=DeepgramDialect, stored=("_turn",), is_filled=True),
    Layout(kind=ListenDialect, is_filled=True),
    # msgspec decodes no union of text and bytes, so the fields of this class are written one by one.
    Layout(kind=SendToClient, stored=("frame",)),
)

GUARD: Final = Layouts(LAYOUTS, structs=(ClientTextReceived,), enums=(Kind,))
"""A guard that may move to another process."""

LAYOUT: Final = zlib.crc32(f"{VERSION} {GUARD.fingerprint()}".encode())
"""The checksum of the layouts. It differs between two programs whose guards differ."""


class _Value(msgspec.Struct, frozen=True, array_like=True, tag="switchboard guard"):
    layout: int
    is_at_rest: bool
    body: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_VALUES: Final = msgspec.msgpack.Decoder(_Value)


def written(guard: GuardedInputs) -> bytes:
    """Return the memory of a guard. Call this between two inputs.

    Raises:
        SnapshotError: the memory cannot be written.
    """
    try:
        body = _ENCODER.encode(Packer(GUARD).pack(guard))
    except (PackingError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise SnapshotError(f"the guard cannot be written: {error}") from error
    return _ENCODER.encode(_Value(LAYOUT, guard.is_at_rest, body))


def fill(guard: GuardedInputs | None, data: bytes) -> None:
    """Put the memory of another process's guard into a new guard.

    A new configuration may have no guard any more. Then a memory in which nothing waits is dropped.

    Raises:
        SnapshotError: the data is damaged, of another version, or has texts that no guard would check.
    """
    if not data:
        return
    try:
        value = _VALUES.decode(data)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the guard's memory is damaged: {error}") from error
    if guard is None:
        if not value.is_at_rest:
            raise SnapshotError("a text waits for a guard, or was changed by it, and there is no guard any more")
        return
    if value.layout != LAYOUT:
        raise UnknownVersionError(f"{value.layout:08x}")
    try:
        found = Unpacker(GUARD).unpack(msgspec.msgpack.decode(value.body), guard)
    except DAMAGES as error:
        raise SnapshotError(f"the guard's memory is damaged: {error}") from error
    if found is not guard:
        raise SnapshotError("the guard's memory is damaged: it is no guard")
