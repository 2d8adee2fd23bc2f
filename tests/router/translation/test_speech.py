"""Estimates of the heard part of an answer, and the instructions that make a voice speak a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.translation import speech

ANSWER = "The train leaves at noon from platform nine."


@pytest.mark.parametrize(
    ("played_s", "words"),
    [
        (0.0, "The"),
        (0.1, "The"),
        (0.6, "The train"),
        (1.0, "The train"),
        (2.0, "The train leaves at noon from"),
        (3.0, ANSWER),
        (60.0, ANSWER),
    ],
)
def test_the_heard_part_has_whole_words_and_at_least_the_first(played_s, words):
    assert speech.heard(ANSWER, played_s) == words


def test_the_pace_is_that_of_the_answer_where_its_length_is_known():
    assert speech.heard(ANSWER, 2.0, whole_s=8.0) == "The train"
    assert speech.heard(ANSWER, 8.0, whole_s=8.0) == ANSWER


def test_an_answer_of_one_word_is_heard_whole():
    assert speech.heard("Supercalifragilistic", 0.1) == "Supercalifragilistic"
    assert speech.heard("  ", 1.0) == ""


@given(text=st.text(alphabet="ab .\n", max_size=80), played_s=st.floats(0, 10), more_s=st.floats(0, 10))
def test_the_heard_part_begins_the_answer_and_grows_with_the_time(text, played_s, more_s):
    less, more = speech.heard(text, played_s), speech.heard(text, played_s + more_s)

    assert text.strip().startswith(less)
    assert more.startswith(less)


def test_instructions_to_continue_name_the_heard_words_after_the_prompt():
    instructions = speech.continuation("You are a clerk.", "The train")

    assert instructions.startswith("You are a clerk.\n\n")
    assert '"The train"' in instructions
    assert speech.continuation(None, "The train") == instructions.removeprefix("You are a clerk.\n\n")


def test_instructions_to_continue_an_unheard_answer_quote_nothing():
    assert '"' not in speech.continuation(None, "")


def test_instructions_to_speak_a_text_have_it_to_the_letter():
    assert speech.verbatim('Say "no".').endswith(': "Say "no"."')
