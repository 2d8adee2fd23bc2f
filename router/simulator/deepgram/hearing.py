"""The user's turns in microphone audio, by loudness: speech is loud, and a pause of half a second ends it."""

from __future__ import annotations

import enum
from array import array
from typing import Final

PAUSE_S: Final = 0.5
SHORTEST_S: Final = 0.06
"""Loud audio of this duration, in seconds, or more counts as speech."""

LOUD: Final = 1500
"""The absolute value above which a 16-bit sample is loud."""

_QUIET_CODES: Final = {"mulaw": bytes((*range(0x60, 0x80), *range(0xE0, 0x100))), "alaw": bytes(range(0xC0, 0xE0))}
"""For each encoding, the bytes that stand for quiet samples."""


class Heard(enum.Enum):
    """The effect of a piece of audio on the user's turn."""

    NOTHING = "nothing"
    BEGUN = "the user has begun to speak"
    ENDED = "the user's turn is over"


class Hearing:
    """The detector of speech and silence of one session."""

    def __init__(self, encoding: str, rate: int) -> None:
        self._encoding = encoding
        self._bytes_per_s = rate * (2 if encoding == "linear16" else 1)
        self._loud_s = 0.0
        self._quiet_s = 0.0
        self.is_speech = False
        self.speech_s = 0.0
        """The duration, in seconds, of the loud audio in the user's last turn."""

    def take(self, audio: bytes) -> Heard:
        """Listen to the next piece of audio, and return its effect on the user's turn."""
        duration_s = len(audio) / self._bytes_per_s
        if self._is_loud(audio):
            self._loud_s, self._quiet_s = self._loud_s + duration_s, 0.0
            if not self.is_speech and self._loud_s >= SHORTEST_S:
                self.is_speech = True
                return Heard.BEGUN
            return Heard.NOTHING
        self._quiet_s += duration_s
        if self.is_speech and self._quiet_s >= PAUSE_S:
            self.end()
            return Heard.ENDED
        return Heard.NOTHING

    def end(self) -> None:
        """End the user's turn, and store the duration of its speech."""
        self.is_speech, self.speech_s = False, self._loud_s
        self._loud_s = self._quiet_s = 0.0

    def _is_loud(self, audio: bytes) -> bool:
        if self._encoding == "linear16":
            samples = array("h", audio[: len(audio) & ~1])
            return any(abs(sample) > LOUD for sample in samples)
        return bool(audio.translate(None, _QUIET_CODES.get(self._encoding, b"")))
