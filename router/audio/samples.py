"""Encodings of many samples at once. This module loads numpy, so it is imported only if a session needs it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from router.audio.g711 import code_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from router.audio.g711 import Law

_LINEAR16: Final = np.dtype("<i2")
_UNSIGNED16: Final = np.dtype("<u2")
_LINEAR32: Final = np.dtype("<f4")
_FULL_SCALE: Final = 32768.0


def linear32_decoded(data: bytes) -> bytes:
    """Convert linear32 to linear16. A sample beyond full scale is clipped, and NaN becomes silence."""
    with np.errstate(invalid="ignore"):  # numpy would warn about a signalling NaN
        levels = np.frombuffer(data, _LINEAR32).astype(np.float64)
    levels *= _FULL_SCALE
    np.nan_to_num(levels, copy=False, nan=0.0, posinf=_FULL_SCALE, neginf=-_FULL_SCALE)
    np.rint(levels, levels)
    np.clip(levels, -_FULL_SCALE, _FULL_SCALE - 1, levels)
    return levels.astype(_LINEAR16).tobytes()


@cache
def _codes(law: Law) -> NDArray[np.uint8]:
    return np.frombuffer(code_table(law), np.uint8)


def g711_encoded(law: Law, pcm: bytes) -> bytes:
    """Return the codes of these linear16 samples."""
    return _codes(law).take(np.frombuffer(pcm, _UNSIGNED16)).tobytes()
