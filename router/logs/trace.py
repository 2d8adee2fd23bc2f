"""The protocol messages of a session at the level `trace`: types and sizes, and with `--log-content` their content."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from actors import messages
from router.logs.levels import TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actors.machine import Machine

logger = logging.getLogger(__name__)

MAX_CONTENT_CHARS: Final = 4000
_MAX_TYPE_CHARS: Final = 100

_TYPE: Final = re.compile(r'\{\s*"type":\s*"([^"]{1,100})"')
"""The beginning of most messages. It gives the type, so that long messages with audio need not be parsed."""

_AUDIO: Final = re.compile(r'("(?:audio|delta)":\s*)"[A-Za-z0-9+/=]{32,}"')
"""Audio as base64. A text of speech with 32 characters contains a space, and so does not match."""


def is_on() -> bool:
    """Whether messages are logged. A session asks only at its start, so it is traced as a whole or not at all."""
    return logger.isEnabledFor(TRACE)


class TracedMachine:
    """A session machine whose messages are logged, each with the session's fields."""

    def __init__(
        self, machine: Machine, log_fields: Mapping[str, Any], *, content: Callable[[str], str] | None = None
    ) -> None:
        self._machine = machine
        self._log_fields = log_fields
        self._content = content
        """A function that returns a message's text without credentials; None if no content is logged."""
        self._generation = 0

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Log a message that was received, let the machine handle it, and log the messages that it sends."""
        match message:
            case messages.ClientTextReceived(frame) | messages.ClientBinaryReceived(frame):
                self._log("client", "received", frame)
            case messages.UpstreamTextReceived(generation, frame) | messages.UpstreamBinaryReceived(generation, frame):
                self._log("upstream", "received", frame, generation)
        commands = list(self._machine.handle(message, now_s))
        for command in commands:
            match command:
                case messages.SendToClient(frame):
                    self._log("client", "sent", frame)
                case messages.SendToUpstream(bytes() as frame, generation, False):
                    self._log("upstream", "sent", frame.decode(), generation)
                case messages.SendToUpstream(frame, generation):
                    self._log("upstream", "sent", frame, generation)
        return commands

    def held_bytes(self) -> int:
        """Return the number of bytes that the machine keeps for its peers."""
        return self._machine.held_bytes()

    def describe(self) -> messages.Facts:
        """Return a few facts about the session; see `Machine.describe`."""
        return self._machine.describe()

    def _log(self, leg: str, way: str, frame: str | bytes, generation: int | None = None) -> None:
        if generation is not None:
            self._generation = generation
        is_text = isinstance(frame, str)
        kind = _type_of(frame) if isinstance(frame, str) else "audio"
        fields = {
            **self._log_fields,
            "generation": self._generation,
            "leg": leg,
            "way": way,
            "type": kind,
            "bytes": len(frame.encode()) if isinstance(frame, str) else len(frame),
        }
        if is_text and self._content is not None:
            # Redact before the cut, because half of a credential would not be recognized.
            fields["content"] = self._content(_without_audio(str(frame)))[:MAX_CONTENT_CHARS]
        logger.log(TRACE, "session %s: %s %s %s", fields["session"], leg, way, kind, extra=fields)


def _without_audio(text: str) -> str:
    return _AUDIO.sub(r'\1"audio"', text)


def _type_of(text: str) -> str:
    found = _TYPE.match(text)
    if found:
        return found[1]
    try:
        kind = orjson.loads(text).get("type")
    except (orjson.JSONDecodeError, AttributeError):
        kind = None
    return kind[:_MAX_TYPE_CHARS] if isinstance(kind, str) else "unknown"
