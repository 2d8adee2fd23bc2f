"""Tests of the tables of policies in the configuration."""

from __future__ import annotations

import pytest

from router.policy.fields import FIELDS
from router.policy.rules import Rule
from router.policy.table import policies


def test_each_field_takes_the_kinds_of_its_row():
    for name, row in FIELDS.items():
        for kind in row.kinds:
            if kind != "force":
                written = {"allow": ["a"], "prefix": "a", "deny": True}[kind]
                assert policies({"p": {name: {kind: written}}})["p"].rules[name].kind == kind


def test_an_allowed_format_has_one_name_on_both_wires():
    found = policies({"p": {"input_format": {"allow": ["mulaw", "pcm16"]}}})["p"]
    assert found.rules["input_format"] == Rule("allow", ["audio/pcmu", "audio/pcm"])


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ([], r"\[policies.NAME\]"),
        ({"a b": {}}, "name"),
        ({"p": 1}, r"\[policies.p\]"),
        ({"p": {"modle": {"deny": True}}}, "p.modle, which is no field of a policy; did you mean model"),
        ({"p": {"model": "x"}}, "p.model, which must be one of"),
        ({"p": {"model": {"deny": True, "force": "x"}}}, "p.model, which must be one of"),
        ({"p": {"model": {"max": 1}}}, "p.model, which must be one of"),
        ({"p": {"model": {"deny": False}}}, "p.model.deny, which must be true"),
        ({"p": {"model": {"allow": "x"}}}, "p.model.allow, which must be a list"),
        ({"p": {"turn_detection": {"allow": [{"type": "server_vad"}]}}}, "p.turn_detection.allow, which must be"),
        ({"p": {"model": {"prefix": ""}}}, "p.model.prefix, which must be a text"),
        ({"p": {"model": {"force": 1}}}, "p.model.force, which must be a text"),
        ({"p": {"instructions": {"force": ["x"]}}}, "p.instructions.force, which must be a text"),
        ({"p": {"tools": {"force": ["x"]}}}, "p.tools.force, which must be a list of tools"),
        ({"p": {"max_output_tokens": {"force": True}}}, "p.max_output_tokens.force, which must be a number"),
        ({"p": {"events": {"force": ["x"]}}}, "p.events.force, but this field takes allow, deny"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(written, problem):
    with pytest.raises(ValueError, match=problem):
        policies(written)
