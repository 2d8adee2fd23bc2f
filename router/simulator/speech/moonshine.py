"""Speech recognition by Moonshine's C library, for samples at 16 kHz. The model is in the wheel of `moonshine_cpp`.

The package's own method for samples raises, because version 0.1.4 uses a type that ctypes does not have. So this module
calls the library with its documented signature.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from router.simulator.speech.resampling import Samples

RATE: Final = 16000


class Moonshine:
    """The English base model. Loading takes half a second and 0.2 GB of memory, which grow to 0.9 GB."""

    def __init__(self) -> None:
        from moonshine_cpp import moonshine_cpp  # noqa: PLC0415 - of the extra

        self._library = moonshine_cpp.moonshine_lib
        self._model = moonshine_cpp.MoonshineModel(language="en")

    def transcribe(self, samples: Samples) -> str:
        """Return the words that are spoken in samples, whose values are between -1 and 1."""
        data = np.ascontiguousarray(samples, dtype=np.float32)
        text = ctypes.c_char_p()
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        code = self._library.moonshine_transcribe(self._model.model_handle, pointer, len(data), ctypes.byref(text))
        if code != 0:
            raise OSError(f"moonshine_transcribe failed with code {code}")
        words = (text.value or b"").decode("utf-8", "replace").strip()
        self._library.moonshine_free_text(text)
        return words
