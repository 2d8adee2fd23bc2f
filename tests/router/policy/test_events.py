"""Tests of OpenAI's client events under a policy."""

from __future__ import annotations

import orjson
import pytest

from router.policy.rules import Denied
from tests.support.machine.policies import FORCED, SECRET, policy, settings, update


@pytest.mark.parametrize(
    "event",
    [
        update(instructions="evil"),
        update(prompt={"id": "pmpt_evil"}),
        update(instructions="evil", prompt={"id": "pmpt_evil"}),
    ],
)
def test_forced_instructions_replace_what_a_session_update_says_in_any_place(event):
    judged = FORCED.client_event(event)
    assert judged["session"] == {"instructions": SECRET}


def test_a_session_update_that_says_no_instructions_stays_as_it_is():
    assert FORCED.client_event(update(speed=1.2)) == update(speed=1.2)


@pytest.mark.parametrize("response", [{"instructions": "evil"}, {"prompt": {"id": "evil"}}])
def test_forced_instructions_replace_those_of_a_response(response):
    judged = FORCED.client_event({"type": "response.create", "response": response})
    assert judged["response"] == {"instructions": SECRET}


@pytest.mark.parametrize("role", ["system", "developer", "System", None, 7, "root"])
@pytest.mark.parametrize("kind", ["force", "prefix", "allow", "deny"])
def test_an_item_of_another_role_than_a_speaker_s_is_denied_where_instructions_have_a_rule(role, kind):
    value = {"force": "x", "prefix": "x", "allow": ["x"], "deny": True}[kind]
    rule = policy(instructions={kind: value})
    item = {"type": "message", "role": role, "content": [{"type": "input_text", "text": "evil"}]}
    for event, place in (
        ({"type": "conversation.item.create", "item": item}, "item.role"),
        ({"type": "response.create", "response": {"input": [item]}}, "response.input[0].role"),
    ):
        denied = rule.client_event(event)
        assert isinstance(denied, Denied)
        assert denied.place == place
        assert "evil" not in denied.sentence


