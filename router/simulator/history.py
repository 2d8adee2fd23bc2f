"""The conversation that the brain reads, and the outputs that it returns: frozen values, independent of the wire."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec resolves the annotation
from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A message of the user, the assistant or the system."""

    role: str
    text: str
    is_truncated: bool = False
    """Whether the text holds the words of truncated audio.

    A client that retrieves such an item gets no transcript.
    """


class FunctionCall(msgspec.Struct, frozen=True):
    """A call that the assistant made."""

    name: str
    call_id: str
    arguments: str = "{}"


class FunctionOutput(msgspec.Struct, frozen=True):
    """The output of a call."""

    call_id: str
    output: str


Entry = Message | FunctionCall | FunctionOutput


class Say(msgspec.Struct, frozen=True, tag="say"):
    """A text of an answer. The modality decides whether it is spoken or written."""

    text: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """A function call of an answer; `arguments` is JSON in a string, as on the wire."""

    name: str
    arguments: str


Output = Say | Call


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """All facts on which an answer depends. The same context always gets the same answer."""

    instructions: str = ""
    entries: tuple[Entry, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] = "auto"
    is_parallel: bool = True
    now: datetime | None = None
    """The time of day, or None if the simulator has no clock."""
    hears: bool = False
    """Whether the simulator recognizes speech."""

    @property
    def _question_at(self) -> int | None:
        for index in range(len(self.entries) - 1, -1, -1):
            entry = self.entries[index]
            if isinstance(entry, Message) and entry.role == "user":
                return index
        return None

    @property
    def question(self) -> str | None:
        """The user's last message, or None."""
        index = self._question_at
        entry = None if index is None else self.entries[index]
        return entry.text if isinstance(entry, Message) else None

    @property
    def since_question(self) -> tuple[Entry, ...]:
        """The entries after the user's last message."""
        index = self._question_at
        return self.entries if index is None else self.entries[index + 1 :]

    @property
    def before_question(self) -> tuple[Message, ...]:
        """The messages before the user's last message, without function calls and outputs; empty without a question."""
        earlier = self.entries[: self._question_at or 0]
        return tuple(entry for entry in earlier if isinstance(entry, Message))
