"""Speech synthesis and recognition for a caller, by the libraries of the extra `voice`."""

import queue
import re
import wave
from contextlib import contextmanager

import numpy as np

from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, Format, Recording
from router.simulator import Simulator, SimulatorConfig, voice
from router.simulator.numerals import in_words
from router.simulator.speech.messages import Recognize, Synthesize

WAIT_S = 60.0
TRIES = 4
"""The attempts at a recognition. On a busy machine an attempt may exceed its deadline."""
QUIET = 300
"""The level of a sample below which there is silence."""


class Speech:
    """Converts words to sound, and sound to words; PCM at 24 kHz."""

    def __init__(self, services):
        self._services = services

    def say(self, text, name="cedar"):
        """Return the sound of a text, with the silence that ends a turn."""
        results = queue.Queue()
        self._services.synthesize(Synthesize(text, name, voice.PCM), results.put)
        return results.get(timeout=WAIT_S).audio + bytes(48 * 900)

    def hear(self, audio, encoding="linear16", rate=24_000):
        """Return the words of a sound, in lower case and with numbers in words."""
        pcm = _without_silence(converted(Recording(audio, Format(encoding, rate)), LINEAR16_24K))
        for _ in range(TRIES):
            results = queue.Queue()
            self._services.recognize(Recognize(pcm, voice.PCM), results.put)
            words = results.get(timeout=WAIT_S)
            if words is not None:
                return words_of(words)
        raise AssertionError("the words were not recognized in time")


def _without_silence(pcm):
    """Cut off the silence around a sound, because the model misses words after a long silence."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > QUIET)
    margin = 24 * 300
    return pcm[2 * max(0, loud[0] - margin) : 2 * (loud[-1] + margin)] if len(loud) else pcm


def words_of(text):
    """Return the words of a text for a comparison, in which `21` and `twenty-one` are the same."""
    spelled = re.sub(r"\d+", lambda digits: f" {in_words(int(digits[0]))} ", text)
    return re.findall(r"[a-z']+", spelled.lower())


@contextmanager
def speaking_simulator():
    """Run a simulator with speech recognition and synthesis, whose processes and threads already run."""
    with Simulator(SimulatorConfig(voice=True)) as simulator:
        abilities = simulator.services.abilities
        assert (abilities.hears, abilities.speaks) == (True, True), "not installed: pip install '.[voice]'"
        speech = Speech(simulator.services)
        assert speech.hear(speech.say("Hello."))
        yield simulator


def write_wav(path, pcm):
    """Write PCM at 24 kHz as a WAV file."""
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(24_000)
        wav.writeframes(pcm)
    return path
