"""The simulation of a relay with a guard around it. A check takes time, and other processes continue the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import messages as engine
from router.assembly import guard_memory
from router.config.guard import Guard, Rule
from router.fronts.realtime.guarded import RealtimeDialect
from router.guard.relay import GuardedRelay
from router.guard.rules import judge
from router.session.recovery import ReplayingMachine
from tests.support.machine.realtime_world import RealtimeWorld, make_relay

if TYPE_CHECKING:
    from actors.machine import Machine, Marks
    from router.fronts.realtime.machine import RealtimeRelay


class GuardedWorld(RealtimeWorld):
    """One guarded relay, its client and its upstreams."""

    def __init__(self, *rules: Rule, check_s: float = 0.05, **way: Any) -> None:
        self._guard = Guard(rules=rules or (Rule(expression="secret"),))
        self._check_s = check_s
        self.guarded: GuardedRelay
        super().__init__(**way)

    def _around(self, relay: RealtimeRelay) -> Machine:
        self.guarded = GuardedRelay(relay, self._guard, "session", RealtimeDialect())
        self._guard_marks = self.guarded.marks_around(relay.marks)
        return self.guarded

    @property
    def _marks(self) -> Marks:
        return self._guard_marks

    def _memory(self, *, is_brief: bool = False) -> Any:
        return self.relay.memory(is_brief=is_brief), guard_memory.written(self.guarded)

    def _restore(self, memory: Any, journal: tuple[str, ...]) -> None:
        relay, guard = memory
        self.relay = make_relay(memory=relay, **self._options)
        machine = self._around(self.relay)
        guard_memory.fill(self.guarded, guard)
        assert guard_memory.written(self.guarded) == guard, "a restored guard differs"
        self.machine = ReplayingMachine(machine, journal)

    def _perform(self, command: engine.Command) -> None:
        if isinstance(command, engine.StartWork):
            verdict = judge(self._guard.rules, command.work)
            self._in_process(self._check_s, lambda: self._handle(engine.WorkDone(command.key, verdict)))
        else:
            super()._perform(command)
