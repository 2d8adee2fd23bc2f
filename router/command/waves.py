"""WAV files: the speech that a command sends, and the agent's voice that the command stores."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

from router.audio.convert import converted
from router.audio.formats import Format, Recording, UnsupportedRates
from router.command.voice_client import INPUT_RATE, OUTPUT_RATE
from router.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def read(path: Path) -> bytes:
    """Return the speech of a WAV file as the microphone's samples, with all channels mixed.

    Raises:
        StartError: there is no such file, or it is no WAV file of PCM.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, count = file.getparams()[:4]
            frames = file.readframes(count)
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror or error}") from error
    except (wave.Error, EOFError) as error:
        raise StartError(f"{path} is not a WAV file of PCM: {error}") from error
    recording = Recording(_mixed(frames, channels, width), Format("linear16", rate))
    try:
        return converted(recording, Format("linear16", INPUT_RATE))
    except UnsupportedRates as error:
        raise StartError(f"{path} has {rate} samples per second; 8000 to 48000 are possible") from error


def _mixed(frames: bytes, channels: int, width: int) -> bytes:
    samples = _linear(frames, width).reshape(-1, channels).mean(axis=1)
    return bytes(samples.astype("<i2").tobytes())


def _linear(frames: bytes, width: int) -> NDArray[np.float64]:
    """Return samples of 8 (unsigned), 16, 24 or 32 bits, scaled to the range of 16 bits. `width` is in bytes."""
    import numpy as np  # noqa: PLC0415 - 0.1 s, which other commands need not wait for

    if width == 1:
        return (np.frombuffer(frames, np.uint8).astype(np.float64) - 128) * 256
    # Keep the two high bytes of each sample: WAV is little-endian.
    rows = np.frombuffer(frames, np.uint8).reshape(-1, width)[:, -2:]
    return np.ascontiguousarray(rows).view("<i2").astype(np.float64)


class Recorder:
    """A WAV file of the agent's voice, which grows while the agent speaks."""

    def __init__(self, path: Path) -> None:
        """Create the file; raises `StartError` if it cannot be written."""
        try:
            self._opened = path.open("wb")
        except OSError as error:
            raise StartError(f"{path} cannot be written: {error.strerror}") from error
        self._file = wave.open(self._opened, "wb")  # noqa: SIM115 - `close` does
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(OUTPUT_RATE)

    def add(self, samples: bytes) -> None:
        """Append samples."""
        self._file.writeframes(samples)

    def close(self) -> None:
        """Complete the header, and close the file."""
        self._file.close()
        self._opened.close()
