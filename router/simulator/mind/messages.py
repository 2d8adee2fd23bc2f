"""The question to a language model, and the pieces of its answer: frozen values, independent of the wire."""

from __future__ import annotations

from typing import Any

import msgspec

from router.simulator.history import Entry  # noqa: TC001 - msgspec resolves the annotation


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """All facts on which the model's answer depends."""

    instructions: str
    entries: tuple[Entry, ...]
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] = "auto"
    max_tokens: int | None = None


class Words(msgspec.Struct, frozen=True):
    """The next words of an answer's text."""

    text: str


class ModelCall(msgspec.Struct, frozen=True):
    """A whole function call; `arguments` is JSON in a string."""

    name: str
    arguments: str


class End(msgspec.Struct, frozen=True):
    """The end of the answer."""

    is_cut: bool = False
    """Whether `max_tokens` ended the answer."""


Thought = Words | ModelCall | End
