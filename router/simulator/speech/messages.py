"""The messages between the simulator and its speech processes.

Each message is sent as its length in four bytes, and then its content as MessagePack.

A process answers all requests in order, one at a time.
"""

from __future__ import annotations

import struct
from typing import IO, Final

import msgspec

_LENGTH: Final = struct.Struct(">I")
MAX_BYTES: Final = 64 * 1024 * 1024
"""The largest message, in bytes. If the length is greater, the bytes are not a message, but the output of a library."""


class Recognize(msgspec.Struct, frozen=True, tag="recognize"):
    """A request for the words of a turn."""

    audio: bytes
    audio_format: str


class Recognized(msgspec.Struct, frozen=True, tag="recognized"):
    """The words of a turn; `text` is empty if the sound has no words."""

    text: str


class Synthesize(msgspec.Struct, frozen=True, tag="synthesize"):
    """A request for the sound of a text."""

    text: str
    voice: str
    audio_format: str


class Speech(msgspec.Struct, frozen=True, tag="speech"):
    """The sound of a text."""

    audio: bytes
    words: tuple[tuple[int, int], ...]
    """The index in the text, and the time in milliseconds, of each word whose start is known; in ascending order."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A request that raised an exception in the process."""

    cause: str


Request = Recognize | Synthesize
Result = Recognized | Speech | Failed

_encode: Final = msgspec.msgpack.encode
_requests: Final = msgspec.msgpack.Decoder(Recognize | Synthesize)
_results: Final = msgspec.msgpack.Decoder(Recognized | Speech | Failed)


def write(stream: IO[bytes], message: Request | Result) -> None:
    """Write one message, and flush it."""
    data = _encode(message)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def read_request(stream: IO[bytes]) -> Request | None:
    """Read the next request, or return None at the end of the stream."""
    data = _read(stream)
    return None if data is None else _requests.decode(data)


def read_result(stream: IO[bytes]) -> Result | None:
    """Read the next result, or return None at the end of the stream; raises `ValueError` for other bytes."""
    data = _read(stream)
    return None if data is None else _results.decode(data)


def _read(stream: IO[bytes]) -> bytes | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise ValueError(f"a message of {length} bytes")
    data = stream.read(length)
    return data if len(data) == length else None
