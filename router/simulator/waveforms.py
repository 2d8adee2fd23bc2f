"""The samples of the voice, and of other audio in the formats of the API. Pure. Loads numpy."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]

_FORMANTS: Final = {
    "a": (730, 1090),
    "e": (530, 1840),
    "i": (270, 2290),
    "o": (570, 840),
    "u": (300, 870),
    "y": (290, 2100),
}
"""The first two formants of each vowel in Hz, which distinguish them."""
_LOUDNESS: Final = 7000


@functools.lru_cache(maxsize=1024)
def sound(kind: str, position: int, audio_format: str, count: int, rate: int) -> bytes:
    """Return the sound of a kind of character: `count` samples. The pitch falls with the letter's `position`."""
    times = np.arange(count) / rate
    # Each sound fades for 8 ms at both ends, so that no click is heard between two characters.
    fade = np.minimum(1.0, np.minimum(times, times[::-1]) / 0.008)
    samples = _wave(kind, position, times) * fade * _LOUDNESS
    return _ENCODERS[audio_format](samples.astype(np.int16))


def _wave(kind: str, position: int, times: Samples) -> Samples:
    if kind == "silence":
        return np.zeros(len(times))
    if kind == "consonant":
        # The noise is not random, so that it always sounds the same: a sine whose phase accelerates.
        noise: Samples = np.sin(np.cumsum(np.sin(np.arange(len(times)) ** 2 * (0.37 + position / 50)) * 3.0))
        return noise * 0.25
    pitch = 2 * np.pi * (150 - 5 * position) * times
    first, second = _FORMANTS[kind]
    partials = [
        np.sin(harmonic * pitch) / (1 + min(abs(harmonic * 130 - first), abs(harmonic * 130 - second)) / 120)
        for harmonic in range(1, 18)
    ]
    wave: Samples = np.sum(partials, axis=0) / 3
    return wave


def _pcm(samples: Samples) -> bytes:
    return samples.astype("<i2").tobytes()


def _mu_law(samples: Samples) -> bytes:
    """Encode G.711 mu-law."""
    values = samples.astype(np.int32)
    sign = np.where(values < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(values), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return _codes(~(sign | (exponent << 4) | mantissa))


def _a_law(samples: Samples) -> bytes:
    """Encode G.711 A-law."""
    values = samples.astype(np.int32) >> 3
    sign = np.where(values >= 0, 0x80, 0)
    magnitude = np.where(values >= 0, values, -values - 1)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    mantissa = np.where(exponent > 0, magnitude >> np.maximum(exponent, 1), magnitude >> 1) & 0x0F
    return _codes((sign | (exponent << 4) | mantissa) ^ 0x55)


def _codes(values: Samples) -> bytes:
    codes: NDArray[np.uint8] = (values & 0xFF).astype(np.uint8)
    return codes.tobytes()


_ENCODERS: Final = {"audio/pcm": _pcm, "audio/pcmu": _mu_law, "audio/pcma": _a_law}


def encoded(samples: Samples, audio_format: str) -> bytes:
    """Return 16-bit samples in a format of the API."""
    return _ENCODERS[audio_format](samples)


def silence(count: int, audio_format: str) -> bytes:
    """Return `count` samples of silence in a format of the API."""
    return encoded(np.zeros(count, dtype=np.int16), audio_format)


def decoded(audio: bytes, audio_format: str) -> Samples:
    """Return the linear samples of audio, without a trailing odd byte of PCM."""
    table = _DECODING.get(audio_format)
    if table is None:
        return np.frombuffer(audio, dtype="<i2", count=len(audio) // 2)
    return table[np.frombuffer(audio, dtype=np.uint8)]


def _mu_law_table() -> Samples:
    codes = ~np.arange(256) & 0xFF
    magnitude = (((codes & 0x0F) << 3) + 132 << ((codes & 0x70) >> 4)) - 132
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law_table() -> Samples:
    codes = np.arange(256) ^ 0x55
    exponent = (codes & 0x70) >> 4
    low = (codes & 0x0F) << 4
    magnitude = np.where(exponent == 0, low + 8, (low + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(codes & 0x80, magnitude, -magnitude).astype(np.int16)


_DECODING: Final = {"audio/pcmu": _mu_law_table(), "audio/pcma": _a_law_table()}
