"""The router with Hugging Face's Realtime server as upstream, which acknowledges and refuses in its own way."""

import json
import math
from array import array

import pytest

from router.audio.convert import converted
from router.audio.formats import MULAW_8K, Format, Recording
from tests.support.clients.canary import run_canary
from tests.support.clients.voice_agent import (
    CONVERSE,
    OPENAI,
    PATHS,
    SETTINGS,
    hold_text_turn,
    hold_tool_turn,
    voice_agent,
)
from tests.support.processes import children

RATE = 16000
OUTPUT_RATE = 24000
GREETING = "Good morning, how can I help?"
FRAME_BYTES = 640  # 20 ms


@pytest.fixture(scope="module")
def router(speech_to_speech):
    with children.router("--upstream", speech_to_speech) as running:
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


def test_a_text_is_said_although_this_server_knows_nothing_outside_the_conversation(router):
    with voice_agent(router.address, CONVERSE) as agent:
        agent.start({**SETTINGS, "agent": {**SETTINGS["agent"], "greeting": GREETING}})
        turn = agent.wait_for_turn()
        assert turn.text("assistant") == GREETING
        assert len(turn.audio) == 2 * len(GREETING.split()) * OUTPUT_RATE // 10
        agent.send("InjectAgentMessage", message="One moment.", behavior="queue")
        assert agent.wait_for_turn().text("assistant") == "One moment."
        assert hold_text_turn(agent, "Thank you.").text("assistant") == "You said: Thank you."
        assert "Error" not in agent.received.types


def test_a_prompt_is_added_in_a_running_session(agent):
    agent.send("UpdatePrompt", prompt="Speak French.")
    agent.wait_for("PromptUpdated")
    assert hold_text_turn(agent, "Good day.").text("assistant") == "You said: Good day."


def speech():
    """Return a second of speech, and two of silence."""
    loud = [int(9000 * math.sin(2 * math.pi * 200 * at / RATE)) for at in range(RATE)]
    return array("h", loud).tobytes() + bytes(2 * 2 * RATE)


def speak(agent, audio, frame_bytes):
    for start in range(0, len(audio), frame_bytes):
        agent.send_audio(audio[start : start + frame_bytes])
    turn = agent.wait_for_turn()
    assert turn.types.count("UserStartedSpeaking") == 1
    assert turn.text("user") == "What is the capital of France?"
    assert turn.text("assistant") == "You said: What is the capital of France?"
    return turn


def test_speech_is_transcribed_and_answered(agent):
    assert speak(agent, speech(), FRAME_BYTES).audio


def test_a_telephone_is_understood_although_this_server_takes_g711_for_linear16(router):
    """The server acknowledges mu-law, and still takes samples of two bytes: the router does not ask for mu-law."""
    telephone = {"encoding": "mulaw", "sample_rate": 8000}
    mulaw = converted(Recording(speech(), Format("linear16", RATE)), MULAW_8K)
    for path in PATHS:
        with voice_agent(router.address, path) as agent:
            agent.start({**SETTINGS, "audio": {"input": telephone, "output": {**telephone, "container": "none"}}})
            turn = speak(agent, mulaw, 160)
            assert len(turn.audio) > RATE / 4
            assert turn.audio.strip(b"\xff"), "not only silence"


def test_speech_interrupts_the_agent(agent):
    """The server makes all of an answer at once, acknowledges no truncation, and continues."""
    agent.send("InjectUserMessage", content="It was a long way to the station, and it rained. " * 8)
    agent.wait_for_audio()
    audio = speech()
    for start in range(0, len(audio), FRAME_BYTES):
        agent.send_audio(audio[start : start + FRAME_BYTES])
    agent.wait_for("UserStartedSpeaking")
    if "AgentAudioDone" not in agent.received.types:
        assert not agent.wait_for_turn().audio
    turn = agent.wait_for_turn()
    assert turn.text("user") == "What is the capital of France?"
    assert turn.text("assistant") == "You said: What is the capital of France?"
    assert turn.audio
    assert "Error" not in agent.received.types


def test_an_error_whose_code_stands_in_its_type_keeps_it(router):
    """The server does not know this event, which the React component's profile forwards unchanged."""
    with voice_agent(router.address, OPENAI) as agent:
        agent.start()
        agent.send("input_audio_buffer.clear")
        assert agent.wait_for("Error").messages[-1]["code"] == "unknown_or_invalid_event"
        assert hold_text_turn(agent, "Never mind.").text("assistant") == "You said: Never mind."


@pytest.mark.exhaustive
def test_the_canary_is_green_in_every_step(speech_to_speech):
    report = run_canary("--upstream", speech_to_speech)
    assert report["problem"] is None
    assert len(report["steps"]) == 6
