"""The report of the canary: a line for each step as it ends, or one JSON object at the end.

It never contains the key.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN: Final = ("transcript", "function", "arguments", "silent_after_s", "restarted_after_s", "reply", "audio_s")
"""The facts that are printed below the line of a step, in order."""

_TEXT_CHARACTERS: Final = 60


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a step."""

    step: str
    is_ok: bool
    seconds: float
    problem: str = ""
    facts: dict[str, Any] = {}


class Report:
    """The outcomes of the steps. The report prints them with `say`, as lines or as JSON."""

    def __init__(
        self, upstream: str, say: Callable[[str], None], redact: Callable[[str], str], *, is_json: bool
    ) -> None:
        self._upstream = upstream
        self._say = say
        self._redact = redact
        self._is_json = is_json
        self._outcomes: list[Outcome] = []

    def open(self) -> None:
        """Print the head line, unless the report is JSON."""
        self._line(f"switchboard {VERSION} canary: {self._upstream}")

    def add(self, outcome: Outcome, purpose: str) -> None:
        """Keep the outcome of a step, and print its lines, unless the report is JSON."""
        self._outcomes.append(outcome)
        mark = "ok    " if outcome.is_ok else "FAILED"
        self._line(f"  {mark}  {outcome.step:<9}{outcome.seconds:6.2f} s  {purpose}")
        if outcome.problem:
            self._line(f"          {outcome.problem}")
        for name in SHOWN:
            if name in outcome.facts:
                self._line(f"          {name}: {_short(outcome.facts[name])}")

    def close(self, seconds: float, problem: str = "") -> bool:
        """Print the last line or the JSON object, and return whether all steps succeeded.

        `problem` is the reason why the steps did not run; it is empty if they ran.
        """
        problem = problem or next((it.problem for it in self._outcomes if not it.is_ok), "")
        if self._is_json:
            self._say(self._redact(self._object(seconds, problem)))
        else:
            end = f"failed: {problem}" if problem else f"passed: {len(self._outcomes)} steps in {seconds:.1f} s"
            self._line(end)
        return not problem

    def _object(self, seconds: float, problem: str) -> str:
        steps = [
            {"step": it.step, "ok": it.is_ok, "seconds": round(it.seconds, 3), **it.facts}
            | ({"problem": it.problem} if it.problem else {})
            for it in self._outcomes
        ]
        return json.dumps(
            {
                "ok": not problem,
                "problem": problem or None,
                "version": VERSION,
                "upstream": self._upstream,
                "seconds": round(seconds, 3),
                "steps": steps,
            },
            ensure_ascii=False,
        )

    def _line(self, text: str) -> None:
        if not self._is_json:
            self._say(self._redact(text))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}…"
