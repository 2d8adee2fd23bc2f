"""Tests of the methods of a policy."""

from __future__ import annotations

import orjson

from router.policy.rules import Denied
from tests.support.machine.policies import FORCED, SECRET, policy, update


def test_the_first_session_update_gets_the_forced_values_in_any_case():
    judged = FORCED.client_event(update(type="realtime"), opens=True)
    assert judged["session"] == {"type": "realtime", "instructions": SECRET}
    assert FORCED.opening() == judged["session"]
    assert policy(voice={"deny": True}).opening() is None


def test_an_update_of_the_router_s_own_gets_the_forced_values_and_keeps_its_tools():
    rule = policy(instructions={"force": SECRET}, tools={"force": []}, model={"force": "m"})
    session = {"instructions": "evil", "tools": [{"name": "own"}], "model": "chosen"}
    assert rule.enforced(session) == {**session, "instructions": SECRET}
    assert rule.enforced({}) == {}
    assert rule.enforced({}, opens=True) == {"instructions": SECRET}


def test_plain_audio_keeps_its_frame_and_ambiguous_audio_does_not():
    text = '{"type":"input_audio_buffer.append","audio":"AAAA"}'
    assert FORCED.client_text(orjson.loads(text), text) is text
    twice = '{"type":"session.update","session":{"instructions":"evil"},"type":"input_audio_buffer.append","audio":"A"}'
    assert isinstance(FORCED.client_text(orjson.loads(twice), twice), Denied)
    twice = '{"type":"session.update","type":"input_audio_buffer.append","audio":"A"}'
    assert FORCED.client_text(orjson.loads(twice), twice) == '{"type":"input_audio_buffer.append","audio":"A"}'


def test_the_url_of_a_session_obeys_the_policy():
    assert policy(model={"force": "m"}).model("evil") == "m"
    assert policy(model={"allow": ["m"]}).model("m") == "m"
    assert policy(model={"allow": ["m"]}).model(None) is None
    assert isinstance(policy(model={"deny": True}).model("m"), Denied)
    assert policy(turn_detection={"force": {"type": "semantic_vad"}}).turn_detection("manual") == "semantic_vad"
    assert isinstance(policy(turn_detection={"deny": True}).turn_detection("manual"), Denied)
