"""Figures of one run, out of what the stub and the callers saw; the table, and the verdict."""

import bisect
import dataclasses
import math

import speech

LATE_MS = 5.0
"""When the benchmark itself sent a hundredth of its messages later than this, latencies say little."""
OTHER_CORES = 0.2
"""When other programs took more of the machine than this, the figures are theirs as well."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """One system under one load. Latencies are of messages sent inside the window."""

    system: str
    sessions: int
    messages: int
    cpu_us_per_message: float | None
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
    pairs = [pair for caller in callers for pair in caller["latencies"]]
    return [took_ns / 1e6 for sent_ns, took_ns in pairs if window.start <= sent_ns < window.stop]


def microphone_latencies(callers, stub_sessions, window, wire):
    """From a caller's send of a frame to the stub's receipt of its end, in ms.

    Resampled audio carries no stamp, so position tells: the frame has arrived when as many bytes have as it ends at,
    less what the filter holds back (its 1.5 ms are a property of the filter, and come on top).
    """
    latencies = []
    for caller, session in zip(callers, stub_sessions, strict=True):
        ends, times = session["arrivals"][0::2], session["arrivals"][1::2]
        for number, sent_ns in enumerate(caller["sent_ns"], start=1):
            arrival = bisect.bisect_left(ends, number * wire.frame_bytes - wire.held_back_bytes)
            if window.start <= sent_ns < window.stop and arrival < len(times):
                latencies.append((times[arrival] - sent_ns) / 1e6)
    return latencies


def losses(callers, stub_sessions, wire):
    """A sentence for whatever went missing, came twice, came damaged, or came to the wrong caller."""
    return [
        f"session {number}: {sentence}"
        for number, pair in enumerate(zip(callers, stub_sessions, strict=True))
        for sentence in _losses(*pair, wire)
    ]


def _losses(caller, session, wire):
    sent_bytes = len(caller["sent_ns"]) * wire.frame_bytes
    least_bytes = sent_bytes - wire.held_back_bytes
    if not least_bytes <= session["heard_bytes"] <= sent_bytes:
        yield f"microphone: {session['heard_bytes']} of {least_bytes} to {sent_bytes} bytes arrived"
    if caller["heard_bytes"] != session["spoken_bytes"]:
        yield f"agent audio: {caller['heard_bytes']} of {session['spoken_bytes']} bytes arrived"
    if caller["damaged"]:
        yield f"agent audio: {caller['damaged']} pieces damaged or out of order"
    if not caller["is_open"]:
        yield "the connection was closed"


def count_messages(callers, window):
    """What went through in the window: microphone frames and pieces of agent audio."""
    frames = sum(window.start <= sent_ns < window.stop for caller in callers for sent_ns in caller["sent_ns"])
    return frames + len(agent_latencies(callers, window))


HEADINGS = (
    ("sessions", "sessions"),
    ("system", "system"),
    ("cpu_us_per_message", "CPU µs/msg"),
    ("agent_p50_ms", "agent p50 ms"),
    ("agent_p99_ms", "p99"),
    ("microphone_p50_ms", "mic p50 ms"),
    ("microphone_p99_ms", "p99"),
    ("memory_kb_per_session", "kB/session"),
    ("late_p99_ms", "bench late p99 ms"),
    ("other_cores", "other load, cores"),
)


def table(rows):
    """A Markdown table: every run, and after each router its ratio to the relay."""
    lines = [[heading for _, heading in HEADINGS], ["---"] * len(HEADINGS)]
    lines.extend([_cell(getattr(row, name)) for name, _ in HEADINGS] for row in rows)
    for row in rows:
        ratio = cpu_ratio(rows, row)
        if ratio is not None:
            lines.append([str(row.sessions), "router : relay", f"{ratio:.2f}", *[""] * (len(HEADINGS) - 3)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value):
    if isinstance(value, float):
        return f"{value:.2f}" if value < 10 else f"{value:.0f}"
    return "-" if value is None else str(value)


def cpu_ratio(rows, row):
    """Processor time per message of this router's run to that of the relay under the same load."""
    relays = [other for other in rows if other.system == "relay" and other.sessions == row.sessions]
    if row.system != "router" or not relays:
        return None
    return row.cpu_us_per_message / relays[0].cpu_us_per_message


def complaints(rows, *, check):
    """What makes the run a failure: anything lost; with `check`, a bound passed under the highest load."""
    found = [f"{row.system}, {row.sessions} sessions: {loss}" for row in rows for loss in row.lost]
    highest = max(row.sessions for row in rows)
    for row in rows if check else ():
        if row.system == "router" and row.sessions == highest:
            found.extend(_passed_bounds(row, cpu_ratio(rows, row)))
    return found


def _passed_bounds(row, ratio):
    if ratio is not None and ratio > 2:
        yield f"CPU per message is {ratio:.2f} times the relay's; at most 2 times is allowed"
    if row.agent_p99_ms > 25:
        yield f"p99 of the agent's audio is {row.agent_p99_ms:.1f} ms; at most 25 ms is allowed"


def warnings(rows):
    """What makes a figure doubtful, though not wrong."""
    for row in rows:
        if row.late_p99_ms > LATE_MS:
            yield f"{row.system}, {row.sessions} sessions: the benchmark was late (p99 {row.late_p99_ms:.1f} ms)"
        if row.other_cores > OTHER_CORES:
            yield f"{row.system}, {row.sessions} sessions: others kept {row.other_cores:.1f} cores busy"


@dataclasses.dataclass(frozen=True)
class Wire:
    """How microphone audio looks at the stub."""

    frame_bytes: int
    """A caller's frame, as bytes at the stub."""
    held_back_bytes: int
    """The most that the system may still hold."""


PLAIN = Wire(frame_bytes=len(speech.FRAME), held_back_bytes=0)
