"""RFC 6455 frames, pure: bytes in, events out, and the frames that the router sends.

This module knows no socket, thread or clock. The libraries do the handshakes. The frames are the router's own, because
a frame costs the libraries more time than the rest of the engine takes (docs/decisions/0002-frames-of-our-own.md). No
extension is ever negotiated, so RSV bits are violations. Only the masking comes from `websockets`, because it is
compiled there (docs/decisions/0010-compiled-masking.md).
"""

from __future__ import annotations

import os
import struct
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from actors.connections.close_codes import CloseCode, is_wire_code
from actors.traffic import NO_TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this machine, and nothing to compile it with
    from websockets.utils import apply_mask

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
MASKED: Final = 0x80

WHOLE_TEXT: Final = FIN | TEXT
WHOLE_BINARY: Final = FIN | BINARY

_WHOLE: Final = frozenset((WHOLE_TEXT, WHOLE_BINARY))

MAX_CONTROL_BYTES: Final = 125
MAX_REASON_BYTES: Final = MAX_CONTROL_BYTES - 2

_MAX_LENGTH: Final = 2**63 - 1
"""The largest length that a header may state: the most significant bit must be 0 (RFC 6455, 5.2)."""


class Ping(msgspec.Struct, frozen=True, gc=False):
    """A ping. The pong that answers it has the same payload."""

    payload: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """A pong: the answer to a ping, or unsolicited."""

    payload: bytes


class Close(msgspec.Struct, frozen=True, gc=False):
    """A close frame; code 1005 stands for a frame without a code. The parser reads nothing after it."""

    code: int
    reason: str


class ProtocolViolation(msgspec.Struct, frozen=True, gc=False):
    """A breach of the protocol by the peer, with the code to close with. The parser reads nothing after it."""

    close_code: int
    description: str


Event: TypeAlias = str | bytes | Ping | Pong | Close | ProtocolViolation
"""A received frame or message: `str` is a whole text message, `bytes` a whole binary one."""


class _ViolationError(Exception):
    def __init__(self, close_code: int, description: str) -> None:
        super().__init__(description)
        self.event = ProtocolViolation(close_code, description)


_LARGE_BYTES: Final = 1024 * 1024
"""The length from which a frame of a client is unmasked where it is, without a copy."""


