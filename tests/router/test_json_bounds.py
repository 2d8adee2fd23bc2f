"""The bounds of a JSON text: exact where strings hold brackets, and linear for every text."""

import json
import time

import orjson
import pytest
from hypothesis import given, strategies

from router.json_bounds import (
    MAX_DEPTH,
    MAX_ESCAPES,
    MAX_LONG_VALUES,
    MAX_RECOUNT_CHARS,
    MAX_VALUES,
    MAX_WIDE_CHARS,
    MAX_WIDE_TEXT_CHARS,
    exceeded_bound,
    has_more_values,
    is_too_deep,
)

TOO_MANY = f"has more than {MAX_VALUES} values"
TOO_DEEP = "is nested too deeply"


def nested(levels, opening="[", closing="]"):
    return opening * levels + "1" + closing * levels


def wide(members, unit="1"):
    """Make a list of members: one value for the list, and one for each comma."""
    return f"[{','.join([unit] * members)}]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        nested(MAX_DEPTH),
        nested(MAX_DEPTH, '{"a":', "}"),
        wide(MAX_VALUES),
        json.dumps("[{," * MAX_VALUES),
        json.dumps({"type": "x", "text": '\\"[[[' * MAX_VALUES}),
        json.dumps(["\\", "[" * MAX_VALUES, '\\"' + "[" * MAX_VALUES, '"', "[" * MAX_VALUES]),
        wide(1000, "[]"),
        "]" * 1000,
    ],
)
def test_a_text_within_the_bounds_is_parsed(text):
    assert exceeded_bound(text) is None


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        (nested(MAX_DEPTH + 1), TOO_DEEP),
        (nested(MAX_DEPTH + 1, '{"a":', "}"), TOO_DEEP),
        ("[" * (MAX_DEPTH + 1), TOO_DEEP),
        (f"[{wide(1000, '[]')},{nested(MAX_DEPTH)}]", TOO_DEEP),
        (json.dumps(["\\"])[:-1] + "[" * MAX_DEPTH, TOO_DEEP),
        (json.dumps(['\\"'])[:-1] + "[" * MAX_DEPTH, TOO_DEEP),
        (wide(MAX_VALUES + 1), TOO_MANY),
        (wide(MAX_VALUES // 2 + 1, "{}"), TOO_MANY),
        ("[" * (MAX_VALUES + 1), TOO_MANY),
        (json.dumps(["x" * MAX_RECOUNT_CHARS, "[" * (MAX_VALUES + 1)]), TOO_MANY),
    ],
)
def test_a_text_beyond_a_bound_is_refused_by_it(text, bound):
    assert exceeded_bound(text) == bound


JSON = strategies.recursive(
    strategies.text(alphabet='ab[]{},"\\', max_size=5) | strategies.none(),
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(strategies.text(max_size=3), inner),
)


def depth_of(value):
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if within is None else 1 + max(map(depth_of, within), default=0)


@given(JSON, strategies.integers(0, 8))
def test_the_depth_is_that_of_the_parsed_value(value, levels):
    # Put so deep that this value's own depth decides.
    around = MAX_DEPTH - levels
    text = "[" * around + orjson.dumps(value).decode() + "]" * around
    assert (exceeded_bound(text) == TOO_DEEP) is (depth_of(value) > levels)


MEGA = 1024 * 1024
WORST = {
    "a string without an end": lambda: '["' + '\\"' * (MEGA // 2 - 60_000) + "{" * 120_000,
    "quotes": lambda: "[" * 300 + '"' * (MEGA - 300),
    "many strings": lambda: "{" + ",".join(f'"{at:x}":0' for at in range(95_000)),
    "escapes": lambda: json.dumps('"{,' * (MEGA // 4)),
    "brackets that do not match": lambda: "[{" * 24_000 + "]}" * 24_000,
    "16 MB": lambda: '{"a":"' + "[" * (16 * MEGA) + '"}',
}


@pytest.mark.cputime
@pytest.mark.parametrize("text", WORST.values(), ids=WORST)
def test_no_text_costs_much_to_judge(text):
    worst = text()
    prices = []
    while len(prices) < 10 and min(prices, default=1.0) >= 0.05:
        began_s = time.thread_time()
        exceeded_bound(worst)
        prices.append(time.thread_time() - began_s)
    assert min(prices) < 0.05


@pytest.mark.parametrize(("length", "most"), [(MEGA, MAX_VALUES), (2 * MEGA, MAX_LONG_VALUES)])
@pytest.mark.parametrize("more", [-3, 3])
def test_the_values_of_a_long_text_are_counted(length, most, more):
    text = '{"a":"' + "x" * length + '","b":[' + ",".join("0" * (most + more)) + "]}"
    assert (exceeded_bound(text) is not None) is (more > 0)


AUDIO = '{"audio":"' + "AAAA" * (MAX_WIDE_CHARS // 4)
IMAGE = '"image":"' + "AAAA" * (MAX_WIDE_TEXT_CHARS // 4) + '"}'


def strings(count, rest):
    return "[" + ",".join(['"' + "x" * 100_000 + rest + '"'] * count) + ',"' + "A" * MAX_WIDE_CHARS + '"]'


@pytest.mark.parametrize(
    ("text", "is_within"),
    [
        (AUDIO + '"}', True),
        (AUDIO + "\\/" * MAX_ESCAPES + '"}', True),
        (AUDIO + "\\/" * (MAX_ESCAPES + 1) + '"}', False),
        (AUDIO + '\u20ac"}', False),
        (AUDIO + '\\u20ac"}', False),
        (AUDIO + '\\"\u20ac"}', False),
        (AUDIO + '","text":"\u20ac"}', True),
        (AUDIO + '","text":"\\"\\u20ac\\""}', True),
        ('{"text":"\u20ac",' + IMAGE, False),
        ('{"text":"\\u20ac",' + IMAGE, True),
        (strings(20, "\u20ac"), True),
        (strings(22, "\u20ac"), False),
        (strings(22, "\\u20ac"), False),
        (AUDIO + '","":"' * 1500 + '\u20ac"}', False),
        ('{"text":"' + "\u20ac" * (MAX_WIDE_CHARS - 20) + '"}', True),
        ('{"text":"' + "\\u20ac" * (MAX_WIDE_CHARS // 6 - 20) + '"}', True),
    ],
    ids=[
        "plain",
        "escapes",
        "many escapes",
        "a sign",
        "an escaped sign",
        "a sign behind an escaped quote",
        "a sign in another string",
        "an escaped sign in another string",
        "a sign in a very long text",
        "an escaped sign in a very long text",
        "strings with a sign",
        "more strings with a sign",
        "more strings with an escaped sign",
        "many strings",
        "signs",
        "escaped signs",
    ],
)
def test_the_long_strings_of_a_long_text_are_plain(text, is_within):
    assert (exceeded_bound(text) is None) is is_within


def test_the_levels_of_a_parsed_text_are_counted():
    def nested(levels):
        return json.loads('{"a":[' * (levels // 2) + "1" + "]}" * (levels // 2))

    assert not is_too_deep(nested(MAX_DEPTH))
    assert is_too_deep(nested(MAX_DEPTH + 2))


def test_the_values_of_a_parsed_text_are_counted_up_to_a_bound():
    value = {"a": [1, {"b": 2}, []], "c": "text"}  # two objects, two lists, two, three, one and no members
    assert not has_more_values(value, 10)
    assert has_more_values(value, 9)
