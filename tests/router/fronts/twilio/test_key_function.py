"""The function by which the model reads keys."""

import json

import pytest

from router.fronts.twilio.key_function import NAME, KeyFunction, added_to


def functions(think):
    added = json.loads(added_to(json.dumps({"type": "Settings", "agent": {"think": think}})))["agent"]["think"]
    return [[function["name"] for function in each["functions"]] for each in (added if think == [{}, {}] else [added])]


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        (None, [[NAME]]),
        ({"functions": [{"name": "other"}]}, [["other", NAME]]),
        ({"functions": [{"name": NAME, "endpoint": {}}]}, [[NAME]]),
        ([{}, {}], [[NAME], [NAME]]),
    ],
)
def test_every_block_of_an_agent_gets_the_function_once(think, expected):
    assert functions(think) == expected


def test_keys_answer_the_calls_that_wait():
    keys = KeyFunction()
    assert keys.call("c1") is None
    assert keys.is_waiting
    assert keys.press("42") == [("c1", '{"keys":"42"}')]
    assert not keys.is_waiting


def test_keys_from_before_the_call_are_its_output_once():
    keys = KeyFunction()
    assert keys.press("1") == keys.press("2") == []
    assert keys.call("c1") == '{"keys":"2"}'
    assert keys.call("c2") is None


def test_a_call_without_keys_has_an_empty_output_and_a_cancelled_one_has_none():
    keys = KeyFunction()
    keys.call("c1")
    keys.call("c2")
    keys.cancel("c1")
    keys.cancel("unknown")
    assert keys.time_out() == [("c2", '{"keys":""}')]
    assert keys.time_out() == []
