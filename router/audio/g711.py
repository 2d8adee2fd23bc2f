"""G.711: mu-law and A-law as tables, made by the rules of ITU-T's reference code (G.191). Loads no numpy.

In both laws a code has a sample's sign, the place of its highest bit, and the four bits after that bit. A negative
sample is written as its ones' complement, so that the two halves of a table mirror each other.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Law = Literal["mulaw", "alaw"]

_SIGN: Final = 0x80
"""The bit that is set in the code of a sample that is not negative."""

_FLIPPED: Final = bytes(code ^ _SIGN for code in range(256))


def _mulaw_code(sample: int) -> int:
    """Return the code of a sample from 0 to 32767."""
    magnitude = min((sample >> 2) + 33, 0x1FFF)
    segment = magnitude.bit_length() - 6
    return 0xFF - (segment << 4 | magnitude >> segment + 1 & 0x0F)


def _mulaw_sample(code: int) -> int:
    inverted = ~code & 0xFF
    magnitude = ((inverted & 0x0F) << 3) + 132 << (inverted >> 4 & 7)
    return magnitude - 132 if code & _SIGN else 132 - magnitude


def _alaw_code(sample: int) -> int:
    magnitude = sample >> 4
    segment = max(0, magnitude.bit_length() - 4)
    steps = magnitude >> max(0, segment - 1) & 0x0F
    return (_SIGN | segment << 4 | steps) ^ 0x55


def _alaw_sample(code: int) -> int:
    plain = code ^ 0x55
    segment, steps = plain >> 4 & 7, plain & 0x0F
    magnitude = ((steps << 4) + (0x108 if segment else 8)) << max(0, segment - 1)
    return magnitude if plain & _SIGN else -magnitude


_CODES: Final[dict[Law, Callable[[int], int]]] = {"mulaw": _mulaw_code, "alaw": _alaw_code}
_SAMPLES: Final[dict[Law, Callable[[int], int]]] = {"mulaw": _mulaw_sample, "alaw": _alaw_sample}

_STEP: Final = 4
"""The smallest step between samples with different codes: 4 in mu-law. In A-law it is 16."""


@cache
def code_table(law: Law) -> bytes:
    """Return the codes of all linear16 samples. The index of a sample is its two bytes as an unsigned number."""
    codes = b"".join(bytes((_CODES[law](sample),)) * _STEP for sample in range(0, 32768, _STEP))
    return codes + codes[::-1].translate(_FLIPPED)


@cache
def _sample_tables(law: Law) -> tuple[bytes, bytes]:
    """Return two tables, indexed by the code: the low bytes of the linear16 samples, and their high bytes."""
    samples = [_SAMPLES[law](code) & 0xFFFF for code in range(256)]
    return bytes(sample & 0xFF for sample in samples), bytes(sample >> 8 for sample in samples)


def decoded(law: Law, codes: bytes) -> bytes:
    """Return the linear16 samples of these codes."""
    low, high = _sample_tables(law)
    pcm = bytearray(2 * len(codes))
    pcm[0::2] = codes.translate(low)
    pcm[1::2] = codes.translate(high)
    return bytes(pcm)
