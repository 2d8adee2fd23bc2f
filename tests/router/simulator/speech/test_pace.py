"""The pace of the voice: words at 15 characters a second, by pauses alone."""

import numpy as np
import pytest

from router.simulator.speech import pace
from router.translation.speech import heard

TEXT = "One of the ships sails over the sea, and it never rests."
STARTS = [(0, 40.0), (4, 190.0), (7, 240.0), (11, 330.0), (17, 700.0), (23, 1100.0), (28, 1300.0), (32, 1400.0)]
RATE = 1000


def test_a_word_that_comes_early_waits_and_no_later_word_is_late_for_it():
    waits = pace.pauses(TEXT, STARTS)
    shifted = [ms + sum(waits[: at + 1]) for at, (_, ms) in enumerate(STARTS)]

    assert waits[0] == 0
    assert max(waits) > 0
    natural = [pace.is_border(TEXT, index, ms) for index, ms in STARTS]
    assert sum(pace.is_border(TEXT, index, ms) for (index, _), ms in zip(STARTS, shifted, strict=True)) > sum(natural)


def test_at_a_border_a_router_estimates_the_words_before_it():
    for at_ms in range(0, pace.whole_ms(TEXT), 7):
        for index, _ in STARTS[1:]:
            if pace.is_border(TEXT, index, at_ms):
                assert heard(TEXT, at_ms / 1000) == TEXT[:index].rstrip()


def test_the_slowness_makes_the_whole_fit_and_no_word_late():
    assert pace.slowness("one two", [(0, 10.0), (7, pace.whole_ms("one two") / 2)]) == pytest.approx(2.0, rel=0.1)
    late = [(0, 10.0), (4, 1500.0), (11, 2000.0)]
    assert pace.slowness("one two six", late) * 1500 < pace.whole_ms("one two")


def test_a_pause_is_silent_and_the_words_keep_their_length():
    sound = pace.with_pauses(np.ones(100), RATE, [(0, 0.0), (4, 50.0)], [0.0, 30.0])

    assert len(sound) == 130
    assert not sound[50:80].any()
    assert sound[10] == sound[100] == 1


def test_the_silence_behind_a_sentence_is_cut_off():
    samples = np.concatenate((np.ones(500), np.zeros(400)))

    assert 500 <= len(pace.without_end(samples, RATE)) <= 560
    assert len(pace.without_end(np.zeros(100), RATE)) == 0