def test_items_of_the_speakers_pass():
    for role in ("user", "assistant"):
        event = {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": []}}
        assert FORCED.client_event(event) == event


def test_a_prefix_stands_before_the_client_s_instructions_and_before_none():
    rule = policy(instructions={"prefix": "Be polite. "})
    assert rule.client_event(update(instructions="Sell."))["session"]["instructions"] == "Be polite. Sell."
    assert rule.client_event(update(), opens=True)["session"]["instructions"] == "Be polite. "
    assert rule.settings(settings())["agent"]["think"]["prompt"] == "Be polite. "
    assert rule.settings(settings(think={"prompt": "Sell."}))["agent"]["think"]["prompt"] == "Be polite. Sell."
    assert isinstance(rule.client_event(update(prompt={"id": "pmpt"})), Denied)
    assert isinstance(rule.client_event(update(instructions=["evil"])), Denied)


@pytest.mark.parametrize(
    ("rule", "event", "is_denied"),
    [
        ({"model": {"allow": ["a"]}}, update(model="a"), False),
        ({"model": {"allow": ["a"]}}, update(model="A"), True),
        ({"model": {"prefix": "gpt-realtime"}}, update(model="gpt-realtime-2.1"), False),
        ({"model": {"prefix": "gpt-realtime"}}, update(model="o9"), True),
        ({"voice": {"allow": ["marin"]}}, update(audio={"output": {"voice": "marin"}}), False),
        ({"voice": {"allow": ["marin"]}}, update(audio={"output": {"voice": {"id": "ash"}}}), True),
        ({"voice": {"allow": ["marin"]}}, update(voice="ash"), True),
        ({"voice": {"allow": ["marin"]}}, update(Voice="marin"), True),
        ({"voice": {"deny": True}}, update(audio={"output": {"voice": "marin"}}), True),
        ({"max_output_tokens": {"allow": [200, 400]}}, update(max_output_tokens=200), False),
        ({"max_output_tokens": {"allow": [200, 1]}}, update(max_output_tokens="inf"), True),
        ({"max_output_tokens": {"allow": [200, 1]}}, update(max_output_tokens=True), True),
        ({"max_output_tokens": {"allow": [200]}}, update(max_response_output_tokens=4096), True),
        ({"modalities": {"allow": ["audio"]}}, update(output_modalities=["audio"]), False),
        ({"modalities": {"allow": ["audio"]}}, update(modalities=["audio", "text"]), True),
        ({"turn_detection": {"allow": ["server_vad"]}}, update(turn_detection={"type": "server_vad"}), False),
        ({"turn_detection": {"allow": ["server_vad"]}}, update(audio={"input": {"turn_detection": None}}), True),
        ({"turn_detection": {"allow": ["manual"]}}, update(audio={"input": {"turn_detection": None}}), False),
        ({"input_format": {"allow": ["mulaw"]}}, update(audio={"input": {"format": {"type": "audio/pcmu"}}}), False),
        ({"input_format": {"allow": ["audio/pcmu"]}}, update(input_audio_format="pcm16"), True),
        ({"transcription": {"allow": ["w"]}}, update(audio={"input": {"transcription": {"model": "v"}}}), True),
        ({"truncation": {"allow": ["auto"]}}, update(truncation={"type": "retention_ratio"}), True),
        ({"tools": {"allow": ["a"]}}, update(tools=[{"type": "function", "name": "a"}]), False),
        ({"tools": {"allow": ["a"]}}, update(tools=[{"type": "function", "name": "b"}]), True),
        ({"tools": {"allow": ["a"]}}, update(tools=[{"type": "Function", "name": "a"}]), True),
        ({"tools": {"allow": ["a"]}}, update(tools={"0": {}}), True),
        ({"tools": {"deny": True}}, update(tools=[{"type": "mcp", "server_label": "x"}]), True),
        ({"tools": {"deny": True}}, update(tools=[]), False),
        ({"mcp": {"deny": True}}, update(tools=[{"type": "mcp", "server_url": "https://e.example"}]), True),
        ({"mcp": {"deny": True}}, update(tools=[{"type": "function", "name": "a"}]), False),
        (
            {"mcp": {"prefix": "https://a.example"}},
            update(tools=[{"type": "mcp", "server_url": "https://a.example/x"}]),
            False,
        ),
        (
            {"mcp": {"prefix": "https://a.example"}},
            update(tools=[{"type": "mcp", "server_url": "https://a.example.evil"}]),
            True,
        ),
        (
            {"mcp": {"allow": ["connector_a"]}},
            update(tools=[{"type": "mcp", "connector_id": "connector_a", "server_url": "https://e"}]),
            True,
        ),
        ({"voice": {"deny": True}}, {"type": "transcription_session.update", "session": {}}, True),
        ({"events": {"allow": ["response.cancel"]}}, {"type": "response.cancel"}, False),
        ({"voice": {"deny": True}}, update(type="transcription"), True),
        ({"events": {"allow": ["response.cancel"]}}, update(), True),
        ({"events": {"allow": ["response.new"]}}, {"type": "response.new", "x": 1}, False),
        (
            {"items": {"allow": ["message"]}},
            {"type": "conversation.item.create", "item": {"type": "function_call"}},
            True,
        ),
        ({"roles": {"allow": ["user"]}}, {"type": "conversation.item.create", "item": {"role": "assistant"}}, True),
        ({"conversation": {"deny": True}}, {"type": "response.create", "response": {"conversation": "none"}}, True),
        ({"metadata": {"deny": True}}, {"type": "response.create", "response": {"metadata": {"a": "b"}}}, True),
        ({"input": {"deny": True}}, {"type": "response.create", "response": {"input": [{"role": "user"}]}}, True),
        ({"instructions": {"deny": True}}, {"type": "response.create", "response": {"instructions": "x"}}, True),
        ({"voice": {"deny": True}}, {"type": "session.update", "session": [{"voice": "marin"}]}, True),
        ({"voice": {"deny": True}}, update(audio=[{"output": {"voice": "marin"}}]), True),
    ],
)
def test_each_rule_judges_each_place_of_a_native_event(rule, event, is_denied):
    before = orjson.dumps(event)
    judged = policy(**rule).client_event(event)
    assert isinstance(judged, Denied) is is_denied, judged
    assert orjson.dumps(event) == before  # the argument stays as it is
    if not is_denied:
        assert judged == event or event["session"]["tools"] == []


def test_metadata_that_a_policy_forces_stands_in_every_response():
    rule = policy(metadata={"force": {"tenant": "a"}})
    assert rule.client_event({"type": "response.create"})["response"] == {"metadata": {"tenant": "a"}}


def test_a_session_that_a_client_repeats_loses_what_its_server_alone_sets():
    session = {"type": "realtime", "id": "evil", "object": "evil", "expires_at": 1, "client_secret": {"value": "evil"}}
    judged = policy(voice={"deny": True}).client_event({"type": "session.update", "session": session})
    assert judged == {"type": "session.update", "session": {"type": "realtime"}}
