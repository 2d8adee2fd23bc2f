"""The filter between two sample rates: a windowed sinc, divided into phases, as one matrix.

Between two rates in the ratio L/M (lowest terms), every M input samples make L output samples. Each output sample is
the inner product of a window of input samples and one of L sets of coefficients. A block of M samples, or of several
times M, is therefore one row of input times one matrix. A frame is a few rows.

A pair without a small common ratio would need thousands of sets. `interpolated` converts such a pair.

Loads numpy, so it is imported only if a session resamples. docs/performance.md has the measurements.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from router.audio import compiled
from router.audio.formats import RATES, UnsupportedRates

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TAPS: Final = 48
"""The length of the filter in samples of the lower of the two rates: 3 ms at 16 kHz. Half of it is held back."""

CUT_OFF: Final = 0.93
"""The middle of the transition band, as a part of the lower Nyquist frequency. The band is 0.85 to 1.01 of it."""

STOP_BAND_DB: Final = 60.0
"""The attenuation in dB for which the Kaiser window is designed."""

COEFFICIENT_BITS: Final = 24
"""Coefficients are multiples of 2**-24, so that every product with a 16-bit sample, and every sum of products, is
exact in float64. So the output does not depend on the order in which the linear algebra sums."""

LOW_BITS: Final = 11
"""The compiled filter takes a coefficient in two parts. The low part has this many bits, and a sign."""

MAX_GAIN: Final = 4.0
"""The largest sum of coefficients for which the compiled filter's sums fit into 32 bits. All filters have less."""

BLOCK_SAMPLES: Final = 16
"""The number of input samples between one row and the next, roughly.

A smaller block copies more windows, and a larger block multiplies more zeros.
"""

MAX_COEFFICIENTS: Final = 1 << 16
"""The most coefficients of a matrix (512 kB). 11025 Hz needs nearly as many, and the other common rates need fewer."""

SAMPLE_BYTES: Final = 2
LINEAR16: Final = np.dtype("<i2")
LOWEST: Final = np.array(-32768.0)
HIGHEST: Final = np.array(32767.0)
LEVEL: Final = np.dtype(np.float64)


def taps_of(rate_in: int, rate_out: int) -> int:
    """Return the number of input samples from which one output sample is computed. It is even."""
    return 2 * math.ceil(TAPS / 2 * max(1.0, rate_in / rate_out))


def coefficients(fractions: NDArray[np.float64], taps: int, rate_in: int, rate_out: int) -> NDArray[np.float64]:
    """Return one row of `taps` coefficients for each of `fractions`.

    A row computes the output sample from `taps` input samples. The output lies between their two middle samples, the
    fraction of a sample behind the earlier of them.
    """
    half = taps // 2
    distance = np.arange(1 - half, half + 1) - fractions[:, np.newaxis]
    beta = 0.1102 * (STOP_BAND_DB - 8.7)  # Kaiser's formula for an attenuation above 50 dB
    shape = np.i0(beta * np.sqrt(np.maximum(0.0, 1 - (distance / half) ** 2)))
    rows = np.sinc(CUT_OFF * min(1.0, rate_out / rate_in) * distance) * shape
    rows /= rows.sum(axis=1, keepdims=True)  # every phase passes a constant unchanged
    scale = 1 << COEFFICIENT_BITS
    return np.asarray(np.rint(rows * scale) / scale)


