"""The words of a sentence that count in a comparison."""

import pytest

from router.simulator.words import all_words, is_stop_word, key_words, stem, unquoted


@pytest.mark.parametrize("text", ["getWeather", "get_weather", "Get weather!"])
def test_a_name_has_the_words_that_it_is_made_of(text):
    assert all_words(text) == ["get", "weather"]


def test_words_without_meaning_do_not_count():
    assert key_words("What is the weather for my order?") == {"weather", "order"}
    assert is_stop_word("The")
    assert not is_stop_word("order")


@pytest.mark.parametrize("word", ["order", "orders", "ordered", "ordering"])
def test_forms_of_a_word_have_one_stem(word):
    assert stem(word) == "order"


@pytest.mark.parametrize("word", ["is", "bed", "red", "bus"])
def test_a_short_word_keeps_its_ending(word):
    assert stem(word) == word


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('"Hi."', "Hi."),
        ('"He said "no"." he wrote', 'He said "no".'),
        ("\u201cGuten Tag\u201d.", "Guten Tag"),
        ('"open', "open"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_quotation_is_unquoted_to_its_last_mark(text, inside):
    assert unquoted(text) == inside
