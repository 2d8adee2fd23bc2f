"""The sentences of a transcript that still grows."""

import pytest
from hypothesis import given, strategies

from router.translation.sentences import MAX_SENTENCES, ends_here, sentences_of


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
    assert sentences_of(text).sentences == sentences


def test_the_rest_is_a_sentence_when_no_more_text_comes():
    assert sentences_of("One. Two", is_final=True) == (["One.", "Two"], 8, 8)
    assert sentences_of("One. ", 4, is_final=True) == ([], 4, 5)


def test_a_text_looks_like_a_whole_sentence_at_its_mark():
    assert ends_here("Hello there!", 0)
    assert not ends_here("Hello Dr.", 0)
    assert not ends_here("Hello there", 0)
    assert not ends_here("One. Two", 4)


@given(strategies.text(alphabet="ab .!?\n1。", max_size=60), strategies.lists(strategies.integers(1, 60), max_size=5))
def test_no_word_is_lost_or_repeated_for_any_growth_of_the_text(text, cuts):
    assert "".join("".join(grown(text, cuts)).split()) == "".join(text.split())


def grown(text, cuts):
    """Split a text that grows up to each cut, as an answer does."""
    sentences, at, searched = [], 0, 0
    for cut in sorted({*cuts, len(text)}):
        found, at, searched = sentences_of(text[:cut], at, searched, is_final=cut >= len(text))
        sentences += found
    return sentences


@given(strategies.text(alphabet='ab .!?"\n1', max_size=60), strategies.lists(strategies.integers(1, 60), max_size=5))
def test_a_text_that_was_searched_already_is_split_as_from_its_beginning(text, cuts):
    at, searched, begun = 0, 0, 0
    for cut in sorted({*cuts, len(text)}):
        _, at, searched = sentences_of(text[:cut], at, searched)
        begun = sentences_of(text[:cut], begun).end
        assert at == begun


def test_one_event_completes_a_bounded_number_of_sentences_and_the_next_one_continues():
    text = "Hi. " * (MAX_SENTENCES + 3)

    first = sentences_of(text)
    assert first.sentences == ["Hi."] * MAX_SENTENCES
    assert sentences_of(text, first.end, first.searched).sentences == ["Hi."] * 3


def test_the_last_event_sends_further_sentences_as_one_text():
    sentences = sentences_of("Hi. " * (MAX_SENTENCES + 3), is_final=True).sentences

    assert sentences == ["Hi."] * MAX_SENTENCES + ["Hi. Hi. Hi."]


def test_a_mark_behind_very_many_quotes_ends_no_sentence():
    assert sentences_of('No!"' + '"' * 10 + " So").sentences == ['No!"' + '"' * 10]
    assert sentences_of('No!"' + '"' * 100 + " So").sentences == []
