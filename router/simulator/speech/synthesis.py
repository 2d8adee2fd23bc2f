"""Text to speech: Piper at the pace of `pace`, in the formats of the Realtime API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from router.simulator import voice
from router.simulator.speech import pace
from router.simulator.speech.messages import Speech, Synthesize
from router.simulator.speech.resampling import resampled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from router.simulator.speech.resampling import Samples

_FASTEST, _SLOWEST = 0.75, 1.5
"""Bounds of the factor `slowness`, beyond which the voice is hard to understand."""

_LEVEL: Final = 14000
"""The value of the loudest sample, so that all texts are equally loud."""

_HIGHER: Final = {
    "alloy": 1.06,
    "coral": 1.12,
    "marin": 1.1,
    "sage": 1.08,
    "shimmer": 1.14,
}
"""For voices of the service, the factor by which the installed voice is raised. Voices not listed sound unchanged."""


class Engine(Protocol):
    """A speech synthesizer with one voice."""

    rate: int

    def speak(self, text: str, slowness: float) -> tuple[Samples, list[tuple[int, float]]]:
        """Return the samples of a text, and the index and time (ms) of each word whose start is known."""


def synthesized(engine: Engine, request: Synthesize) -> Speech:
    """Return the sound of the text in `request`, in the requested format, and the times of its words."""
    higher = _HIGHER.get(request.voice, 1.0)
    # Samples that are played at a higher rate sound higher and faster.
    rate = round(engine.rate * higher)
    samples, starts = engine.speak(request.text, 1.0)
    if len(samples):
        end_ms = len(pace.without_end(samples, rate)) * 1000 / rate
        natural = [*((index, ms / higher) for index, ms in starts), (len(request.text), end_ms)]
        samples, starts = engine.speak(request.text, min(max(pace.slowness(request.text, natural), _FASTEST), _SLOWEST))
    known = [(index, ms / higher) for index, ms in starts]
    waits = pace.pauses(request.text, known)
    sound = pace.with_pauses(pace.without_end(samples, rate), rate, known, waits)
    return Speech(audio=_encoded(sound, rate, request.audio_format), words=tuple(_shifted(known, waits)))


def _shifted(starts: Sequence[tuple[int, float]], waits: Sequence[float]) -> Iterator[tuple[int, int]]:
    shift_ms = 0.0
    for (index, at_ms), wait_ms in zip(starts, waits, strict=True):
        shift_ms += wait_ms
        yield index, round(at_ms + shift_ms)


def _encoded(sound: Samples, rate: int, audio_format: str) -> bytes:
    converted = resampled(sound, rate, voice.RATES[audio_format])
    whole_ms = len(converted) * 1000 // voice.RATES[audio_format]
    converted = converted[: whole_ms * voice.RATES[audio_format] // 1000]
    loudest = float(np.abs(converted).max(initial=0.0))
    scaled = converted * (_LEVEL / loudest) if loudest else converted
    return voice.encoded(scaled.astype(np.int16), audio_format)
