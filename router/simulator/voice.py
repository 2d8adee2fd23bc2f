"""The voice: speech-like sound for a text. Pure, and the same text always sounds the same.

Each character sounds for a fixed time: vowels have a pitch that falls over eight letters, consonants hiss, and spaces
are silent. Each sound is computed once in a process, so an answer only joins bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.simulator.waveforms import Samples

PCM: Final = "audio/pcm"
PCMU: Final = "audio/pcmu"
PCMA: Final = "audio/pcma"

_BYTES_PER_MS: Final = {PCM: 48, PCMU: 8, PCMA: 8}
RATES: Final = {PCM: 24000, PCMU: 8000, PCMA: 8000}
DEFAULT_MS_PER_CHARACTER: Final = 60
_VOWELS: Final = frozenset("aeiouy")


def bytes_of_ms(duration_ms: int, audio_format: str) -> int:
    """Return the size, in bytes, of `duration_ms` of audio."""
    return duration_ms * _BYTES_PER_MS[audio_format]


def ms_of_bytes(length_bytes: int, audio_format: str) -> int:
    """Return the duration, in milliseconds, of `length_bytes` of audio, rounded down."""
    return length_bytes // _BYTES_PER_MS[audio_format]


def duration_ms(text: str, ms_per_character: int = DEFAULT_MS_PER_CHARACTER) -> int:
    """Return the duration of the spoken `text`, in milliseconds."""
    return len(text) * ms_per_character


def speech_chunk(
    text: str, start_ms: int, end_ms: int, audio_format: str, ms_per_character: int = DEFAULT_MS_PER_CHARACTER
) -> bytes:
    """Return the part of the spoken `text` between two times. The function computes only that part."""
    from router.simulator.waveforms import sound  # noqa: PLC0415 - loads numpy, which a call without audio needs not

    rate = RATES[audio_format]
    first = start_ms // ms_per_character
    last = min(len(text), -(-end_ms // ms_per_character))
    sounds = b"".join(
        sound(_kind(text[index]), index % 8, audio_format, rate * ms_per_character // 1000, rate)
        for index in range(first, last)
    )
    begin = bytes_of_ms(start_ms - first * ms_per_character, audio_format)
    return sounds[begin : begin + bytes_of_ms(end_ms - start_ms, audio_format)]


def _kind(character: str) -> str:
    lower = character.lower()
    if lower in _VOWELS:
        return lower
    return "consonant" if character.isalnum() else "silence"


def encoded(samples: Samples, audio_format: str) -> bytes:
    """Return 16-bit samples in a format of the API."""
    from router.simulator import waveforms  # noqa: PLC0415 - loads numpy

    return waveforms.encoded(samples, audio_format)


def silence(duration_ms: int, audio_format: str) -> bytes:
    """Return `duration_ms` of silence in a format of the API."""
    from router.simulator import waveforms  # noqa: PLC0415 - loads numpy

    return waveforms.silence(duration_ms * RATES[audio_format] // 1000, audio_format)


def decoded(audio: bytes, audio_format: str) -> Samples:
    """Return the linear samples of audio, without a trailing odd byte of PCM."""
    from router.simulator import waveforms  # noqa: PLC0415 - loads numpy

    return waveforms.decoded(audio, audio_format)
