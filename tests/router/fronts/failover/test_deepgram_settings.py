"""Settings of a client of the router's own routes, as Deepgram takes them."""

import pytest

from router.fronts.failover.deepgram_settings import DEFAULT_PROVIDER, for_deepgram
from router.simulator.deepgram.message_shapes import problem_of

BLOCKS = {
    "listen": {"provider": {"type": "deepgram", "model": "nova-3"}},
    "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
    "think": {"provider": {"type": "open_ai", "model": "gpt-5-mini"}, "prompt": "unused"},
}


def written(agent, audio=None, blocks=None, **top):
    return for_deepgram({"type": "Settings", "audio": audio or {}, "agent": agent, **top}, blocks or {}, 16000)


def test_fields_that_deepgram_does_not_know_are_left_out():
    think = {"prompt": "Be brief.", "toolChoice": "auto", "outputModalities": ["text"]}
    agent = {"think": think, "idleTimeoutMs": 5000, "turn_detection": "manual", "greeting": "Hi."}
    settings = written(agent, mip_opt_out=True, unknown=1)
    assert problem_of(settings) is None
    assert set(settings) == {"type", "audio", "agent", "mip_opt_out"}
    assert set(settings["agent"]) == {"think", "greeting"}
    assert settings["agent"]["think"] == {"prompt": "Be brief.", "provider": DEFAULT_PROVIDER}


def test_an_audio_block_that_is_missing_has_the_route_s_own_defaults():
    heard, spoken = {"encoding": "linear16", "sample_rate": 16000}, {"encoding": "linear16", "sample_rate": 24000}
    assert written({})["audio"] == {"input": heard, "output": spoken}
    mulaw = {"encoding": "mulaw", "sample_rate": 8000}
    assert written({}, {"input": mulaw, "output": mulaw})["audio"] == {"input": mulaw, "output": mulaw}


def test_the_blocks_of_the_configured_agent_replace_those_of_the_client():
    think = {"provider": {"type": "open_ai", "model": "gpt-realtime"}, "prompt": "Be brief.", "endpoint": {"url": "x"}}
    agent = written({"think": think, "speak": {"provider": {"type": "open_ai", "voice": "marin"}}}, blocks=BLOCKS)[
        "agent"
    ]
    assert agent["listen"] == BLOCKS["listen"]
    assert agent["speak"] == BLOCKS["speak"]
    assert agent["think"] == {"provider": BLOCKS["think"]["provider"], "prompt": "Be brief."}


@pytest.mark.parametrize("block", [{}, {"provider": {}}, "aura", []])
def test_a_block_without_a_type_is_left_out(block):
    assert "speak" not in written({"speak": block})["agent"]


def test_lists_of_fallbacks_stay_lists():
    thinks = [{"provider": {"type": "google", "model": name}} for name in ("a", "b")]
    speaks = [{"provider": {"type": "deepgram", "model": "aura"}}]
    agent = written({"think": thinks, "speak": speaks})["agent"]
    assert agent["think"] == thinks
    assert agent["speak"] == speaks
    assert written({"think": thinks}, blocks=BLOCKS)["agent"]["think"]["provider"] == BLOCKS["think"]["provider"]


def test_functions_keep_their_parts_and_an_older_place_of_the_context_is_known():
    function = {"name": "look", "description": "Looks.", "parameters": {}, "client_side": True}
    history = [{"type": "History", "role": "user", "content": "Hi"}]
    agent = written({"think": {"functions": [function]}, "messages": history})["agent"]
    assert agent["think"]["functions"] == [{"name": "look", "description": "Looks.", "parameters": {}}]
    assert agent["context"] == {"messages": history}


def test_the_id_of_a_stored_agent_stays():
    assert written("an-id")["agent"] == "an-id"
