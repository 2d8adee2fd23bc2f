"""Relays with a guard around them. The checks of the guard end at once, or when a test decides them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import messages as engine
from router.config.guard import Guard, Rule
from router.guard.relay import GuardedRelay
from router.guard.rules import Verdict, judge

if TYPE_CHECKING:
    from router.guard.dialect import Dialect


def rule(action: str = "block", **more: Any) -> Rule:
    """Return a rule about the word `secret`."""
    return Rule(expression="secret", action=action, **more)  # type: ignore[arg-type] # a test's own


class Checked:
    """A machine that answers the guard's checks by the rules."""

    def __init__(self, machine: Any, dialect: Dialect, *rules: Rule, at_once: bool = True, **guard: Any) -> None:
        self.guard = Guard(rules=rules, **guard)
        self.context = getattr(machine, "context", None)
        self.machine = GuardedRelay(machine, self.guard, "session", dialect)
        self.at_once = at_once
        self.works: list[engine.StartWork] = []

    def handle(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        """Handle an input, and then the verdicts of the checks that it starts."""
        commands = self._take(message, now_s)
        while self.at_once and self.works:
            commands += self.decide(now_s)
        return commands

    def decide(self, now_s: float, verdict: Verdict | None = None, *, fails: bool = False) -> list[engine.Command]:
        """Answer the oldest check."""
        work = self.works.pop(0)
        found = verdict or judge(self.guard.rules, work.work)
        failure = engine.WorkFailure("late", "") if fails else None
        return self._take(engine.WorkDone(work.key, None if fails else found, failure), now_s)

    def _take(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        commands = list(self.machine.handle(message, now_s))
        self.works += [it for it in commands if isinstance(it, engine.StartWork)]
        return [it for it in commands if not isinstance(it, engine.StartWork)]
