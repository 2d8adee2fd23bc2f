"""A discrete simulation of a session machine, its client and its upstreams. All are pure, and time is virtual.

Every frame takes the latency of its connection, and every timer its time. The client answers function calls as a real
one does. The invariants judge the session at every input.
"""

import heapq
import itertools
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.deepgram.blocks import Function
from router.session.machine import Session
from router.session.profile import PROFILES
from router.simulator import Session as SimulatedSession
from router.simulator import SimulatorConfig, commands
from router.simulator.faults import FaultPlan
from router.simulator.state import Script
from tests.support.machine.invariants import Invariants
from tests.support.machine.options import session_options
from tests.support.machine.playbook import SESSION_ID, SETTINGS

Handle = Callable[[messages.Input, float], Iterable[messages.Command]]

RATE = 24_000
FRAME_S = 0.1
DIAL_S = 0.05
TOOL_S = 0.3
MAX_STEPS = 20_000
UNIX_S = 1_750_000_000.0
LOSS = Loss(kind=LossKind.CLOSED, code=1000)

TONE = array("h", (int(9000 * math.sin(2 * math.pi * 200 * at / RATE)) for at in range(int(RATE * FRAME_S)))).tobytes()
SILENCE = bytes(len(TONE))

FUNCTIONS = [
    {"name": name, "description": f"Tell the {name[4:]}", "parameters": {"type": "object", "properties": {}}}
    for name in ("get_weather", "get_time")
]

ORDER = Function(name="get_parcel", description="Tell where the parcel is", parameters={"type": "object"})
"""A function that the router runs."""


