"""The React component at `/openai`, scripted: the messages that it sends, and the order that it depends on."""

import json
import math
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.clients.voice_agent import GET_WEATHER, Received, VoiceAgent
from tests.support.processes import children

RATE = 16000
MIC_BYTES = 8192  # 4096 samples: one frame of its audio worklet
SETTINGS_DELAY_S = 0.05
TIMEOUT_S = 15.0
QUERY = "token=app-token&service=agent"


@pytest.fixture(scope="module")
def router():
    with children.router() as running:
        yield running


@pytest.fixture
def component(router):
    with mounted(router.address) as component:
        yield component


class Component(VoiceAgent):
    """The component's end of one connection."""

    def start_late(self, **agent: Any) -> None:
        """Send Settings as on a first connection: 50 ms after open, whether or not `Welcome` came."""
        threading.Event().wait(SETTINGS_DELAY_S)
        self.send_settings(**agent)

    def send_settings(self, **agent: Any) -> None:
        """Send Settings with all that the component puts there beyond the protocol."""
        self.send(
            "Settings",
            audio={
                "input": {"encoding": "linear16", "sample_rate": RATE},
                "output": {"encoding": "linear16", "sample_rate": 24000},
            },
            agent={
                "language": "en",
                "listen": {"provider": {"type": "deepgram", "model": "nova-3"}},
                "think": {
                    "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
                    "prompt": "You are a helpful voice assistant.",
                    "functions": [GET_WEATHER],
                    "toolChoice": "auto",
                    "outputModalities": ["audio"],
                    "maxOutputTokens": 4096,
                },
                "speak": {"provider": {"type": "deepgram", "model": "aura-asteria-en"}},
                "idleTimeoutMs": 10000,
                **agent,
            },
        )

    def close(self) -> int | None:
        """Close as its `stop()` does, and return the code of the router's own close frame."""
        self.connection.close(1000, "Closed by client")
        received = self.connection.protocol.close_rcvd
        return received and received.code


@contextmanager
def mounted(address: str) -> Iterator[Component]:
    """Connect as the component does in proxy mode: a token in the query, no subprotocol, no header."""
    with connect(f"ws://{address}/openai?{QUERY}", open_timeout=TIMEOUT_S) as connection:
        yield Component(connection, "/openai")


def test_the_component_authenticates_with_the_token_in_its_url() -> None:
    for token, status in (("app-token", None), ("another-token", 401)):
        with children.router("--auth", "token", env={"ROUTER_TOKENS": f"app={token}"}) as running:
            if status is None:
                with mounted(running.address) as component:
                    component.start()
            else:
                with pytest.raises(InvalidStatus, match=str(status)), mounted(running.address):
                    pass


def shape(turn: Received) -> list[str]:
    """Return a turn's types in order, with the role of each text, and a run of audio as one word."""
    words: list[str] = []
    for frame in turn.frames:
        word = "audio" if isinstance(frame, bytes) else f"{frame['type']} {frame.get('role', '')}".strip()
        if word != "audio" or words[-1:] != ["audio"]:
            words.append(word)
    return words


def assert_in_order(words: list[str], *expected: str) -> None:
    """Assert that `expected` occur in this order, with any others between them."""
    rest = iter(words)
    missing = [word for word in expected if word not in rest]
    assert not missing, f"{missing} not in that order in {words}"


def test_the_first_text_message_needs_no_wait_for_settings(component):
    """It opens, sends Settings, and injects what the user typed before anything was acknowledged."""
    component.start_late()
    component.send("InjectUserMessage", content="Hello there")
    words = shape(turn := component.wait_for_turn())
    assert words[0] == "Welcome"
    assert words.count("SettingsApplied") == 1
    assert words.count("ConversationText user") == 1
    assert turn.text("user") == "Hello there"
    assert_in_order(words, "SettingsApplied", "AgentStartedSpeaking", "ConversationText assistant")
    assert_in_order(words, "AgentStartedSpeaking", "audio", "AgentAudioDone")
    assert words[-2:] == ["AgentAudioDone", "AgentDone"]
    assert words.count("ConversationText assistant") == 1
    assert "Error" not in words


def test_a_text_is_echoed_before_its_answer_and_each_turn_ends_once(component):
    component.start_late()
    component.wait_for("SettingsApplied")
    for text in ("My name is Ada.", "What is my name?"):
        component.send("InjectUserMessage", content=text)
        words = shape(turn := component.wait_for_turn())
        assert_in_order(words, "ConversationText user", "AgentStartedSpeaking", "ConversationText assistant")
        assert words.count("ConversationText assistant") == 1
        assert words.count("AgentAudioDone") == 1
        assert turn.text("user") == text
        assert len(turn.audio) % 2 == 0
    assert "Ada" in turn.text("assistant")


def test_the_greeting_is_shown_after_the_settings(component):
    component.start_late(greeting="Hi! What can I do for you?")
    component.wait_for("SettingsApplied")
    greeting = component.wait_for("ConversationText").messages[-1]
    assert greeting["role"] == "assistant"
    assert greeting["content"] == "Hi! What can I do for you?"


