"""Piper: the words of its phonemes, and the voice itself."""

import numpy as np
import pytest

from router.simulator.speech.piper import Piper, extra_output, word_starts

PHONEMES = {"One": "wun", "of": "uv", "the": "za", "men": "men", "is": "iz", "21": "twenti wun", "here": "hir"}


def phonemes(word):
    return PHONEMES[word.strip(",.")].split()


def starts(text, *spoken):
    return [index for index, _ in word_starts(text, [(word, 100.0 * at) for at, word in enumerate(spoken)], phonemes)]


def places(text, *words):
    return [text.index(word) for word in words]


def test_words_are_found_where_each_is_spoken_as_one():
    text = "One is here."
    assert word_starts(text, [("wun", 0.0), ("iz", 210.0), ("hir.", 330.0)], phonemes) == [
        (0, 0.0),
        (4, 210.0),
        (7, 330.0),
    ]


def test_two_words_that_are_spoken_as_one_have_one_start():
    text = "One of the men is here."
    assert starts(text, "wun", "uvza", "men", "iz", "hir.") == [
        text.index(w) for w in ("One", "of", "men", "is", "here")
    ]


def test_a_number_that_is_spoken_as_two_words_has_the_start_of_the_first():
    text = "One is 21, of the men."
    found = word_starts(
        text,
        [(word, 100.0 * at) for at, word in enumerate(("wun", "iz", "twenti", "wun,", "uv", "za", "men."))],
        phonemes,
    )
    assert dict(found)[text.index("21")] == 200.0
    assert dict(found)[text.index("men")] == 600.0


def test_a_phrase_that_does_not_fit_has_no_words():
    text = "One is here, of the men."
    assert starts(text, "wun", "iz", "a", "hir,", "uv", "za", "men.") == [text.index(w) for w in ("of", "the", "men")]
    assert starts(text, "wun") == []


def test_an_output_is_a_field_in_a_field_in_a_field():
    assert extra_output(b"/C") == bytes([7 << 3 | 2, 6, 12 << 3 | 2, 4, 1 << 3 | 2, 2]) + b"/C"


@pytest.mark.voice
def test_the_voice_knows_the_times_of_its_words_and_is_the_same_every_time():
    text = "One of the men was at the door, and it was raining. It is 21 degrees."
    piper = Piper()
    samples, found = piper.speak(text, 1.0)
    again, _ = piper.speak(text, 1.0)
    slow, _ = piper.speak(text, 1.4)

    assert np.array_equal(samples, again)
    assert len(slow) > len(samples) * 1.2
    assert len(found) >= len(text.split()) - 3
    assert [ms for _, ms in found] == sorted({ms for _, ms in found})
    assert found[-1][1] < len(samples) * 1000 / piper.rate
