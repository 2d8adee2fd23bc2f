"""Resampling of a whole utterance."""

import numpy as np
import pytest

from router.simulator.speech.resampling import resampled


def tone(hertz, rate, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate) * 1000


def level(samples):
    return float(np.sqrt(np.mean(samples[len(samples) // 4 : -len(samples) // 4] ** 2)))


@pytest.mark.parametrize(("rate", "new_rate"), [(22050, 24000), (24000, 16000), (22050, 8000), (8000, 16000)])
def test_a_tone_keeps_its_pitch_its_level_and_its_length(rate, new_rate):
    found = resampled(tone(440, rate), rate, new_rate)

    assert len(found) == int(rate * 0.5) * new_rate // rate
    middle = slice(len(found) // 4, -len(found) // 4)
    assert np.abs(found - tone(440, new_rate)[: len(found)])[middle].max() < 10


def test_a_tone_above_the_new_band_is_removed():
    assert level(resampled(tone(6000, 24000), 24000, 8000)) < 10


@pytest.mark.parametrize("count", [0, 1, 7])
def test_short_sounds_are_possible(count):
    assert len(resampled(np.ones(count), 24000, 8000)) == count * 8000 // 24000
