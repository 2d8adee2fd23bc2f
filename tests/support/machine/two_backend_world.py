"""A simulation of a relay of OpenAI's events whose upstreams are of two backends. All are pure, and time is virtual."""

import itertools
from collections.abc import Callable
from typing import Any

from actors import messages as engine
from actors.restart import Loss
from router.fronts.as_openai.machine import TwoBackendRelay
from router.fronts.failover.deepgram_settings import for_deepgram
from router.simulator import commands
from router.simulator.deepgram.session import DeepgramSession
from router.simulator.faults import Fault, FaultPlan
from tests.support.machine.realtime_world import UNIX_S, RealtimeWorld

OPENAI, DEEPGRAM = 0, 1
"""The positions of the two backends in the list of upstreams."""


class TwoBackendWorld(RealtimeWorld):
    """One call. `positions` has the backend of each upstream in order. The last two backends repeat in turn."""

    def __init__(self, *positions: int, deepgram_faults: tuple[Fault, ...] = (), **fields: Any) -> None:
        self._positions = itertools.chain(positions[:-2], itertools.cycle(positions[-2:]))
        self._agents: dict[int, DeepgramSession] = {}
        self._deepgram_faults = FaultPlan(deepgram_faults)
        self.agent_messages: list[dict[str, Any]] = []
        """Every message that a Deepgram upstream received."""
        self.agent_errors: list[dict[str, Any]] = []
        super().__init__(**fields)

    def _around(self, relay):
        return TwoBackendRelay(relay, DEEPGRAM, lambda settings: for_deepgram(settings, {}, 24_000))

    def _adopt(self, *given: Any) -> None:
        self._agents.clear()
        super()._adopt(*given)

    def _perform(self, command: engine.Command) -> None:
        if isinstance(command, engine.CloseUpstream | engine.AbandonUpstream):
            self._agents.pop(command.generation, None)
        super()._perform(command)
        if isinstance(command, engine.EndSession):
            self._agents.clear()

    def _open(self, generation: int) -> None:
        if next(self._positions) == OPENAI:
            super()._open(generation)
            return
        self._upstreams[generation] = None  # its loss is that of any upstream
        self._agents[generation] = DeepgramSession(
            self._config, self._deepgram_faults, lambda: None, number=generation, observe=self.agent_messages.append
        )
        self._handle(engine.UpstreamOpened(generation, DEEPGRAM, UNIX_S))
        self._act_as_agent(generation, lambda agent: agent.open())

    def _take(self, generation: int, frame: str | bytes, *, is_binary: bool = False) -> None:
        if is_binary:
            self._act_as_agent(generation, lambda agent: agent.receive_binary(frame))
        elif generation in self._agents:
            self._act_as_agent(generation, lambda agent: agent.receive(frame))
        else:
            super()._take(generation, frame)

    def _act_as_agent(self, generation: int, act: Callable[[DeepgramSession], list[commands.Command]]) -> None:
        agent = self._agents.get(generation)
        if agent is None:
            return
        for command in act(agent):
            if isinstance(command, commands.SendBinary):
                self._deliver_audio(generation, command.data)
                continue
            if isinstance(command, commands.Send) and command.event["type"] == "Error":
                self.agent_errors.append(command.event)
            self._perform_simulated(generation, command, self._act_as_agent)

    def _deliver_audio(self, generation: int, data: bytes) -> None:
        def arrive() -> None:
            if generation in self._upstreams:
                self._handle(engine.UpstreamBinaryReceived(generation, data))

        self._in_process(self._latency_s, arrive)

    def _lose(self, generation: int, loss: Loss | None = None) -> None:
        self._agents.pop(generation, None)
        if generation in self._upstreams:
            self._upstreams[generation] = object()  # an upstream of either backend
        super()._lose(generation, *(() if loss is None else (loss,)))
