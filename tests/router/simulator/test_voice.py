"""The voice: audible, of the right length, and the same every time."""

import math
from array import array

import pytest

from router.simulator import voice


def rms(audio):
    samples = array("h", audio)
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


@pytest.mark.parametrize(("audio_format", "per_ms"), [("audio/pcm", 48), ("audio/pcmu", 8), ("audio/pcma", 8)])
def test_the_length_of_speech_fits_its_text(audio_format, per_ms):
    text = "Hello there."
    audio = voice.speech_chunk(text, 0, voice.duration_ms(text), audio_format)

    assert len(audio) == len(text) * 60 * per_ms


def test_the_voice_is_audible_and_never_clips():
    audio = voice.speech_chunk("Hello, how are you today?", 0, 1500, "audio/pcm")

    assert rms(audio) > 500
    assert max(map(abs, array("h", audio))) < 32000


def test_vowels_consonants_and_spaces_sound_different():
    vowel, consonant, space = (voice.speech_chunk(text, 0, 60, "audio/pcm") for text in "as ")

    assert rms(vowel) > rms(consonant) > rms(space) == 0


def test_chunks_joined_are_the_whole():
    text = "It is 21 degrees in Paris."
    whole = voice.speech_chunk(text, 0, voice.duration_ms(text), "audio/pcm")
    chunks = [
        voice.speech_chunk(text, at, min(at + 100, len(text) * 60), "audio/pcm") for at in range(0, len(text) * 60, 100)
    ]

    assert b"".join(chunks) == whole
