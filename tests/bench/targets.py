"""What the figures have to be: one row per figure, what must hold and what is aimed at. Pure.

A reading is void (`None`) where it was not measured, or where its run lost anything.
"""

import dataclasses
import math
from collections.abc import Callable

LATENCY_MS = 3.0
"""Of an added latency so much is allowed, whatever the relay adds."""
UNCHANGED_MS = 3.0
"""Two p99 of the same talk are rarely closer than this."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """A figure of this run, beside its bounds."""

    value: float
    must: float
    aim: float | None
    shown: str
    at_least: bool = False
    """Whether the bounds are lower ones."""

    @property
    def is_met(self):
        """Whether what must hold does."""
        return self._is_within(self.must)

    @property
    def is_aim_reached(self):
        """Whether what is aimed at is reached."""
        return self.aim is not None and self._is_within(self.aim)

    def _is_within(self, bound):
        return not math.isnan(self.value) and (self.value >= bound if self.at_least else self.value <= bound)


@dataclasses.dataclass(frozen=True)
class Target:
    """A row of the table."""

    figure: str
    must: str
    aim: str
    measured: str
    """The measurement that it comes from."""
    read: Callable[[dict], Reading | None]
    sessions: int | None = None
    """That have to have talked through the router, for there to be anything to judge."""

    def is_due(self, results):
        """Whether it was measured, with whatever outcome."""
        if self.sessions is None:
            return self.measured in results
        return any((it["system"], it["sessions"]) == ("router", self.sessions) for it in results.get("talking", []))


def row(results, system, sessions):
    """The row of a system under a load, unless it is void."""
    found = [it for it in results["talking"] if (it["system"], it["sessions"]) == (system, sessions)]
    return found[0] if found and not found[0]["lost"] else None


def cpu(sessions):
    """CPU per message, beside the relay's."""

    def read(results):
        relay, router = row(results, "relay", sessions), row(results, "router", sessions)
        mine, theirs = ((it or {}).get("cpu_us_per_message") for it in (router, relay))
        if not mine or not theirs:
            return None
        return Reading(mine / theirs, 1.2, 0.8, f"{mine:.0f} µs, {mine / theirs:.2f} × the relay's {theirs:.0f}")

    return read


def latency(direction, quantile, times):
    """What is added to one direction, beside what the relay adds; less what the benchmark itself takes."""

    def read(results):
        rows = [row(results, system, 100) for system in ("direct", "relay", "router")]
        if not all(rows):
            return None
        direct, relay, router = (it[f"{direction}_{quantile}_ms"] for it in rows)
        mine, theirs = max(0.0, router - direct), max(0.0, relay - direct)
        bound = max(times * theirs, LATENCY_MS)
        return Reading(mine, bound, theirs, f"{mine:.2f} ms; the relay {theirs:.2f}")

    return read


def memory(results):
    """Of a live session."""
    found = row(results, "router", 200)
    if not found:
        return None
    kilobytes = found["memory_kb_per_session"]
    relay = row(results, "relay", 200)
    beside = f"; the relay {relay['memory_kb_per_session']:.0f}" if relay else ""
    return Reading(kilobytes, 50, 25, f"{kilobytes:.0f} kB{beside}")


def tree(results):
    """Of the idle process tree."""
    found = results["idle"]["tree"]
    return Reading(
        found["pss_mb"], 60, 45, f"{found['pss_mb']:.0f} MB ({found['alone_mb']:.0f} without shared libraries)"
    )


def capacity(results):
    """Sessions on two cores."""
    highest = results["capacity"]["highest"]
    return Reading(highest, 400, 600, f"{highest} sessions", at_least=True)


def growth(costs):
    """How much dearer something ever gets, with more sessions: to the cheapest with fewer."""
    return max((later / min(costs[: at + 1]) for at, later in enumerate(costs[1:])), default=math.nan)


def flat_idle(results):
    """Memory of one more session that is only there."""
    steps = results["idle"]["sessions"]
    costs = [step["kb_per_more_session"] for step in steps]
    shown = ", ".join(f"{step['kb_per_more_session']:.0f} kB at {step['sessions']}" for step in steps)
    return Reading(growth(costs), 1.2, None, shown)


def flat_talking(results):
    """CPU of a session that talks."""
    rows = results["flat"]
    if not all(it["cpu_us_per_message"] and not it["lost"] for it in rows):
        return None
    costs = [it["cpu_us_per_message"] for it in rows]
    shown = ", ".join(f"{it['cpu_us_per_message']:.0f} µs at {it['sessions']}" for it in rows)
    return Reading(growth(costs), 1.2, None, shown)


