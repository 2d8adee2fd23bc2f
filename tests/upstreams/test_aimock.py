"""The router with CopilotKit's mock as upstream: text and tools under GA names, no audio, strict fixtures."""

import json

import pytest

from tests.support.clients.canary import run_canary
from tests.support.clients.voice_agent import PATHS, hold_text_turn, hold_tool_turn, voice_agent
from tests.support.processes import children


@pytest.fixture(scope="module")
def router(aimock):
    with children.router("--upstream", aimock) as running:
        yield running


@pytest.fixture(params=PATHS)
def agent(router, request):
    with voice_agent(router.address, request.param) as agent:
        agent.start()
        yield agent


def test_a_text_turn_without_audio_still_ends(agent):
    turn = hold_text_turn(agent, "What is your favourite colour?")
    assert turn.text("assistant") == "My favourite colour is teal."
    assert not turn.audio


def test_a_tool_turn_reaches_the_client_and_its_answer_the_upstream(agent):
    """The mock answers only if it receives the output that its fixture expects."""
    before, after = hold_tool_turn(agent, "What is the weather in Paris?", "sunny, 21 degrees")
    assert before.messages[-1]["functions"][0]["id"] == "call_weather"
    assert before.messages[-1]["functions"][0]["name"] == "get_weather"
    assert json.loads(before.messages[-1]["functions"][0]["arguments"]) == {"city": "Paris"}
    assert after.text("assistant").endswith("The forecast for Paris: sunny, 21 degrees.")


def test_a_conversation_continues_after_a_tool_turn(agent):
    hold_tool_turn(agent, "What is the weather in Paris?", "sunny, 21 degrees")
    turn = hold_text_turn(agent, "What is your favourite colour?")
    assert turn.text("assistant") == "My favourite colour is teal."


def test_the_canary_is_green_in_every_step_that_needs_no_audio(aimock):
    report = run_canary("--upstream", aimock, "--steps", "text,function,restart")
    assert report["problem"] is None
    assert [step["step"] for step in report["steps"]] == ["settings", "text", "function", "restart"]