class Simulation:
    """One session, its client and its upstreams."""

    def __init__(
        self,
        profile: str,
        *,
        latency_s: float = 0.02,
        agent: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        wrapped: Callable[[Session, Handle], Handle] = lambda _session, handle: handle,
        **simulator: Any,
    ) -> None:
        self.session = Session(SESSION_ID, PROFILES[profile], session_options(tools=(ORDER,), **(options or {})))
        self.invariants = Invariants(self.session)
        self._take = wrapped(self.session, self.invariants.handle)
        self.now_s = 1000.0
        self.fired: list[str] = []
        """The session's timers that expired."""
        self.events: list[dict[str, Any]] = []
        """Every event that the session received from an upstream."""
        self.late_events: list[dict[str, Any]] = []
        """Events that an upstream sent before it received the session's close frame."""
        self.notifications: list[Any] = []
        self.audio_bytes = 0
        self.voices = itertools.cycle(["cedar", "marin", "alloy"])
        self.closed: list[int] = []
        """Close codes of the session's end."""
        self._latency_s = latency_s
        self._config = SimulatorConfig(**simulator)
        self._faults = FaultPlan(self._config.faults)
        self._agenda: list[tuple[float, int, Any, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running: dict[Any, int] = {}
        self._upstreams: dict[int, SimulatedSession] = {}
        self._closing: set[int] = set()
        """The upstreams that the session has closed. Their last events arrive late."""
        self._microphone_s = 0.0
        self._steps = 0
        self._handle(messages.ClientOpened())
        think = {**SETTINGS["agent"]["think"], "functions": FUNCTIONS}
        self.client({**SETTINGS, "agent": {**SETTINGS["agent"], "think": think, **(agent or {})}})

    @property
    def received(self) -> list[dict[str, Any]]:
        """The messages that the client received."""
        return self.invariants.client.messages

    # The client.

    def client(self, message: dict[str, Any]) -> None:
        """Send a message."""
        text = orjson.dumps(message).decode()
        self._in(self._latency_s, lambda: self._handle(messages.ClientTextReceived(text)))

    def say(self, text: str) -> None:
        """Type a message."""
        self.client({"type": "InjectUserMessage", "content": text})

    def speak(self, speech_s: float, silence_s: float) -> None:
        """Speak, from now on or when the current speech is over."""
        start_s = max(self.now_s, self._microphone_s)
        frames = [TONE] * round(speech_s / FRAME_S) + [SILENCE] * round(silence_s / FRAME_S)
        for at, frame in enumerate(frames, 1):
            received = messages.ClientBinaryReceived(frame)
            delay_s = start_s + at * FRAME_S - self.now_s + self._latency_s
            self._in(delay_s, lambda received=received: self._handle(received))
        self._microphone_s = start_s + len(frames) * FRAME_S

    def hang_up(self) -> None:
        """Close the client's connection."""
        self._handle(messages.ClientClosed(ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)))

    def lose(self) -> None:
        """Cut the connection to the upstream in use."""
        self._lose(self.session.state.upstream.generation)

    # Time.

    def run(self, duration_s: float) -> None:
        """Let time pass."""
        until_s = self.now_s + duration_s
        while self._agenda and self._agenda[0][0] <= until_s:
            due_s, number, key, step = heapq.heappop(self._agenda)
            if key is None or self._running.get(key) == number:
                self._running.pop(key, None)
                self.now_s = due_s
                self._steps += 1
                assert self._steps < MAX_STEPS, f"the session does not come to rest: {self.fired[-20:]}"
                step()
        self.now_s = until_s

    def _in(self, delay_s: float, step: Callable[[], None], key: Any = None) -> None:
        number = next(self._numbers)
        if key is not None:
            self._running[key] = number
        heapq.heappush(self._agenda, (self.now_s + delay_s, number, key, step))

    def _handle(self, message: messages.Input) -> None:
        if self.closed:
            return
        for command in self._take(message, self.now_s):
            self._perform(command)

    def _perform(self, command: messages.Command) -> None:
        match command:
            case messages.SendToClient(str() as frame):
                self._answer(orjson.loads(frame))
            case messages.SendToClient(bytes() as frame):
                self.audio_bytes += len(frame)
            case messages.SendToUpstream(frame, generation):
                self._in(self._latency_s, lambda: self._upstream(generation, lambda upstream: upstream.receive(frame)))
            case messages.StartTimer(name, delay_s):
                self._in(delay_s, lambda: self._fire(name), key=name)
            case messages.CancelTimer(name):
                self._running.pop(name, None)
            case messages.StartWork(key):
                self._in(TOOL_S, lambda: self._handle(messages.WorkDone(key, "sent")), key=("work", key))
            case messages.CancelWork(key):
                self._running.pop(("work", key), None)
            case messages.OpenUpstream(generation, _route, delay_s):
                self._in(delay_s + DIAL_S, lambda: self._open(generation))
            case messages.CloseUpstream(generation):
                self._close(generation)
            case messages.AbandonUpstream(generation, loss):
                self._in(0.0, lambda: self._lose(generation, loss))
            case messages.Notify(notification):
                self.notifications.append(notification)
            case messages.EndSession(code):
                self.closed.append(code)
                for generation in self._upstreams:
                    self._close(generation)

    def _fire(self, name: str) -> None:
        self.fired.append(name)
        self._handle(messages.TimerFired(name))

    def _answer(self, message: dict[str, Any]) -> None:
        if message["type"] == "FunctionCallRequest":
            for call in (call for call in message["functions"] if call["client_side"]):
                answer = {"type": "FunctionCallResponse", "id": call["id"], "name": call["name"], "content": "fine"}
                self._in(TOOL_S, lambda answer=answer: self.client(answer), key=("call", call["id"]))
        elif message["type"] == "FunctionCallCancelled":
            for call in message["functions"]:
                self._running.pop(("call", call["id"]), None)

    # The upstreams.

    def _open(self, generation: int) -> None:
        self._upstreams[generation] = SimulatedSession(
            self._config, self._faults, Script(), number=generation, model="gpt-realtime", opened_at_s=UNIX_S
        )
        self._handle(messages.UpstreamOpened(generation, 0, UNIX_S))
        self._upstream(generation, lambda upstream: upstream.open())

    def _upstream(self, generation: int, act: Callable[[SimulatedSession], list[commands.Command]]) -> None:
        upstream = self._upstreams.get(generation)
        if upstream is None:
            return
        for command in act(upstream):
            match command:
                case commands.Send(event):
                    self._deliver(generation, orjson.dumps(event).decode())
                case commands.StartTimer(name, delay_s):
                    fire = lambda name=name: self._upstream(generation, lambda upstream: upstream.fire(name))  # noqa: E731
                    self._in(delay_s, fire, key=(generation, name))
                case commands.CancelTimer(name):
                    self._running.pop((generation, name), None)
                case commands.Close(code, reason):
                    self._lose(generation, Loss(kind=LossKind.CLOSED, code=code, reason=reason))
                case _:
                    raise AssertionError(f"the simulator commands {command}")

    def _deliver(self, generation: int, text: str) -> None:
        def arrive() -> None:
            if generation in self._closing:
                self.late_events.append(orjson.loads(text))
                late = self.session.read_late(messages.UpstreamTextReceived(generation, text))
                self.notifications += [late.notification] if late is not None else []
            elif generation in self._upstreams:
                self.events.append(orjson.loads(text))
                self._handle(messages.UpstreamTextReceived(generation, text))

        self._in(self._latency_s, arrive)

    def _close(self, generation: int) -> None:
        # The close frame travels behind the messages of before, and the upstream answers them first.
        self._closing.add(generation)
        self._in(self._latency_s, lambda: self._upstreams.pop(generation, None))

    def _lose(self, generation: int, loss: Loss = LOSS) -> None:
        if generation in self._closing:
            return
        if self._upstreams.pop(generation, None) is not None:
            self._handle(messages.UpstreamLost(generation, loss, Verdict(decision=Decision.RESTART)))


def texts(simulation: Simulation, role: str) -> Iterator[str]:
    """Return the texts of one side that the client received."""
    return (it["content"] for it in simulation.received if it["type"] == "ConversationText" and it["role"] == role)
