"""A fleet under a deploy, the loss of a zone and an upstream's brown-out: `python -m tests.bench.fleet`.

A small simulation without sockets. It computes how fast callers come back, and whether the remaining machines accept
them: docs/deployment/sizing.md has its table. The measured figures are those of docs/performance.md.
"""

import random
from collections import deque
from dataclasses import dataclass, replace

from actors import leaving

TICK_S = 0.1

CALLS_PER_CORE = 200
"""Talking calls of one worker at 70 % of a core: 56 µs for each of 60 messages a second."""
STARTS_PER_CORE_S = 100
"""New calls that a worker starts in a second beside its talking ones. 500 took 2.2 s beside 100."""
DIALS_PER_CORE_S = 8 / 0.3
"""`dial_threads` of one worker, with an upstream that takes 0.3 s for DNS, TCP, TLS and the upgrade."""
DRAIN_S = 30.0
RESTART_S = 10.0
"""The seconds from the end of a drained machine to its first new call."""
WAVE_S = 5.0
"""The seconds in which callers of a dead machine come back. Their sockets end at once or by the balancer's check."""
BEARABLE_S = 2.0
"""The longest bearable wait of a caller who comes back."""


@dataclass(frozen=True)
class Fleet:
    """Machines of one kind, spread evenly over the zones, with calls spread evenly over the machines."""

    calls: int
    machines: int
    cores: int = 8
    zones: int = 3

    @property
    def holds(self) -> int:
        """The calls that all machines hold."""
        return self.machines * self.cores * CALLS_PER_CORE

    @property
    def starts_s(self) -> float:
        """The new calls that all machines start in a second."""
        return self.machines * self.cores * STARTS_PER_CORE_S

    @property
    def dials_s(self) -> float:
        """The upstreams that all machines dial in a second."""
        return self.machines * self.cores * DIALS_PER_CORE_S

    def less(self, machines: int) -> "Fleet":
        """Return the fleet without some machines, and with all of its calls."""
        return replace(self, machines=self.machines - machines)


@dataclass(frozen=True)
class Outcome:
    """The course of one event."""

    event: str
    back: int
    """The callers who came back."""
    peak_s: float
    """The largest number of callers who came back within a second."""
    takes_s: float
    """The number of callers that the remaining machines accept in a second."""
    longest_wait_s: float
    load: float
    """The calls after the event, divided by the calls that the remaining machines can hold."""

    @property
    def is_borne(self) -> bool:
        """Whether the remaining machines held every call, and no caller waited long."""
        return self.load <= 1 and self.longest_wait_s <= BEARABLE_S


def machines_for(calls: int, *, cores: int = 8, zones: int = 3) -> int:
    """Return the machines that hold the calls after the loss of a zone, with one machine in a deploy."""
    needed = -(-calls // (cores * CALLS_PER_CORE)) + 1
    each_zone = -(-needed // (zones - 1))
    return each_zone * zones


def serve(arrivals_s: list[float], takes_s: float) -> tuple[float, float]:
    """Return the most arrivals within a second, and the longest wait, if `takes_s` arrivals are served a second."""
    waiting: deque[float] = deque()
    recent: deque[float] = deque()
    ahead = deque(sorted(arrivals_s))
    now_s = peak = longest_s = credit = 0.0
    while ahead or waiting:
        now_s += TICK_S
        while ahead and ahead[0] <= now_s:
            recent.append(ahead[0])
            waiting.append(ahead.popleft())
            while recent[0] <= recent[-1] - 1:
                recent.popleft()
            peak = max(peak, len(recent))
        credit = min(credit, TICK_S * takes_s) + TICK_S * takes_s  # an idle moment is not saved up
        while waiting and credit >= 1:
            credit -= 1
            longest_s = max(longest_s, now_s - waiting.popleft())
        if not waiting and ahead:
            now_s = max(now_s, ahead[0] - TICK_S)
    return peak, max(0.0, longest_s - TICK_S)


def deploy(fleet: Fleet, rng: random.Random, *, at_once: int = 1) -> Outcome:
    """Restart the machines in turn, some at once: their idle sessions leave spread over the drain."""
    left = fleet.less(at_once)
    each = fleet.calls // fleet.machines
    arrivals = []
    for wave in range(-(-fleet.machines // at_once)):
        begins_s = wave * (DRAIN_S + RESTART_S)
        for _ in range(at_once):
            arrivals += [begins_s + delay_s for delay_s in leaving.delays_s(each, DRAIN_S, rng.random)]
    peak, longest_s = serve(arrivals, left.starts_s)
    return Outcome("deploy", len(arrivals), peak, left.starts_s, longest_s, fleet.calls / left.holds)


def zone_loss(fleet: Fleet, rng: random.Random, *, within_s: float = WAVE_S) -> Outcome:
    """Lose a zone: its callers come back at random moments within some seconds."""
    lost = fleet.machines // fleet.zones
    left = fleet.less(lost)
    back = fleet.calls * lost // fleet.machines
    peak, longest_s = serve([rng.uniform(0, within_s) for _ in range(back)], left.starts_s)
    event = f"loss of a zone, {_during(within_s)}"
    return Outcome(event, back, peak, left.starts_s, longest_s, fleet.calls / left.holds)


def brown_out(fleet: Fleet, rng: random.Random, *, part: float = 0.5, within_s: float = WAVE_S) -> Outcome:
    """Lose an upstream with a part of the calls: each session dials the next upstream, and its caller stays."""
    lost = int(fleet.calls * part)
    peak, longest_s = serve([rng.uniform(0, within_s) for _ in range(lost)], fleet.dials_s)
    event = f"brown-out of an upstream, {_during(within_s)}"
    return Outcome(event, lost, peak, fleet.dials_s, longest_s, fleet.calls / fleet.holds)


def _during(within_s: float) -> str:
    return f"within {within_s:g} s" if within_s else "in one instant"


def outcomes(calls: int, seed: int = 1) -> list[Outcome]:
    """Return the outcome of each event for the smallest fleet that bears the loss of a zone."""
    fleet = Fleet(calls, machines_for(calls))
    at_once = {"within_s": 0.0}
    events = ((deploy, {}), (zone_loss, {}), (zone_loss, at_once), (brown_out, {}), (brown_out, at_once))
    return [event(fleet, random.Random(seed), **more) for event, more in events]  # noqa: S311 - no secret


def table(sizes: tuple[int, ...] = (1_000, 100_000)) -> str:
    """Return the outcomes as a table of Markdown."""
    lines = [
        "| calls | machines | event | come back | at most a second | the fleet takes | longest wait | load after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for calls in sizes:
        lines += [
            f"| {calls:,} | {machines_for(calls)} | {it.event} | {it.back:,} | {it.peak_s:,.0f} | {it.takes_s:,.0f}/s"
            f" | {it.longest_wait_s:.1f} s | {it.load:.0%} |"
            for it in outcomes(calls)
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
