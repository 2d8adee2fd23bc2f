"""Tests of an application's overrides as rules."""

from __future__ import annotations

from router.policy.policy import Policy
from tests.support.machine.policies import FORCED, SECRET, policy, update


def test_the_overrides_of_an_application_hold_for_later_messages_of_every_kind():
    hook = {"agent": {"think": {"prompt": SECRET, "maxOutputTokens": 200, "functions": None}}}
    extended = Policy().with_overrides(hook)
    judged = extended.client_event(update(instructions="evil", max_output_tokens="inf", tools=[{"type": "function"}]))
    assert judged["session"] == {"instructions": SECRET, "max_output_tokens": 200, "tools": []}
    judged = extended.settings({"type": "UpdateThink", "think": {"prompt": "evil", "functions": [{"name": "evil"}]}})
    assert judged["think"] == {"prompt": SECRET, "maxOutputTokens": 200, "functions": []}
    assert Policy().with_overrides({"session": {"instructions": SECRET}}).rules["instructions"].value == SECRET


def test_an_application_s_override_stands_behind_the_policy_s_own_rule():
    assert FORCED.with_overrides({"session": {"instructions": "other"}}).rules["instructions"].value == SECRET
    before = policy(instructions={"prefix": "Be polite. "})
    assert (
        before.with_overrides({"session": {"instructions": "Sell."}}).rules["instructions"].value == "Be polite. Sell."
    )
