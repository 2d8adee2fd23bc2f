"""A discrete simulation of a relay, its client and its upstreams. All are pure, and time is virtual."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

import orjson
import pybase64

from actors import messages as engine
from actors.machine import Machine, Marks
from actors.restart import Decision, Loss, LossKind, Verdict
from router.config.model import RouterConfig
from router.fronts.agents import checked
from router.fronts.front import Call
from router.fronts.realtime.machine import RealtimeRelay
from router.fronts.wire_bytes import wire_bytes
from router.session.machine import Session
from router.session.profile import CONVERSE
from router.session.recovery import ReplayingMachine
from router.simulator import Session as SimulatedSession
from router.simulator import SimulatorConfig, commands
from router.simulator.faults import Fault, FaultPlan
from router.simulator.state import Script
from tests.support.machine.options import session_options
from tests.support.machine.realtime_wire import RealtimeClient
from tests.support.machine.simulation import FRAME_S, SILENCE, TONE

DIAL_S = 0.05
UNIX_S = 1_750_000_000.0
TOOL_S = 0.3
MAX_STEPS = 50_000
LOSS = Loss(kind=LossKind.CLOSED, code=1000, cause="closed by the peer")

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather",
    "parameters": {"type": "object", "properties": {}},
}
CONFIGURATION = {
    "type": "realtime",
    "instructions": "Be brief.",
    "tools": [WEATHER],
    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
}


def make_relay(
    config: RouterConfig | None = None,
    *,
    query: dict[str, str] | None = None,
    bound: dict[str, Any] | None = None,
    memory: bytes = b"",
    **options: Any,
):
    """Make a relay for one session. `memory` is the memory of an earlier relay that it continues."""
    config = config or RouterConfig()
    session = Session("session", CONVERSE, session_options(**options))
    call = Call(
        session=session,
        machine=session,
        agents=checked({}),
        config=config,
        bound=bound,
        query=query or {},
        memory=memory,
    )
    return RealtimeRelay(call)


class RealtimeWorld:
    """One relay, its client and its upstreams."""

    def __init__(
        self,
        *,
        latency_s: float = 0.02,
        options: dict[str, Any] | None = None,
        answers_calls: bool = True,
        faults: tuple[Fault, ...] = (),
        shared_numbers: bool = False,
        **simulator: Any,
    ) -> None:
        self._options = options or {}
        self.relay = make_relay(**self._options)
        self.machine = self._around(self.relay)
        self._record: Any = b""
        """The memory of the relay at the last step after which it had to be stored."""
        self._marked = -1
        self._words = ""
        self._sent_bytes = 0
        self._process = 0
        """The number of the process that carries the session."""
        self._journal: list[str] = []
        """The client's texts since the record."""
        self.client = RealtimeClient()
        self.now_s = 1000.0
        self.fired: list[str] = []
        self.upstream_events: list[dict[str, Any]] = []
        """Every event that an upstream received."""
        self.upstream_errors: list[dict[str, Any]] = []
        self.notifications: list[Any] = []
        self.closed: list[int] = []
        self.losses = 0
        self.verdicts: list[Decision] = []
        """The decisions about the next losses. Each loss after them is a restart."""
        self._answers_calls = answers_calls
        self._latency_s = latency_s
        self._config = SimulatorConfig(**simulator)
        self._faults = FaultPlan(faults)
        self._shared_numbers = shared_numbers
        self._agenda: list[tuple[float, int, Any, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running: dict[Any, int] = {}
        self._upstreams: dict[int, SimulatedSession] = {}
        self._closing: set[int] = set()
        self._microphone_s = 0.0
        self._steps = 0
        self._handle(engine.ClientOpened())

    # The client.

    def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        event = {"type": kind, **fields}
        self._in(self._latency_s, lambda: self._send_now(event))

    def _send_now(self, event: dict[str, Any]) -> None:
        if not self.closed:
            self.client.send(event)
            self._handle(engine.ClientTextReceived(orjson.dumps(event).decode()))

    def configure(self, **session: Any) -> None:
        """Send the usual configuration."""
        self.send("session.update", session={**CONFIGURATION, **session})

    def say(self, text: str, *, is_answered: bool = True, item_id: str | None = None) -> None:
        """Send a message of the user, and request a response."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        self.send("conversation.item.create", item={**({"id": item_id} if item_id else {}), **item})
        if is_answered:
            self.send("response.create")

    def speak(self, speech_s: float, silence_s: float) -> None:
        """Speak, from now on or when the current speech is over."""
        start_s = max(self.now_s, self._microphone_s)
        frames = [TONE] * round(speech_s / FRAME_S) + [SILENCE] * round(silence_s / FRAME_S)
        for at, frame in enumerate(frames, 1):
            event = {"type": "input_audio_buffer.append", "audio": pybase64.b64encode_as_string(frame)}
            self._in(start_s + at * FRAME_S - self.now_s, lambda event=event: self._send_now(event))
        self._microphone_s = start_s + len(frames) * FRAME_S

    def lose(self) -> None:
        """Cut the connection to the upstream in use."""
        self._lose(self.relay.context.state.generation)

    # Other processes.

    def move(self) -> None:
        """Let another process continue the session, as at a reload."""
        self._adopt(self._memory(), engine.ClientAdopted(is_planned=True))

    def die(self) -> None:
        """Let another process continue the session, as after the death of the first one."""
        adopted = engine.ClientAdopted(words=self._words, sent_bytes=self._sent_bytes)
        self._adopt(self._record, adopted, tuple(self._journal))

    def _adopt(self, memory: Any, adopted: engine.ClientAdopted, journal: tuple[str, ...] = ()) -> None:
        if self.closed:
            return
        self._running = {key: it for key, it in self._running.items() if not isinstance(key, str)}
        self._upstreams.clear()
        self._process += 1
        self._restore(memory, journal)
        self._marked = -1
        self._handle(adopted)

    @property
    def _marks(self) -> Marks:
        return self.relay.marks

    def _memory(self, *, is_brief: bool = False) -> Any:
        return self.relay.memory(is_brief=is_brief)

    def _restore(self, memory: Any, journal: tuple[str, ...]) -> None:
        self.relay = make_relay(memory=memory, **self._options)
        self.machine = ReplayingMachine(self._around(self.relay), journal)

    def _keep(self, message: engine.Input, commands: list[engine.Command]) -> None:
        """Store the data that a keeper stores after a step."""
        marks = self._marks
        if isinstance(message, engine.ClientTextReceived):
            self._journal.append(message.text)
        if marks.record_due != self._marked:
            self._marked, self._words, self._sent_bytes = marks.record_due, "", 0
            self._record = self._memory(is_brief=True)
            self._journal.clear()
            marks.note_stored()
        else:
            self._words += marks.take_words()
            self._sent_bytes += sum(wire_bytes(it.frame) for it in commands if isinstance(it, engine.SendToClient))

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

    def _in_process(self, delay_s: float, step: Callable[[], None]) -> None:
        """Do a step between the process and an upstream, unless another process carries the session by then."""
        process = self._process
        self._in(delay_s, lambda: step() if process == self._process else None)

    def _handle(self, message: engine.Input) -> None:
        if self.closed:
            return
        marks = self._marks
        before = marks.may_drop_audio(), marks.record_due, marks.words_due
        commands = list(self.machine.handle(message, self.now_s))
        self._judge_silence(before, message, commands)
        self._keep(message, commands)
        for command in commands:
            self._perform(command)

    def _judge_silence(
        self, before: tuple[bool, int, int], message: engine.Input, commands: list[engine.Command]
    ) -> None:
        """Judge that audio sends the client nothing, and that neither audio nor notes end the user's silence."""
        marks = self._marks
        is_audio = marks.was_audio and isinstance(message, engine.ClientTextReceived)
        if marks.record_due == before[1] and (is_audio or marks.words_due != before[2]):
            assert marks.may_drop_audio() or not before[0], "the user's silence has ended unnoticed"
            assert not is_audio or not any(isinstance(it, engine.SendToClient) for it in commands)

    def _around(self, relay: RealtimeRelay) -> Machine:
        return relay

    def _perform(self, command: engine.Command) -> None:
        match command:
            case engine.SendToClient(str() as frame):
                self._receive(orjson.loads(frame))
            case engine.SendToUpstream(frame, generation, is_binary):
                self._in_process(self._latency_s, lambda: self._take(generation, frame, is_binary=is_binary))
            case engine.StartTimer(name, delay_s):
                self._in(delay_s, lambda: self._fire(name), key=name)
            case engine.CancelTimer(name):
                self._running.pop(name, None)
            case engine.OpenUpstream(generation, _route, delay_s):
                self._in_process(delay_s + DIAL_S, lambda: self._open(generation))
            case engine.CloseUpstream(generation):
                self._upstreams.pop(generation, None)
            case engine.AbandonUpstream(generation, loss):
                self._in_process(0.0, lambda: self._lose(generation, loss))
            case engine.Notify(notification):
                self.notifications.append(notification)
            case engine.EndSession(code):
                self.closed.append(code)
                self._upstreams.clear()

    def _fire(self, name: str) -> None:
        self.fired.append(name)
        self._handle(engine.TimerFired(name))

    def _receive(self, event: dict[str, Any]) -> None:
        self.client.receive(event)
        item = event.get("item", {})
        is_call = event["type"] == "response.output_item.done" and item["type"] == "function_call"
        if is_call and item["status"] == "completed" and self._answers_calls:
            output = {"type": "function_call_output", "call_id": item["call_id"], "output": "It is sunny."}
            self._in(TOOL_S, lambda: self._send_now({"type": "conversation.item.create", "item": output}))
            self._in(TOOL_S + 1.0, lambda: self._send_now({"type": "response.create"}))

    # The upstreams.

    def _open(self, generation: int) -> None:
        number = 1 if self._shared_numbers else generation
        self._upstreams[generation] = SimulatedSession(
            self._config, self._faults, Script(), number=number, model="gpt-realtime", opened_at_s=UNIX_S
        )
        self._handle(engine.UpstreamOpened(generation, 0, UNIX_S))
        self._act(generation, lambda upstream: upstream.open())

    def _take(self, generation: int, frame: str | bytes, *, is_binary: bool = False) -> None:
        assert not is_binary, "OpenAI takes no bytes"
        if generation in self._upstreams:
            self.upstream_events.append(orjson.loads(frame))
            self._act(generation, lambda upstream: upstream.receive(frame))

    def _act(self, generation: int, act: Callable[[SimulatedSession], list[commands.Command]]) -> None:
        upstream = self._upstreams.get(generation)
        if upstream is None:
            return
        for command in act(upstream):
            if isinstance(command, commands.Send) and command.event["type"] == "error":
                self.upstream_errors.append(command.event["error"])
            self._perform_simulated(generation, command, self._act)

    def _perform_simulated(
        self, generation: int, command: Any, act: Callable[[int, Callable[[Any], Any]], None]
    ) -> None:
        """Perform a command of a simulated session. `act` lets that session act again."""
        match command:
            case commands.Send(event):
                self._deliver(generation, orjson.dumps(event).decode())
            case commands.SendRaw(text):
                self._deliver(generation, text)
            case commands.StartTimer(name, delay_s):
                self._in(delay_s, lambda: act(generation, lambda peer: peer.fire(name)), key=(generation, name))
            case commands.CancelTimer(name):
                self._running.pop((generation, name), None)
            case commands.Close(code, reason):
                loss = Loss(kind=LossKind.CLOSED, code=code, reason=reason, cause="closed by the peer")
                self._in_process(self._latency_s, lambda: self._lose(generation, loss))
            case commands.Hang() | commands.Pause():
                pass
            case _:
                raise AssertionError(f"the simulator commands {command}")

    def _deliver(self, generation: int, text: str) -> None:
        def arrive() -> None:
            if generation in self._upstreams:
                self._handle(engine.UpstreamTextReceived(generation, text))

        self._in_process(self._latency_s, arrive)

    def _lose(self, generation: int, loss: Loss = LOSS) -> None:
        if self._upstreams.pop(generation, None) is not None:
            self.losses += 1
            decision = self.verdicts.pop(0) if self.verdicts else Decision.RESTART
            self._handle(engine.UpstreamLost(generation, loss, Verdict(decision=decision)))
