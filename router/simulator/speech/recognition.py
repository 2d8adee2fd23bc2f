"""Speech to text: a turn of any length is cut at its pauses, and the recognizer transcribes the pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from router.simulator import voice
from router.simulator.speech.messages import Recognize, Recognized
from router.simulator.speech.resampling import resampled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.simulator.speech.resampling import Samples

RATE: Final = 16000
_SHORTEST_S: Final = 6
_LONGEST_S: Final = 14
"""The bounds of a piece, in seconds. The model was trained on single utterances, and loses words in longer sound."""
_PAUSE_S: Final = 0.2


class Recognizer(Protocol):
    """A speech recognizer for samples at 16 kHz, between -1 and 1."""

    def transcribe(self, samples: Samples) -> str:
        """Return the words of a piece; empty if the recognizer finds no words."""


def recognized(engine: Recognizer, request: Recognize) -> Recognized:
    """Return the words of the turn in `request`."""
    samples = voice.decoded(request.audio, request.audio_format)
    sound = resampled(samples, voice.RATES[request.audio_format], RATE) / 32768.0
    words = (engine.transcribe(piece) for piece in pieces(sound))
    return Recognized(" ".join(filter(None, words)))


def pieces(sound: Samples) -> Iterator[Samples]:
    """Yield the pieces of a turn. Each cut is at the quietest place between a piece's shortest and longest length."""
    while len(sound) > _LONGEST_S * RATE:
        size = int(_PAUSE_S * RATE)
        energy = np.convolve(sound[_SHORTEST_S * RATE : _LONGEST_S * RATE] ** 2, np.ones(size), mode="valid")
        cut = _SHORTEST_S * RATE + int(np.argmin(energy)) + size // 2
        yield sound[:cut]
        sound = sound[cut:]
    yield sound
