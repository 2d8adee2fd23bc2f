"""Resampling of a whole utterance by its spectrum. Pure.

The spectrum is cut off at the lower of the two Nyquist frequencies, so that no mirror image is heard. The transform
needs all samples at once, and a sentence has some hundred thousand.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]

_PADDING: Final = 512
"""The least silence after the samples.

Without it the end of the sound would leak into its beginning, because the transform is circular.
"""


def resampled(samples: Samples, rate: int, new_rate: int) -> Samples:
    """Return the samples at another rate, as 64-bit floats of the same scale."""
    count = len(samples) * new_rate // rate
    if rate == new_rate or not count:
        return samples.astype(np.float64)[:count]
    # Pad to whole seconds: then the lengths have the exact ratio of the rates, and small prime factors.
    seconds = -(-(len(samples) + _PADDING) // rate)
    spectrum = np.fft.rfft(samples, seconds * rate)
    whole = seconds * new_rate
    kept = np.zeros(whole // 2 + 1, dtype=complex)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    scaled: Samples = np.fft.irfft(kept, whole) * (new_rate / rate)
    return scaled[:count]
