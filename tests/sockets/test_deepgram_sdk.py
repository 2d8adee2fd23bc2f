"""Deepgram's own Python SDK holds a conversation with the real command: typed text, real speech, a function.

Nothing is changed in the SDK but the host. The router runs as a process, with its embedded upstream.
"""

import re
import shutil
import subprocess
import threading
import warnings
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import processes

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports websockets.legacy
    import deepgram.agent.v1.client
    from deepgram.agent.v1.types import (
        AgentV1InjectUserMessage,
        AgentV1SendFunctionCallResponse,
        AgentV1Settings,
    )
    from deepgram.core.events import EventType
    from deepgram.environment import DeepgramClientEnvironment

RATE = 16000
FRAME_BYTES = 640  # 20 ms
PACE_S = 0.005  # four times as fast as a microphone
TIMEOUT_S = 15.0
SPEECH = "Good morning. Could you tell me what you can do for me today?"
FORECAST = "Sunny in Paris, 21 degrees"


@pytest.fixture(scope="module")
def router():
    with processes.router() as running:
        yield running


@pytest.fixture
def conversation(router):
    with converse(router.address) as conversation:
        yield conversation


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> bytes:
    """Somebody saying SPEECH, as linear16 at 16 kHz."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        pytest.skip("real speech needs Debian's package espeak-ng")
    spoken = tmp_path_factory.mktemp("speech") / "spoken.wav"
    subprocess.run([espeak, "-w", spoken, SPEECH], check=True)
    return read_linear16(spoken)


class Conversation:
    """One SDK socket and what it delivered, gathered by callbacks on the SDK's listening thread."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.opened = self.closed = False
        self.errors: list[Exception] = []
        self.received: list[Any] = []
        self._changed = threading.Condition()
        socket.on(EventType.OPEN, partial(self._on, "opened"))
        socket.on(EventType.MESSAGE, partial(self._on, "received"))
        socket.on(EventType.ERROR, partial(self._on, "errors"))
        socket.on(EventType.CLOSE, partial(self._on, "closed"))

    def _on(self, what: str, data: Any) -> None:
        with self._changed:
            value = getattr(self, what)
            if isinstance(value, list):
                value.append(data)
            else:
                setattr(self, what, True)
            self._changed.notify_all()

    def wait_until(self, what: str, is_so: Callable[[], object]) -> None:
        """Wait for something to have arrived; says what did, when it has not."""
        with self._changed:
            assert self._changed.wait_for(is_so, TIMEOUT_S), f"no {what} after {self.types()}, {self.errors}"

    def wait_for(self, kind: str, count: int = 1) -> Any:
        """Wait for the message of this type that is the `count`-th."""
        self.wait_until(f"{kind} {count}", lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[Any]:
        return [message for message in self.messages() if message.type == kind]

    def types(self) -> list[str]:
        return [message.type for message in self.messages()]

    def messages(self) -> list[Any]:
        return [message for message in self.received if not isinstance(message, bytes)]

    def audio(self) -> bytes:
        return b"".join(message for message in self.received if isinstance(message, bytes))

    def said_by(self, role: str) -> str:
        return " ".join(message.content for message in self.of("ConversationText") if message.role == role)


@contextmanager
def converse(address: str) -> Iterator[Conversation]:
    """Connect as the SDK's documentation shows, but to `address`; the end must be a normal close."""
    host = f"ws://{address}"
    environment = DeepgramClientEnvironment(base=f"http://{address}", production=host, agent=host, agent_rest=host)
    with deepgram.DeepgramClient(api_key="any", environment=environment).agent.v1.connect() as socket:
        conversation = Conversation(socket)
        listener = threading.Thread(target=socket.start_listening)
        listener.start()
        conversation.wait_until("OPEN", lambda: conversation.opened)
        yield conversation
    listener.join(TIMEOUT_S)
    assert conversation.closed
    assert not conversation.errors
    assert not [message for message in conversation.received if isinstance(message, dict)]  # unknown to it


def settings(**agent: Any) -> AgentV1Settings:
    """Return the SDK's typed Settings, of the shape that its tutorial sends."""
    return AgentV1Settings.model_validate(
        {
            "type": "Settings",
            "audio": {
                "input": {"encoding": "linear16", "sample_rate": RATE},
                "output": {"encoding": "linear16", "sample_rate": 24000, "container": "none"},
            },
            "agent": {
                "language": "en",
                "listen": {"provider": {"type": "deepgram", "version": "v1", "model": "nova-3"}},
                "think": {
                    "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
                    "prompt": "You are a friendly assistant.",
                    "functions": [
                        {
                            "name": "get_weather",
                            "description": "Tell the weather in a city",
                            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                        }
                    ],
                },
                "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
                **agent,
            },
        }
    )


def say(conversation: Conversation, text: str) -> None:
    """Type `text` as the user."""
    conversation.socket.send_inject_user_message(AgentV1InjectUserMessage(content=text))


def read_linear16(path: Path) -> bytes:
    """Return a mono WAV file's samples at 16 kHz."""
    with wave.open(str(path)) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
        seconds = np.arange(0, wav.getnframes() / wav.getframerate(), 1 / RATE)
        times = np.arange(len(samples)) / wav.getframerate()
    return np.interp(seconds, times, samples).astype("<i2").tobytes()


def test_settings_are_applied_before_the_greeting(conversation):
    assert conversation.wait_for("Welcome").request_id
    conversation.socket.send_settings(settings(greeting="Hello, how can I help?"))
    conversation.wait_for("ConversationText")
    assert conversation.said_by("assistant") == "Hello, how can I help?"
    types = [kind for kind in conversation.types() if kind != "Warning"]  # that its model is not ours
    assert types[:3] == ["Welcome", "SettingsApplied", "ConversationText"]


def test_typed_text_is_answered_in_text_and_audio(conversation):
    conversation.socket.send_settings(settings())
    conversation.wait_for("SettingsApplied")
    say(conversation, "My name is Ada.")
    conversation.wait_for("AgentAudioDone")
    say(conversation, "What is my name?")
    conversation.wait_for("AgentAudioDone", count=2)
    assert conversation.said_by("user") == "My name is Ada. What is my name?"
    assert "Ada" in conversation.of("ConversationText")[-1].content
    assert len(conversation.audio()) > RATE
    assert not conversation.of("Error")


def test_real_speech_is_heard_transcribed_and_answered(conversation, speech):
    conversation.socket.send_settings(settings())
    conversation.wait_for("SettingsApplied")
    pace = threading.Event()
    pcm = speech + bytes(2 * RATE)  # a second of silence, which ends the turn
    for start in range(0, len(pcm), FRAME_BYTES):
        conversation.socket.send_media(pcm[start : start + FRAME_BYTES])
        pace.wait(PACE_S)
    conversation.wait_for("AgentAudioDone")
    types = conversation.types()
    assert types.index("UserStartedSpeaking") < types.index("ConversationText") < types.index("AgentAudioDone")
    assert heard_s(conversation.said_by("user")) == pytest.approx(len(speech) / 2 / RATE, abs=0.7)
    assert conversation.said_by("assistant")
    assert conversation.audio()


def heard_s(transcript: str) -> float:
    """Return how long the embedded upstream, which does not pretend to understand, says somebody spoke."""
    return sum(float(seconds) for seconds in re.findall(r"([\d.]+) seconds", transcript))


def test_a_function_runs_on_the_client_and_its_result_is_in_the_answer(conversation):
    conversation.socket.send_settings(settings())
    conversation.wait_for("SettingsApplied")
    say(conversation, "What is the weather in Paris?")
    (call,) = conversation.wait_for("FunctionCallRequest").functions
    assert (call.name, call.client_side) == ("get_weather", True)
    assert not conversation.of("AgentAudioDone")
    conversation.socket.send_function_call_response(
        AgentV1SendFunctionCallResponse(id=call.id, name=call.name, content=FORECAST)
    )
    conversation.wait_for("AgentAudioDone")
    assert FORECAST in conversation.said_by("assistant")
    assert conversation.types().count("AgentAudioDone") == 1


def test_a_keep_alive_is_never_answered(conversation):
    conversation.socket.send_settings(settings())
    conversation.wait_for("SettingsApplied")
    before = len(conversation.messages())
    conversation.socket.send_keep_alive()
    say(conversation, "Hello.")
    conversation.wait_for("AgentAudioDone")
    assert conversation.types()[before] == "ConversationText"
    assert not {"Error", "Warning"} & set(conversation.types()[before:])
