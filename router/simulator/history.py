"""What the brain reads and what it answers: frozen values, no wire."""

from __future__ import annotations

from typing import Any

import msgspec


class Said(msgspec.Struct, frozen=True):
    """Somebody said something: `role` is user, assistant or system."""

    role: str
    text: str


class Called(msgspec.Struct, frozen=True):
    """A function was called."""

    name: str
    call_id: str


class Returned(msgspec.Struct, frozen=True):
    """A function gave its output."""

    call_id: str
    output: str


Entry = Said | Called | Returned


class Say(msgspec.Struct, frozen=True, tag="say"):
    """Answer in words."""

    text: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """Call a function; `arguments` is JSON as it goes over the wire."""

    name: str
    arguments: str


Output = Say | Call


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """All that an answer depends on."""

    instructions: str = ""
    entries: tuple[Entry, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] = "auto"
    is_parallel: bool = True

    @property
    def _asked_at(self) -> int | None:
        for index in range(len(self.entries) - 1, -1, -1):
            entry = self.entries[index]
            if isinstance(entry, Said) and entry.role == "user":
                return index
        return None

    @property
    def question(self) -> str | None:
        """What the user said last."""
        index = self._asked_at
        entry = None if index is None else self.entries[index]
        return entry.text if isinstance(entry, Said) else None

    @property
    def since_question(self) -> tuple[Entry, ...]:
        """What came after it."""
        index = self._asked_at
        return self.entries if index is None else self.entries[index + 1 :]

    @property
    def earlier_than_question(self) -> tuple[Said, ...]:
        """What was said before it."""
        said = self.entries[: self._asked_at or 0]
        return tuple(entry for entry in said if isinstance(entry, Said))
