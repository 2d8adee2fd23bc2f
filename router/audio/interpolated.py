"""The filter between two sample rates without a small ratio, such as 12345 and 24000 Hz.

The coefficients are computed for 128 positions between two samples, and an output between two positions is interpolated
from both. The error is 80 dB below the signal. The time of every output is exact, because an approximate ratio would
drift. The arithmetic costs several times as much as that of `polyphase`. All rates need the same memory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from router.audio.polyphase import HIGHEST, LEVEL, LINEAR16, LOWEST, SAMPLE_BYTES, coefficients, taps_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITIONS: Final = 128
"""The number of positions between one sample and the next."""


@lru_cache(maxsize=32)
def _filter(rate_in: int, rate_out: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a row of coefficients for each position between two samples, and the difference to the next row.

    All these numbers are exact in float64 (see `polyphase`).
    """
    fractions = np.arange(POSITIONS + 1) / POSITIONS
    rows = coefficients(fractions, taps_of(rate_in, rate_out), rate_in, rate_out)
    return rows[:-1], np.diff(rows, axis=0)


class InterpolatedStream:
    """One stream between two rates. It keeps the last input samples, from which further output is computed."""

    __slots__ = ("_differences", "_offset", "_rows", "_step_in", "_step_out", "_tail", "_taps")

    is_costly: Final = True
    """See `Converter.is_costly`."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = math.gcd(rate_in, rate_out)
        self._step_in, self._step_out = rate_in // common, rate_out // common
        self._taps = taps_of(rate_in, rate_out)
        self._rows, self._differences = _filter(rate_in, rate_out)
        self.restart()

    def restart(self) -> None:
        """Begin a new stream, as if silence came before it."""
        self._tail = bytes(SAMPLE_BYTES * (self.margin - 1))
        self._offset = 0
        """The distance from the first unread sample to the next output.

        The unit of the distance is one `_step_out`th of a sample.
        """

    @property
    def memory(self) -> list[Any]:
        """The unread samples, and the place of the next output among them."""
        return [self._tail, self._offset]

    @memory.setter
    def memory(self, memory: list[Any]) -> None:
        self._tail, self._offset = memory

    @property
    def margin(self) -> int:
        """The number of input samples after an output sample that its computation needs."""
        return self._taps // 2

    def convert(self, pcm: bytes) -> bytes:
        """Take whole samples and return the output samples that they determine."""
        line = self._tail + pcm
        last = len(line) // SAMPLE_BYTES - self._taps
        outputs = -(-((last + 1) * self._step_out - self._offset) // self._step_in)
        if outputs <= 0:
            self._tail = line
            return b""
        # Compute one offset more than there are outputs, because the last one is the beginning of the next call.
        offsets = self._offset + np.arange(outputs + 1) * self._step_in
        first, parts = np.divmod(offsets, self._step_out)
        samples = np.frombuffer(line, LINEAR16).astype(LEVEL)
        made = self._interpolate(sliding_window_view(samples, self._taps)[first[:-1]], parts[:-1])
        self._tail, self._offset = line[SAMPLE_BYTES * int(first[-1]) :], int(parts[-1])
        return made

    def _interpolate(self, windows: NDArray[np.float64], parts: NDArray[np.int64]) -> bytes:
        position, rest = np.divmod(parts * POSITIONS, self._step_out)
        levels = np.einsum("ij,ij->i", windows, self._rows[position])
        slopes = np.einsum("ij,ij->i", windows, self._differences[position])
        levels += slopes * (rest / self._step_out)
        levels.clip(LOWEST, HIGHEST, levels)
        np.rint(levels, levels)
        made: bytes = levels.astype(LINEAR16).tobytes()
        return made
