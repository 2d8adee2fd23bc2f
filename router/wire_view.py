"""The wire view: the messages of recent sessions in both protocols, for a developer's eyes.

An observer wraps the machine of a session. On the session's dispatcher it records each input with the commands that
follow from it. HTTP threads read the records. Without the wire view no machine is wrapped.

A record holds the size and loudness of audio, and not the audio, except base64 of fewer than 200 characters. The
router's credentials are masked when a record is read.
"""

from __future__ import annotations

import binascii
import logging
import re
import struct
import threading
import time
from collections import deque
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.machine import Machine

logger = logging.getLogger(__name__)

MAX_SESSIONS: Final = 32
MAX_ROWS: Final = 20_000
"""The most rows of one session. A further row replaces the oldest."""
MAX_BYTES: Final = 32 * 1024 * 1024
"""The most bytes in the rows of all sessions together. Beyond it the session that holds the most loses its oldest rows.
"""
ROW_BYTES: Final = 56
"""The memory of a row in addition to its packed bytes: the object's head, and its place in a deque."""
GROWING_BYTES: Final = 600
"""The memory of a growing audio row in addition to its frames. Such a row is not packed yet."""
MAX_FRAMES: Final = 250
"""The most audio frames that share a row. The bound is needed because a growing row cannot be dropped."""
PAGE_ROWS: Final = 1000
"""The most rows in one answer, so that the router and the browser never handle a huge JSON text."""
AUDIO_ROW_S: Final = 0.5
"""Audio frames in one direction share a row if they come within this time, in seconds."""
SAMPLES: Final = 24
"""The number of samples from which the loudness of a frame is estimated. That is enough for a bar of the display."""

CLIENT: Final = "client"
UPSTREAM: Final = "upstream"
ROUTER: Final = "router"
RECEIVED: Final = "received"
SENT: Final = "sent"

_SPARE: Final = 1 / 64
"""The part of the bound that is freed at once, so that not each further frame searches the largest session."""

_FRAME: Final = struct.Struct("<IH")
"""An audio frame: its size in bytes, and its loudness in thousandths."""

