"""The functions that the model may call: filtered, translated, and added to a client's own update."""

import orjson
import pytest

from router.deepgram.blocks import Endpoint, Function, Think
from router.translation.offered_tools import FilteredFunctions, add_server_functions, filter_functions, tool

ORDER = Function("order", description="Order a book.", parameters={"type": "object", "properties": {"n": {}}})
OWN = Function("show")
REMOTE = Function("remote", endpoint=Endpoint("https://api.example/remote"))


def update(**session):
    return orjson.dumps({"type": "session.update", "event_id": "e1", "session": session}).decode()


def session_with_server_functions(text, *, is_first=True):
    return orjson.loads(add_server_functions(text, [ORDER], is_first=is_first))["session"]


def test_a_function_of_the_client_s_own_passes():
    think = Think(functions=[OWN])

    assert filter_functions(think, (), {"order"}) == FilteredFunctions(think)


@pytest.mark.parametrize(
    ("origins", "not_allowed"),
    [((), ("remote",)), (("https://api.example",), ()), (("https://other.example",), ("remote",))],
)
def test_a_function_whose_endpoint_may_not_be_called_is_left_out(origins, not_allowed):
    filtered = filter_functions(Think(functions=[OWN, REMOTE]), origins, set())

    assert filtered.not_allowed == not_allowed
    assert [it.name for it in filtered.think.functions] == (["show"] if not_allowed else ["show", "remote"])


def test_the_name_of_a_server_s_function_is_taken_for_any_endpoint():
    think = Think(prompt="Be kind.", functions=[OWN, REMOTE])

    filtered = filter_functions(think, (), {"remote"})
    assert filtered == FilteredFunctions(Think(prompt="Be kind.", functions=[OWN]), taken=("remote",))


def test_a_tool_has_parameters_even_where_the_function_has_none():
    assert tool(OWN) == {"type": "function", "name": "show", "parameters": {"type": "object", "properties": {}}}
    assert tool(ORDER)["description"] == "Order a book."
    assert tool(ORDER)["parameters"] == ORDER.parameters


def test_the_server_s_functions_come_first_among_a_client_s_own_tools():
    mine = {"type": "function", "name": "mine"}

    session = session_with_server_functions(update(instructions="x", tools=[mine, {"name": "order"}]))
    assert session == {"instructions": "x", "tools": [tool(ORDER), mine]}


def test_the_rest_of_the_event_stays_as_it_is():
    event = orjson.loads(add_server_functions(update(), [ORDER], is_first=True))

    assert (event["type"], event["event_id"]) == ("session.update", "e1")


@pytest.mark.parametrize(("is_first", "names"), [(True, ["order"]), (False, None)])
def test_an_update_without_tools_gets_them_only_where_it_is_the_first(is_first, names):
    session = session_with_server_functions(update(instructions="x"), is_first=is_first)

    assert [each["name"] for each in session.get("tools", [])] == (names or [])
    assert ("tools" in session) is is_first


@pytest.mark.parametrize("text", [update(tools=[]), '{"type":"session.update"}', '{"session":5}'])
def test_nothing_is_changed_where_the_server_has_no_function_or_there_is_no_session(text):
    assert add_server_functions(text, [] if "tools" in text else [ORDER], is_first=True) == text


def test_a_tool_whose_name_is_no_text_is_left_for_the_upstream_to_refuse():
    assert session_with_server_functions(update(tools=[{"name": []}]))["tools"][1:] == [{"name": []}]
    assert session_with_server_functions(update(tools="none"))["tools"] == [tool(ORDER)]
