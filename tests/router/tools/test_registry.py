"""The functions of an embedding application: registration, and calls of their handlers."""

import datetime as dt
import logging
from types import MappingProxyType

import pytest

from router.errors import HandlerError
from router.tools.registry import FunctionRegistry, ToolCall

CALL = ToolCall(session_id="s", call_id="c", name="lookup")
SCHEMA = {"name": "lookup", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def functions():
    return FunctionRegistry(max_bytes=100)


def answering(functions, handler, arguments="{}"):
    functions.add(None, SCHEMA, handler)
    return functions.call(CALL, arguments)


@pytest.mark.parametrize("name", [None, "lookup"])
def test_a_function_is_registered_by_its_schema_as_it_is_written_for_openai(functions, name):
    functions.add(name, {"type": "function", "strict": True, **SCHEMA}, print)
    (function,) = functions.functions()
    assert (function.name, function.description) == ("lookup", "Look it up.")
    assert function.parameters == SCHEMA["parameters"]
    assert function.endpoint is None


def test_with_a_name_the_schema_of_the_parameters_alone_suffices(functions):
    functions.add("lookup", {"type": "object", "properties": {"name": {"type": "string"}}}, print)
    (function,) = functions.functions()
    assert function.parameters == {"type": "object", "properties": {"name": {"type": "string"}}}


def test_a_schema_is_copied_when_it_is_registered(functions):
    schema = {"type": "object", "properties": {}}
    functions.add("lookup", MappingProxyType(schema), print)
    schema["properties"]["name"] = object()
    assert functions.functions()[0].parameters == {"type": "object", "properties": {}}


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
        ("f", {"parameters": []}, print, "the schema of f is invalid"),
        ("f", {"description": 1}, print, "the schema of f is invalid"),
        ("f", {"parameters": {"enum": object()}}, print, "the schema of f is invalid"),
        ("f", {"properties": {"k": {}}}, print, "the schema of f is invalid: `properties`"),
        ("f", {"type": "function", "function": SCHEMA}, print, "the schema of f is invalid: `function`"),
        ("f", {}, None, "plain function"),
        ("f", {}, coroutine, "plain function"),
    ],
)
def test_an_invalid_function_is_refused_at_once(functions, name, schema, handler, problem):
    with pytest.raises(ValueError, match=problem):
        functions.add(name, schema, handler)
    assert functions.functions() == ()


def test_a_name_can_be_registered_once(functions):
    functions.add("f", {}, print)
    with pytest.raises(ValueError, match="a function f is registered already"):
        functions.add("f", {}, print)


def test_a_handler_gets_the_arguments_and_the_call(functions):
    got = []
    assert answering(functions, lambda *given: got.append(given), '{"k":1}') == "null"
    assert got == [({"k": 1}, CALL)]


@pytest.mark.parametrize(("answer", "output"), [("text", "text"), ("", ""), ({"a": [1]}, '{"a":[1]}'), (None, "null")])
def test_a_result_is_text_or_written_as_json(functions, answer, output):
    assert answering(functions, lambda *_: answer) == output


@pytest.mark.parametrize("arguments", ["[]", "{", "1", "null"])
def test_arguments_that_are_no_object_do_not_reach_the_handler(functions, arguments):
    with pytest.raises(HandlerError, match="not a JSON object"):
        answering(functions, lambda *_: pytest.fail("called"), arguments)


@pytest.mark.parametrize(
    ("answer", "problem"), [(object(), "JSON cannot express"), ("x" * 101, "longer than 100 bytes")]
)
def test_a_result_that_cannot_be_sent_is_a_failure(functions, answer, problem):
    with pytest.raises(HandlerError, match=problem):
        answering(functions, lambda *_: answer)


def test_a_lone_surrogate_in_a_result_costs_that_character_alone(functions):
    assert answering(functions, lambda *_: "a \ud83d b") == "a ? b"


def test_dates_are_written_as_orjson_writes_them(functions):
    assert answering(functions, lambda *_: {"at": dt.date(2026, 1, 2)}) == '{"at":"2026-01-02"}'


def test_an_exception_of_a_handler_is_logged_with_the_session_and_kept_from_the_model(functions, caplog):
    def handler(_arguments, _call):
        raise ValueError("the database's password is 1234")

    with caplog.at_level(logging.ERROR), pytest.raises(HandlerError) as caught:
        answering(functions, handler)
    assert str(caught.value) == "its handler failed"
    assert "session s: the handler of lookup failed" in caplog.text
    assert "1234" in caplog.text
