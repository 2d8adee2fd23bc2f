"""Functions of the embedding application."""

import datetime as dt
import logging
from types import MappingProxyType

import pytest

from router.errors import HandlerError
from router.tools.registry import FunctionRegistry, ToolCall

CALL = ToolCall(session_id="s", call_id="c", name="lookup")
SCHEMA = {"name": "lookup", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def toolbox():
    return FunctionRegistry(max_bytes=100)


def answering(toolbox, handler, arguments="{}"):
    toolbox.add(None, SCHEMA, handler)
    return toolbox.call(CALL, arguments)


@pytest.mark.parametrize("name", [None, "lookup"])
def test_a_function_is_registered_by_its_schema_as_it_is_written_for_openai(toolbox, name):
    toolbox.add(name, {"type": "function", "strict": True, **SCHEMA}, print)
    (function,) = toolbox.functions()
    assert (function.name, function.description) == ("lookup", "Look it up.")
    assert function.parameters == SCHEMA["parameters"]
    assert function.endpoint is None


def test_with_a_name_the_schema_of_the_parameters_alone_will_do(toolbox):
    toolbox.add("lookup", {"type": "object", "properties": {"name": {"type": "string"}}}, print)
    (function,) = toolbox.functions()
    assert function.parameters == {"type": "object", "properties": {"name": {"type": "string"}}}


def test_what_becomes_of_a_schema_after_its_registration_is_nothing_to_us(toolbox):
    schema = {"type": "object", "properties": {}}
    toolbox.add("lookup", MappingProxyType(schema), print)
    schema["properties"]["name"] = object()
    assert toolbox.functions()[0].parameters == {"type": "object", "properties": {}}


async def coroutine(_arguments, _call):
    pass


@pytest.mark.parametrize(
    ("name", "schema", "handler", "problem"),
    [
        (None, {}, print, "name must be"),
        ("a b", {}, print, "name must be"),
        ("x" * 65, {}, print, "name must be"),
        (None, {"type": "object"}, print, "name must be"),
        ("f", "schema", print, "must be a mapping"),
        ("f", {"parameters": []}, print, "the schema of f is none"),
        ("f", {"description": 1}, print, "the schema of f is none"),
        ("f", {"parameters": {"enum": object()}}, print, "the schema of f is none"),
        ("f", {"properties": {"k": {}}}, print, "the schema of f is none: `properties`"),
        ("f", {"type": "function", "function": SCHEMA}, print, "the schema of f is none: `function`"),
        ("f", {}, None, "called on a thread"),
        ("f", {}, coroutine, "called on a thread"),
    ],
)
def test_what_is_no_function_is_refused_at_once(toolbox, name, schema, handler, problem):
    with pytest.raises(ValueError, match=problem):
        toolbox.add(name, schema, handler)
    assert toolbox.functions() == ()


def test_a_name_is_given_once(toolbox):
    toolbox.add("f", {}, print)
    with pytest.raises(ValueError, match="a function f already"):
        toolbox.add("f", {}, print)


def test_a_handler_gets_the_arguments_and_the_call(toolbox):
    got = []
    assert answering(toolbox, lambda *given: got.append(given), '{"k":1}') == "null"
    assert got == [({"k": 1}, CALL)]


@pytest.mark.parametrize(("answer", "output"), [("text", "text"), ("", ""), ({"a": [1]}, '{"a":[1]}'), (None, "null")])
def test_an_answer_is_text_or_written_as_json(toolbox, answer, output):
    assert answering(toolbox, lambda *_: answer) == output


@pytest.mark.parametrize("arguments", ["[]", "{", "1", "null"])
def test_arguments_that_are_no_object_do_not_reach_the_handler(toolbox, arguments):
    with pytest.raises(HandlerError, match="not a JSON object"):
        answering(toolbox, lambda *_: pytest.fail("called"), arguments)


@pytest.mark.parametrize(("answer", "problem"), [(object(), "no JSON"), ("x" * 101, "longer than 100 bytes")])
def test_an_answer_that_cannot_be_sent_is_a_failure(toolbox, answer, problem):
    with pytest.raises(HandlerError, match=problem):
        answering(toolbox, lambda *_: answer)


def test_half_a_character_in_an_answer_costs_no_more_than_itself(toolbox):
    assert answering(toolbox, lambda *_: "a \ud83d b") == "a ? b"


def test_times_and_the_like_are_written_as_orjson_has_it(toolbox):
    assert answering(toolbox, lambda *_: {"at": dt.date(2026, 1, 2)}) == '{"at":"2026-01-02"}'


def test_what_a_handler_raises_is_logged_with_the_session_and_not_told(toolbox, caplog):
    def handler(_arguments, _call):
        raise ValueError("the database's password is 1234")

    with caplog.at_level(logging.ERROR), pytest.raises(HandlerError) as caught:
        answering(toolbox, handler)
    assert str(caught.value) == "its handler failed"
    assert "session s: the handler of lookup failed" in caplog.text
    assert "1234" in caplog.text
