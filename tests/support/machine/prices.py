"""The price of a message: the processor time of the longest slice that it costs the other sessions."""

from __future__ import annotations

import gc
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from actors import messages as engine
from router.guard.inputs import CONTINUE, KEY
from router.guard.rules import PASS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.guard.rules import Verdict

SLICE_S: Final = 0.05
"""The longest time that one message may cost the others."""

MOST_TRIES: Final = 10


class Handles(Protocol):
    """A machine."""

    def handle(self, message: Any, now_s: float, /) -> Iterable[engine.Command]:
        """Take an input, and return the commands that follow."""


def longest_slice_s(make: Callable[[], Handles], message: Any, verdict: Verdict = PASS) -> float:
    """Return the longest slice of a new machine that takes a message, and the guard's verdicts and timers after it.

    The result is that of a try within the bound if any is. Other work on the machine adds to single tries.
    """
    prices: list[float] = []
    while not prices or (min(prices) >= SLICE_S and len(prices) < MOST_TRIES):
        machine = make()
        gc.collect()
        prices.append(max(_slices_s(machine, message, verdict)))
        if prices[-1] > 20 * SLICE_S:  # another try would be no shorter than that
            break
    return min(prices)


def _slices_s(machine: Handles, message: Any, verdict: Verdict) -> Iterable[float]:
    left = deque([message])
    while left:
        taken, began_s = left.popleft(), time.thread_time()
        commands = list(machine.handle(taken, 1001.0))
        yield time.thread_time() - began_s
        for command in commands:
            if isinstance(command, engine.StartWork) and command.key.startswith(KEY):
                left.append(engine.WorkDone(command.key, verdict))
            elif isinstance(command, engine.StartTimer) and command.name == CONTINUE:
                left.append(engine.TimerFired(CONTINUE))
