"""The filter between two sample rates that have no small ratio, such as 12345 and 24000 Hz.

Its coefficients are known for so many positions between two samples; an output that lies between two of these is
interpolated from what both make. With 128 of them the error of that lies 80 dB below the signal, and its time is
exact. That costs several times the arithmetic of `polyphase`, and no more memory whatever the rates.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from router.audio.polyphase import HIGHEST, LEVEL, LINEAR16, LOWEST, SAMPLE_BYTES, coefficients, taps_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITIONS: Final = 128
"""Between one sample and the next."""


@lru_cache(maxsize=32)
def _filter(rate_in: int, rate_out: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The coefficients of each position, and how they differ from those of the next; both exact (see `polyphase`)."""
    fractions = np.arange(POSITIONS + 1) / POSITIONS
    rows = coefficients(fractions, taps_of(rate_in, rate_out), rate_in, rate_out)
    return rows[:-1], np.diff(rows, axis=0)


class InterpolatedStream:
    """The samples of one stream that are still to be read: less than the taps of one output."""

    __slots__ = ("_differences", "_line", "_offset", "_rows", "_step_in", "_step_out", "_taps")

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = math.gcd(rate_in, rate_out)
        self._step_in, self._step_out = rate_in // common, rate_out // common
        self._taps = taps_of(rate_in, rate_out)
        self._rows, self._differences = _filter(rate_in, rate_out)
        self.restart()

    def restart(self) -> None:
        """Forget what came, as if nothing but silence had been before."""
        self._line = bytes(SAMPLE_BYTES * (self.margin - 1))
        self._offset = 0
        """Of the next output behind the first sample of the line, in parts of a sample: `_step_out` make one."""

    @property
    def margin(self) -> int:
        """Input samples behind an output sample that must be known before it can be made."""
        return self._taps // 2

    def convert(self, pcm: bytes) -> bytes:
        """Feed whole samples; what they determine."""
        line = self._line + pcm
        last = len(line) // SAMPLE_BYTES - self._taps
        outputs = -(-((last + 1) * self._step_out - self._offset) // self._step_in)
        if outputs <= 0:
            self._line = line
            return b""
        offsets = self._offset + np.arange(outputs + 1) * self._step_in
        first, parts = np.divmod(offsets, self._step_out)
        samples = np.frombuffer(line, LINEAR16).astype(LEVEL)
        made = self._made(sliding_window_view(samples, self._taps)[first[:-1]], parts[:-1])
        self._line, self._offset = line[SAMPLE_BYTES * int(first[-1]) :], int(parts[-1])
        return made

    def _made(self, windows: NDArray[np.float64], parts: NDArray[np.int64]) -> bytes:
        position, rest = np.divmod(parts * POSITIONS, self._step_out)
        levels = np.einsum("ij,ij->i", windows, self._rows[position])
        slopes = np.einsum("ij,ij->i", windows, self._differences[position])
        levels += slopes * (rest / self._step_out)
        levels.clip(LOWEST, HIGHEST, levels)
        np.rint(levels, levels)
        made: bytes = levels.astype(LINEAR16).tobytes()
        return made