def test_the_agent_speaks_a_message_that_the_component_injects(component):
    """It names the text `content`."""
    component.start_late()
    component.wait_for("SettingsApplied")
    component.send("InjectAgentMessage", content="One moment, please.")
    words = shape(turn := component.wait_for_turn())
    assert words == ["AgentStartedSpeaking", "ConversationText assistant", "audio", "AgentAudioDone", "AgentDone"]
    assert turn.text("assistant") == "One moment, please."


def test_the_component_s_prompt_is_updated(component):
    component.start_late()
    component.send("UpdatePrompt", prompt='Say exactly: "Aye."')
    component.wait_for("PromptUpdated")
    component.send("InjectUserMessage", content="Are you there?")
    assert component.wait_for_turn().text("assistant") == "Aye."


def test_a_function_call_is_requested_then_shown_and_its_empty_answer_continues_the_turn(component):
    """Its handler returned undefined, so `content` is missing."""
    component.start_late()
    component.wait_for("SettingsApplied")
    component.send("InjectUserMessage", content="What is the weather in Paris?")
    asked = component.wait_for("FunctionCallRequest")
    (call,) = asked.messages[-1]["functions"]
    assert (call["name"], call["client_side"]) == ("get_weather", True)
    shown = component.wait_for("ConversationText").messages[-1]
    assert shown["role"] == "assistant"
    assert shown["content"] == f"Function call: get_weather({call['arguments']})"
    component.send("FunctionCallResponse", id=call["id"], name=call["name"])
    words = shape(component.wait_for_turn())
    assert words[0] == "AgentThinking"
    assert words[-2:] == ["AgentAudioDone", "AgentDone"]
    assert words.count("AgentAudioDone") == 1
    assert "AgentAudioDone" not in shape(asked)
    assert "Error" not in words


def test_a_function_result_is_spoken(component):
    component.start_late()
    component.wait_for("SettingsApplied")
    component.send("InjectUserMessage", content="What is the weather in Paris?")
    (call,) = component.wait_for("FunctionCallRequest").messages[-1]["functions"]
    content = json.dumps({"report": "sunny, 21 degrees"})
    component.send("FunctionCallResponse", id=call["id"], name=call["name"], content=content)
    assert "sunny, 21 degrees" in component.wait_for_turn().text("assistant")


def test_microphone_frames_become_a_user_turn(component):
    """It sends them whether or not Settings was acknowledged; a final Transcript follows the text."""
    component.start_late()
    for frame in microphone(speech_s=1.2, silence_s=1.2):
        component.send_audio(frame)
    words = shape(turn := component.wait_for_turn())
    assert words.count("UserStartedSpeaking") == 1
    assert_in_order(words, "UserStartedSpeaking", "UtteranceEnd", "AgentStartedSpeaking", "audio", "AgentDone")
    said = words.index("ConversationText user")
    assert words[said + 1] == "Transcript"
    *interim, transcript = turn.of("Transcript")
    assert transcript["is_final"] is True
    assert not any(each["is_final"] for each in interim)
    assert all(transcript["transcript"].startswith(each["transcript"]) for each in interim)
    assert transcript["transcript"] == turn.text("user") == turn.text("user").strip()
    assert turn.text("user")
    assert turn.text("assistant")


def test_a_reconnect_sends_its_history_at_once_and_is_not_greeted(component):
    """With a context it sends Settings in its open handler, without the delay."""
    component.send_settings(
        context={
            "messages": [
                {"type": "History", "role": "user", "content": "My name is Ada."},
                {"type": "History", "role": "assistant", "content": "Nice to meet you, Ada."},
            ]
        }
    )
    component.send("InjectUserMessage", content="What is my name?")
    turn = component.wait_for_turn()
    assert turn.text("user") == "What is my name?"
    assert "Ada" in turn.text("assistant")
    assert turn.types.count("AgentAudioDone") == 1


def test_a_keep_alive_is_never_answered(component):
    component.start_late()
    component.wait_for("SettingsApplied")
    for _ in range(3):
        component.send("KeepAlive")
    component.send("InjectUserMessage", content="Hello")
    assert not {"Error", "Warning"} & set(component.wait_for_turn().types)


def test_closing_by_the_client_is_normal_and_leaves_the_router_alive(router):
    with mounted(router.address) as component:
        component.start_late()
        component.send("InjectUserMessage", content="Hello")
        component.wait_for("AgentStartedSpeaking")
        assert component.close() == 1000
    with urlopen(f"http://{router.address}/healthz", timeout=TIMEOUT_S) as response:
        assert response.status == 200
    with mounted(router.address) as component:
        component.start_late()
        component.wait_for("SettingsApplied")


def microphone(*, speech_s: float, silence_s: float) -> Iterator[bytes]:
    """Yield frames of a loud hum and then of silence."""
    hum = (int(9000 * math.sin(2 * math.pi * 180 * at / RATE)) for at in range(int(RATE * speech_s)))
    pcm = array("h", hum).tobytes() + bytes(2 * int(RATE * silence_s))
    for start in range(0, len(pcm), MIC_BYTES):
        yield pcm[start : start + MIC_BYTES]
