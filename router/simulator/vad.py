"""Server VAD by energy: the start and the end of speech. Pure: appended audio is the only clock.

A 20 ms window is speech if its level is above the threshold. Levels are mapped to 0..1: -60 dBFS is 0, -20 dBFS is 1.
The default threshold of 0.5 lies at -40 dBFS, between a room's noise and a voice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.simulator.waveforms import Samples

WINDOW_MS: Final = 20
_FLOOR_DB: Final = -60.0
_SPAN_DB: Final = 40.0
_DEFAULT_THRESHOLD: Final = 0.5
_STARTING_WINDOWS: Final = 2
"""Speech begins after this number of consecutive speech windows, so a single click does not begin it."""

EAGERNESS_SILENCE_MS: Final = {"low": 1600, "medium": 800, "auto": 800, "high": 400}
"""The silence that ends a turn under semantic_vad, by eagerness. No model judges the end of a sentence here."""
_SEMANTIC_PADDING_MS: Final = 300


class SpeechStarted(msgspec.Struct, frozen=True):
    """The start of speech. `audio_start_ms` is earlier than the first loud window, by the prefix padding."""

    audio_start_ms: int


class SpeechStopped(msgspec.Struct, frozen=True):
    """The end of speech. `audio_end_ms` includes the silence by which the end was detected."""

    audio_end_ms: int


class VadSettings(msgspec.Struct, frozen=True):
    """The settings of the detector, derived from a `turn_detection`."""

    power: float
    """The mean square of samples above which a window is speech."""
    prefix_padding_ms: int
    silence_duration_ms: int


def vad_settings(turn_detection: dict[str, Any]) -> VadSettings:
    """Return the detector's settings for a session's `turn_detection`."""
    if turn_detection["type"] == "semantic_vad":
        return VadSettings(
            power_of(_DEFAULT_THRESHOLD), _SEMANTIC_PADDING_MS, EAGERNESS_SILENCE_MS[turn_detection["eagerness"]]
        )
    return VadSettings(
        power_of(turn_detection["threshold"]),
        turn_detection["prefix_padding_ms"],
        turn_detection["silence_duration_ms"],
    )


class Vad:
    """One session's detector. It takes samples in portions of any size, but judges only whole windows."""

    def __init__(self) -> None:
        self.is_speaking = False
        self.position_ms = 0
        """The duration, in milliseconds, of all audio that was judged."""
        self._opposite_windows = 0
        """The number of consecutive windows that contradict `is_speaking`."""
        self._rest: Samples | None = None
        """Samples after the last whole window."""

    def reset(self, position_ms: int) -> None:
        """Start again in silence, at `position_ms`."""
        self.is_speaking = False
        self.position_ms = position_ms
        self._opposite_windows = 0
        self._rest = None

    def feed(self, samples: Samples, rate: int, settings: VadSettings) -> Iterator[SpeechStarted | SpeechStopped]:
        """Judge more audio, and yield the starts and ends of speech in it."""
        for power in self._powers(samples, rate):
            self.position_ms += WINDOW_MS
            change = self._judge(power > settings.power, settings)
            if change is not None:
                yield change

    def _judge(self, is_speech: bool, settings: VadSettings) -> SpeechStarted | SpeechStopped | None:
        if is_speech is self.is_speaking:
            self._opposite_windows = 0
            return None
        self._opposite_windows += 1
        if not self.is_speaking and self._opposite_windows >= _STARTING_WINDOWS:
            start_ms = self.position_ms - self._opposite_windows * WINDOW_MS - settings.prefix_padding_ms
            self._switch()
            return SpeechStarted(max(0, start_ms))
        if self.is_speaking and self._opposite_windows * WINDOW_MS >= settings.silence_duration_ms:
            self._switch()
            return SpeechStopped(self.position_ms)
        return None

    def _switch(self) -> None:
        self.is_speaking = not self.is_speaking
        self._opposite_windows = 0

    def _powers(self, samples: Samples, rate: int) -> list[float]:
        """Return the mean square of each whole window.

        Samples after the last whole window are kept for the next call.
        """
        import numpy as np  # noqa: PLC0415 - the samples have loaded it

        window = rate * WINDOW_MS // 1000
        if self._rest is not None:
            samples = np.concatenate((self._rest, samples))
        whole = len(samples) // window * window
        # Copy the rest, because otherwise it would keep all of a large append in memory.
        self._rest = samples[whole:].copy() if whole < len(samples) else None
        floats = samples[:whole].astype(np.float32)
        parts = [floats[at : at + window] for at in range(0, whole, window)]
        return [float(np.dot(part, part)) / window for part in parts]


def power_of(threshold: float) -> float:
    """Return the mean square above which a window is speech; infinite for a threshold of 1."""
    if threshold >= 1:
        return math.inf  # by the formula -20 dBFS would be loud enough
    decibel = _FLOOR_DB + threshold * _SPAN_DB
    return float(32768.0**2 * 10 ** (decibel / 10))
