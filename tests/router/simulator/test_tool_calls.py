"""The choice of functions, and their arguments from a JSON schema."""

import pytest

from router.simulator.history import Call, Context, Message
from router.simulator.tool_calls import build_arguments, fitting_calls, forced_call

WEATHER = {"type": "function", "name": "get_weather", "description": "Look up the weather for a city."}
CLOCK = {"type": "function", "name": "get_time", "description": "Tell the time."}


def context(question, **fields):
    return Context(entries=(Message("user", question),), tools=(WEATHER, CLOCK), **fields)


def test_a_function_is_chosen_by_a_word_of_its_name():
    assert [call.name for call in fitting_calls(context("How is the weather?"))] == ["get_weather"]
    assert [call.name for call in fitting_calls(context("The weather and the time?"))] == ["get_weather", "get_time"]


def test_a_function_is_chosen_by_its_description_where_no_name_fits():
    assert [call.name for call in fitting_calls(context("Which city is it?"))] == ["get_weather"]


@pytest.mark.parametrize("question", ["Sing a song", ""])
def test_no_function_is_chosen_where_none_fits(question):
    assert list(fitting_calls(context(question))) == []


def test_the_choice_none_forbids_every_call():
    assert list(fitting_calls(context("How is the weather?", tool_choice="none"))) == []


@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ("auto", []),
        ("none", []),
        ("required", [Call("get_weather", "{}")]),
        ({"type": "function", "name": "get_time"}, [Call("get_time", "{}")]),
        ({"type": "function", "name": "unknown"}, []),
    ],
)
def test_a_forced_choice_is_called_for_any_question(choice, calls):
    assert forced_call(context("Sing a song", tool_choice=choice)) == calls


@pytest.mark.parametrize(
    ("properties", "question", "expected"),
    [
        ({"city": {"type": "string"}}, "What is the weather like in New York today?", {"city": "New York"}),
        ({"query": {"type": "string"}}, 'Search for "blue shoes" now', {"query": "blue shoes"}),
        ({"a": {"type": "string"}, "b": {"type": "string"}}, "Fly from Paris to Rome", {"a": "Paris", "b": "Rome"}),
        ({"n": {"type": "integer"}}, "Roll 3 dice", {"n": 3}),
        ({"n": {"type": "number"}}, "Heat to 21.5 degrees", {"n": 21.5}),
        ({"n": {"type": "integer", "minimum": 1}}, "Roll the dice", {"n": 1}),
        ({"on": {"type": "boolean"}}, "Turn the light off", {"on": False}),
        ({"unit": {"enum": ["celsius", "fahrenheit"]}}, "In Fahrenheit please", {"unit": "fahrenheit"}),
        ({"unit": {"enum": ["celsius", "fahrenheit"]}}, "How warm?", {"unit": "celsius"}),
        ({"tags": {"type": "array", "items": {"type": "string"}}}, "Find Berlin", {"tags": ["Berlin"]}),
        (
            {"to": {"type": "object", "properties": {"zip": {"type": "integer"}}, "required": ["zip"]}},
            "Send it to 10115",
            {"to": {"zip": 10115}},
        ),
        ({"x": {"type": ["string", "null"]}}, "Find Berlin", {"x": "Berlin"}),
        ({"x": {"const": "fixed"}}, "anything", {"x": "fixed"}),
    ],
)
def test_arguments_are_built_from_the_schema(properties, question, expected):
    schema = {"type": "object", "properties": properties, "required": list(properties)}

    assert build_arguments(schema, question) == expected


def test_optional_parameters_are_left_out():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}

    assert build_arguments(schema, "Weather in Rome?") == {}
