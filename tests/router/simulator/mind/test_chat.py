"""The chat-completions API: requests as its reference has them, and streams in any portions."""

import pytest

from router.simulator.history import FunctionCall, FunctionOutput, Message
from router.simulator.mind.chat import SPOKEN, Stream, chat_url, models_url, request_body
from router.simulator.mind.messages import End, ModelCall, Question, Words

WEATHER = {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    ("url", "chat"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:11434/", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
        ("https://host/api/v3/", "https://host/api/v3/chat/completions"),
        ("https://host/v1/chat/completions", "https://host/v1/chat/completions"),
    ],
)
def test_the_addresses_follow_from_the_server_s(url, chat):
    assert chat_url(url) == chat
    assert models_url(url) == chat.replace("chat/completions", "models")


def test_a_conversation_becomes_messages():
    entries = (
        Message("user", "Weather in Paris and Rome?"),
        FunctionCall("get_weather", "c1", '{"city":"Paris"}'),
        FunctionCall("get_weather", "c2", '{"city":"Rome"}'),
        FunctionOutput("c1", "rain"),
        FunctionOutput("c2", "sun"),
        Message("assistant", "Rain and sun."),
        Message("user", ""),
    )
    body = request_body(Question(instructions="Be brief.", entries=entries, tools=(WEATHER,), max_tokens=50), "llama")

    assert (body["model"], body["stream"], body["max_tokens"], body["tool_choice"]) == ("llama", True, 50, "auto")
    system, *rest = body["messages"]
    assert system == {"role": "system", "content": f"Be brief.\n\n{SPOKEN}"}
    assert [message["role"] for message in rest] == ["user", "assistant", "tool", "tool", "assistant"]
    assert [call["id"] for call in rest[1]["tool_calls"]] == ["c1", "c2"]
    assert rest[2] == {"role": "tool", "tool_call_id": "c1", "content": "rain"}
    (tool,) = body["tools"]
    assert tool["function"] == {key: WEATHER[key] for key in ("name", "description", "parameters")}


def test_a_forced_function_and_no_function_at_all():
    forced = Question(instructions="", entries=(), tools=(WEATHER,), tool_choice={"type": "function", "name": "f"})
    assert request_body(forced, "m")["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    plain = request_body(Question(instructions="", entries=()), "m")
    assert not {"tools", "tool_choice", "max_tokens"} & set(plain)


def fed(*lines):
    stream = Stream()
    return [piece for line in lines for piece in stream.feed(line)] + list(stream.end())


def test_words_are_streamed_and_the_end_comes_once():
    assert fed(
        ": a comment",
        'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}',
        "",
        'data: {"choices":[{"delta":{"content":"Hel"}}]}',
        'data:{"choices":[{"delta":{"content":"lo."},"finish_reason":"stop"}]}',
        'data: {"choices":[],"usage":{}}',
        "data: [DONE]",
    ) == [Words("Hel"), Words("lo."), End()]


def test_calls_come_in_parts_and_leave_whole():
    assert fed(
        'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}',
        'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\":"}}]}}]}',
        'data: {"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"name":"g"}}]}}]}',
        'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}',
        'data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}',
    ) == [ModelCall("f", '{"a":1}'), ModelCall("g", "{}"), End()]


def test_an_answer_that_the_limit_ended_says_so():
    assert fed('data: {"choices":[{"delta":{"content":"a"},"finish_reason":"length"}]}')[-1] == End(is_cut=True)


@pytest.mark.parametrize("line", ["data: {", 'data: {"error": {"message": "overloaded"}}'])
def test_anything_else_raises(line):
    with pytest.raises(ValueError, match=r".+"):
        fed(line)
