"""The table `[guard]`: the rules by which the router checks the texts of a conversation."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

Source = Literal["user", "function", "agent"]
"""The source of a text: the user, who types or speaks; a function, with its output; the agent."""
SOURCES: Final = ("user", "function", "agent")

Action = Literal["pass", "block", "replace", "cancel", "say", "end"]
ACTIONS: Final = ("pass", "block", "replace", "cancel", "say", "end")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One regular expression, and the action for a text in which it is found."""

    expression: str
    action: Action = "block"
    on: tuple[Source, ...] = SOURCES
    replacement: str = "***"
    say: str = ""
    """The words that the agent speaks for the action `say`."""


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[guard]`."""

    rules: tuple[Rule, ...] = ()
    url: str | None = None
    """The URL of the operator's own check. If no rule decides, the router sends the text there with POST."""
    function: str | None = None
    """A function, as `module:function`, that the router calls in place of the URL."""
    on: tuple[Source, ...] = SOURCES
    """The sources whose texts the URL or the function checks."""
    timeout_s: float = 1.0
    """The longest duration of a check, in seconds."""
    on_failure: Literal["pass", "block"] = "block"
    """The action if a check is late or fails."""
    window_chars: int = 120
    """The number of characters after which the agent's text is checked even if its sentence has not ended."""

    @property
    def is_on(self) -> bool:
        """Whether anything is checked."""
        return bool(self.rules or self.url or self.function)

    def checks(self, source: Source) -> bool:
        """Whether texts of a source are checked."""
        is_asked = (self.url or self.function) and source in self.on
        return bool(is_asked or any(source in rule.on for rule in self.rules))


_compiled: dict[str, re.Pattern[str]] = {}


def compiled(expression: str) -> re.Pattern[str]:
    """Return the compiled form of an expression. The form is kept, so that each expression is compiled once.

    The cache of `re` would not suffice, because it is small, and the whole process shares it.
    """
    found = _compiled.get(expression)
    return found if found is not None else _compiled.setdefault(expression, re.compile(expression))


def guard(written: Any) -> Guard:
    """Parse the table `[guard]`."""
    if isinstance(written, Guard):
        return written
    if not isinstance(written, Mapping):
        raise ValueError("must be a table")  # noqa: TRY004 - a parser raises ValueError alone
    try:
        found = msgspec.convert(dict(written), _Strict)
    except msgspec.ValidationError as error:
        raise ValueError(f"is invalid: {error}") from None
    for rule in found.rules:
        try:
            compiled(rule.expression)
        except re.error as error:
            raise ValueError(
                f"has an expression that cannot be used: {reprlib.repr(rule.expression)}: {error}"
            ) from None
        if rule.action == "say" and not rule.say.strip():
            raise ValueError("has a rule with the action say, and without the words: set say")
    if found.url and found.function:
        raise ValueError("has a url and a function: choose one")
    if not 0.05 <= found.timeout_s <= 30 or not 1 <= found.window_chars <= 10_000:  # noqa: PLR2004 - said in the text
        raise ValueError("must have a timeout_s from 0.05 to 30, and window_chars from 1 to 10000")
    rules = tuple(Rule(**msgspec.structs.asdict(rule)) for rule in found.rules)
    return Guard(**{**msgspec.structs.asdict(found), "rules": rules})


class _StrictRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as a file has it: unknown fields are refused."""


class _Strict(Guard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table as a file has it: unknown fields are refused."""

    rules: tuple[_StrictRule, ...] = ()
