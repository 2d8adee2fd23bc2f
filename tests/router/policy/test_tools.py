"""Tests of the rules about tools."""

from __future__ import annotations

from tests.support.machine.policies import policy, settings, update


def test_forced_tools_replace_the_client_s_on_either_wire():
    tool = {"name": "sell", "parameters": {}}
    rule = policy(tools={"force": [tool]})
    evil = [{"type": "function", "name": "evil"}, {"type": "mcp", "server_url": "https://evil.example"}]
    assert rule.client_event(update(tools=evil))["session"]["tools"] == [{"type": "function", **tool}]
    assert rule.client_event(update(), opens=True)["session"]["tools"] == [{"type": "function", **tool}]
    judged = rule.settings(settings(think=[{"functions": [{"name": "evil"}]}]))
    assert judged["agent"]["think"] == [{"functions": [tool]}]
    assert rule.settings(settings())["agent"]["think"] == {"functions": [tool]}
