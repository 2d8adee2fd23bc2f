"""Text frames to fields."""

import pytest

from router.fronts.deepgram_agent.fields import objects_of, read, text_of


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 300 + "]" * 300, "nested too deeply"),
        ('{"a":[' + "1," * 60_000 + "1]}", "more than 50000 values"),
        ('{"a":' * 300 + "1" + "}" * 300 + " " * 1_100_000, "nested too deeply"),
    ],
)
def test_a_frame_that_is_no_message_is_a_problem(text, problem):
    assert problem in read(text)


def test_fields_of_another_type_are_empty():
    fields = {"a": 1, "b": [1, {"c": 2}], "d": "text"}
    assert (text_of(fields, "a"), text_of(fields, "d"), text_of(fields, "none")) == ("", "text", "")
    assert (objects_of(fields, "a"), objects_of(fields, "b"), objects_of(fields, "none")) == ([], [{"c": 2}], [])
