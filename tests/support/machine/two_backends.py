"""A call that may use two backends, as a pure machine. A test scripts the messages of its client and its upstreams."""

from __future__ import annotations

from typing import Any, Self

import orjson

from actors import messages as engine
from actors.restart import Decision, Loss, LossKind, Verdict
from router.config.model import RouterConfig
from router.fronts.agents import Agents
from router.fronts.deepgram import COMPONENT, SDKS
from router.fronts.deepgram_agent.front import RELAY
from router.fronts.failover import build
from router.fronts.front import Call, standalone
from router.session.machine import Session
from router.session.recovery import replay
from router.session.snapshot import count_adoption, restore, snapshot
from router.session.work import WorkKind, split_key
from tests.support.machine.options import session_options

FRONTS = {front.name: front for front in (COMPONENT, SDKS, RELAY)}
OPENAI, DEEPGRAM = 0, 1
"""The positions of the two backends in the list of upstreams."""
LINEAR = {"encoding": "linear16", "sample_rate": 24000}
AUDIO = {"input": LINEAR, "output": LINEAR}
THINK = {"provider": {"type": "open_ai", "model": "gpt-4o-mini"}, "prompt": "Be brief."}
LOST = Loss(kind=LossKind.CLOSED, code=1011, cause="closed by the peer")
EVENTS: dict[str, Any] = {"session.created": {"session": {}}, "session.updated": {"session": {}}}


class TwoBackends:
    """One call, with the frames that it sent since the last `take`."""

    def __init__(self, front: str = "deepgram", *, blocks: dict[str, Any] | None = None, **options: Any) -> None:
        self.options, self.front = session_options(is_observed=True, **options), FRONTS[front]
        self.blocks = blocks or {}
        self.session = Session("session", self.front.profile, self.options)
        self.machine = self.made(self.session)
        self.now_s = 100.0
        self.generation = 0
        self.client: list[Any] = []
        """The frames for the client."""
        self.upstream: list[Any] = []
        """The frames for the upstream in use."""
        self.others: list[engine.Command] = []
        self.timers: dict[str, float] = {}
        self.work: set[str] = set()
        """The keys of work on pool threads. Audio converters are ready at once."""
        self.feed(engine.ClientOpened())

    def made(self, session: Session, memory: bytes = b"") -> Any:
        """Return the machine of this call around a session, with the memory of another process."""
        call = Call(
            session=session,
            machine=session,
            agents=Agents(),
            config=RouterConfig(),
            policy=self.options.policy,
            session_id="session",
        )
        return build.machine_of(self.front, call, build.Plan(deepgram_position=DEEPGRAM, blocks=self.blocks), memory)

    # Another process.

    @property
    def call(self) -> Any:
        """The machine of two backends, without a policy around it."""
        return standalone(self.machine)

    def value(self, *, is_brief: bool = False) -> tuple[bytes, bytes]:
        """Return the whole call as the next process gets it: the session, and the machine of two backends."""
        return snapshot(self.session, is_brief=is_brief), self.call.memory(is_brief=is_brief)

    def moved(
        self, *, journal: Any = (), is_planned: bool = False, sent_bytes: int = 0, words: str = "", adoptions: int = 0
    ) -> Self:
        """Let another process continue the call. Forget the frames that the client and the upstream got before."""
        session, memory = self.value(is_brief=not is_planned)
        self.session = restore(count_adoption(session, adoptions), self.options)
        self.machine = self.made(self.session, memory)
        self.timers.clear()
        self.work.clear()
        self.take()
        for command in replay(self.machine, journal, self.now_s):
            self._perform(command)
        return self.feed(engine.ClientAdopted(is_planned, sent_bytes, words))

    def _twin(self) -> Any:
        """Return the same call in another process, and check that it has the same value."""
        value = session, memory = self.value()
        self.value(is_brief=True)
        assert self.value() == value, "a brief value has changed the call"
        twin = restore(session, self.options)
        machine = self.made(twin, memory)
        within = standalone(machine)
        assert (snapshot(twin), within.memory()) == value, "a restored call differs"
        assert machine.describe() == self.machine.describe()
        # The other process has neither timers nor work, and cancels none.
        within._timers, within._work = set(self.call._timers), set(self.call._work)
        return twin, machine, within

    # Inputs.

    def feed(self, message: engine.Input) -> Self:
        """Give the machine an input, and compare its commands with those of the same call in another process."""
        twin, machine, within = self._twin()
        commands = list(self.machine.handle(message, self.now_s))
        assert list(machine.handle(message, self.now_s)) == commands, "a restored call gives other commands"
        assert (snapshot(twin), within.memory()) == self.value(), "a restored call differs after a step"
        for command in commands:
            self._perform(command)
        for key in [it for it in self.work if split_key(it)[0] is WorkKind.AUDIO]:
            self.work.discard(key)
            self.feed(engine.WorkDone(key))
        return self

    def _perform(self, command: engine.Command) -> None:
        match command:
            case engine.SendToClient(frame):
                self.client.append(frame if isinstance(frame, bytes) else orjson.loads(frame))
            case engine.SendToUpstream(frame, generation, is_binary):
                assert generation == self.generation
                self.upstream.append(frame if is_binary else orjson.loads(frame))
            case engine.StartTimer(name, delay_s):
                self.timers[name] = delay_s
            case engine.CancelTimer(name):
                self.timers.pop(name, None)
            case engine.StartWork(key):
                self.work.add(key)
            case engine.CancelWork(key):
                self.work.discard(key)
            case _:
                if isinstance(command, engine.OpenUpstream):
                    self.generation = command.generation
                self.others.append(command)

    def says(self, kind: str, **fields: Any) -> Self:
        """Send a message of the client."""
        return self.feed(engine.ClientTextReceived(orjson.dumps({"type": kind, **fields}).decode()))

    def settles(self, **agent: Any) -> Self:
        """Send the client's Settings."""
        return self.says("Settings", audio=AUDIO, agent={"think": THINK, **agent})

    def opens(self, position: int) -> Self:
        """Open the upstream that is dialled."""
        return self.feed(engine.UpstreamOpened(self.generation, position, 1_700_000_000.0))

    def hears(self, kind: str, **fields: Any) -> Self:
        """Send a message of the upstream in use."""
        text = orjson.dumps({"type": kind, **EVENTS.get(kind, {}), **fields}).decode()
        return self.feed(engine.UpstreamTextReceived(self.generation, text))

    def loses(self, decision: Decision = Decision.RESTART, loss: Loss = LOST) -> Self:
        """Lose the upstream in use, or its dial."""
        return self.feed(engine.UpstreamLost(self.generation, loss, Verdict(decision=decision)))

    def deepgram(self) -> Self:
        """Open Deepgram, and let it apply the Settings."""
        return self.opens(DEEPGRAM).hears("Welcome", request_id="r").hears("SettingsApplied")

    def openai(self) -> Self:
        """Open an upstream of OpenAI, and let it apply the Settings."""
        return self.opens(OPENAI).hears("session.created").hears("session.updated")

    # Looks.

    def take(self) -> tuple[list[Any], list[Any]]:
        """Remove and return the frames for the client, and those for the upstream."""
        taken = self.client, self.upstream
        self.client, self.upstream = [], []
        return taken

    def of(self, kind: type) -> list[Any]:
        """Return the other commands of a type."""
        return [it for it in self.others if isinstance(it, kind)]


def types(frames: list[Any]) -> list[str]:
    """Return the types of frames; `audio` for bytes."""
    return ["audio" if isinstance(it, bytes) else it["type"] for it in frames]
