"""The bytes of a second of audio, computed from the Settings.

The relay computes the duration of audio from its size, because Deepgram sends audio faster than the caller hears it.
"""

from __future__ import annotations

from typing import Any, Final

DEFAULT_RATE: Final = 24_000
SAMPLE_BYTES: Final = {"linear16": 2, "mulaw": 1, "alaw": 1}
COMPRESSED_BITS_PER_S: Final = 48_000
"""The bit rate of a compressed encoding if the Settings name none: Deepgram's default for MP3."""

IMPLAUSIBLE: Final = 1e9
"""A rate that no audio reaches. Deepgram refuses Settings with such a rate, so the default replaces it here."""


def bytes_per_s(settings: dict[str, Any], side: str = "output") -> float:
    """Return the bytes of a second of the agent's audio, or of the user's if `side` is `input`.

    The result is an estimate for compressed audio.
    """
    audio = settings.get("audio")
    given = audio.get(side) if isinstance(audio, dict) else None
    chosen = given if isinstance(given, dict) else {}
    size_bytes = SAMPLE_BYTES.get(str(chosen.get("encoding", "linear16")))
    if size_bytes is None:
        return _positive(chosen.get("bitrate"), COMPRESSED_BITS_PER_S) / 8
    return _positive(chosen.get("sample_rate"), DEFAULT_RATE) * size_bytes


def _positive(value: Any, default: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 1 <= value < IMPLAUSIBLE else float(default)
