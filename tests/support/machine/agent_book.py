"""A relay for OpenAI's clients with Deepgram as its backend. A test scripts each message."""

from __future__ import annotations

import base64
import json
from typing import Any, Self

from actors import messages as engine
from actors.restart import Decision, Loss, LossKind, Verdict
from router.fronts.as_openai.machine import TwoBackendRelay
from router.fronts.failover.deepgram_settings import for_deepgram
from tests.support.machine.realtime_wire import RealtimeClient
from tests.support.machine.realtime_world import make_relay

OPENAI, DEEPGRAM = 0, 1
"""The positions of the two backends in the list of upstreams."""
AUDIO = bytes(960)
APPEND = {"audio": base64.b64encode(AUDIO).decode()}
MANUAL = {"audio": {"input": {"turn_detection": None}}}
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
CALLED = {"id": "call_1", "name": "get_weather", "arguments": "{}", "client_side": True}
LOST = Loss(kind=LossKind.CLOSED, code=1011, cause="closed by the peer")


class AgentBook:
    """One call, with the frames that it sent since the last `take`. A judge checks every event for the client."""

    def __init__(self, **options: Any) -> None:
        self.relay = make_relay(**options)
        self.machine = TwoBackendRelay(self.relay, DEEPGRAM, lambda it: for_deepgram(it, {}, 24_000))
        self.now_s = 100.0
        self.generation = 1
        self.client = RealtimeClient()
        self.sent: list[dict[str, Any]] = []
        self.agent: list[Any] = []
        """The frames for Deepgram, without `KeepAlive`."""
        self.others: list[Any] = []
        self.timers: dict[str, float] = {}
        self.feed(engine.ClientOpened())

    def feed(self, received: Any) -> Self:
        """Give the machine an input."""
        for command in self.machine.handle(received, self.now_s):
            match command:
                case engine.SendToClient(frame):
                    event = json.loads(frame)
                    self.client.receive(event)
                    self.sent.append(event)
                case engine.SendToUpstream(frame, _, is_binary):
                    self.agent.append(frame if is_binary else json.loads(frame))
                case engine.StartTimer(name, delay_s):
                    self.timers[name] = self.now_s + delay_s
                case engine.CancelTimer(name):
                    self.timers.pop(name, None)
                case _:
                    if isinstance(command, engine.OpenUpstream):
                        self.generation = command.generation
                    self.others.append(command)
        return self

    def say(self, kind: str, **fields: Any) -> Self:
        """Send an event of the client."""
        event = {"type": kind, **fields}
        self.client.send(event)
        return self.feed(engine.ClientTextReceived(json.dumps(event)))

    def configure(self, **session: Any) -> Self:
        """Send a configuration of the client."""
        return self.say("session.update", session={"type": "realtime", **session})

    def ask(self, text: str, **response: Any) -> Self:
        """Send a message of the user, and request a response."""
        content = [{"type": "input_text", "text": text}]
        self.say("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        return self.say("response.create", **({"response": response} if response else {}))

    def open(self, position: int = DEEPGRAM) -> Self:
        """Open the upstream that is dialled."""
        return self.feed(engine.UpstreamOpened(self.generation, position, 1_700_000_000.0))

    def hear(self, kind: str, **fields: Any) -> Self:
        """Send a message of the upstream."""
        return self.feed(engine.UpstreamTextReceived(self.generation, json.dumps({"type": kind, **fields})))

    def said(self, role: str, content: str) -> Self:
        """Send a text of the conversation."""
        return self.hear("ConversationText", role=role, content=content)

    def play(self, audio: bytes) -> Self:
        """Send a piece of the agent's audio."""
        return self.feed(engine.UpstreamBinaryReceived(self.generation, audio))

    def answer(self, text: str, question: str | None = None) -> Self:
        """Repeat a question, if there is one, and answer."""
        if question is not None:
            self.said("user", question)
        return self.said("assistant", text).play(b"\x01\x02").hear("AgentAudioDone")

    def welcome(self) -> Self:
        """Open Deepgram, up to its `Welcome`."""
        return self.open().hear("Welcome", request_id="r")

    def ready(self, **session: Any) -> Self:
        """Begin a call at Deepgram which has answered a question, and forget its events."""
        self.welcome().configure(**session).ask("One?").hear("SettingsApplied").answer("One.", "One?").take()
        return self

    def lose(self) -> Self:
        """Lose the upstream in use."""
        return self.feed(engine.UpstreamLost(self.generation, LOST, Verdict(decision=Decision.RESTART)))

    def wait(self, seconds: float) -> Self:
        """Let time pass, and fire every timer that is due."""
        until_s = self.now_s + seconds
        while True:
            name = min(self.timers, key=lambda it: self.timers[it], default=None)
            if name is None or self.timers[name] > until_s:
                break
            self.now_s = self.timers.pop(name)
            self.feed(engine.TimerFired(name))
        self.now_s = until_s
        return self

    def take(self) -> tuple[list[dict[str, Any]], list[Any]]:
        """Remove and return the frames for the client and for Deepgram since the last call."""
        taken = self.sent, self.agent
        self.sent, self.agent, self.others = [], [], []
        return taken

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a type for the client since the last `take`."""
        return [event for event in self.sent if event["type"] == kind]

    def of(self, kind: type) -> list[Any]:
        """Return the other commands of a type since the last `take`."""
        return [it for it in self.others if isinstance(it, kind)]


def types(frames: list[Any]) -> list[str]:
    """Return the types of frames; `audio` for bytes."""
    return ["audio" if isinstance(it, bytes) else it["type"] for it in frames]


def code_of(book: AgentBook) -> str:
    """Return the code of the newest error since the last `take`."""
    return str(book.events("error")[-1]["error"]["code"])


def message(role: str, text: str, kind: str = "input_text") -> dict[str, Any]:
    """Return a message as an item."""
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def output(call_id: str, text: str = "sunny") -> dict[str, Any]:
    """Return the output of a function as an item."""
    return {"type": "function_call_output", "call_id": call_id, "output": text}
