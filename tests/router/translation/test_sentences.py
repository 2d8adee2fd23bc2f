"""The sentences of a transcript that still grows."""

import pytest
from hypothesis import given, strategies

from router.translation.sentences import ends_here, sentences_of


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello there! How are you? Fine.", ["Hello there!", "How are you?"]),
        ("It costs 3.50 euros. Really", ["It costs 3.50 euros."]),
        ("Dr. Smith and Mrs. Jones met at 5 p.m. today. Well", ["Dr. Smith and Mrs. Jones met at 5 p.m. today."]),
        ('She said "Stop!" Then she left. And', ['She said "Stop!"', "Then she left."]),
        ("1. Mix. 2. Bake. Done", ["1. Mix.", "2. Bake."]),
        ("Wait... what? J. Doe", ["Wait...", "what?"]),
        ("今日は。元気ですか？はい", ["今日は。", "元気ですか？"]),  # noqa: RUF001 - full-width marks
        ("One line\nanother", ["One line"]),
        ("  \n ", []),
        ("no end", []),
    ],
)
def test_a_sentence_is_complete_when_something_follows_its_end(text, sentences):
    assert sentences_of(text)[0] == sentences


def test_the_rest_is_a_sentence_when_no_more_text_comes():
    assert sentences_of("One. Two", is_final=True) == (["One.", "Two"], 8)
    assert sentences_of("One. ", 4, is_final=True) == ([], 4)


def test_a_text_looks_like_a_whole_sentence_at_its_mark():
    assert ends_here("Hello there!", 0)
    assert not ends_here("Hello Dr.", 0)
    assert not ends_here("Hello there", 0)
    assert not ends_here("One. Two", 4)


@given(strategies.text(alphabet="ab .!?\n1。", max_size=60), strategies.lists(strategies.integers(1, 60), max_size=5))
def test_no_word_is_lost_or_repeated_for_any_growth_of_the_text(text, cuts):
    sentences, at = [], 0
    for cut in sorted({*cuts, len(text)}):
        found, at = sentences_of(text[:cut], at, is_final=cut >= len(text))
        sentences += found
    assert "".join("".join(sentences).split()) == "".join(text.split())
