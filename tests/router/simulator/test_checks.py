"""The parts of a shape: the values that each accepts, and the refusals in OpenAI's words."""

import pytest

from router.simulator import checks
from router.simulator.errors import RequestError

ACCEPTED = [
    (checks.anything, [None, 5, []]),
    (checks.boolean, [True, False]),
    (checks.json_object, [{}, {"a": 1}]),
    (checks.string(3), ["", "abc"]),
    (checks.integer(1, 3), [1, 3]),
    (checks.number(0, 1), [0, 0.5, 1]),
    (checks.one_of("a", "b"), ["a", "b"]),
    (checks.nullable(checks.boolean), [None, True]),
    (checks.either({int: checks.integer(1), str: checks.one_of("inf")}, "x"), [1, "inf"]),
    (checks.array(checks.boolean, 2), [[], [True, False]]),
    (checks.mapping(checks.string(1), 2, 3), [{}, {"abc": "x", "d": "y"}]),
    (checks.fields({"a": checks.boolean}, ("a",)), [{"a": True}]),
    (checks.tagged("type", {"x": checks.anything}), [{"type": "x", "more": 1}]),
]

REFUSED = [
    (checks.boolean, 1, "invalid_type", "Invalid type for 'p': expected a boolean, but got an integer instead."),
    (checks.string(), None, "invalid_type", "Invalid type for 'p': expected a string, but got null instead."),
    (checks.string(2), "abc", "string_above_max_length", "but got a string with length 3 instead."),
    (checks.integer(), True, "invalid_type", "expected an integer, but got a boolean instead."),
    (checks.integer(), 1.5, "invalid_type", "expected an integer, but got a decimal instead."),
    (checks.integer(1), 0, "integer_below_min_value", "Expected a value >= 1, but got 0 instead."),
    (checks.number(0, 1), 1.5, "decimal_above_max_value", "Expected a value <= 1, but got 1.5 instead."),
    (checks.one_of("a"), "b", "invalid_value", "Invalid value: 'b'. Supported values are: 'a'."),
    (checks.one_of("a", "b"), "c", "invalid_value", "Supported values are: 'a', and 'b'."),
    (checks.either({int: checks.integer()}, "an integer"), "x", "invalid_type", "expected an integer"),
    (checks.array(checks.anything, 1), [1, 2], "array_above_max_length", "but got an array with length 2 instead."),
    (checks.mapping(checks.anything, 0, 9), {"a": 1}, "object_above_max_properties", "with 1 properties instead."),
    (checks.base64_audio(3), "A" * 9, "string_above_max_length", "more than 3 bytes"),
]


@pytest.mark.parametrize(("check", "value"), [(check, value) for check, values in ACCEPTED for value in values])
def test_a_valid_value_is_accepted(check, value):
    check(value, "p")


@pytest.mark.parametrize(("check", "value", "code", "message"), REFUSED)
def test_an_invalid_value_is_refused_with_its_path(check, value, code, message):
    with pytest.raises(RequestError) as caught:
        check(value, "p")
    assert (caught.value.code, caught.value.param) == (code, "p")
    assert message in caught.value.message


PATHS = [
    (checks.fields({"a": checks.boolean}), {"b": 1}, "unknown_parameter", "p.b"),
    (checks.fields({"a": checks.boolean}, ("a",)), {}, "missing_required_parameter", "p.a"),
    (checks.fields({"a": checks.boolean}), {"a": 1}, "invalid_type", "p.a"),
    (checks.array(checks.boolean), [True, 1], "invalid_type", "p[1]"),
    (checks.tagged("type", {}), {}, "missing_required_parameter", "p.type"),
    (checks.tagged("type", {"x": checks.anything}), {"type": "y"}, "invalid_value", "p.type"),
    (checks.mapping(checks.string(1), 9, 9), {"k": "xx"}, "string_above_max_length", "p.k"),
    (checks.mapping(checks.anything, 9, 2), {"abc": 1}, "string_above_max_length", "p.ab"),
]


@pytest.mark.parametrize(("check", "value", "code", "param"), PATHS)
def test_the_path_of_a_refusal_leads_to_the_field(check, value, code, param):
    with pytest.raises(RequestError) as caught:
        check(value, "p")
    assert (caught.value.code, caught.value.param) == (code, param)


def test_audio_is_decoded_or_refused():
    assert checks.decoded_audio("AAAA", "audio") == bytes(3)
    with pytest.raises(RequestError, match="base64"):
        checks.decoded_audio("%%%", "audio")
