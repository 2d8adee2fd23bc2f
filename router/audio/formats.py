"""linear16: signed 16-bit little-endian PCM, one channel. Sizes and silence; must not know a wire."""

from __future__ import annotations

from typing import Final

SAMPLE_BYTES: Final = 2
"""One linear16 sample."""

UPSTREAM_RATE: Final = 24_000
"""The only rate of the Realtime API's `audio/pcm`."""

INPUT_RATES: Final = (8_000, 16_000, 24_000, 44_100, 48_000)
"""What a client's `audio.input.sample_rate` may be."""

RATES: Final = range(8_000, 48_001)
"""What can be resampled at all (an odd pair among them cannot: its filter would have thousands of phases)."""


class UnsupportedRates(ValueError):  # noqa: N818 - a fact about two rates, not about this program
    """No filter of reasonable size leads from `rate_in` to `rate_out` (Hz)."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        super().__init__(rate_in, rate_out)
        self.rate_in = rate_in
        self.rate_out = rate_out

    def __str__(self) -> str:
        return f"cannot resample from {self.rate_in} Hz to {self.rate_out} Hz"


def linear16_bytes(duration_ms: float, sample_rate: int) -> int:
    """Size of `duration_ms` of audio, rounded up to a whole sample."""
    return SAMPLE_BYTES * -int(-duration_ms * sample_rate // 1000)


def duration_ms(size_bytes: int, sample_rate: int) -> float:
    """Length of `size_bytes` of audio."""
    return size_bytes * 1000 / (SAMPLE_BYTES * sample_rate)


def silence(duration_ms: float, sample_rate: int) -> bytes:
    """Silence of at least `duration_ms`."""
    return bytes(linear16_bytes(duration_ms, sample_rate))
