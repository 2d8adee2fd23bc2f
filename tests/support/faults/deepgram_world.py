"""The relay of Deepgram's backend, and the simulator of that backend, as two machines in virtual time.

A world has the two machines, a client, a clock and the restart policy, and no socket. The simulator makes the faults.
"""

import heapq
import itertools
import json
from collections.abc import Callable
from typing import Any

from actors import messages as engine
from actors.restart import History, Loss, LossKind, decide
from router.fronts.deepgram_agent.machine import DeepgramRelay
from router.simulator import Fault, SimulatorConfig
from router.simulator import commands as simulator
from router.simulator.deepgram.session import DeepgramSession
from router.simulator.faults import FaultPlan
from tests.support.machine.options import session_options

LOUD, QUIET = b"\x00\x20" * 320, b"\x00\x00" * 320
FRAME_S = 0.02
LINEAR = {"encoding": "linear16", "sample_rate": 16000}
LOOK = {"name": "look", "description": "Looks.", "parameters": {}}
AGENT = {"greeting": "Hello there.", "think": {"prompt": "Be brief.", "functions": [LOOK]}}

PATIENCE_S = 150.0
"""The longest wait for a step in seconds. It allows for several deadlines in a row, even if speech is lost twice."""


class DeepgramWorld:
    """A session, from its client's connection to its end."""

    def __init__(self, *faults: Fault, restarts: int = 3) -> None:
        self.now_s = 0.0
        self.sent: list[dict[str, Any]] = []
        """The client's messages."""
        self.audio_bytes = 0
        self.ending: engine.EndSession | None = None
        self.transcripts = ["My name is Ada"]
        self.upstreams: list[DeepgramSession] = []
        self._config = SimulatorConfig(faults=faults)
        self._plan = FaultPlan(faults)
        self._restarts = restarts
        self._history = History()
        self._relay = DeepgramRelay(session_options())
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._timers: dict[tuple[int, str], int] = {}
        """The number of the newest timer, by owner and name. Owner 0 is the relay; any other is a generation."""
        self._hanging: set[int] = set()
        self._gone: set[int] = set()
        self._held_until_s: dict[int, float] = {}
        self.feed(engine.ClientOpened())

    # The client.

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message of the client."""
        self.feed(engine.ClientTextReceived(json.dumps({"type": kind, **fields})))

    def speak(self, loud: int, quiet: int) -> None:
        """Send speech and then silence, in real time."""
        for frame in (*itertools.repeat(LOUD, loud), *itertools.repeat(QUIET, quiet)):
            self.feed(engine.ClientBinaryReceived(frame))
            self.run(until_s=self.now_s + FRAME_S)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of a type."""
        return [message for message in self.sent if message["type"] == kind]

    def texts(self, role: str) -> list[str]:
        """Return the texts of one side."""
        return [message["content"] for message in self.of("ConversationText") if message["role"] == role]

    def wait_for(self, kind: str, count: int = 1) -> bool:
        """Let time pass until `count` messages of a type came, or the session ended. Return whether they came."""
        self.run(until_s=self.now_s + PATIENCE_S, is_done=lambda: len(self.of(kind)) >= count)
        return len(self.of(kind)) >= count

    # Time.

    def run(self, until_s: float, is_done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass."""
        while self._events and self.ending is None and not is_done() and self._events[0][0] <= until_s:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
        if not is_done():
            self.now_s = max(self.now_s, until_s) if self.ending is None else self.now_s

    def _later(self, delay_s: float, event: Callable[[], None]) -> int:
        number = next(self._order)
        heapq.heappush(self._events, (self.now_s + delay_s, number, event))
        return number

    def _start_timer(self, owner: int, name: str, delay_s: float, fire: Callable[[], None]) -> None:
        def fire_newest() -> None:
            if self._timers.get((owner, name)) == number:
                fire()

        number = self._later(delay_s, fire_newest)
        self._timers[owner, name] = number

    # The relay.

    def feed(self, message: engine.Input) -> None:
        """Feed the relay, and perform its commands."""
        for command in self._relay.handle(message, self.now_s):
            self._perform(command)

    def _perform(self, command: engine.Command) -> None:
        match command:
            case engine.SendToClient(frame) if isinstance(frame, bytes):
                self.audio_bytes += len(frame)
            case engine.SendToClient(frame):
                self.sent.append(json.loads(frame))
            case engine.SendToUpstream(frame, generation):
                self._later(0.0, lambda: self._receive(generation, frame))
            case engine.OpenUpstream(generation, _, delay_s):
                self._later(delay_s, lambda: self._open(generation))
            case engine.AbandonUpstream(generation, loss):
                self._lose(generation, loss)
            case engine.ResetRestartBudget():
                self._history.turn_completed()
            case engine.StartTimer(name, delay_s):
                self._start_timer(0, name, delay_s, lambda: self.feed(engine.TimerFired(name)))
            case engine.CancelTimer(name):
                self._timers.pop((0, name), None)
            case engine.EndSession():
                self.ending = command

    # The upstream.

    def _open(self, generation: int) -> None:
        session = DeepgramSession(
            self._config,
            self._plan,
            lambda: self.transcripts[0],
            number=generation,
            observe=lambda _message: None,
        )
        self.upstreams.append(session)
        self.feed(engine.UpstreamOpened(generation, 0, 0.0))
        self._answer(generation, session.open())

    def _receive(self, generation: int, frame: str | bytes) -> None:
        if generation in self._hanging | self._gone:
            return
        session = self.upstreams[generation - 1]
        commands = session.receive(frame) if isinstance(frame, str) else session.receive_binary(frame)
        self._answer(generation, commands)

    def _answer(self, generation: int, commands: list[simulator.Command]) -> None:
        for command in commands:
            match command:
                case simulator.StartTimer(name, delay_s):
                    self._start_timer(generation, name, delay_s, lambda name=name: self._fire(generation, name))
                case simulator.CancelTimer(name):
                    self._timers.pop((generation, name), None)
                case simulator.Pause(delay_s):
                    self._held_until_s[generation] = self.now_s + delay_s
                case simulator.Hang():
                    self._hanging.add(generation)
                case _:
                    delay_s = max(0.0, self._held_until_s.get(generation, 0.0) - self.now_s)
                    self._later(delay_s, lambda command=command: self._deliver(generation, command))

    def _fire(self, generation: int, name: str) -> None:
        if generation not in self._hanging | self._gone:
            self._answer(generation, self.upstreams[generation - 1].fire(name))

    def _deliver(self, generation: int, command: simulator.Command) -> None:
        if generation in self._gone:
            return
        match command:
            case simulator.Send(event):
                self.feed(engine.UpstreamTextReceived(generation, json.dumps(event)))
            case simulator.SendRaw(text):
                self.feed(engine.UpstreamTextReceived(generation, text))
            case simulator.SendBinary(data):
                self.feed(engine.UpstreamBinaryReceived(generation, data))
            case simulator.Close(code, reason):
                self._lose(generation, Loss(kind=LossKind.CLOSED, code=code, reason=reason))
            case simulator.Reset():
                self._lose(generation, Loss(kind=LossKind.CLOSED, code=1006))

    def _lose(self, generation: int, loss: Loss) -> None:
        if generation in self._gone:
            return
        self._gone.add(generation)
        verdict = decide(loss, self._history, restarts=self._restarts, upstreams=1, is_draining=False, jitter=0.0)
        self._later(0.0, lambda: self.feed(engine.UpstreamLost(generation, loss, verdict)))
