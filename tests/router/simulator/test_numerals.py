"""Numbers in words."""

import re

import pytest

from router.simulator.numerals import NUMBER, in_words, number_of, ordinal


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (7, "seven"),
        (13, "thirteen"),
        (20, "twenty"),
        (42, "forty-two"),
        (100, "one hundred"),
        (144, "one hundred and forty-four"),
        (2026, "two thousand and twenty-six"),
        (-3, "minus three"),
        (5_000_000, "5000000"),
    ],
)
def test_a_number_is_put_into_words(number, words):
    assert in_words(number) == words


@pytest.mark.parametrize("number", [*range(130), 199, 250])
def test_a_number_in_words_is_read_back(number):
    words = in_words(number)
    assert re.fullmatch(NUMBER, words)
    assert number_of(words) == number
    assert number_of(str(number)) == number


@pytest.mark.parametrize(("number", "word"), [(1, "first"), (12, "twelfth"), (20, "twentieth"), (29, "twenty-ninth")])
def test_a_day_of_the_month_is_an_ordinal(number, word):
    assert ordinal(number) == word
