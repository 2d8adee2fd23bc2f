"""The router before Hugging Face's Realtime server, which acknowledges and refuses in its own way."""

import json
import math
from array import array

import pytest

import processes
from voice_agent import PATHS, hold_text_turn, hold_tool_turn, voice_agent

RATE = 16000
FRAME_BYTES = 640  # 20 ms


@pytest.fixture(scope="module")
def router(speech_to_speech):
    with processes.router("--upstream", speech_to_speech) as running:
        yield running


@pytest.fixture(params=PATHS)
def agent(router, request):
    with voice_agent(router.address, request.param) as agent:
        agent.start()
        yield agent


def test_a_text_turn_is_answered_in_text_and_audio(agent):
    for text in ("My name is Ada.", "I live in Turin."):
        turn = hold_text_turn(agent, text)
        assert turn.text("assistant") == f"You said: {text}"
        assert len(turn.audio) > RATE
        assert len(turn.audio) % 2 == 0


def test_a_tool_turn_reaches_the_client_and_its_answer_the_upstream(agent):
    before, after = hold_tool_turn(agent, "What is the weather in Paris?", "sunny, 21 degrees")
    (call,) = before.messages[-1]["functions"]
    assert call["name"] == "get_weather"
    assert json.loads(call["arguments"]) == {"city": "Paris"}
    assert after.text("assistant").endswith("The tool says: sunny, 21 degrees")
    assert "Error" not in agent.received.types


def test_speech_is_transcribed_and_answered(agent):
    loud = [int(9000 * math.sin(2 * math.pi * 200 * at / RATE)) for at in range(RATE)]
    pcm = array("h", loud).tobytes() + bytes(2 * RATE)
    for start in range(0, len(pcm), FRAME_BYTES):
        agent.send_audio(pcm[start : start + FRAME_BYTES])
    turn = agent.wait_for_turn()
    assert turn.types.count("UserStartedSpeaking") == 1
    assert turn.text("user") == "Good morning from the microphone."
    assert turn.text("assistant") == "You said: Good morning from the microphone."
    assert turn.audio