_LONG_AUDIO: Final = re.compile(r'("(?:audio|delta|data)":\s*")([A-Za-z0-9+/=]{200,})"')
_AUDIO_EVENTS: Final = ("input_audio_buffer.append", "response.output_audio.delta")
_TYPE_CHARS: Final = 120
"""The type of an audio event is searched in this many characters at the beginning of the event."""


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One message, several audio frames in one direction, or a change of a connection."""

    n: int
    step: int
    """The number of the input that caused this row. The rows with one number are that input, and then its effects."""
    s: float
    """Seconds since the session began."""
    leg: str
    """`client` or `upstream`; `router` for a cause inside the router, such as a timer."""
    way: str = ""
    """`received` or `sent` by the router; empty for a change of the connection."""
    generation: int = 0
    text: str = ""
    event: str = ""
    """A sentence about a change of the connection; empty for a message."""
    audio: list[tuple[int, float]] | None = None
    """The size in bytes of each frame, and its loudness from 0 to 1, which is correct only for linear16."""


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session in the list of recorded sessions."""

    id: str
    profile: str
    unix_s: float
    is_live: bool
    rows: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The rows after a given number, as many as fit into one answer."""

    rows: list[Row]
    is_live: bool
    first: int
    """The number of the oldest row that still exists."""
    unix_s: float


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """The kept form of a row: one piece of bytes. Objects for each field and frame would take far more memory."""

    step: int
    s: float
    leg: str
    way: str = ""
    generation: int = 0
    text: str = ""
    event: str = ""
    audio: bytes = b""
    """The frames of the row, each a `_FRAME`."""


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(_Packed).decode


class WireView:
    """The records of recent sessions. Methods may be called from any thread."""

    def __init__(self, redact: Callable[[str], str], max_bytes: int = MAX_BYTES) -> None:
        self._redact = redact
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        """The lock of this object and its records. No thread that holds the lock parses a message or unpacks a row."""
        self._records: dict[str, Record] = {}
        self.held_bytes = 0
        """The memory that the rows of all sessions take."""

    def observe(
        self,
        session_id: str,
        profile: str,
        machine: Machine,
        first_text: str,
        *,
        owner: str | None = None,
        hide: Callable[[str], str] | None = None,
    ) -> Machine:
        """Return a machine that passes everything to `machine`, and records its messages for the wire view.

        `first_text` is the message that the client gets with its handshake. `owner` is the id of the client, if it was
        authenticated. `hide` returns a message without the values that its policy has set.
        """
        record = Record(session_id, profile, first_text, owner=owner, hide=hide)
        with self._lock:
            self._remove(session_id)
            self._records[session_id] = record
            ended = [name for name, each in self._records.items() if not each.is_live]
            for name in [*ended, *self._records][: max(0, len(self._records) - MAX_SESSIONS)]:
                self._remove(name)
        return ObservedMachine(machine, record, self)

    def add(self, record: Record, message: messages.Input, commands: list[messages.Command], now_s: float) -> None:
        """Add an input and its commands to a record, unless the record was removed."""
        step = record.step(message, commands)
        with self._lock:
            if not record.is_kept:
                return
            before_bytes = record.held_bytes
            try:
                record.add(step, now_s)
            finally:
                self.held_bytes += record.held_bytes - before_bytes
            if self.held_bytes > self._max_bytes:
                self._trim()

    def sessions(self, owner: str | None = None) -> list[SessionRow]:
        """Return the recorded sessions, of one owner or of all, the latest first."""
        with self._lock:
            return [each.describe() for each in reversed(self._records.values()) if owner in (None, each.owner)]

    def rows(self, session_id: str, after: int, owner: str | None = None) -> Page | None:
        """Return the first page of those rows of a session whose numbers are greater than `after`.

        Return None for an unknown session, and for a session of another owner.
        """
        with self._lock:
            record = self._records.get(session_id)
            if record is None or owner not in (None, record.owner):
                return None
            first, is_live = record.first, record.is_live
            begin = max(after + 1, first)
            packed = record.behind(begin)
        rows = [self._unpacked(n, each, record.hide) for n, each in zip(count(begin), packed, strict=False)]
        return Page(rows=rows, is_live=is_live, first=first, unix_s=record.unix_s)

    def _unpacked(self, n: int, packed: bytes, hide: Callable[[str], str]) -> Row:
        kept = _unpack(packed)
        return Row(
            n=n,
            step=kept.step,
            s=kept.s,
            leg=kept.leg,
            way=kept.way,
            generation=kept.generation,
            text=self._redact(hide(kept.text)),
            event=self._redact(hide(kept.event)),
            audio=[(size, loudness / 1000) for size, loudness in _FRAME.iter_unpack(kept.audio)] or None,
        )

    def _remove(self, session_id: str) -> None:
        record = self._records.pop(session_id, None)
        if record is not None:
            self.held_bytes -= record.held_bytes
            record.clear()

    def _trim(self) -> None:
        target = self._max_bytes - int(self._max_bytes * _SPARE)
        while self.held_bytes > target:
            largest = max(self._records.values(), key=lambda record: record.held_bytes)
            freed_bytes = largest.drop_oldest()
            if not freed_bytes:
                return
            self.held_bytes -= freed_bytes


class ObservedMachine:
    """A machine whose inputs and commands are recorded. A failure of the record never reaches the session."""

    def __init__(self, machine: Machine, record: Record, view: WireView) -> None:
        self._machine = machine
        self._record = record
        self._view = view

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input as the machine does, and record it with its commands."""
        commands = list(self._machine.handle(message, now_s))
        if not self._record.is_kept:
            return commands
        try:
            self._view.add(self._record, message, commands, now_s)
        except Exception:
            logger.exception("the wire view failed to record a %s", type(message).__name__)
        return commands

    def held_bytes(self) -> int:
        """Return the number of bytes that the machine keeps for its peers."""
        return self._machine.held_bytes()

    def describe(self) -> messages.Facts:
        """Return a few facts about the session; see `Machine.describe`."""
        return self._machine.describe()


class Step(msgspec.Struct, frozen=True):
    """An input and its effects, as rows without numbers."""

    rows: list[dict[str, Any]]
    is_last: bool
    """Whether the session ends with this step."""


class _Growing(msgspec.Struct):
    """A row of audio that still grows."""

    step: int
    s: float
    row: dict[str, Any]
    frames: bytearray


