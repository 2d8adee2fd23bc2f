"""The brain: the rules that choose an answer."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from router.simulator import brain
from router.simulator.history import Call, Context, FunctionCall, FunctionOutput, Message, Say


def tool(name, description="", parameters=None):
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": parameters or {"type": "object"},
    }


def context(*said, tools=(), **fields):
    """Return a context with messages of the user and the assistant in turn."""
    entries = tuple(Message(role, text) for role, text in zip(("user", "assistant") * len(said), said, strict=False))
    return Context(entries=entries, tools=tuple(tools), **fields)


def answer(*said, **fields):
    (output,) = brain.answer(context(*said, **fields))
    return output.text


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = tool("get_weather", "Look up the weather for a city.", CITY)
ORDER = tool("lookup", "Find the status of a customer's order.", CITY)


def test_a_message_is_repeated_in_its_answer():
    assert "the red bicycle" in answer("I bought the red bicycle.")
    assert "Why is the sky blue?" in answer("Why is the sky blue?")


def test_a_greeting_is_answered_with_one():
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


def test_an_instruction_to_say_the_last_message_is_obeyed():
    assert answer("Welcome to Acme.", instructions="Say exactly the text of the only message.") == "Welcome to Acme."


def test_the_function_whose_name_fits_is_called():
    (call,) = brain.answer(context("What is the weather in London?", tools=[ORDER, WEATHER]))

    assert call == Call("get_weather", '{"city":"London"}')


def test_the_function_whose_description_fits_best_is_called():
    (call,) = brain.answer(context("Where is my order number 7?", tools=[WEATHER, ORDER]))

    assert call.name == "lookup"


def test_no_function_is_called_where_none_fits():
    assert isinstance(brain.answer(context("Sing a song", tools=[WEATHER, ORDER]))[0], Say)


def test_words_of_one_stem_fit():
    (call,) = brain.answer(context("Cancel all of the orders", tools=[tool("cancelOrder")]))

    assert call.name == "cancelOrder"


def test_parallel_calls_can_be_switched_off():
    tools = [WEATHER, tool("get_time")]
    question = "What is the weather and the time?"

    assert len(brain.answer(context(question, tools=tools))) == 2
    assert len(brain.answer(context(question, tools=tools, is_parallel=False))) == 1


def test_outputs_are_repeated_verbatim_and_no_call_is_made_again():
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


def test_arguments_are_json():
    (call,) = brain.answer(context('Weather for "St. John\'s"?', tools=[WEATHER]))

    assert orjson.loads(call.arguments) == {"city": "St. John's"}


STORY = "Tell me a story."


@pytest.mark.parametrize("request_", ["Continue.", "Please go on.", "Okay, keep going!", "And then?", "tell me more"])
def test_an_interrupted_story_goes_on_at_the_sentence_that_was_interrupted(request_):
    whole = answer(STORY)
    cut = whole.index("climbed")

    assert answer(STORY, whole[:cut].rstrip(), request_) == whole[whole.rindex(". ", 0, cut) + 2 :]


def test_an_answer_is_found_behind_others_and_may_be_interrupted_again():
    whole = answer(STORY)
    first = whole[: whole.index("climbed")].rstrip()
    rest = answer(STORY, first, "Wait, what is two plus two?", "Two plus two is four.", "Go on.")
    again = answer(STORY, first, "Go on.", rest[: rest.index("storm")].rstrip(), "Go on.")

    assert whole.endswith(rest)
    assert rest.endswith(again)
    assert "storm" in again[: again.index(".")]


def test_nothing_goes_on_where_nothing_was_interrupted():
    assert "all that I had to say" in answer("Hello!", "Hello! How can I help you?", "Continue.")


def test_words_of_truncated_audio_go_on_and_are_no_part_of_a_router_s_history():
    whole = answer(STORY)
    heard = Message("assistant", whole[:80].rsplit(" ", 1)[0], is_truncated=True)
    entries = (Message("user", STORY), heard, Message("user", "Go on."))

    (output,) = brain.answer(Context(entries=entries))
    assert whole.endswith(output.text)


def test_an_answer_with_the_time_of_day_is_continued_a_minute_later():
    now = datetime(2026, 11, 29, 22, 42, tzinfo=UTC)

    def rest(words):
        instructions = f'Your last answer was cut off after these words: "{words}". Go on from exactly there.'
        entries = (Message("user", "What time is it?"), Message("assistant", words))
        return brain.answer(Context(instructions=instructions, entries=entries, now=now + timedelta(minutes=1)))

    assert rest("It is ten") == [Say(" forty-three in the evening.")]
    assert rest("It is ten forty-two") == [Say(" in the evening.")]


def test_a_function_that_fits_is_called_in_place_of_a_skill():
    (call,) = brain.answer(context("What time is it?", tools=[tool("get_time")], now=datetime.now(UTC)))

    assert call.name == "get_time"


def test_speech_that_was_not_recognized_is_asked_for_again():
    assert "say that again" in answer("(speech, 1.8 seconds)", hears=True)
