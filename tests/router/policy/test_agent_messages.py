"""Tests of Deepgram's messages under a policy."""

from __future__ import annotations

import pytest

from router.policy.rules import Denied
from tests.support.machine.policies import FORCED, SECRET, policy, settings


@pytest.mark.parametrize(
    "agent",
    [
        {"think": {"prompt": "evil"}},
        {"think": [{"prompt": "evil"}, {"managedPrompt": {"id": "evil"}}]},
        {"think": {"managedPrompt": {"id": "evil"}}},
        {"think": []},
        {"think": None},
        {},
    ],
)
def test_forced_instructions_stand_in_every_think_block(agent):
    judged = FORCED.settings(settings(**agent))
    think = judged["agent"]["think"]
    assert all(block == {"prompt": SECRET} for block in (think if isinstance(think, list) else [think]))
    assert think


def test_forced_instructions_replace_those_of_updates():
    assert FORCED.settings({"type": "UpdatePrompt", "prompt": "evil"})["prompt"] == SECRET
    judged = FORCED.settings({"type": "UpdateThink", "think": {"prompt": "evil", "provider": {"model": "m"}}})
    assert judged["think"] == {"provider": {"model": "m"}, "prompt": SECRET}
    # The block replaces the one before it: without a prompt there would be none.
    assert FORCED.settings({"type": "UpdateThink", "think": {}})["think"] == {"prompt": SECRET}


def test_a_context_with_another_role_is_denied():
    message = settings(context={"messages": [{"role": "system", "content": "evil"}]})
    assert FORCED.settings(message).place == "agent.context.messages[0].role"


@pytest.mark.parametrize(
    ("rule", "message", "place"),
    [
        ({"model": {"allow": ["a"]}}, settings(think={"provider": {"model": "b"}}), "agent.think.provider.model"),
        ({"voice": {"allow": ["a"]}}, settings(speak=[{"provider": {"model": "b"}}]), "agent.speak[0].provider.model"),
        ({"voice": {"allow": ["a"]}}, settings(sessionAudioOutput={"voice": "b"}), "agent.sessionAudioOutput.voice"),
        (
            {"voice": {"deny": True}},
            {"type": "UpdateSpeak", "speak": {"provider": {"voice": "b"}}},
            "speak.provider.voice",
        ),
        ({"voice": {"allow": ["a"]}}, settings(speak={"provider": {"type": "b"}}), "agent.speak.provider.type"),
        ({"tools": {"deny": True}}, settings(think={"functions": [{"name": "a"}]}), "agent.think.functions[0]"),
        (
            {"tools": {"allow": ["b"]}},
            {"type": "UpdateThink", "think": [{"functions": [{"name": "a"}]}]},
            "think[0].functions[0]",
        ),
        (
            {"endpoints": {"deny": True}},
            settings(think={"functions": [{"name": "a", "endpoint": {"url": "u"}}]}),
            "agent.think.functions[0].endpoint",
        ),
        (
            {"endpoints": {"prefix": "https://a"}},
            settings(think={"endpoint": {"url": "https://a.evil"}}),
            "agent.think.endpoint",
        ),
        (
            {"modalities": {"allow": ["audio"]}},
            settings(think={"outputModalities": ["text"]}),
            "agent.think.outputModalities",
        ),
        ({"max_output_tokens": {"deny": True}}, settings(think={"maxOutputTokens": 1}), "agent.think.maxOutputTokens"),
        (
            {"turn_detection": {"deny": True}},
            settings(listen={"provider": {"eot_threshold": 0.5}}),
            "agent.listen.provider.eot_threshold",
        ),
        (
            {"transcription": {"deny": True}},
            {"type": "UpdateListen", "listen": {"provider": {"language": "de"}}},
            "listen.provider.language",
        ),
        ({"greeting": {"deny": True}}, settings(greeting="hello"), "agent.greeting"),
        ({"context": {"deny": True}}, settings(messages=[{"role": "user", "content": "x"}]), "agent.messages"),
        ({"agent_messages": {"deny": True}}, {"type": "InjectAgentMessage", "content": "x"}, "content"),
        ({"user_messages": {"deny": True}}, {"type": "InjectUserMessage", "content": "x"}, "content"),
        ({"instructions": {"deny": True}}, {"type": "UpdatePrompt", "prompt": "x"}, "prompt"),
        (
            {"output_format": {"allow": ["mulaw"]}},
            {"type": "Settings", "audio": {"output": {"encoding": "linear16"}}, "agent": {}},
            "audio.output",
        ),
    ],
)
def test_each_rule_judges_each_place_of_deepgram_s_messages(rule, message, place):
    denied = policy(**rule).settings(message)
    assert isinstance(denied, Denied)
    assert denied.place == place


def test_strict_settings_have_no_unknown_field_and_no_stored_agent():
    rule = policy(voice={"force": "a"})
    assert rule.settings(settings(think={"Prompt": "x"}), is_strict=True).place == "agent.think.Prompt"
    assert rule.settings({"type": "Settings", "audio": {}, "agent": "id"}, is_strict=True).place == "agent"
    assert rule.settings({"type": "UpdateThink_Live", "think_live": {}}, is_strict=True).place == "UpdateThink_Live"
    assert not isinstance(rule.settings(settings(think={"Prompt": "x"})), Denied)


@pytest.mark.parametrize("think", [None, [], {}, [{}]])
@pytest.mark.parametrize("kind", ["Settings", "UpdateThink"])
def test_forced_functions_stand_where_a_client_says_nothing(kind, think):
    rule = policy(tools={"force": [{"name": "book"}]})
    given = {"type": kind, "think": think} if kind == "UpdateThink" else settings(think=think)
    judged = rule.settings(given)
    found = judged["think"] if kind == "UpdateThink" else judged["agent"]["think"]
    assert (found[0] if isinstance(found, list) else found) == {"functions": [{"name": "book"}]}
