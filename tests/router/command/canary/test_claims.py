"""The claims of the canary's steps."""

import pytest

from router.command.canary import claims

SPOKEN = "What is the capital of France?"
FORECAST = "sunny, 21 degrees"


@pytest.mark.parametrize(
    ("transcript", "is_right"),
    [
        (SPOKEN, True),
        ("what's the capital of france", True),
        ("(speech, 2.4 seconds)", True),
        ("(speech, 9.0 seconds)", False),
        ("Thank you.", False),
        ("", False),
    ],
)
def test_a_transcript_has_the_spoken_words_or_their_length(transcript, is_right):
    assert (claims.transcript_fault(transcript, SPOKEN, 2.1) == "") is is_right


@pytest.mark.parametrize(
    ("name", "arguments", "is_right"),
    [
        ("get_weather", {"city": "Paris, France"}, True),
        ("get_weather", {"city": "Rome"}, False),
        ("get_weather", {}, False),
        ("get_weather", ["Paris"], False),
        ("get_time", {"city": "Paris"}, False),
    ],
)
def test_a_call_names_the_function_and_the_city(name, arguments, is_right):
    assert (claims.call_fault(name, arguments, function="get_weather", city="Paris") == "") is is_right


@pytest.mark.parametrize(
    ("reply", "is_right"),
    [
        ("It is sunny, 21 degrees.", True),
        ("Twenty-one degrees and sunny!", True),
        ("It's 21\u00b0C.", True),
        ("It is sunny.", False),
        ("121 degrees", False),
    ],
)
def test_a_reply_repeats_the_number_of_the_forecast(reply, is_right):
    assert (claims.forecast_fault(reply, FORECAST) == "") is is_right


def test_a_count_has_every_number_in_words_or_digits():
    assert claims.count_fault("One, two - three. 4; five", 5) == ""
    assert claims.count_fault("one two five", 5) == "the answer is not whole: it lacks 3, 4"
