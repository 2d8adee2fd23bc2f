"""Speech to text: formats, and long turns in pieces."""

import numpy as np
import pytest

from router.simulator import voice
from router.simulator.speech.messages import Recognize
from router.simulator.speech.recognition import RATE, pieces, recognized


class Ears:
    """Ears that note what they are given."""

    def __init__(self, *words):
        self.words = list(words)
        self.sounds = []

    def transcribe(self, samples):
        self.sounds.append(samples)
        return self.words.pop(0)


@pytest.mark.parametrize("audio_format", [voice.PCM, voice.PCMU, voice.PCMA])
def test_a_turn_is_heard_at_16_khz_and_between_one_and_minus_one(audio_format):
    rate = voice.RATES[audio_format]
    tone = (np.sin(2 * np.pi * 300 * np.arange(rate) / rate) * 16384).astype(np.int16)
    ears = Ears("Hello.")

    assert recognized(ears, Recognize(voice.encoded(tone, audio_format), audio_format)).text == "Hello."
    (sound,) = ears.sounds
    assert len(sound) == RATE
    assert np.abs(sound[1000:-1000]).max() == pytest.approx(0.5, rel=0.05)


def test_a_long_turn_is_cut_at_its_pauses_and_loses_nothing():
    sound = np.ones(30 * RATE)
    sound[9 * RATE : 10 * RATE] = sound[20 * RATE : 21 * RATE] = 0.0
    parts = list(pieces(sound))

    assert np.array_equal(np.concatenate(parts), sound)
    assert [round(len(part) / RATE, 1) for part in parts] == pytest.approx([9.1, 11.0, 9.9], abs=1.0)
    assert all(part[-1] == 0.0 for part in parts[:-1])


def test_the_words_of_the_pieces_are_joined():
    ears = Ears("One.", "", "Two.")
    audio = voice.encoded(np.zeros(24000 * 25, dtype=np.int16), voice.PCM)

    assert recognized(ears, Recognize(audio, voice.PCM)).text == "One. Two."