class FrameParser:
    """A parser of the peer's bytes, which may be cut anywhere, into events.

    With `is_server` the peer is a client, whose frames are masked. Otherwise the peer is a server, whose frames are not
    masked. Text messages may have a lower bound than binary ones (`max_text_bytes`), because parsing a text costs more
    than passing bytes on.
    """

    __slots__ = (
        "_is_done",
        "_mask_bit",
        "_max_message_bytes",
        "_max_text_bytes",
        "_message",
        "_message_opcode",
        "_needed_bytes",
        "_partial",
        "held_bytes",
        "is_cut",
        "traffic",
    )

    def __init__(self, is_server: bool, max_message_bytes: int, max_text_bytes: int | None = None) -> None:
        self._mask_bit = MASKED if is_server else 0
        self._max_message_bytes = max_message_bytes
        self._max_text_bytes = min(max_message_bytes, max_message_bytes if max_text_bytes is None else max_text_bytes)
        # An empty bytearray takes 56 bytes, and nearly no connection has anything unfinished.
        self._partial: bytes | bytearray = b""
        self._needed_bytes = 0
        self._message: bytes | bytearray = b""
        self._message_opcode = 0
        self._is_done = False
        self.held_bytes = 0
        """The bytes of the message, and of the frame, that are not whole yet."""
        self.is_cut = False
        """Whether the bytes so far end within a message, unless the parser reads nothing any more."""
        self.traffic = NO_TRAFFIC
        """The counts that the messages, and the bytes of whole frames, add to."""

    @property
    def unfinished_frame(self) -> bytes | None:
        """The bytes of the frame that is not whole yet; None within a message of several frames, and after the end.

        In these two cases the bytes of the frame do not suffice for another parser to continue.
        """
        return None if self._is_done or self._message_opcode else bytes(self._partial)

    @property
    def is_between_messages(self) -> bool:
        """Whether no message is unfinished after the bytes so far."""
        return not (self.is_cut or self._is_done)

    def abandon(self) -> None:
        """Drop an unfinished message, and all that follows."""
        self._finish()

    def feed(self, data: bytes) -> list[Event]:
        """Parse received bytes. Return the events that they complete: none after a `Close` or `ProtocolViolation`."""
        if self._is_done:
            return []
        if self._partial:
            # Parse again only when the frame is whole. So a large frame in small pieces is copied twice, not once per
            # piece.
            self._partial += data
            if len(self._partial) < self._needed_bytes:
                self.held_bytes += len(data)
                return []
            # A copy of 16 MB costs up to 5 ms. Only an unmasked payload has to be a copy.
            is_copied = len(self._partial) < _LARGE_BYTES or not self._mask_bit
            data = bytes(self._partial) if is_copied else self._partial  # type: ignore[assignment] # it is only read
            self._partial = b""
        events: list[Event] = []
        try:
            rest = self._parse(data, events)
        except _ViolationError as error:
            events.append(error.event)
            self._finish()
            self.traffic.received_bytes += len(data)
        else:
            # Count here and not in the connection. Its class has many bases, so its attributes cost several times as
            # much.
            self.traffic.received_bytes += rest
            if rest < len(data) and not self._is_done:
                self._partial = bytearray(memoryview(data)[rest:])
        if self._partial or self._message_opcode or self.is_cut:
            self.held_bytes = len(self._partial) + len(self._message)
            self.is_cut = bool(self._partial or self._message_opcode)
        return events

    def _parse(self, data: bytes, events: list[Event]) -> int:
        """Append the events of all whole frames to `events`. Return where the first frame that is not whole begins."""
        position, size = 0, len(data)
        while not self._is_done:
            payload_at = position + 2
            if size < payload_at:
                self._needed_bytes = 2
                break
            first, second = data[position], data[position + 1]
            length = second & 0x7F
            if length > MAX_CONTROL_BYTES:
                extended_at = payload_at
                payload_at += 2 if length == 126 else 8  # noqa: PLR2004 - RFC 6455, 5.2
                if size < payload_at:
                    self._needed_bytes = payload_at - position
                    break
                length = int.from_bytes(data[extended_at:payload_at], "big")
            # Check the header before the payload arrives: a frame that is too big must not fill the memory first.
            # Nearly every frame is a small whole message outside of any other.
            is_ordinary = (
                first in _WHOLE
                and second & MASKED == self._mask_bit
                and not self._message_opcode
                and length <= self._max_text_bytes
            )
            if not is_ordinary:
                self._check(first, second, length)
            if self._mask_bit:
                payload_at += 4
            end = payload_at + length
            if size < end:
                self._needed_bytes = end - position
                break
            if self._mask_bit:
                # The mask makes a copy anyway.
                masked = data[payload_at:end] if length < _LARGE_BYTES else memoryview(data)[payload_at:end]
                payload = apply_mask(masked, data[payload_at - 4 : payload_at])
            else:
                payload = data[payload_at:end]
            position = end
            # Nearly every frame is one of these two: a call costs as much as the rest of the parsing.
            if first in _WHOLE:
                events.append(payload if first == WHOLE_BINARY else _decode(payload))
                self.traffic.received_messages += 1
            else:
                before = len(events)
                self._take(first, payload, events)
                self.traffic.received_messages += len(events) - before
        return position

    def _check(self, first: int, second: int, length: int) -> None:
        """Check a frame by its header: its first two bytes and its length.

        Raise `_ViolationError` for a breach of the protocol.
        """
        opcode = _OPCODES.get(first)
        if opcode is None:
            raise _ViolationError(CloseCode.PROTOCOL_ERROR, _header_problem(first))
        if second & MASKED != self._mask_bit:
            raise _ViolationError(CloseCode.PROTOCOL_ERROR, "unmasked frame" if self._mask_bit else "masked frame")
        if opcode >= CLOSE:  # a control frame, which may stand between the fragments of a message
            if length > MAX_CONTROL_BYTES:
                raise _ViolationError(CloseCode.PROTOCOL_ERROR, f"control frame of {length} bytes")
            return
        # A continuation needs a message that is open, any other data frame needs none (RFC 6455, 5.4).
        if (opcode == CONTINUATION) is not (self._message_opcode != 0):
            raise _ViolationError(CloseCode.PROTOCOL_ERROR, _OUT_OF_TURN[opcode == CONTINUATION])
        if length > _MAX_LENGTH:
            raise _ViolationError(CloseCode.PROTOCOL_ERROR, "frame length of 64 bits")
        size_bytes = len(self._message) + length
        if size_bytes > self._max_text_bytes:
            self._check_size(opcode or self._message_opcode, size_bytes)

    def _check_size(self, opcode: int, size_bytes: int) -> None:
        if opcode == TEXT and self._max_text_bytes < self._max_message_bytes:
            raise _ViolationError(CloseCode.MESSAGE_TOO_BIG, f"text message over {self._max_text_bytes} bytes")
        if size_bytes > self._max_message_bytes:
            raise _ViolationError(CloseCode.MESSAGE_TOO_BIG, f"message over {self._max_message_bytes} bytes")

    def _take(self, first: int, payload: bytes, events: list[Event]) -> None:
        if first & 0x08:
            events.append(self._control(first & 0x0F, payload))
        else:
            self._take_fragment(first, payload, events)

    def _take_fragment(self, first: int, payload: bytes, events: list[Event]) -> None:
        if first & 0x0F:  # the first fragment names the type of the whole message
            self._message_opcode = first & 0x0F
            self._message = bytearray()
        self._message += payload
        if not first & FIN:
            return
        message, opcode = bytes(self._message), self._message_opcode
        self._message, self._message_opcode = b"", 0
        # Decode only the whole message, because a character may be split between two fragments.
        events.append(_decode(message) if opcode == TEXT else message)

    def _control(self, opcode: int, payload: bytes) -> Event:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        close = _parse_close(payload)
        self._finish()
        return close

    def _finish(self) -> None:
        self._is_done = True
        self._partial = self._message = b""
        self.held_bytes = 0


