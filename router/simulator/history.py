"""The conversation as the brain reads it, and the outputs that it answers with: frozen values, without a wire."""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A message of the user, the assistant or the system."""

    role: str
    text: str


class FunctionCall(msgspec.Struct, frozen=True):
    """A call that the assistant made."""

    name: str
    call_id: str


class FunctionOutput(msgspec.Struct, frozen=True):
    """The output of a call."""

    call_id: str
    output: str


Entry = Message | FunctionCall | FunctionOutput


class Say(msgspec.Struct, frozen=True, tag="say"):
    """A text to answer with, spoken or written by the modality."""

    text: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """A call to answer with; `arguments` is JSON in a string, as on the wire."""

    name: str
    arguments: str


Output = Say | Call


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """All that an answer depends on: the same context has the same answer."""

    instructions: str = ""
    entries: tuple[Entry, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] = "auto"
    is_parallel: bool = True

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
        """The entries after the question."""
        index = self._question_at
        return self.entries if index is None else self.entries[index + 1 :]

    @property
    def before_question(self) -> tuple[Message, ...]:
        """The messages before the user's last one, without function calls and outputs; none without a question."""
        earlier = self.entries[: self._question_at or 0]
        return tuple(entry for entry in earlier if isinstance(entry, Message))
