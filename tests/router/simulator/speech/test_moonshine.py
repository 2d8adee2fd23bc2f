"""Moonshine: the words of real speech."""

import re
import wave
from importlib.resources import files

import numpy as np
import pytest

from router.simulator.speech.moonshine import RATE, Moonshine
from router.simulator.speech.resampling import resampled


@pytest.mark.voice
def test_recorded_speech_is_recognized_and_silence_is_no_word():
    recording = files("moonshine_cpp") / "test-data" / "beckett.wav"
    with recording.open("rb") as file, wave.open(file) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32768.0
        sound = resampled(samples, wav.getframerate(), RATE)
    ears = Moonshine()

    words = re.findall("[a-z]+", ears.transcribe(sound).lower())
    assert " ".join(words) == "ever tried ever failed no matter try again fail again fail better"
    assert not ears.transcribe(np.zeros(RATE)).strip(". ")
