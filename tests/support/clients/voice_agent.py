"""A client of Deepgram's protocol that records all it receives, with functions that hold whole turns.

The client speaks the protocol over a plain WebSocket, without an SDK; the SDKs and the React component have their own
tests. The oracle judges every message to the client.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.data.oracle import assert_message_of

TIMEOUT_S = 15.0
OPENAI = "/openai"
CONVERSE = "/v1/agent/converse"
PATHS = (OPENAI, CONVERSE)

GET_WEATHER = {
    "name": "get_weather",
    "description": "Tell the weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SETTINGS: dict[str, Any] = {
    "type": "Settings",
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": 16000},
        "output": {"encoding": "linear16", "sample_rate": 24000},
    },
    "agent": {
        "listen": {"provider": {"type": "deepgram", "model": "nova-3"}},
        "think": {
            "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
            "prompt": "Answer in one short sentence.",
            "functions": [GET_WEATHER],
        },
        "speak": {"provider": {"type": "deepgram", "model": "aura-asteria-en"}},
    },
}


@dataclass
class Received:
    """The frames of the router in order: messages, and the audio between them."""

    frames: list[dict[str, Any] | bytes] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The JSON messages."""
        return [frame for frame in self.frames if isinstance(frame, dict)]

    @property
    def types(self) -> list[str]:
        """The messages' types."""
        return [message["type"] for message in self.messages]

    @property
    def audio(self) -> bytes:
        """All audio, joined."""
        return b"".join(frame for frame in self.frames if isinstance(frame, bytes))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    def text(self, role: str) -> str:
        """Return the texts of a role, joined by spaces."""
        return " ".join(said["content"] for said in self.of("ConversationText") if said["role"] == role)


class VoiceAgent:
    """The client's end of one connection, for use by one thread."""

    def __init__(self, connection: ClientConnection, path: str, profile: str | None = None) -> None:
        self.connection = connection
        self._profile = profile or ("openai" if path == OPENAI else "converse")
        self._last_of_turn = "AgentDone" if path == OPENAI else "AgentAudioDone"
        self.received = Received()

    def send(self, kind: str, **fields: Any) -> None:
        """Send one message."""
        self.connection.send(json.dumps({"type": kind, **fields}))

    def send_audio(self, pcm: bytes) -> None:
        """Send one frame of microphone audio."""
        self.connection.send(pcm)

    def wait_for(self, kind: str, *, timeout_s: float = TIMEOUT_S) -> Received:
        """Return everything up to and including the next message of this type."""
        received = Received()
        while not received.types or received.types[-1] != kind:
            received.frames.append(self._receive(kind, timeout_s))
        self.received.frames += received.frames
        return received

    def wait_for_audio(self, size_bytes: int = 1) -> None:
        """Wait until the agent has sent so much audio since the begin of the call."""
        while len(self.received.audio) < size_bytes:
            self.received.frames.append(self._receive("audio", TIMEOUT_S))

    def wait_for_close(self) -> int | None:
        """Read until the end of the connection, and return the close code."""
        with suppress(ConnectionClosed):
            while True:
                self.received.frames.append(self._receive("close frame", TIMEOUT_S))
        return self.connection.close_code

    def wait_for_turn(self) -> Received:
        """Return everything up to the end of the agent's turn."""
        return self.wait_for(self._last_of_turn)

    def start(self, settings: dict[str, Any] = SETTINGS) -> Received:
        """Send Settings, and wait until they apply."""
        self.connection.send(json.dumps(settings))
        return self.wait_for("SettingsApplied")

    def _receive(self, kind: str, timeout_s: float) -> dict[str, Any] | bytes:
        try:
            frame = self.connection.recv(timeout_s)
        except TimeoutError:
            raise AssertionError(f"no {kind} within {timeout_s} s after {self.received.types}") from None
        if isinstance(frame, bytes):
            return frame
        message: dict[str, Any] = json.loads(frame)
        assert_message_of(self._profile, message)
        return message


@contextmanager
def voice_agent(address: str, path: str, profile: str | None = None) -> Iterator[VoiceAgent]:
    """Connect to a router's route. A built-in path tells the profile, by which the messages are judged."""
    with connect(f"ws://{address}{path}", open_timeout=TIMEOUT_S) as connection:
        yield VoiceAgent(connection, path, profile)


def hold_text_turn(agent: VoiceAgent, text: str) -> Received:
    """Type `text`, and return the turn that answers it."""
    agent.send("InjectUserMessage", content=text)
    turn = agent.wait_for_turn()
    assert turn.text("user") == text
    assert turn.types.index("ConversationText") < turn.types.index("AgentAudioDone")
    assert turn.types.count("AgentAudioDone") == 1
    return turn


def hold_tool_turn(agent: VoiceAgent, text: str, content: str) -> tuple[Received, Received]:
    """Type `text`, and answer the function call with `content`. Return the frames before and after that answer."""
    agent.send("InjectUserMessage", content=text)
    before = agent.wait_for("FunctionCallRequest")
    (call,) = before.messages[-1]["functions"]
    assert call["client_side"] is True
    assert isinstance(json.loads(call["arguments"]), dict)
    assert before.text("user") == text
    assert "AgentAudioDone" not in before.types
    agent.send("FunctionCallResponse", id=call["id"], name=call["name"], content=content)
    after = agent.wait_for_turn()
    assert after.types.count("AgentAudioDone") == 1
    return before, after
