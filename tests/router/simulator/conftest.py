"""A simulated session without sockets, and a simulator with a client on a real one."""

import base64
import functools
import math
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from router.simulator import Session, Simulator, SimulatorConfig
from router.simulator.commands import (
    AskModel,
    CancelTimer,
    Close,
    Command,
    Hang,
    Pause,
    PrepareSpeech,
    RecognizeSpeech,
    Reset,
    Send,
    SendRaw,
    Service,
    StartTimer,
    StopModel,
    SynthesizeSpeech,
)
from router.simulator.errors import Refusal
from router.simulator.faults import Fault, FaultPlan
from router.simulator.mind.messages import Thought
from router.simulator.speech.messages import Speech
from router.simulator.state import Abilities, Script
from tests.support.data.oracle import (
    _SERVER_EVENTS,
    _check,  # the same judge as for our client events
)

EXPIRES_AFTER_S = 3600
OPENED_AT_S = 1_750_000_000.0
TIMEOUT_S = 5.0

UNDOCUMENTED = {"session": ("id", "object", "expires_at"), "delta": ("obfuscation",)}


def assert_server_event(event: dict[str, Any]) -> None:
    """Assert that the service could have sent it. Fields of recordings beyond the package's types are allowed."""
    known = dict(event)
    if event["type"].endswith(".delta"):
        known.pop("obfuscation", None)
    if event["type"].startswith("session."):
        known["session"] = {k: v for k, v in event["session"].items() if k not in UNDOCUMENTED["session"]}
    _check(known, _SERVER_EVENTS)


