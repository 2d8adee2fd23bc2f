"""The memory of the brain: answers to questions about the conversation."""

import pytest

from router.simulator.history import Message
from router.simulator.memory import is_speech_without_words, recall


def turns(*texts):
    """Return messages of the user and the assistant in turn."""
    return [Message(role, text) for role, text in zip(("user", "assistant") * len(texts), texts, strict=False)]


@pytest.mark.parametrize(
    ("history", "question", "expected"),
    [
        (["My name is Alice."], "What is my name?", "Your name is Alice."),
        (["I'm Bob and my dog is called Rex"], "what's my name?", "Your name is Bob."),
        (["I'm Bob and my dog is called Rex"], "what is my dog?", "Your dog is Rex."),
        (["My name is Ada and I live in Utrecht."], "What is my name?", "Your name is Ada."),
        (["My name is Ada but I am tired."], "Who am I?", "Your name is Ada."),
        (["My name is Ada and we are four."], "What's my name?", "Your name is Ada."),
        (
            ["My favourite dish is fish and chips."],
            "What is my favourite dish?",
            "Your favourite dish is fish and chips.",
        ),
        (["My dog is called Rex"], "What is my dog called?", "Your dog is Rex."),
        (["My name is Ann.", "Hi", "My name is Eve."], "What is my name?", "Your name is Eve."),
        (["One.", "ok", "Two."], "What did I say before?", 'Before that you said: "Two."'),
        (["One.", "ok", "Two."], "What did I say first?", 'First you said: "One."'),
        ([], "What did I just say?", "You have not said anything before."),
        (["Hi", "I am a machine."], "What did you say?", 'I said: "I am a machine."'),
        (["I ordered a large pizza."], "Which pizza did I order?", 'Earlier you said: "I ordered a large pizza."'),
    ],
)
def test_a_question_about_the_conversation_is_answered_from_it(history, question, expected):
    assert recall(question, turns(*history)) == expected


@pytest.mark.parametrize("question", ["What is my name?", "Sing a song.", "Why is the sky blue?"])
def test_any_other_question_has_no_answer(question):
    assert recall(question, turns("I like trains.")) is None


def test_a_question_about_the_user_is_not_answered_with_a_question():
    assert recall("Where is my bicycle?", turns("Is my bicycle red?")) is None


@pytest.mark.parametrize(("text", "expected"), [(" (speech, 1.8 seconds) ", True), ("(speech)", False), ("", False)])
def test_speech_without_a_transcript_is_recognised(text, expected):
    assert is_speech_without_words(text) is expected