def unread_memory(results):
    """More memory for a client that does not read."""
    found = results["unread"]
    return Reading(found["more_mb"], 4, None, f"{found['more_mb']:.1f} MB")


def unread_end(results):
    """When it was ended."""
    found = results["unread"]
    if found["ended_s"] is None:
        return None
    shown = f"{found['ended_s']:.2f} s, after {found['taken_mb']:.0f} MB"
    return Reading(found["ended_s"], found["limit_s"], None, shown)


def unread_others(results):
    """The p99 of the others."""
    found = results["unread"]
    if found["lost"]:
        return None
    before, during = found["p99_before_ms"], found["p99_during_ms"]
    return Reading(during, before + UNCHANGED_MS, before, f"{during:.1f} ms; before {before:.1f}")


def promptness(what):
    """The p99 of an answer."""

    def read(results):
        found = results["arrivals"]
        if found["lost"]:
            return None
        middle, tail = found[what]["p50_ms"], found[what]["p99_ms"]
        return Reading(tail, 2, None, f"{tail:.1f} ms; p50 {middle:.1f}")

    return read


def storm_served(results):
    """Who was served of those who came at once."""
    found = results["storm"]
    shown = f"{found['served']} of {found['clients']} served, the last after {found['all_served_s']:.1f} s"
    return Reading(found["served"], found["clients"], None, shown, at_least=True)


def storm_others(results):
    """The p99 of those who talked meanwhile."""
    found = results["storm"]
    return None if found["lost"] else Reading(found["p99_ms"], 100, None, f"{found['p99_ms']:.0f} ms")


TARGETS = (
    Target("CPU per message, 100 sessions", "≤ 1.2 × the relay", "≤ 0.8 ×", "talking", cpu(100), 100),
    Target("CPU per message, 200 sessions", "≤ 1.2 × the relay", "≤ 0.8 ×", "talking", cpu(200), 200),
    Target("added to agent audio, p50", "≤ 1.5 × or 3 ms", "equal", "talking", latency("agent", "p50", 1.5), 100),
    Target("added to agent audio, p99", "≤ 2 × or 3 ms", "equal", "talking", latency("agent", "p99", 2), 100),
    Target("added to microphone, p50", "≤ 1.5 × or 3 ms", "equal", "talking", latency("microphone", "p50", 1.5), 100),
    Target("added to microphone, p99", "≤ 2 × or 3 ms", "equal", "talking", latency("microphone", "p99", 2), 100),
    Target("memory per live session, 200 sessions", "≤ 50 kB", "≤ 25 kB", "talking", memory, 200),
    Target("memory of the idle process tree", "≤ 60 MB", "≤ 45 MB", "idle", tree),
    Target("sessions on two cores, `--workers 2`, p99 < 50 ms", "≥ 400", "≥ 600", "capacity", capacity),
    Target("one more idle session, from 10 to 1,000", "flat within 20 %", "", "idle", flat_idle),
    Target("a message, from 10 to 300 talking sessions", "flat within 20 %", "", "flat", flat_talking),
    Target("never reads 144 MB: more memory", "≤ 4 MB", "", "unread", unread_memory),
    Target("never reads 144 MB: ended", "within its time limit", "", "unread", unread_end),
    Target("never reads 144 MB: p99 of 20 others", "unchanged (+ 3 ms)", "", "unread", unread_others),
    Target("from the WSGI call to `Welcome`, p99 beside 100 sessions", "≤ 2 ms", "", "arrivals", promptness("welcome")),
    Target("`session.updated` to `SettingsApplied`, p99", "≤ 2 ms", "", "arrivals", promptness("applied")),
    Target("500 clients within 2 s", "all served", "", "storm", storm_served),
    Target("500 clients within 2 s: p99 of 100 others", "< 100 ms", "", "storm", storm_others),
)


def verdicts(results):
    """Each target that was measured, with its reading."""
    return [(target, target.read(results)) for target in TARGETS if target.is_due(results)]


def complaints(results):
    """What must hold and does not."""
    for target, reading in verdicts(results):
        if reading is None:
            yield f"{target.figure}: void"
        elif not reading.is_met:
            yield f"{target.figure}: {reading.shown}; it must be {target.must}"
