"""The arithmetic of a lap: latencies, losses, messages, out of what the stub and the callers saw. Pure."""

import bisect
import dataclasses
import math

LATE_MS = 5.0
"""When the benchmark itself sent a hundredth of its messages later than this, latencies say little."""
OTHER_CORES = 0.2
"""When other programs took more of the machine than this, the figures are theirs as well."""


BEHIND_MS = 500.0
"""Who takes longer than this did not do the work of the window within it, and its processor time says nothing."""


@dataclasses.dataclass(frozen=True)
class Wire:
    """How microphone audio looks at the stub."""

    frame_bytes: int
    """A caller's frame, as bytes at the stub."""
    held_back_bytes: int
    """The most that the system may still hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One system under one load. Latencies are of messages sent inside the window. Void where anything was lost."""

    system: str
    sessions: int
    messages: int
    cpu_us_per_message: float | None
    """None where there is no process to look at, or where it fell behind."""
    agent_p50_ms: float
    agent_p99_ms: float
    microphone_p50_ms: float
    microphone_p99_ms: float
    memory_kb_per_session: float | None
    late_p99_ms: float
    other_cores: float
    """Cores that programs other than ours kept busy during the window."""
    lost: list[str]


def percentile(values, share):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def agent_latencies(callers, window):
    """From the stub's send to the caller's receipt, in ms."""
    pairs = (pair for it in callers for pair in zip(it["agent_sent_ns"], it["agent_took_ns"], strict=True))
    return [took_ns / 1e6 for sent_ns, took_ns in pairs if window.start <= sent_ns < window.stop]


def microphone_latencies(callers, upstream, window, wire):
    """From a caller's send of a frame to the stub's receipt of its end, in ms.

    Resampled audio carries no stamp, so position tells: the frame has arrived when as many bytes have as it ends at,
    less what the filter holds back (its 1.5 ms are a property of the filter, and come on top).
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
    """A sentence for whatever went missing, came twice, came damaged, or came to the wrong caller."""
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
    """Each caller with its session at the stub."""
    sessions = {session["number"]: session for session in upstream}
    return [(caller, sessions[caller["number"]]) for caller in callers if caller["number"] in sessions]


def count_messages(callers, window):
    """What went through in the window: microphone frames and pieces of agent audio."""
    frames = sum(window.start <= sent_ns < window.stop for caller in callers for sent_ns in caller["sent_ns"])
    return frames + len(agent_latencies(callers, window))


def cpu_us_per_message(cpu_ns, messages, latencies):
    """What each of the messages cost; None where they were not dealt with in time."""
    if not messages or percentile(latencies, 0.99) > BEHIND_MS:
        return None
    return cpu_ns / 1000 / messages


def warnings(rows):
    """What makes a figure doubtful, though not wrong."""
    for row in rows:
        if max(row.agent_p99_ms, row.microphone_p99_ms) > BEHIND_MS:
            yield f"{row.system}, {row.sessions} sessions: it fell behind"
        if row.late_p99_ms > LATE_MS:
            yield f"{row.system}, {row.sessions} sessions: the benchmark was late (p99 {row.late_p99_ms:.1f} ms)"
        if row.other_cores > OTHER_CORES:
            yield f"{row.system}, {row.sessions} sessions: others kept {row.other_cores:.1f} cores busy"
