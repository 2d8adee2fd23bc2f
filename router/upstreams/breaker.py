"""The breaker of one key of an upstream: the table, and the figures that its effects change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from router.upstreams.table import TABLE, BreakerState, Effect, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FAILURES_TO_OPEN: Final = 2
"""The failures in a row that open a breaker. A single failure may be chance, and costs its caller little time."""
COOL_DOWN_S: Final = 5.0
"""The first cool-down, in seconds. Each failed trial doubles the length of the next cool-down."""
LONGEST_S: Final = 60.0
"""The longest cool-down that the router chooses, in seconds."""
REFUSED_S: Final = 60.0
"""The cool-down in seconds after a refused credential or an empty account. An operator has to correct these."""
LONGEST_DEMANDED_S: Final = 3600.0
"""The longest cool-down in seconds that an upstream may demand."""
TRIAL_S: Final = 15.0
"""The time in seconds for a trial's result. After it another call may try, because a trial may end without a result."""

_COOL_DOWNS: Final = (Effect.BACK_OFF, Effect.REFUSE, Effect.OBEY)


class Breaker:
    """The state of one key. Times are seconds of one monotonic clock, which the caller reads."""

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.failures = 0
        """The failures in a row."""
        self.opened = 0
        """The number of cool-downs after failures since the upstream last served a session."""
        self.until_s = 0.0
        """The end of the cool-down, or of the trial."""
        self.cause = ""
        """The event that began the latest cool-down; empty while the breaker is closed."""

    def take(self, event: Event, now_s: float, demanded_s: float = 0.0) -> tuple[BreakerState, BreakerState]:
        """Take an event, and return the states before and after it.

        Args:
            event: the event. With the last of `FAILURES_TO_OPEN` failures in a row, `FAILED` becomes `FAILED_AGAIN`.
            now_s: the time.
            demanded_s: the length of the cool-down that the upstream, or another machine, demands.
        """
        if event is Event.FAILED and self.failures + 1 >= FAILURES_TO_OPEN:
            event = Event.FAILED_AGAIN
        # A later demand may concern another limit, so the longest time applies.
        demanded_s = max(self.left_s(now_s), min(demanded_s, LONGEST_DEMANDED_S))
        before = self.state
        row = TABLE[before, event]
        self.state = row.next
        self._effects[row.effect](self, now_s, demanded_s)
        if row.effect in _COOL_DOWNS:
            self.cause = event.value
        elif self.state is BreakerState.CLOSED:
            self.cause = ""
        elif before is BreakerState.OPEN and self.state is BreakerState.HALF_OPEN:
            self.until_s = now_s + TRIAL_S
        return before, self.state

    def is_due(self, now_s: float) -> bool:
        """Whether the cool-down or the time of the trial has passed, so that the next call may dial with the key."""
        return self.state is not BreakerState.CLOSED and now_s >= self.until_s

    def left_s(self, now_s: float) -> float:
        """Return the seconds of the cool-down that are left."""
        return max(0.0, self.until_s - now_s) if self.state is BreakerState.OPEN else 0.0

    def shown(self, now_s: float) -> BreakerState:
        """Return the state for an operator. An open breaker whose cool-down has passed counts as half-open."""
        return BreakerState.HALF_OPEN if self.is_due(now_s) else self.state

    def _none(self, _now_s: float, _demanded_s: float) -> None:
        pass

    def _count(self, _now_s: float, _demanded_s: float) -> None:
        self.failures += 1

    def _reset(self, _now_s: float, _demanded_s: float) -> None:
        self.failures = self.opened = 0

    def _back_off(self, now_s: float, _demanded_s: float) -> None:
        self.until_s = now_s + min(LONGEST_S, COOL_DOWN_S * 2 ** min(self.opened, 10))
        self.opened += 1

    def _refuse(self, now_s: float, _demanded_s: float) -> None:
        self.until_s = now_s + REFUSED_S

    def _obey(self, now_s: float, demanded_s: float) -> None:
        self.until_s = now_s + demanded_s

    def _trial(self, _now_s: float, _demanded_s: float) -> None:
        self.failures = FAILURES_TO_OPEN - 1

    def _release(self, now_s: float, _demanded_s: float) -> None:
        self.until_s = now_s

    _effects: ClassVar[Mapping[Effect, Callable[[Breaker, float, float], None]]] = {
        Effect.NONE: _none,
        Effect.COUNT: _count,
        Effect.RESET: _reset,
        Effect.BACK_OFF: _back_off,
        Effect.REFUSE: _refuse,
        Effect.OBEY: _obey,
        Effect.TRIAL: _trial,
        Effect.RELEASE: _release,
    }