class Record:
    """The rows of one session. Its view guards it with a lock, except for `step`."""

    def __init__(
        self,
        session_id: str,
        profile: str,
        first_text: str,
        *,
        owner: str | None = None,
        hide: Callable[[str], str] | None = None,
    ) -> None:
        self.owner = owner
        self.hide = hide or str
        """A function that returns a message without the values that the session's policy has set."""
        self.unix_s = time.time()
        self.is_live = True
        self.is_kept = True
        """Whether the view still has this record. A record that was removed takes no further rows."""
        self.held_bytes = 0
        self._id = session_id
        self._profile = profile
        self._first_text = first_text
        self._rows: deque[bytes] = deque()
        self._count = 0
        self._steps = 0
        self._start_s: float | None = None
        self._audio: dict[tuple[str, str, int], _Growing] = {}
        """The audio rows that still grow, by leg, way and generation."""

    @property
    def first(self) -> int:
        """The number of the oldest row that still exists."""
        return self._count - len(self._rows) + 1

    def step(self, message: messages.Input, commands: list[messages.Command]) -> Step:
        """Return an input and its commands as rows. A timer or work without an effect on the wire has no row."""
        effects = [row for command in commands for row in _rows_of(command)]
        causes = _rows_of(message) or ([_cause(message)] if effects else [])
        if isinstance(message, messages.ClientOpened):
            effects.insert(0, {"leg": CLIENT, "way": SENT, "text": self._first_text})
        is_last = isinstance(message, messages.ClientClosed) or messages.EndSession in map(type, commands)
        return Step(rows=[*causes, *effects], is_last=is_last)

    def add(self, step: Step, now_s: float) -> None:
        """Add the rows of a step."""
        if self._start_s is None:
            self._start_s = now_s
        self._steps += 1
        for row in step.rows:
            self._append(now_s - self._start_s, row)
        if step.is_last:
            self._publish_audio()
            self.is_live = False
        while len(self._rows) > MAX_ROWS:
            self.drop_oldest()

    def behind(self, begin: int) -> list[bytes]:
        """Return the packed rows from a number on, one page of them. An audio row appears when it stops growing."""
        at = begin - self.first
        return list(islice(self._rows, at, at + PAGE_ROWS))

    def describe(self) -> SessionRow:
        """Return this session's row in the list of sessions."""
        return SessionRow(
            id=self._id, profile=self._profile, unix_s=self.unix_s, is_live=self.is_live, rows=self._count
        )

    def drop_oldest(self) -> int:
        """Drop the oldest row. Return the number of bytes that it held, or 0 if there is no row."""
        if not self._rows:
            return 0
        freed_bytes = len(self._rows.popleft()) + ROW_BYTES
        self.held_bytes -= freed_bytes
        return freed_bytes

    def clear(self) -> None:
        """Drop all rows, and take no further rows."""
        self.is_kept = False
        self.held_bytes = 0
        self._rows.clear()
        self._audio.clear()

    def _append(self, at_s: float, row: dict[str, Any]) -> None:
        frames = row.pop("audio", None)
        if not frames:
            self._publish_audio()
            self._push(_Packed(step=self._steps, s=at_s, **row))
            return
        key = (row["leg"], row.get("way", ""), row.get("generation", 0))
        growing = self._audio.get(key)
        if growing is None or at_s - growing.s >= AUDIO_ROW_S or len(growing.frames) >= MAX_FRAMES * _FRAME.size:
            if growing is not None:
                self._publish_audio()
            growing = self._audio[key] = _Growing(self._steps, at_s, row, bytearray())
            self.held_bytes += GROWING_BYTES
        growing.frames += frames
        self.held_bytes += len(frames)

    def _publish_audio(self) -> None:
        for growing in self._audio.values():
            self.held_bytes -= len(growing.frames) + GROWING_BYTES
            self._push(_Packed(step=growing.step, s=growing.s, audio=bytes(growing.frames), **growing.row))
        self._audio.clear()

    def _push(self, row: _Packed) -> None:
        packed = _pack(row)
        self._count += 1
        self._rows.append(packed)
        self.held_bytes += len(packed) + ROW_BYTES


# Rows of single messages.


def _rows_of(message: Any) -> list[dict[str, Any]]:
    describe = _DESCRIBES.get(type(message))
    return [] if describe is None else [describe(message)]


def _cause(message: Any) -> dict[str, Any]:
    name = getattr(message, "name", getattr(message, "key", ""))
    return {"leg": ROUTER, "event": f"{type(message).__name__} {name}".strip()}


def _client_frame(frame: str | bytes, way: str) -> dict[str, Any]:
    row = {"leg": CLIENT, "way": way}
    return {**row, **(_audio(frame) if isinstance(frame, bytes) else _text(frame))}


