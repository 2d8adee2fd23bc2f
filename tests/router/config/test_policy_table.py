"""The limits of a policy."""

import orjson
import pytest

from router.config.model import Limits
from router.config.policy_table import OF_A_SESSION, limits_of, parse

WRITTEN = {"trial": {"voice": {"allow": ["marin"]}, "limits": {"max_call_s": 60, "max_tokens": 0}}, "other": {}}


@pytest.mark.parametrize("written", [WRITTEN, orjson.dumps(WRITTEN).decode()])
def test_a_policy_has_rules_and_limits_of_its_own_which_replace_those_of_the_server(written):
    found = parse(written)
    assert set(found["trial"].rules) == {"voice"}
    limits = Limits(max_call_s=3600.0, max_tokens=500, max_turns=9)
    assert limits_of(limits, found["trial"]) == Limits(max_call_s=60.0, max_tokens=0, max_turns=9)
    assert limits_of(limits, found["other"]) is limits_of(limits, None) is limits
    assert found["trial"].with_overrides({}).limits == {"max_call_s": 60.0, "max_tokens": 0}


def test_every_limit_of_a_session_is_a_key_of_the_table_of_limits():
    assert set(OF_A_SESSION) <= set(Limits.__struct_fields__)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ([], r"\[policies.NAME\]"),
        ("{", r"\[policies.NAME\]"),
        ({"p": 1}, r"\[policies.p\]"),
        ({"p": {"limits": 5}}, r"\[policies.p.limits\]"),
        ({"p": {"limits": {"max_sessions": 5}}}, "p.limits.max_sessions, but a policy sets max_call_s"),
        ({"p": {"limits": {"max_turns": -1}}}, "p.limits.max_turns, which must be a whole number"),
    ],
)
def test_a_mistake_is_named(written, problem):
    with pytest.raises(ValueError, match=problem):
        parse(written)
