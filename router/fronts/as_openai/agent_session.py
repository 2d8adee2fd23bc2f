"""The session of a client of OpenAI Realtime, as Deepgram's Settings and as the session that the client sees. Pure."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from router.fronts.realtime.configuration import Configuration

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.fronts.realtime.wire import Fields

_PCM: Final = {"type": "audio/pcm", "rate": 24_000}

DEFAULTS: Final[dict[str, Any]] = {
    "type": "realtime",
    "object": "realtime.session",
    "output_modalities": ["audio"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "audio": {
        "input": {
            "format": _PCM,
            "noise_reduction": None,
            "transcription": None,
            "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
        },
        "output": {"format": _PCM, "voice": "alloy", "speed": 1.0},
    },
}
"""The session of a client that has configured nothing, with the fields that OpenAI would report."""

ENCODINGS: Final = {"audio/pcm": ("linear16", 24_000), "audio/pcmu": ("mulaw", 8_000), "audio/pcma": ("alaw", 8_000)}
"""Deepgram's encoding and rate of each audio format of OpenAI's."""

_SIDES: Final = ("input", "output")
_FUNCTION: Final = ("name", "description", "parameters")


class AgentSession:
    """The present configuration of one session with Deepgram, in the form of OpenAI's `session` object."""

    def __init__(self, session_id: str, model: str, as_sent: Callable[[Fields], Fields]) -> None:
        self._configuration = Configuration()
        self._configuration.apply({**copy.deepcopy(DEFAULTS), "id": session_id, "model": model})
        self._as_sent = as_sent
        self.notes: list[str] = []
        """The texts of items with the role system or developer, which Deepgram gets behind the instructions."""
        self.notes_bytes = 0

    @property
    def shown(self) -> Fields:
        """The session as the client sees it."""
        return self._configuration.update

    def apply(self, update: Fields) -> None:
        """Merge the `session` of a `session.update`, except its `id` and `model`."""
        self._configuration.apply({key: value for key, value in update.items() if key not in ("id", "model")})
        self._configuration.show(self._configuration.update)

    def add_note(self, text: str) -> None:
        """Add the text of an item with the role system or developer to the instructions."""
        self.notes.append(text)
        self.notes_bytes += len(text.encode())

    def changed_format(self, update: Fields) -> str | None:
        """Return the path of the first audio format that an update changes, or None if it changes none.

        Deepgram does not let a session change its formats.
        """
        for side in _SIDES:
            given = _object(_object(_object(update, "audio"), side), "format")
            if given and _encoding(given) != _encoding(self._format(side)):
                return f"session.audio.{side}.format"
        return None

    @property
    def is_manual(self) -> bool:
        """Whether the client ends its turns by its own commits, because `turn_detection` is null."""
        return _object(_object(self.shown, "audio"), "input").get("turn_detection") is None

    @property
    def transcribes(self) -> bool:
        """Whether the client gets transcripts of speech."""
        return bool(_object(_object(_object(self.shown, "audio"), "input"), "transcription"))

    @property
    def is_text(self) -> bool:
        """Whether answers consist of text without audio."""
        return self.shown.get("output_modalities") == ["text"]

    @property
    def input_bytes_per_ms(self) -> int:
        """The number of bytes in one millisecond of microphone audio."""
        encoding, rate = _encoding(self._format("input"))
        return rate * (2 if encoding == "linear16" else 1) // 1000

    def silence(self, duration_ms: int) -> bytes:
        """Return silence of this duration, in the format of the microphone audio."""
        zero = {"linear16": b"\x00", "mulaw": b"\xff", "alaw": b"\xd5"}[_encoding(self._format("input"))[0]]
        return zero * (duration_ms * self.input_bytes_per_ms)

    def settings(self, messages: list[Fields]) -> Fields:
        """Return the Settings for Deepgram, with the conversation so far."""
        audio = {
            side: dict(zip(("encoding", "sample_rate"), _encoding(self._format(side)), strict=True)) for side in _SIDES
        }
        agent: Fields = {"think": self._think()}
        if messages:
            agent["context"] = {"messages": messages}
        # The relay keeps the history itself.
        return self._as_sent({"type": "Settings", "flags": {"history": False}, "audio": audio, "agent": agent})

    def think(self) -> Any:
        """Return the whole `think` block, for an `UpdateThink`."""
        return self.settings([])["agent"]["think"]

    def _think(self) -> Fields:
        instructions = self.shown.get("instructions")
        texts = [instructions if isinstance(instructions, str) else "", *self.notes]
        think: Fields = {"functions": self._functions()}
        prompt = "\n\n".join(text for text in texts if text)
        if prompt:
            think["prompt"] = prompt
        return think

    def _functions(self) -> list[Fields]:
        tools = self.shown.get("tools")
        if not isinstance(tools, list) or self.shown.get("tool_choice") == "none":
            return []
        functions = [tool for tool in tools if isinstance(tool, dict) and tool.get("type") == "function"]
        return [{name: tool[name] for name in _FUNCTION if tool.get(name) is not None} for tool in functions]

    def _format(self, side: str) -> Fields:
        return _object(_object(_object(self.shown, "audio"), side), "format")


def _encoding(audio_format: Fields) -> tuple[str, int]:
    return ENCODINGS.get(str(audio_format.get("type")), ENCODINGS["audio/pcm"])


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}
