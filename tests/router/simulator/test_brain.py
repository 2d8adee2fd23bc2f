"""The brain: what it answers, remembers and calls."""

import orjson
import pytest

from router.simulator import brain
from router.simulator.history import Call, Context, FunctionCall, FunctionOutput, Message, Say
from router.simulator.tool_calls import build_arguments


def tool(name, description="", parameters=None):
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": parameters or {"type": "object"},
    }


def context(*said, tools=(), **fields):
    """Turns of the user and the assistant, in turn."""
    entries = tuple(Message(role, text) for role, text in zip(("user", "assistant") * len(said), said, strict=False))
    return Context(entries=entries, tools=tuple(tools), **fields)


def answer(*said, **fields):
    (output,) = brain.answer(context(*said, **fields))
    return output.text


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = tool("get_weather", "Look up the weather for a city.", CITY)
ORDER = tool("lookup", "Find the status of a customer's order.", CITY)


def test_it_answers_about_what_was_said():
    assert "the red bicycle" in answer("I bought the red bicycle.")
    assert "Why is the sky blue?" in answer("Why is the sky blue?")


def test_it_greets():
    assert answer("Hello!") == "Hello! How can I help you?"
    assert brain.answer(Context()) == [Say("Hello! How can I help you today?")]


@pytest.mark.parametrize(
    ("instructions", "said"),
    [
        ('Say exactly: "Welcome to Acme."', "Welcome to Acme."),
        ("Be kind. Say exactly the following sentence: Hello there, friend.", "Hello there, friend."),
        ('Say exactly: "He said "no"."', 'He said "no".'),
        ("say exactly this: \u201cGuten Tag\u201d", "Guten Tag"),
    ],
)
def test_an_instruction_to_say_something_exactly_is_obeyed(instructions, said):
    assert answer("Whatever", instructions=instructions) == said


@pytest.mark.parametrize(
    ("history", "question", "expected"),
    [
        (["My name is Alice."], "What is my name?", "Your name is Alice."),
        (["I'm Bob and my dog is called Rex"], "what's my name?", "Your name is Bob."),
        (["I'm Bob and my dog is called Rex"], "what is my dog?", "Your dog is Rex."),
        (["My name is Ann.", "Hi", "My name is Eve."], "What is my name?", "Your name is Eve."),
        (["One.", "ok", "Two."], "What did I say before?", 'Before that you said: "Two."'),
        (["One.", "ok", "Two."], "What did I say first?", 'First you said: "One."'),
        ([], "What did I just say?", "You have not said anything before."),
        (["Hi", "I am a machine."], "What did you say?", 'I said: "I am a machine."'),
        (["I ordered a large pizza."], "Which pizza did I order?", 'Earlier you said: "I ordered a large pizza."'),
    ],
)
def test_it_remembers(history, question, expected):
    padded = [*history, "ok"] if len(history) % 2 else history
    assert answer(*padded, question) == expected


def test_it_calls_the_function_whose_name_fits():
    (call,) = brain.answer(context("What is the weather in London?", tools=[ORDER, WEATHER]))

    assert call == Call("get_weather", '{"city":"London"}')


def test_it_calls_the_function_whose_description_fits_best():
    (call,) = brain.answer(context("Where is my order number 7?", tools=[WEATHER, ORDER]))

    assert call.name == "lookup"


def test_it_calls_nothing_where_nothing_fits():
    assert isinstance(brain.answer(context("Sing a song", tools=[WEATHER, ORDER]))[0], Say)


def test_words_of_one_stem_fit():
    (call,) = brain.answer(context("Cancel all of the orders", tools=[tool("cancelOrder")]))

    assert call.name == "cancelOrder"


def test_parallel_calls_can_be_switched_off():
    tools = [WEATHER, tool("get_time")]
    question = "What is the weather and the time?"

    assert len(brain.answer(context(question, tools=tools))) == 2
    assert len(brain.answer(context(question, tools=tools, is_parallel=False))) == 1


def test_it_repeats_outputs_verbatim_and_calls_no_second_time():
    entries = (
        Message("user", "What is the weather in London?"),
        FunctionCall("get_weather", "c1"),
        FunctionOutput("c1", '{"sky": "grey"}'),
        FunctionCall("get_weather", "c2"),
        FunctionOutput("c2", "12 degrees"),
    )

    (output,) = brain.answer(Context(entries=entries, tools=(WEATHER,)))

    assert output.text.endswith('{"sky": "grey"} 12 degrees')


def test_a_call_that_is_outstanding_is_not_made_again():
    entries = (Message("user", "What is the weather in London?"), FunctionCall("get_weather", "c1"))

    assert isinstance(brain.answer(Context(entries=entries, tools=(WEATHER,)))[0], Say)


def test_speech_without_words_is_answered():
    assert "(speech, 1.8 seconds)" in answer("(speech, 1.8 seconds)")


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


def test_arguments_are_json():
    (call,) = brain.answer(context('Weather for "St. John\'s"?', tools=[WEATHER]))

    assert orjson.loads(call.arguments) == {"city": "St. John's"}
