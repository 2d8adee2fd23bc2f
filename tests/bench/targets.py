"""The targets of the figures: one row per figure, with its bound and its aim. Pure.

A reading is void (`None`) if it was not measured, or if its run had a loss.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable

LATENCY_MS = 3.0
"""The added latency that is always allowed, whatever the relay adds."""
WITHOUT_COMPILER = 1.1
"""The bound of the CPU per message, beside the relay's, where numpy resamples."""
UNCHANGED_MS = 3.0
"""The usual distance between two p99 of the same load."""


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
        """Whether the bound is kept."""
        return self._is_within(self.must)

    @property
    def is_aim_reached(self):
        """Whether the aim is reached."""
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
    """The number of sessions whose row the target needs."""
    unless: str = ""
    """The measurement that has more exact targets in place of this one."""

    def is_due(self, results):
        """Whether it was measured, with any outcome."""
        if self.unless in results:
            return False
        if self.sessions is None:
            return self.measured in results
        return any((it["system"], it["sessions"]) == ("router", self.sessions) for it in results.get("talking", []))


def row(results, system, sessions):
    """Return the row of a system under a load, unless it is void."""
    found = [it for it in results["talking"] if (it["system"], it["sessions"]) == (system, sessions)]
    return found[0] if found and not found[0]["lost"] else None


def cpu(sessions):
    """Return the reader of the CPU per message, beside the relay's."""

    def read(results):
        relay, router = row(results, "relay", sessions), row(results, "router", sessions)
        mine, theirs = ((it or {}).get("cpu_us_per_message") for it in (router, relay))
        if not mine or not theirs:
            return None
        bound = WITHOUT_COMPILER if results.get("machine", {}).get("resampling") == "numpy" else 1.0
        return Reading(mine / theirs, bound, 0.8, f"{mine:.0f} µs, {mine / theirs:.2f} × the relay's {theirs:.0f}")

    return read


def latency(direction, quantile, times):
    """Return the reader of the added latency in one direction, beside the relay's, without the benchmark's own."""

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
    """Read the memory of a live session."""
    found = row(results, "router", 200)
    if not found:
        return None
    kilobytes = found["memory_kb_per_session"]
    relay = row(results, "relay", 200)
    beside = f"; the relay {relay['memory_kb_per_session']:.0f}" if relay else ""
    return Reading(kilobytes, 40, 30, f"{kilobytes:.0f} kB{beside}")


def _kept(results):
    """Return the memory in kB of each lap without the keeper, and with it; None if something was lost."""
    found = results["kept"]
    if any(it["lost"] for kind in ("without", "kept") for it in found[kind]):
        return None
    return tuple([it["memory_kb_per_session"] for it in found[kind]] for kind in ("without", "kept"))


def bare_memory(results):
    """Read the memory of a talking session without the keeper."""
    laps = _kept(results)
    if laps is None:
        return None
    without, _ = laps
    kilobytes = statistics.median(without)
    return Reading(kilobytes, 40, 30, f"{kilobytes:.1f} kB ({min(without):.1f}–{max(without):.1f})")


def keeper_memory(results):
    """Read the memory that the keeper adds to a talking session."""
    laps = _kept(results)
    if laps is None:
        return None
    more = [kept - without for without, kept in zip(*laps, strict=True)]
    kilobytes = statistics.median(more)
    shown = f"{kilobytes:.1f} kB ({min(more):.1f}–{max(more):.1f}), so {statistics.median(laps[1]):.1f} in all"
    return Reading(kilobytes, 8, None, shown)


def tree(results):
    """Read the memory of the idle process tree."""
    found = results["idle"]["tree"]
    return Reading(
        found["pss_mb"], 60, 50, f"{found['pss_mb']:.0f} MB ({found['alone_mb']:.0f} without shared libraries)"
    )


def capacity(results):
    """Read the number of sessions on two cores."""
    highest = results["capacity"]["highest"]
    return Reading(highest, 500, 600, f"{highest} sessions", at_least=True)