_DATA_OPCODES: Final = (CONTINUATION, TEXT, BINARY)
_CONTROL_OPCODES: Final = (CLOSE, PING, PONG)

_OPCODES: Final = {opcode: opcode for opcode in _DATA_OPCODES} | {
    FIN | opcode: opcode for opcode in _DATA_OPCODES + _CONTROL_OPCODES
}
"""The first bytes that a frame may have, with their opcodes: a control frame only with FIN, and no RSV bit."""

_OUT_OF_TURN: Final = ("data frame inside a fragmented message", "continuation of nothing")


def _header_problem(first: int) -> str:
    # In the order of the bits: with an RSV bit set the opcode has no meaning.
    opcode = first & 0x0F
    if first & 0x70:
        return f"reserved bits set: {first:#04x}"
    if opcode in _CONTROL_OPCODES:
        return "fragmented control frame"
    return f"unknown opcode {opcode:#x}"


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise _ViolationError(CloseCode.INVALID_DATA, f"invalid UTF-8 at byte {error.start}") from None


def _parse_close(payload: bytes) -> Close:
    if not payload:
        return Close(CloseCode.NO_STATUS_RCVD, "")
    if len(payload) == 1:
        raise _ViolationError(CloseCode.PROTOCOL_ERROR, "close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not is_wire_code(code):
        raise _ViolationError(CloseCode.PROTOCOL_ERROR, f"close code {code}")
    return Close(code, _decode(payload[2:]))


def messages_end(data: bytes) -> int:
    """Return the offset after the last whole message, or after the last whole control frame between messages.

    `data` begins with a frame.
    """
    end = position = 0
    is_open = False
    while (behind := _frame_end(data, position)) is not None:
        first = data[position]
        if not first & 0x08:
            is_open = not first & FIN
        position = behind
        if not is_open:
            end = position
    return end


def _frame_end(data: bytes, position: int) -> int | None:
    if len(data) < position + 2:
        return None
    payload_at, length = position + 2, data[position + 1] & 0x7F
    if length > MAX_CONTROL_BYTES:
        extended_at, payload_at = payload_at, payload_at + (2 if length == 126 else 8)  # noqa: PLR2004 - RFC 6455, 5.2
        if len(data) < payload_at:
            return None
        length = int.from_bytes(data[extended_at:payload_at], "big")
    end = payload_at + (4 if data[position + 1] & MASKED else 0) + length
    return end if end <= len(data) else None


# Frames to send.


def joined(events: Sequence[Event], max_bytes: int) -> list[Event]:
    """Join binary messages that follow one another into messages of up to `max_bytes`.

    Return the joined messages and the other events, in order.
    """
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if type(event) is bytes and type(last) is bytes and len(last) + len(event) <= max_bytes:
            result[-1] = last + event
        else:
            result.append(event)
    return result


def text_frames(text: str | bytes, *, mask: bool, max_frame_bytes: int) -> list[bytes]:
    """Build one text message, fragmented if it is longer than `max_frame_bytes`. A cut may split a character."""
    payload = text.encode() if isinstance(text, str) else text
    if len(payload) <= max_frame_bytes:
        return [_frame(WHOLE_TEXT, payload, mask)]
    *pieces, last = _cut(payload, max_frame_bytes)
    frames = [_frame(CONTINUATION, piece, mask) for piece in pieces[1:]]
    return [_frame(TEXT, pieces[0], mask), *frames, _frame(FIN | CONTINUATION, last, mask)]


def binary_frames(data: bytes, *, mask: bool, max_frame_bytes: int) -> list[bytes]:
    """Build one binary message, or several if it is longer than `max_frame_bytes`.

    Cuts are at even offsets, so that no 16-bit sample is split between two messages.
    """
    if len(data) <= max_frame_bytes:
        return [_frame(WHOLE_BINARY, data, mask)]
    even_bytes = max(2, max_frame_bytes & ~1)
    return [_frame(WHOLE_BINARY, piece, mask) for piece in _cut(data, even_bytes)]


def ping_frame(payload: bytes = b"", *, mask: bool) -> bytes:
    """Build a ping, with at most 125 bytes of payload."""
    return _frame(FIN | PING, payload[:MAX_CONTROL_BYTES], mask)


def pong_frame(payload: bytes, *, mask: bool) -> bytes:
    """Build the answer to a ping, with its payload."""
    return _frame(FIN | PONG, payload[:MAX_CONTROL_BYTES], mask)


def close_frame(code: int, reason: str = "", *, mask: bool) -> bytes:
    """Build a close frame. It has no code if `code` may not appear on the wire (1005, 1006, 1015)."""
    if not is_wire_code(code):
        return _frame(FIN | CLOSE, b"", mask)
    return _frame(FIN | CLOSE, code.to_bytes(2, "big") + shorten(reason), mask)


def shorten(reason: str) -> bytes:
    """Return the reason of a close frame as UTF-8, cut to the bytes for which such a frame has room."""
    # A lone surrogate has no UTF-8 form and is replaced. A cut drops the character that it would split.
    encoded = reason.encode(errors="replace")
    if len(encoded) <= MAX_REASON_BYTES:
        return encoded
    return encoded[:MAX_REASON_BYTES].decode(errors="ignore").encode()


def _cut(payload: bytes, piece_bytes: int) -> list[bytes]:
    return [payload[at : at + piece_bytes] for at in range(0, len(payload), piece_bytes)]


_pack_16: Final = struct.Struct("!BBH").pack
_pack_64: Final = struct.Struct("!BBQ").pack


def _frame(first: int, payload: bytes, mask: bool) -> bytes:
    length = len(payload)
    mask_bit = MASKED if mask else 0
    if length <= MAX_CONTROL_BYTES:
        header = bytes((first, mask_bit | length))
    elif length <= 0xFFFF:  # noqa: PLR2004 - RFC 6455, 5.2
        header = _pack_16(first, mask_bit | 126, length)
    else:
        header = _pack_64(first, mask_bit | 127, length)
    if not mask:
        return header + payload
    try:
        key = _keys.pop()
    except IndexError:
        key = _new_key()
    return header + key + apply_mask(payload, key)


_KEY_BATCH: Final = 1024
"""The number of masking keys that one system call brings."""

_keys: deque[bytes] = deque()
os.register_at_fork(after_in_child=_keys.clear)  # parent and child must not use the same keys


def _new_key() -> bytes:
    """Return four unpredictable bytes (RFC 6455, 5.3), and prepare more: a system call per frame would cost more."""
    fresh = os.urandom(4 * _KEY_BATCH)
    _keys.extend(fresh[at : at + 4] for at in range(4, len(fresh), 4))
    return fresh[:4]
