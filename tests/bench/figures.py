"""Computes latencies, losses and messages of a lap from the reports of the stub and the callers. Pure."""

import bisect
import dataclasses
import math
import random

RESAMPLES = 1000
LATE_MS = 5.0
"""If the benchmark sent a hundredth of its messages later than this, the latencies are doubtful."""
OTHER_CORES = 0.2
"""If other programs used more cores than this, the figures are doubtful."""


BEHIND_MS = 500.0
"""If the p99 is longer, the work of the window was not done within it, so its processor time means nothing."""


@dataclasses.dataclass(frozen=True)
class Wire:
    """The form of microphone audio at the stub."""

    frame_bytes: int
    """The bytes of a caller's frame at the stub."""
    held_back_bytes: int
    """The most bytes that the system may hold back."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """The figures of one system under one load. Latencies are those of messages in the window. A loss voids the row."""

    system: str
    sessions: int
    messages: int
    cpu_us_per_message: float | None
    """None if there is no process to measure, or if the process fell behind."""
    agent_p50_ms: float
    agent_p99_ms: float
    microphone_p50_ms: float
    microphone_p99_ms: float
    memory_kb_per_session: float | None
    late_p99_ms: float
    other_cores: float
    """The cores that other programs kept busy during the window."""
    lost: list[str]
    wakes_per_message: float | None = None
    """How often threads of the system were woken up. A message costs less if a turn finds several."""


def percentile(values, share):
    """Return the percentile by the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def difference(mine, theirs, share):
    """Return the difference of a percentile of two samples, and the interval in which it lies 19 times out of 20.

    Each sample is a list of laps. The interval is that of the bootstrap: the same figure of laps that are drawn from
    the measured ones, again and again. It is whole laps that are drawn, because the machine is slower in some of them.
    """
    chance = random.Random(RESAMPLES)  # noqa: S311
    numbers = range(len(mine))

    def of(drawn):
        ours, others = ([value for number in drawn for value in laps[number]] for laps in (mine, theirs))
        return percentile(ours, share) - percentile(others, share)

    drawn = [of(chance.choices(numbers, k=len(mine))) for _ in range(RESAMPLES)]
    return of(numbers), percentile(drawn, 0.025), percentile(drawn, 0.975)


def agent_latencies(callers, window):
    """Return the times from the stub's send to the caller's receipt, in ms."""
    pairs = (pair for it in callers for pair in zip(it["agent_sent_ns"], it["agent_took_ns"], strict=True))
    return [took_ns / 1e6 for sent_ns, took_ns in pairs if window.start <= sent_ns < window.stop]


def microphone_latencies(callers, upstream, window, wire):
    """Return the times from a caller's send of a frame to the stub's receipt of its end, in ms.

    Resampled audio has no stamp, so its position counts: a frame has arrived when the stub has the bytes up to its end,
    without those that the filter holds back. The 1.5 ms of the filter come on top.
    """
    latencies = []
    for caller, session in _pairs(callers, upstream):
        ends, times = session["arrivals"][0::2], session["arrivals"][1::2]
        for number, sent_ns in enumerate(caller["sent_ns"], start=caller["frames_before"] + 1):
            arrival = bisect.bisect_left(ends, number * wire.frame_bytes - wire.held_back_bytes)
            if window.start <= sent_ns < window.stop and arrival < len(times):
                latencies.append((times[arrival] - sent_ns) / 1e6)
    return latencies


def losses(callers, upstream, wire):
    """Return a sentence for each piece of audio that is missing, doubled, damaged, or at the wrong caller."""
    here, there = ({it["number"] for it in side} for side in (callers, upstream))
    found = [f"session {number}: it is not there at both ends" for number in sorted(here ^ there)]
    for caller, session in _pairs(callers, upstream):
        found.extend(f"session {caller['number']}: {sentence}" for sentence in _losses(caller, session, wire))
    return found


def _losses(caller, session, wire):
    sent_bytes = (caller["frames_before"] + len(caller["sent_ns"])) * wire.frame_bytes
    least_bytes = sent_bytes - wire.held_back_bytes
    if not least_bytes <= session["heard_bytes"] <= sent_bytes:
        yield f"microphone: {session['heard_bytes']} of {least_bytes} to {sent_bytes} bytes arrived"
    if caller["heard_bytes"] != session["spoken_bytes"]:
        yield f"agent audio: {caller['heard_bytes']} of {session['spoken_bytes']} bytes arrived"
    if caller["damaged"]:
        yield f"agent audio: {caller['damaged']} pieces damaged or out of order"
    if not caller["is_open"]:
        yield "the connection was closed"


def _pairs(callers, upstream):
    """Return each caller with its session at the stub."""
    sessions = {session["number"]: session for session in upstream}
    return [(caller, sessions[caller["number"]]) for caller in callers if caller["number"] in sessions]


def count_messages(callers, window):
    """Return the number of microphone frames and pieces of agent audio in the window."""
    frames = sum(window.start <= sent_ns < window.stop for caller in callers for sent_ns in caller["sent_ns"])
    return frames + len(agent_latencies(callers, window))


def cpu_us_per_message(cpu_ns, messages, latencies):
    """Return the processor time for each message; None if the messages were not handled in time."""
    if not messages or percentile(latencies, 0.99) > BEHIND_MS:
        return None
    return cpu_ns / 1000 / messages


def warnings(rows):
    """Return the reasons why figures are doubtful."""
    for row in rows:
        if max(row.agent_p99_ms, row.microphone_p99_ms) > BEHIND_MS:
            yield f"{row.system}, {row.sessions} sessions: it fell behind"
        if row.late_p99_ms > LATE_MS:
            yield f"{row.system}, {row.sessions} sessions: the benchmark was late (p99 {row.late_p99_ms:.1f} ms)"
        if row.other_cores > OTHER_CORES:
            yield f"{row.system}, {row.sessions} sessions: others kept {row.other_cores:.1f} cores busy"
