"""Settings whose `agent` is the id of an agent of the configuration: the agent's fields take the id's place. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from actors import messages as engine
from router.deepgram import codec
from router.deepgram import messages as deepgram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.machine import Machine
    from router.fronts.front import Call

OWN: Final = frozenset({"token", "service", "turn_detection"})
"""The URL's parameters that the router reads itself. All others are variables of the agent."""


def with_agents(machine: Machine, call: Call, *, passes_unknown: bool = False) -> Machine:
    """Return `machine` with a `NamedAgents` around it; the machine itself if no agent is configured.

    With `passes_unknown` the id of an agent that is not configured passes, because the upstream may know it.
    """
    return NamedAgents(machine, call, passes_unknown=passes_unknown) if call.agents.by_id else machine


class NamedAgents:
    """A machine whose client may name an agent in its Settings. After the Settings the wrapper costs nothing."""

    def __init__(self, machine: Machine, call: Call, *, passes_unknown: bool) -> None:
        self.wrapped = machine
        """The machine within."""
        self._agents = call.agents
        self._variables = {name: value for name, value in call.query.items() if name not in OWN}
        self._passes_unknown = passes_unknown
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: engine.Input, now_s: float, /) -> Iterable[engine.Command]:
        """Handle an input as the machine does, with the fields of the named agent in the Settings.

        Refuse the id of an agent that is not configured, unless such ids pass.
        """
        fields = _settings(message)
        if fields is None:
            return self.wrapped.handle(message, now_s)
        agent_id = fields.get("agent")
        if isinstance(agent_id, str):
            settings = self._agents.settings(agent_id, fields.get("audio", {}), self._variables)
            if settings is not None:
                message = engine.ClientTextReceived(orjson.dumps({**fields, **orjson.loads(settings)}).decode())
            elif not self._passes_unknown:
                description = f"there is no agent {agent_id[:100]}: name one of [agents.ID] of the configuration"
                error = deepgram.Error(description=description, code="INVALID_AGENT_ID")
                return [engine.SendToClient(codec.encode(error))]
        setattr(self, "handle", self.wrapped.handle)  # noqa: B010 - a type checker takes it for a method
        return self.wrapped.handle(message, now_s)


def _settings(message: engine.Input) -> dict[str, Any] | None:
    if not isinstance(message, engine.ClientTextReceived) or '"Settings"' not in message.text:
        return None
    fields = codec.read(message.text)
    return fields if isinstance(fields, dict) and fields.get("type") == "Settings" else None
