"""Small talk."""

import pytest

from router.simulator import smalltalk
from router.simulator.history import Context, Message


def asked(question, *earlier):
    entries = [Message(("user", "assistant")[at % 2], text) for at, text in enumerate(earlier)]
    return smalltalk.answer(Context(entries=(*entries, Message("user", question))))


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("Hello!", "How can I help you?"),
        ("Good morning.", "How can I help you?"),
        ("How are you?", "I am fine"),
        ("I'm fine, thanks.", "glad"),
        ("I am tired.", "story"),
        ("Who are you?", "simulator"),
        ("What is your name?", "Switchboard"),
        ("What can you do?", smalltalk.ABILITIES),
        ("Thank you very much.", "welcome"),
        ("Goodbye.", "Goodbye"),
        ("What is my name?", "have not told me"),
        ("OK.", "What else"),
    ],
)
def test_a_phrase_is_answered(question, part):
    assert part in asked(question)


@pytest.mark.parametrize("text", ["I bought a red bicycle.", "Why is the sky blue?", "", "I am looking for shoes."])
def test_anything_else_is_no_small_talk(text):
    assert asked(text) is None


def test_an_introduction_is_answered_with_the_name():
    assert asked("Hi, I am Ada from Turin.") == "Nice to meet you, Ada. I will remember that."
    assert asked("My name is Ada, and I would like to know about the sea.") is None
    assert asked("my name is ada") == "Nice to meet you, Ada. I will remember that."
    assert asked("I am Ada.", "My name is Ada.", "Hello.") == "Yes, you are Ada. I remember."
    assert asked("I am Bob.", "My name is Ada.", "Hello.") == "Nice to meet you, Bob. I will remember that."


def test_the_same_question_has_another_answer_later():
    assert asked("How are you?") != asked("How are you?", "How are you?", "Fine.")
