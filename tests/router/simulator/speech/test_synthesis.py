"""Text to speech: formats, level, voices and the times of words, with an engine of tones."""

import numpy as np
import pytest

from router.simulator import voice
from router.simulator.speech import pace
from router.simulator.speech.messages import Synthesize
from router.simulator.speech.piper import Piper
from router.simulator.speech.synthesis import synthesized

TEXT = "One two three four five six."


class Tones:
    """A voice that says each word in a fifth of a second."""

    rate = 22050
    word_ms = 200

    def __init__(self):
        self.asked = []

    def speak(self, text, slowness):
        self.asked.append(slowness)
        words = text.split()
        length_ms = self.word_ms * slowness
        starts, at = [], 0
        for number, word in enumerate(words):
            starts.append((text.index(word, at), number * length_ms))
            at = starts[-1][0] + len(word)
        times = np.arange(int(len(words) * length_ms * self.rate / 1000)) / self.rate
        return np.sin(2 * np.pi * 300 * times) * 0.5, starts


@pytest.mark.parametrize("audio_format", [voice.PCM, voice.PCMU, voice.PCMA])
def test_a_text_is_spoken_at_the_pace_in_each_format(audio_format):
    speech = synthesized(Tones(), Synthesize(TEXT, "cedar", audio_format))

    assert voice.ms_of_bytes(len(speech.audio), audio_format) == pytest.approx(pace.whole_ms(TEXT), rel=0.15)
    assert len(speech.audio) % voice.bytes_of_ms(1, audio_format) == 0
    assert abs(voice.decoded(speech.audio, audio_format)).max() == pytest.approx(14000, rel=0.05)
    assert [index for index, _ in speech.words] == [TEXT.index(word) for word in TEXT.split()]
    borders = [pace.is_border(TEXT, index, at_ms) for index, at_ms in speech.words[1:]]
    assert sum(borders) >= len(borders) - 1


def test_the_slowness_is_bounded():
    engine = Tones()
    synthesized(engine, Synthesize("a " * 20, "cedar", voice.PCM))
    assert 0.7 <= engine.asked[-1] <= 1.5


def test_each_of_the_services_voices_has_its_own_height():
    low, high = (synthesized(Tones(), Synthesize(TEXT, name, voice.PCM)).audio for name in ("cedar", "shimmer"))

    def hertz(audio):
        samples = voice.decoded(audio, voice.PCM)
        return float(np.argmax(np.abs(np.fft.rfft(samples)))) * 24000 / len(samples)

    assert hertz(high) > hertz(low) * 1.05


def test_a_text_without_words_is_silent():
    class Mute:
        rate = 22050

        def speak(self, _text, _slowness):
            return np.zeros(0), []

    assert synthesized(Mute(), Synthesize("...", "cedar", voice.PCM)).audio == b""


@pytest.mark.voice
@pytest.mark.parametrize("name", ["cedar", "marin"])
def test_most_words_of_the_voice_begin_where_a_router_estimates_them(name):
    piper = Piper()
    texts = [
        "My name is Robert, and I live in a small house near the river.",
        "Once upon a time there was an old sailor who collected storms in glass jars.",
        "I can tell you a story, count to twenty, or spell a word for you.",
        "The captain looked at the sea and did not say a word.",
    ]
    borders = []
    for text in texts:
        speech = synthesized(piper, Synthesize(text, name, voice.PCMU))
        borders += [pace.is_border(text, index, at_ms) for index, at_ms in speech.words[1:]]

    assert sum(borders) / len(borders) > 0.7
