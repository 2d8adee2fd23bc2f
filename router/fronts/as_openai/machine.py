"""The machine of a call in OpenAI's events that two backends may serve: the relay, and a translation at Deepgram. Pure.

The engine chooses the upstream. The machine learns the backend when an upstream is opened. The relay never does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors import messages as engine
from router.fronts.as_openai.agent import Parts
from router.fronts.as_openai.upstream import TICK_S, DeepgramUpstream
from router.session import reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.fronts.realtime.machine import RealtimeRelay
    from router.fronts.realtime.marks import Marks
    from router.fronts.realtime.wire import Fields

TICK_TIMER: Final = "as_openai.tick"
"""The timer of all waits for Deepgram that the relay does not know of."""


class TwoBackendRelay:
    """The machine of one call.

    Args:
        relay: the relay of OpenAI's events.
        position: the position of Deepgram among the upstreams of the call.
        as_sent: returns the Settings for Deepgram, with the blocks of the configured agent.
    """

    def __init__(self, relay: RealtimeRelay, position: int, as_sent: Callable[[Fields], Fields]) -> None:
        self._relay = relay
        self._position = position
        context = relay.context
        self._parts = Parts(options=context.options, model=context.model, as_sent=as_sent, wire_of=self._wire_of)
        self._upstreams: dict[int, DeepgramUpstream] = {}
        """The upstreams of Deepgram's, by generation: the one in use, and a standby."""

    def handle(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        """Take an input, and return the commands that follow."""
        commands: list[engine.Command] = []
        upstream = self._upstreams.get(getattr(message, "generation", 0))
        match message:
            case engine.UpstreamTextReceived(_, text) if upstream is not None:
                upstream.take_text(text, now_s)
            case engine.UpstreamBinaryReceived(_, data) if upstream is not None:
                upstream.take_audio(data, now_s)
            case engine.TimerFired(name) if name == TICK_TIMER:
                for each in self._upstreams.values():
                    each.tick(now_s)
                if self._upstreams and not self._relay.context.has_ended:
                    commands.append(engine.StartTimer(TICK_TIMER, TICK_S))
            case _:
                if isinstance(message, engine.UpstreamOpened) and message.position == self._position:
                    self._upstreams[message.generation] = DeepgramUpstream(message, self._parts, now_s)
                    commands.append(engine.StartTimer(TICK_TIMER, TICK_S))
                elif isinstance(message, engine.UpstreamLost):
                    self._upstreams.pop(message.generation, None)
                self._give(message, now_s, commands)
        self._settle(now_s, commands)
        return commands

    # Another process.

    @property
    def marks(self) -> Marks:
        """The object whose attributes show when the memory of the relay has to be stored."""
        return self._relay.marks

    @property
    def can_move(self) -> bool:
        """Whether a move at this moment interrupts neither the relay nor a session at Deepgram."""
        return self._relay.can_move and all(upstream.is_at_rest for upstream in self._upstreams.values())

    def memory(self, *, is_brief: bool = False) -> bytes:
        """Return the memory of the relay, which has all that another upstream needs; see `Remembering`."""
        return self._relay.memory(is_brief=is_brief)

    # Facts.

    def held_bytes(self) -> int:
        """Return the bytes that are kept for another upstream, and for Deepgram."""
        return self._relay.held_bytes() + sum(each.held_bytes for each in self._upstreams.values())

    def describe(self) -> engine.Facts:
        """Return a few facts about the session."""
        is_deepgram = self._relay.context.state.generation in self._upstreams
        return {**self._relay.describe(), "backend": "deepgram" if is_deepgram else "openai"}

    def _settle(self, now_s: float, commands: list[engine.Command]) -> None:
        """Exchange events between the relay and its upstreams until no event is left."""
        for upstream in list(self._upstreams.values()):
            is_busy = True
            while is_busy:
                while upstream.events:
                    commands += upstream.take_commands()
                    event = engine.UpstreamTextReceived(upstream.generation, upstream.events.popleft())
                    self._give(event, now_s, commands)
                upstream.settle(now_s)
                commands += upstream.take_commands()
                is_busy = bool(upstream.events)

    def _give(self, message: engine.Input, now_s: float, commands: list[engine.Command]) -> None:
        """Give the relay an input. Translate its events for Deepgram, and add its other commands to `commands`."""
        for command in self._relay.handle(message, now_s):
            match command:
                case engine.SendToUpstream(frame, generation) if generation in self._upstreams:
                    self._upstreams[generation].send(frame, now_s)
                    continue
                case engine.CloseUpstream(generation):
                    self._upstreams.pop(generation, None)
                case engine.AbandonUpstream(generation) if generation in self._upstreams:
                    self._upstreams[generation].close()
                case engine.Notify(reports.UpstreamTookOver(generation=generation)) if generation in self._upstreams:
                    # A Deepgram that refuses the Settings never served the call.
                    self._upstreams[generation].hold(command)
                    continue
            commands.append(command)

    def _wire_of(self, name: str) -> Fields | None:
        state = self._relay.context.state
        item = state.items.find(state.names.client_id(name))
        return {**item.wire, "id": name} if item is not None else None