def _upstream_frame(frame: str | bytes, generation: int, way: str, *, is_binary: bool = False) -> dict[str, Any]:
    row = {"leg": UPSTREAM, "way": way, "generation": generation}
    if isinstance(frame, bytes):
        return {**row, **(_audio(frame) if is_binary else _text(frame.decode(errors="replace")))}
    return {**row, **_text(frame)}


def _audio(data: bytes) -> dict[str, Any]:
    return {"audio": _FRAME.pack(len(data), _loudness(data))}


def _text(text: str) -> dict[str, Any]:
    found = _LONG_AUDIO.search(text)
    if found and any(kind in text[:_TYPE_CHARS] for kind in _AUDIO_EVENTS):
        encoded = found[2]
        return {"audio": _FRAME.pack(len(encoded) * 3 // 4, _loudness_encoded(encoded))}
    return {"text": _LONG_AUDIO.sub(_shortened, text) if found else text}


def _shortened(found: re.Match[str]) -> str:
    return f'{found[1]}(base64, {len(found[2])} characters)"'


def _loudness(data: bytes) -> int:
    """Return the peak of some samples, from 0 to 1000. The result is correct only for linear16."""
    even = len(data) & ~1
    step = max(2, even // SAMPLES & ~1)
    peaks = (abs(int.from_bytes(data[at : at + 2], "little", signed=True)) for at in range(0, even, step))
    return round(max(peaks, default=0) * 1000 / 32768)


def _loudness_encoded(encoded: str) -> int:
    # Eight characters are six bytes, which are whole samples. They are decoded where the loudness is measured.
    step = max(8, len(encoded) // SAMPLES & ~7)
    data = binascii.a2b_base64("".join(encoded[at : at + 8] for at in range(0, len(encoded) - 8, step)))
    return _loudness(data)


def _opened(message: messages.UpstreamOpened) -> dict[str, Any]:
    return {"leg": UPSTREAM, "generation": message.generation, "event": f"upstream {message.generation} is connected"}


def _lost(message: messages.UpstreamLost) -> dict[str, Any]:
    loss, verdict = message.loss, message.verdict
    code = "" if loss.code is None else f" {loss.code}"
    reason = f" {loss.reason}" if loss.reason else ""
    event = f"upstream {message.generation} is lost: {loss.kind.value}{code}{reason}; {verdict.decision.value}"
    return {"leg": UPSTREAM, "generation": message.generation, "event": event}


def _dialled(message: messages.OpenUpstream) -> dict[str, Any]:
    what = "the standby is dialled" if message.is_standby else "is dialled"
    delay = f" after {message.delay_s:.1f} s" if message.delay_s else ""
    event = f"upstream {message.generation} {what}{delay}: {message.route}"
    return {"leg": UPSTREAM, "generation": message.generation, "event": event}


def _released(message: messages.CloseUpstream | messages.AbandonUpstream) -> dict[str, Any]:
    event = f"upstream {message.generation} is closed"
    return {"leg": UPSTREAM, "generation": message.generation, "event": event}


def _closed(message: messages.ClientClosed) -> dict[str, Any]:
    return {"leg": CLIENT, "event": f"the client closed: {message.closed.code} {message.closed.reason}".rstrip()}


def _ending(message: messages.EndSession) -> dict[str, Any]:
    return {"leg": CLIENT, "event": f"the session ends: {message.code} {message.reason}".rstrip()}


_DESCRIBES: Final[dict[type, Callable[[Any], dict[str, Any]]]] = {
    messages.ClientOpened: lambda _: {"leg": CLIENT, "event": "the client is connected"},
    messages.ClientAdopted: lambda _: {"leg": CLIENT, "event": "another process carried the session before"},
    messages.ClientTextReceived: lambda it: _client_frame(it.text, RECEIVED),
    messages.ClientBinaryReceived: lambda it: _client_frame(it.data, RECEIVED),
    messages.ClientClosed: _closed,
    messages.UpstreamOpened: _opened,
    messages.UpstreamTextReceived: lambda it: _upstream_frame(it.text, it.generation, RECEIVED),
    messages.UpstreamLost: _lost,
    messages.SendToClient: lambda it: _client_frame(it.frame, SENT),
    messages.UpstreamBinaryReceived: lambda it: _upstream_frame(it.data, it.generation, RECEIVED, is_binary=True),
    messages.SendToUpstream: lambda it: _upstream_frame(it.frame, it.generation, SENT, is_binary=it.is_binary),
    messages.OpenUpstream: _dialled,
    messages.CloseUpstream: _released,
    messages.AbandonUpstream: _released,
    messages.EndSession: _ending,
}