class Polyphase:
    """One designed filter. It is immutable, and all streams between the same two rates share it."""

    __slots__ = (
        "block_in",
        "block_out",
        "coefficients",
        "made",
        "padding",
        "quiet",
        "row_strides",
        "taps",
        "window",
    )

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = math.gcd(rate_in, rate_out)
        blocks = max(1, BLOCK_SAMPLES * common // rate_in)
        self.block_in: Final = blocks * rate_in // common
        """The number of input samples between one row and the next."""
        self.block_out: Final = blocks * rate_out // common
        """The number of output samples of a row."""
        self.taps: Final = taps_of(rate_in, rate_out)
        self.window: Final = (self.block_out - 1) * self.block_in // self.block_out + self.taps
        """The number of input samples that a row reads."""
        self.coefficients: Final = self._matrix(rate_in, rate_out)
        """The matrix, `window` by `block_out`."""
        self.padding: Final = bytes(SAMPLE_BYTES * (self.window + self.block_in))
        """Zeros that the last row may read after the known samples. No used output depends on them."""
        self.quiet: Final = self._quiet_bytes()
        """The high bytes of quiet samples. No output of such samples can leave the range of 16 bits."""
        self.row_strides: Final = (self.block_in * LINEAR16.itemsize, LINEAR16.itemsize)
        self.made: Final[Callable[[bytes, int, int], bytes]] = self._compiled() or self.made_by_numpy
        """The function that computes the output samples of a line; see `made_by_numpy`."""

    def _matrix(self, rate_in: int, rate_out: int) -> NDArray[np.float64]:
        first, phase = np.divmod(np.arange(self.block_out) * self.block_in, self.block_out)
        rows = coefficients(phase / self.block_out, self.taps, rate_in, rate_out)
        matrix = np.zeros((self.window, self.block_out))
        matrix[first[:, np.newaxis] + np.arange(self.taps), np.arange(self.block_out)[:, np.newaxis]] = rows
        return matrix

    def _quiet_bytes(self) -> bytes:
        largest_gain = float(np.abs(self.coefficients).sum(axis=0).max())
        limit = int(HIGHEST / largest_gain) >> 8
        return bytes(high for high in range(256) if (high if high < 128 else 255 - high) < limit)  # noqa: PLR2004

    def made_by_numpy(self, line: bytes, first: int, outputs: int) -> bytes:
        """Return the output samples of the input samples in `line`, from the index `first` up to `outputs`.

        The line begins with the first input sample of a row of the matrix product. It has all input samples from which
        these outputs are computed.
        """
        # Every frame may come through here, and a call into numpy costs 1 to 2 µs. So operations on bytes do the rest.
        rows = -(-outputs // self.block_out)
        # The windows of the rows overlap. A strided view gives them without a copy.
        samples = line + self.padding
        windows: NDArray[np.int16] = np.ndarray((rows, self.window), LINEAR16, samples, 0, self.row_strides)
        levels: NDArray[np.float64] = windows.dot(self.coefficients)
        if line[1::SAMPLE_BYTES].translate(None, self.quiet):  # only for a loud sample, which most frames lack
            levels.clip(LOWEST, HIGHEST, levels)
        np.rint(levels, levels)
        return levels.astype(LINEAR16).tobytes()[SAMPLE_BYTES * first : SAMPLE_BYTES * outputs]

    def _compiled(self) -> Callable[[bytes, int, int], bytes] | None:
        """Return the compiled counterpart of `made_by_numpy`; None if the filter has none."""
        if compiled.resampled is None or np.abs(self.coefficients).sum(axis=0).max() > MAX_GAIN:
            return None
        return partial(compiled.resampled, self.parts(), self.block_in, self.block_out, self.taps)

    def parts(self) -> bytes:
        """Return the coefficients for the compiled filter: the high part of each, and behind them all low parts."""
        phases = np.arange(self.block_out)
        first = phases * self.block_in // self.block_out
        rows = self.coefficients[first[:, np.newaxis] + np.arange(self.taps), phases[:, np.newaxis]]
        whole = np.rint(rows * (1 << COEFFICIENT_BITS)).astype(np.int64)
        half = 1 << (LOW_BITS - 1)
        low = ((whole + half) & (2 * half - 1)) - half
        return np.stack(((whole - low) >> LOW_BITS, low)).astype(LINEAR16).tobytes()


def is_small(rate_in: int, rate_out: int) -> bool:
    """Whether the matrix between two rates fits `MAX_COEFFICIENTS`. Raise UnsupportedRates for a rate not in `RATES`.

    The size is an estimate: the rows of the matrix are the input samples of one block and the taps of the filter, and
    its columns are the output samples of the block.
    """
    if rate_in not in RATES or rate_out not in RATES:
        raise UnsupportedRates(rate_in, rate_out)
    common = math.gcd(rate_in, rate_out)
    return (rate_in // common + taps_of(rate_in, rate_out)) * (rate_out // common) <= MAX_COEFFICIENTS


@lru_cache(maxsize=32)
def polyphase(rate_in: int, rate_out: int) -> Polyphase:
    """Return the filter from `rate_in` to `rate_out` (Hz), designed at first use.

    The pair of rates has to be small (`is_small`).
    """
    return Polyphase(rate_in, rate_out)


class Stream:
    """One stream between two rates. It keeps the last input samples, from which further output is computed."""

    __slots__ = ("_design", "_emitted", "_tail")

    is_costly: Final = False
    """See `Converter.is_costly`."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._design = polyphase(rate_in, rate_out)
        self.restart()

    def restart(self) -> None:
        """Begin a new stream, as if silence came before it."""
        self._tail = bytes(SAMPLE_BYTES * (self.margin - 1))
        self._emitted = 0
        """The number of output samples of the first row that were already returned."""

    @property
    def memory(self) -> list[Any]:
        """The kept input samples, and the number of output samples of the current row that were already returned."""
        return [self._tail, self._emitted]

    @memory.setter
    def memory(self, memory: list[Any]) -> None:
        self._tail, self._emitted = memory

    @property
    def margin(self) -> int:
        """The number of input samples after an output sample that its computation needs."""
        return self._design.taps // 2

    def convert(self, pcm: bytes | memoryview) -> bytes:
        """Take whole samples and return the output samples that they determine."""
        design = self._design
        block_in, block_out = design.block_in, design.block_out
        line = self._tail + pcm
        windows = len(line) // SAMPLE_BYTES - design.taps + 1
        if windows <= 0:
            self._tail = line
            return b""
        outputs = -(-windows * block_out // block_in)
        made = design.made(line, self._emitted, outputs)
        whole_rows = outputs // block_out
        self._emitted = outputs - whole_rows * block_out
        self._tail = line[SAMPLE_BYTES * whole_rows * block_in :]
        return made
