"""The samples of the voice: G.711 in the simulator, and a load of numpy only with the first sound."""

import math
import subprocess
import sys

import pytest

from router.simulator import voice, waveforms


@pytest.mark.parametrize("audio_format", ["audio/pcmu", "audio/pcma"])
def test_g711_decodes_to_nearly_what_was_spoken(audio_format):
    spoken = voice.speech_chunk("aeiou", 0, 300, "audio/pcm")
    heard = voice.decoded(voice.speech_chunk("aeiou", 0, 300, audio_format), audio_format)
    every_third = voice.decoded(spoken, "audio/pcm")[::3]

    assert len(heard) == len(every_third)
    assert math.isclose(float(abs(heard).mean()), float(abs(every_third).mean()), rel_tol=0.05)


@pytest.mark.parametrize(
    ("audio_format", "code", "sample"),
    [("audio/pcmu", 0xFF, 0), ("audio/pcmu", 0x80, 32124), ("audio/pcmu", 0x00, -32124), ("audio/pcma", 0xD5, 8)],
)
def test_g711_codes_are_those_of_the_standard(audio_format, code, sample):
    assert voice.decoded(bytes([code]), audio_format)[0] == sample


def test_silence_has_the_asked_number_of_samples():
    assert waveforms.silence(80, "audio/pcm") == bytes(160)
    assert set(waveforms.decoded(waveforms.silence(80, "audio/pcma"), "audio/pcma")) == {8}


@pytest.mark.slow
def test_a_simulator_without_a_call_loads_no_numpy():
    """It is embedded in a router, whose idle processes would have 5 MB more each."""
    program = """
import sys
from router.simulator import Simulator, SimulatorConfig
with Simulator(SimulatorConfig()):
    assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
