"""Tests of one rule at the places of its field."""

from __future__ import annotations

import pytest

from router.policy.fields import FIELDS
from router.policy.judge import judge
from router.policy.rules import ABSENT, Rule

PLACES = (("a", "voice"), ("voice",))


def judged(rule, root, *, fills=False):
    denied = judge(rule, FIELDS["voice"], root, PLACES, "s", fills=fills, written=lambda value: value)
    return denied.place if denied is not None else root


@pytest.mark.parametrize(
    ("rule", "root", "expected"),
    [
        (Rule("force", "x"), {"voice": "y"}, {"a": {"voice": "x"}}),
        (Rule("force", "x"), {"a": {"voice": "y"}, "voice": "z"}, {"a": {"voice": "x"}}),
        (Rule("force", "x"), {}, {}),
        (Rule("force", ABSENT), {"voice": "y"}, {}),
        (Rule("deny"), {"voice": "y"}, "s.voice"),
        (Rule("deny"), {"voice": None, "a": {"voice": ""}}, {"a": {}}),
        (Rule("allow", ["x"]), {"voice": "x", "a": {"voice": "y"}}, "s.a.voice"),
        (Rule("allow", ["x"]), {"voice": "x", "a": {"voice": None}}, {"voice": "x", "a": {}}),
        (Rule("prefix", "x"), {"voice": "xy"}, {"voice": "xy"}),
        (Rule("prefix", "x"), {"voice": "yx"}, "s.voice"),
    ],
)
def test_a_rule_judges_every_place_and_writes_the_first(rule, root, expected):
    assert judged(rule, root) == expected


def test_a_forced_value_is_set_where_nothing_is_said_in_what_configures():
    assert judged(Rule("force", "x"), {}, fills=True) == {"a": {"voice": "x"}}
    assert judged(Rule("allow", ["x"]), {}, fills=True) == {}