class Machine:
    """One session under test: inputs in, events out, each checked against the `openai` package's types.

    Timers of streams (`response:`, `transcription:`) fire at once, in order, unless `is_stepping`.
    """

    def __init__(
        self,
        *faults: Fault,
        model: str = "gpt-realtime",
        number: int = 1,
        abilities: Abilities | None = None,
        **config: Any,
    ) -> None:
        self.plan = FaultPlan(faults)
        self.script = Script()
        self.seen: list[dict[str, Any]] = []
        self.config = SimulatorConfig(**{"pace": 0, **config})
        self.session = Session(
            self.config,
            self.plan,
            self.script,
            number=number,
            model=model,
            opened_at_s=OPENED_AT_S,
            abilities=abilities or Abilities(),
        )
        self.asked: list[Service] = []
        """What the session has asked of services, and was not answered."""
        self.events: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.timers: dict[str, float] = {}
        self.pauses: list[float] = []
        self.ending: Close | Reset | Hang | None = None
        self.is_stepping = False
        self._due: deque[str] = deque()

    # Inputs.

    def open(self, refusal: Refusal | None = None) -> "Machine":
        self._note(self.session.open(refusal))
        return self

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Feed a client event, and return the events that follow."""
        return self.feed(orjson.dumps({"type": kind, **fields}))

    def feed(self, frame: bytes) -> list[dict[str, Any]]:
        return self._outcome(lambda: self.session.receive(frame))

    def feed_binary(self, frame: bytes) -> list[dict[str, Any]]:
        return self._outcome(lambda: self.session.receive_binary(frame))

    def fire(self, name: str) -> list[dict[str, Any]]:
        """Fire a timer that runs, and return the events that follow."""
        assert name in self.timers, f"{name} is not running: {sorted(self.timers)}"
        del self.timers[name]
        return self._outcome(lambda: self.session.fire(name))

    def words(self, words: str | None) -> list[dict[str, Any]]:
        """Answer the oldest request for the words of a turn."""
        request = self._take(RecognizeSpeech)
        return self._outcome(lambda: self.session.recognized(request.item_id, words))

    def sound(self, speech: Speech | None) -> list[dict[str, Any]]:
        """Answer the oldest request for a sound."""
        request = self._take(SynthesizeSpeech)
        return self._outcome(lambda: self.session.synthesized(request.response_id, speech))

    def thought(self, piece: Thought) -> list[dict[str, Any]]:
        """Give a piece of the answer of the oldest question to the model, which stays."""
        (question, *_) = [each for each in self.asked if isinstance(each, AskModel)]
        return self._outcome(lambda: self.session.model_said(question.response_id, piece))

    def _take(self, kind: type) -> Any:
        found = next(each for each in self.asked if isinstance(each, kind))
        self.asked.remove(found)
        return found

    # Common steps.

    def update(self, **session: Any) -> list[dict[str, Any]]:
        return self.send("session.update", session={"type": "realtime", **session})

    def say(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        """Create a user message."""
        content = [{"type": "input_text", "text": text}]
        return self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **fields}
        )

    def ask(self, text: str, **response: Any) -> list[dict[str, Any]]:
        """Create a user message and a response to it."""
        self.say(text)
        return self.send("response.create", response=response)

    def hear(self, *audio: bytes) -> list[dict[str, Any]]:
        """Append audio, in pieces of 20 ms."""
        start = len(self.events)
        whole = b"".join(audio)
        for at in range(0, len(whole), 960):
            self.send("input_audio_buffer.append", audio=base64.b64encode(whole[at : at + 960]).decode())
        return self.events[start:]

    def open_output(self) -> str:
        """Return the id of the last output item."""
        added = [e for e in self.events if e["type"] == "response.output_item.added"]
        return added[-1]["item"]["id"]

    @property
    def answer(self) -> str:
        """The text of the last response."""
        done = [e for e in self.events if e["type"] == "response.done"][-1]
        parts = [part for item in done["response"]["output"] for part in item.get("content", [])]
        return " ".join(part.get("text") or part.get("transcript") or "" for part in parts)

    # Outputs.

    def _outcome(self, act: Callable[[], list[Command]]) -> list[dict[str, Any]]:
        start = len(self.events)
        self._note(act())
        while self._due and not self.is_stepping:
            name = self._due.popleft()
            if name in self.timers:
                del self.timers[name]
                self._note(self.session.fire(name))
        return self.events[start:]

    def _note(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(event):
                    # Serialised at once, as on the wire: a later change of the session's objects must not show.
                    event = orjson.loads(orjson.dumps(event))
                    assert_server_event(event)
                    self.events.append(event)
                case SendRaw(text):
                    self.raw.append(text)
                case StartTimer(name, delay_s):
                    self.timers[name] = delay_s
                    if ":" in name:
                        self._due.append(name)
                case CancelTimer(name):
                    self.timers.pop(name, None)
                case AskModel() | PrepareSpeech() | RecognizeSpeech() | StopModel() | SynthesizeSpeech():
                    self.asked.append(command)
                case Pause(delay_s):
                    self.pauses.append(delay_s)
                case _:
                    self.ending = command


class Client:
    """A client on a real socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[dict[str, Any]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(orjson.dumps({"type": kind, **fields}).decode())

    def until(self, kind: str) -> dict[str, Any]:
        """Receive events up to the next one of that type, and return it."""
        while True:
            event = orjson.loads(self.socket.recv(timeout=TIMEOUT_S))
            self.seen.append(event)
            if event["type"] == kind:
                return event

    def closed_with(self) -> tuple[int, str] | None:
        """Receive to the end, and return the code and reason of the close frame, if there was one."""
        with pytest.raises(ConnectionClosed) as caught:
            self.until("nothing")
        return (caught.value.rcvd.code, caught.value.rcvd.reason) if caught.value.rcvd else None

    def ask(self, text: str, **response: Any) -> None:
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send("response.create", response=response)


@contextmanager
def dialled(simulator: Simulator, query: str = "?model=gpt-realtime", **headers: str) -> Iterator[Client]:
    """Connect a client to the simulator. Underscores in the names of headers stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with connect(
        simulator.url + query, additional_headers=named, compression=None, max_size=None, close_timeout=1
    ) as socket:
        yield Client(socket)


@functools.cache
def tone(duration_ms: int, level: int = 6000) -> bytes:
    """Return a tone with the energy of a voice: PCM at 24 kHz."""
    count = 24 * duration_ms
    return array("h", (int(level * math.sin(index / 12)) for index in range(count))).tobytes()


def silence(duration_ms: int) -> bytes:
    """Return silence: PCM at 24 kHz."""
    return bytes(48 * duration_ms)


@pytest.fixture
def machine() -> Machine:
    """Begin a session that streams as fast as possible."""
    return Machine().open()


@pytest.fixture(scope="session")
def make_machine() -> type[Machine]:
    """Return the class of machines, for sessions with settings of their own."""
    return Machine


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a simulator that streams as fast as the client reads."""
    with Simulator(SimulatorConfig(pace=0)) as simulator:
        yield simulator


@pytest.fixture
def dial():
    """Return the function that connects a client to a simulator."""
    return dialled


@pytest.fixture
def sound():
    """Return audio to append: `sound.tone(ms)`, `sound.silence(ms)`."""
    return type("Sound", (), {"tone": staticmethod(tone), "silence": staticmethod(silence)})