def growth(costs):
    """Return the largest ratio of a cost to the lowest cost with fewer sessions."""
    return max((later / min(costs[: at + 1]) for at, later in enumerate(costs[1:])), default=math.nan)


def idle_session(results):
    """Read the memory of one more idle session, beside many."""
    kilobytes = results["idle"]["sessions"][-1]["kb_per_more_session"]
    return Reading(kilobytes, 20, 15, f"{kilobytes:.0f} kB")


def flat_idle(results):
    """Read the memory of one more idle session."""
    steps = results["idle"]["sessions"]
    costs = [step["kb_per_more_session"] for step in steps]
    shown = ", ".join(f"{step['kb_per_more_session']:.0f} kB at {step['sessions']}" for step in steps)
    return Reading(growth(costs), 1.2, None, shown)


def flat_talking(results):
    """Read the CPU of a talking session."""
    rows = results["flat"]
    if not all(it["cpu_us_per_message"] and not it["lost"] for it in rows):
        return None
    costs = [it["cpu_us_per_message"] for it in rows]
    shown = ", ".join(f"{it['cpu_us_per_message']:.0f} µs at {it['sessions']}" for it in rows)
    return Reading(growth(costs), 1.2, None, shown)


def unread_memory(results):
    """Read the additional memory for a client that does not read."""
    found = results["unread"]
    return Reading(found["more_mb"], 4, None, f"{found['more_mb']:.1f} MB")


def unread_end(results):
    """Read the time at which that client was closed."""
    found = results["unread"]
    if found["ended_s"] is None:
        return None
    shown = f"{found['ended_s']:.2f} s, after {found['taken_mb']:.0f} MB"
    return Reading(found["ended_s"], found["limit_s"], None, shown)


def unread_others(results):
    """Read the p99 of the other sessions meanwhile."""
    found = results["unread"]
    if found["lost"]:
        return None
    before, during = found["p99_before_ms"], found["p99_during_ms"]
    return Reading(during, before + UNCHANGED_MS, before, f"{during:.1f} ms; before {before:.1f}")


def safe_cpu(results):
    """Read the CPU per message with authentication, a policy and limits, beside that without them."""
    found = results["safe"]
    rows = [*found["open"], *found["safe"]]
    if not all(it["cpu_us_per_message"] and not it["lost"] for it in rows):
        return None
    without, with_all = ([it["cpu_us_per_message"] for it in found[kind]] for kind in ("open", "safe"))
    # Each lap gives one ratio, because the machine is quicker in one lap than in another.
    ratios = [mine / other for mine, other in zip(with_all, without, strict=True)]
    ratio, us = statistics.median(ratios), statistics.median(with_all)
    return Reading(ratio, 1.03, None, f"{ratio:.2f} × ({min(ratios):.2f}–{max(ratios):.2f}), {us:.1f} µs")


LEAST_CALLS = 1000
"""With fewer calls the p99 is chance."""


def safe_welcome(results):
    """Read the p99 of `Welcome` with authentication, a policy and limits, beside that without them."""
    found = results["welcomes"]
    without, with_all = found["open"], found["safe"]
    if with_all["calls"] < LEAST_CALLS:
        return None
    shown = (
        f"{found['more_at_p99_ms']:+.2f} ms ({found['low_ms']:+.2f} to {found['high_ms']:+.2f}):"
        f" {with_all['p99_ms']:.2f} and {without['p99_ms']:.2f} of {with_all['calls']} calls each"
    )
    return Reading(found["more_at_p99_ms"], 0.5, None, shown)


def attacked(results):
    """Read the highest p99 of 20 others beside the attacks of many clients at once."""
    rows = results["attacked"]
    if any(row["lost"] for row in rows):
        return None
    worst = max(rows, key=lambda row: row["p99_ms"])
    return Reading(worst["p99_ms"], 100, None, f"{worst['p99_ms']:.0f} ms beside {worst['attack']}")


def promptness(what):
    """Return the reader of the p99 of an answer."""

    def read(results):
        found = results["arrivals"]
        if found["lost"]:
            return None
        middle, tail = found[what]["p50_ms"], found[what]["p99_ms"]
        return Reading(tail, 2, None, f"{tail:.1f} ms; p50 {middle:.1f}")

    return read


