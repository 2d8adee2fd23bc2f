"""Formats of raw audio in one channel: the encoding of a sample, and the rate. Independent of both wires."""

from __future__ import annotations

import functools
from typing import Final, Literal

import msgspec

Encoding = Literal["linear16", "linear32", "mulaw", "alaw"]
"""linear16 is a signed integer, and linear32 a float from -1 to 1, both little-endian.

mulaw and alaw are those of G.711.
"""

SAMPLE_BYTES: Final[dict[Encoding, int]] = {"linear16": 2, "linear32": 4, "mulaw": 1, "alaw": 1}

MAX_SAMPLE_BYTES: Final = 4
"""A multiple of every sample's size. Audio that is cut at a multiple of it is cut between samples in any encoding."""

_SILENCE: Final[dict[Encoding, bytes]] = {"linear16": b"\0", "linear32": b"\0", "mulaw": b"\xff", "alaw": b"\xd5"}

RATES: Final = range(8_000, 48_001)
"""Rates in samples per second. Audio can be converted between any two of them."""


class Format(msgspec.Struct, frozen=True, gc=False):
    """An encoding and a rate."""

    encoding: Encoding
    rate: int

    @property
    def sample_bytes(self) -> int:
        """The size of one sample in bytes."""
        return SAMPLE_BYTES[self.encoding]

    @property
    def bytes_per_s(self) -> int:
        """The size of a second of audio in bytes."""
        return self.rate * self.sample_bytes

    def size_bytes(self, duration_ms: float) -> int:
        """Return the size of `duration_ms` of audio in bytes, rounded up to a whole sample."""
        return self.sample_bytes * -int(-duration_ms * self.rate // 1000)

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(cls, encoding: Encoding, rate: int) -> Format:
        """Return a format as one object, which all sessions share."""
        return cls(encoding, rate)

    def duration_ms(self, size_bytes: int) -> float:
        """Return the duration of `size_bytes` of audio in milliseconds."""
        return size_bytes * 1000 / self.bytes_per_s

    def silence(self, duration_ms: float) -> bytes:
        """Return silence of at least `duration_ms`."""
        return _SILENCE[self.encoding] * self.size_bytes(duration_ms)


class Recording(msgspec.Struct, frozen=True, gc=False):
    """Audio in one piece."""

    data: bytes
    format: Format

    @property
    def duration_ms(self) -> float:
        """The duration of the recording in milliseconds."""
        return self.format.duration_ms(len(self.data))


LINEAR16_24K: Final = Format("linear16", 24_000)
MULAW_8K: Final = Format("mulaw", 8_000)
ALAW_8K: Final = Format("alaw", 8_000)


class UnsupportedRates(ValueError):  # noqa: N818 - a fact about two rates, not about this program
    """A conversion from `rate_in` to `rate_out` (Hz) is impossible, because one of them is not in `RATES`."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        super().__init__(rate_in, rate_out)
        self.rate_in = rate_in
        self.rate_out = rate_out

    def __str__(self) -> str:
        return f"cannot resample from {self.rate_in} Hz to {self.rate_out} Hz"
