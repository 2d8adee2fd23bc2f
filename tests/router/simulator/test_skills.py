"""What the brain can do on request."""

from datetime import UTC, datetime

import pytest

from router.simulator import skills
from router.simulator.history import Context, Message
from router.simulator.stories import FACTS, JOKES, POEMS, STORIES

NOW = datetime(2026, 11, 29, 22, 42, tzinfo=UTC)


def asked(question, *earlier, now=NOW):
    entries = [Message(("user", "assistant")[at % 2], text) for at, text in enumerate(earlier)]
    return skills.answer(Context(entries=(*entries, Message("user", question)), now=now))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What time is it?", "It is ten forty-two in the evening."),
        ("Tell me the time, please", "It is ten forty-two in the evening."),
        ("What day is it today?", "Today is Sunday, the twenty-ninth of November."),
        ("Count to five", "One, two, three, four, five."),
        ("Could you count from three to 7, please?", "Three, four, five, six, seven."),
        ("Count down from three.", "Three, two, one."),
        ("Count backwards from ten to eight", "Ten, nine, eight."),
        ("Can you count?", "One, two, three, four, five, six, seven, eight, nine, ten."),
        ("Count to a thousand and 2000", "That would take too long. I count one hundred numbers at most."),
        ("Spell the word lamp.", "Lamp is spelled: L, A, M, P."),
        ("Spell the word cat backwards.", "Cat backwards is spelled: T, A, C."),
        ("How do you spell Ann?", "Ann is spelled: A, N, N."),
        ("What is two plus three?", "Two plus three is five."),
        ("12 times 12?", "Twelve times twelve is one hundred and forty-four."),
        ("What is nine minus twelve?", "Nine minus twelve is minus three."),
        ("What is twenty-one divided by four?", "Twenty-one divided by four is five, with a remainder of one."),
        ("What is one divided by zero?", "Nothing can be divided by zero."),
        ("Say after me: blue is the sea", "blue is the sea"),
    ],
)
def test_a_request_is_fulfilled(question, answer):
    assert asked(question) == answer


@pytest.mark.parametrize(
    ("request_", "texts"),
    [
        ("Tell me a story.", STORIES),
        ("Could you please tell us a short story?", STORIES),
        ("Another story, please.", STORIES),
        ("A story!", STORIES),
        ("I would like to hear a tale.", STORIES),
        ("Do you know a joke?", JOKES),
        ("Make me laugh.", JOKES),
        ("Tell me something.", FACTS),
        ("Sing a song.", POEMS),
    ],
)
def test_a_text_is_told_on_request(request_, texts):
    assert asked(request_) == texts[0]


@pytest.mark.parametrize("again", ["Another one", "One more, please!", "Again.", "Another!"])
def test_another_one_is_of_the_kind_of_the_last(again):
    assert asked(again, "Tell me a joke.", JOKES[0]) == JOKES[1]
    assert asked(again, "Tell me a joke.", JOKES[0], "Another one", JOKES[1], "Nice", "Good.") == JOKES[2]
    assert asked(again, "Count to two", "One, two.", "Thanks", "With pleasure.") == "One, two."
    assert asked(again, "Why is the sky blue?", "It is not.") is None
    assert asked(again) is None


@pytest.mark.parametrize(
    "text", ["My name is Ada, and I have a long story to tell you about it.", "It was a joke.", "In fact it rained."]
)
def test_a_sentence_about_a_story_is_no_request(text):
    assert asked(text) is None


@pytest.mark.parametrize("question", ["I bought a red bicycle.", "Why is the sky blue?", "", "You can count on me."])
def test_anything_else_is_no_request(question):
    assert asked(question) is None


@pytest.mark.parametrize("question", ["What time is it?", "What day is it?"])
def test_without_a_clock_there_is_no_time(question):
    assert asked(question, now=None) is None


@pytest.mark.parametrize(
    ("hour", "minute", "words"),
    [
        (0, 5, "twelve oh five at night"),
        (9, 0, "nine o’clock in the morning"),  # noqa: RUF001 - as it is printed
        (12, 30, "twelve thirty in the afternoon"),
    ],
)
def test_the_time_of_day_is_in_words(hour, minute, words):
    assert skills.time_in_words(NOW.replace(hour=hour, minute=minute)) == words


def test_the_user_s_name_is_spelled():
    assert asked("Spell my name", "My name is Ada.", "Nice to meet you.") == "Ada is spelled: A, D, A."
    assert asked("Spell my name") is None


def test_no_story_is_told_twice_before_all_are_told():
    told = []
    for _ in STORIES:
        told += ["Tell me a story.", asked("Tell me a story.", *told)]

    assert sorted(told[1::2]) == sorted(STORIES)
    assert asked("Another story", "Tell me a story.", STORIES[0][:60]) == STORIES[1]
    assert asked("Tell me a joke", *told) in JOKES
