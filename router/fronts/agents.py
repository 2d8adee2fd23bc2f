"""The agents of the configuration (`[agents.ID]`), as Settings for clients whose wire has no Settings. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.errors import ConfigError
from router.translation import session_config

DEFAULT: Final = "default"
"""The id of the agent for a client that names none.

If no agent has this id, and only one agent is configured, that agent serves such a client.
"""

_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

_LINEAR: Final = {"encoding": "linear16", "sample_rate": 24000}
"""The audio format in the Settings with which `checked` validates an agent. No session uses it."""


class Agents(msgspec.Struct, frozen=True):
    """The configured agents: the fields of `Settings.agent`, by id."""

    by_id: Mapping[str, Mapping[str, Any]] = {}

    def settings(self, agent_id: str | None, audio: dict[str, Any], variables: Mapping[str, str]) -> str | None:
        """Return the Settings of a session as a message, or None if no agent has this id.

        Without an `agent_id`, take the agent `default`, or the only agent, or else an agent without fields.
        In each text of the agent, `{{name}}` becomes the variable of that name. If there is no such variable, the
        text keeps `{{name}}`.
        """
        found = self._find(agent_id)
        if found is None:
            return None
        agent = _filled(found, variables)
        return orjson.dumps({"type": "Settings", "audio": audio, "agent": agent}).decode()

    def _find(self, agent_id: str | None) -> Mapping[str, Any] | None:
        if agent_id is not None:
            return self.by_id.get(agent_id)
        if DEFAULT in self.by_id or len(self.by_id) != 1:
            return self.by_id.get(DEFAULT, {})
        return next(iter(self.by_id.values()))


def checked(agents: Mapping[str, Mapping[str, Any]]) -> Agents:
    """Return the agents of the configuration, by id, after the validation of each as a part of Settings.

    Raises:
        ConfigError: an agent is no valid `Settings.agent`.
    """
    found = Agents(agents)
    audio = {"input": _LINEAR, "output": _LINEAR}
    for agent_id in agents:
        decoded = codec.decode(found.settings(agent_id, audio, {}) or "")
        problem = decoded.problem if isinstance(decoded, codec.Unparsable) else _problem(decoded)
        if problem:
            raise ConfigError(source="the configuration", name=f"agents.{agent_id}", problem=f"is invalid: {problem}")
    return found


def _problem(decoded: object) -> str | None:
    assert isinstance(decoded, deepgram.Settings)  # noqa: S101 - `settings` writes this type
    fault = session_config.validate_settings(decoded)
    return fault.description if fault is not None else None


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, variables) for item in value]
    return value