def storm_served(results):
    """Read the number of served clients of a storm."""
    found = results["storm"]
    shown = f"{found['served']} of {found['clients']} served, the last after {found['all_served_s']:.1f} s"
    return Reading(found["served"], found["clients"], None, shown, at_least=True)


def storm_others(results):
    """Read the p99 of the talking sessions during a storm."""
    found = results["storm"]
    return None if found["lost"] else Reading(found["p99_ms"], 100, None, f"{found['p99_ms']:.0f} ms")


CPU_BOUND = "≤ 1.0 × the relay, 1.1 × by numpy"

TARGETS = (
    Target("CPU per message, 100 sessions", CPU_BOUND, "≤ 0.8 ×", "talking", cpu(100), 100),
    Target("CPU per message, 200 sessions", CPU_BOUND, "≤ 0.8 ×", "talking", cpu(200), 200),
    Target("added to agent audio, p50", "≤ 1.5 × or 3 ms", "equal", "talking", latency("agent", "p50", 1.5), 100),
    Target("added to agent audio, p99", "≤ 2 × or 3 ms", "equal", "talking", latency("agent", "p99", 2), 100),
    Target("added to microphone, p50", "≤ 1.5 × or 3 ms", "equal", "talking", latency("microphone", "p50", 1.5), 100),
    Target("added to microphone, p99", "≤ 2 × or 3 ms", "equal", "talking", latency("microphone", "p99", 2), 100),
    Target("memory per live session, 200 sessions", "≤ 40 kB", "≤ 30 kB", "talking", memory, 200, unless="kept"),
    Target("a talking session without the keeper, 200 sessions", "≤ 40 kB", "≤ 30 kB", "kept", bare_memory),
    Target("memory that the keeper adds to it", "≤ 8 kB", "", "kept", keeper_memory),
    Target("memory of the idle process tree", "≤ 60 MB", "≤ 50 MB", "idle", tree),
    Target("sessions on two cores, `--workers 2`, p99 < 50 ms", "≥ 500", "≥ 600", "capacity", capacity),
    Target("one more idle session, beside 1,000", "≤ 20 kB", "≤ 15 kB", "idle", idle_session),
    Target("one more idle session, from 10 to 1,000", "flat within 20 %", "", "idle", flat_idle),
    Target("a message, from 10 to 300 talking sessions", "flat within 20 %", "", "flat", flat_talking),
    Target("never reads 144 MB: more memory", "≤ 4 MB", "", "unread", unread_memory),
    Target("never reads 144 MB: ended", "within its time limit", "", "unread", unread_end),
    Target("never reads 144 MB: p99 of 20 others", "unchanged (+ 3 ms)", "", "unread", unread_others),
    Target("CPU per message with authentication, policy and limits", "≤ 1.03 × without", "", "safe", safe_cpu),
    Target("the same for p99 of `Welcome`", "≤ 0.5 ms more", "", "welcomes", safe_welcome),
    Target("attacks of many clients: p99 of 20 others", "< 100 ms", "", "attacked", attacked),
    Target("from the WSGI call to `Welcome`, p99 beside 100 sessions", "≤ 2 ms", "", "arrivals", promptness("welcome")),
    Target("`session.updated` to `SettingsApplied`, p99", "≤ 2 ms", "", "arrivals", promptness("applied")),
    Target("500 clients within 2 s", "all served", "", "storm", storm_served),
    Target("500 clients within 2 s: p99 of 100 others", "< 100 ms", "", "storm", storm_others),
)


def verdicts(results):
    """Return each measured target with its reading."""
    return [(target, target.read(results)) for target in TARGETS if target.is_due(results)]


def complaints(results):
    """Yield a sentence for each bound that is not kept."""
    for target, reading in verdicts(results):
        if reading is None:
            yield f"{target.figure}: void"
        elif not reading.is_met:
            yield f"{target.figure}: {reading.shown}; it must be {target.must}"
