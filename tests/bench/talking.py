"""Everybody talks and everybody is talked to: what a message costs, how long it takes, what a session keeps."""

import contextlib
import dataclasses
import select
import time

from tests.bench import figures, footprint
from tests.bench.stage import call

WARM_UP_S = 1.0
LEAD_S = 0.3
"""From the order to the first message: both processes have read it by then."""
TAIL_S = 0.5
"""Both sides talk on for so long when the window is over."""
DRAIN_S = 5.0
"""For what is under way to arrive."""
ANSWER_S = 30.0


@dataclasses.dataclass(frozen=True)
class Usage:
    """Processor time spent in the window."""

    cpu_ns: int
    """By the system under test."""
    ours_ns: int
    """By the benchmark itself."""
    other_cores: float
    """By programs that have nothing to do with it, in cores."""


@dataclasses.dataclass(frozen=True)
class Lap:
    """What was seen while everybody talked for a while."""

    window: range
    """What is measured, in monotonic ns."""
    usage: Usage
    heard: dict
    """What the callers report."""
    said: dict
    """What the stub reports."""


def measure(stage, sessions, duration_s):
    """The row of one system under one load: a `figures.Row`."""
    stage.had_a_caller()
    load = stage.load()
    at_rest_bytes = footprint.own_bytes(stage.pids)
    call(load, sessions)
    with contextlib.suppress(TimeoutError):  # `figures` names the sessions that are missing
        stage.await_sessions(sessions)
    lap = talk(stage, load, sessions, duration_s)
    per_session = (footprint.own_bytes(stage.pids) - at_rest_bytes) / sessions if stage.pids else None
    return row(stage, lap, sessions, memory_bytes=per_session)


def row(stage, lap, sessions, *, memory_bytes=None):
    """The figures of a lap."""
    callers, upstream = lap.heard["sessions"], lap.said["sessions"]
    agent = figures.agent_latencies(callers, lap.window)
    microphone = figures.microphone_latencies(callers, upstream, lap.window, stage.microphone)
    messages = figures.count_messages(callers, lap.window)
    cpu = figures.cpu_us_per_message(lap.usage.cpu_ns, messages, agent + microphone) if stage.pids else None
    return figures.Row(
        system=stage.system.name,
        sessions=sessions,
        messages=messages,
        cpu_us_per_message=cpu,
        agent_p50_ms=figures.percentile(agent, 0.5),
        agent_p99_ms=figures.percentile(agent, 0.99),
        microphone_p50_ms=figures.percentile(microphone, 0.5),
        microphone_p99_ms=figures.percentile(microphone, 0.99),
        memory_kb_per_session=None if memory_bytes is None else memory_bytes / 1024,
        late_p99_ms=figures.percentile([*lap.heard["lateness"], *lap.said["lateness"]], 0.99) / 1e6,
        other_cores=lap.usage.other_cores,
        lost=figures.losses(callers, upstream, stage.microphone),
    )


def talk(stage, load, sessions, duration_s, *, meanwhile=None):
    """One lap of a process of callers, whose numbers begin with 0. `meanwhile` is called as the window opens."""
    start_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
    talk_ms = (WARM_UP_S + duration_s + TAIL_S) * 1000
    deltas, frames = int(talk_ms / stage.shape.delta_ms), int(talk_ms / stage.shape.frame_ms)
    stage.stub.tell(speak={"start_ns": start_ns, "count": deltas, "first": 0, "sessions": sessions})
    load.tell(send={"start_ns": start_ns, "count": frames})
    window_ns = start_ns + int(WARM_UP_S * 1e9)
    window = range(window_ns, window_ns + int(duration_s * 1e9))
    usage = _usage(window, stage, load, meanwhile)
    until_ns = time.monotonic_ns() + int((TAIL_S + DRAIN_S) * 1e9)
    load.tell(report={"until_ns": until_ns, "bytes": deltas * stage.shape.delta_bytes})
    heard = load.hear(DRAIN_S + ANSWER_S)
    least_bytes = frames * stage.microphone.frame_bytes - stage.microphone.held_back_bytes
    stage.stub.tell(report={"until_ns": until_ns, "bytes": least_bytes})
    return Lap(window, usage, heard, stage.stub.hear(DRAIN_S + ANSWER_S))


def _usage(window, stage, load, meanwhile):
    """Wait the window out; what it cost."""
    ours = [stage.stub, load]
    wait_until(window.start)
    before = _clocks(stage.pids, ours)
    if meanwhile:
        meanwhile()
    wait_until(window.stop)
    cpu_ns, ours_ns, busy_s = (after - was for after, was in zip(_clocks(stage.pids, ours), before, strict=True))
    return Usage(cpu_ns, ours_ns, max(0.0, (busy_s - (cpu_ns + ours_ns) / 1e9) / (len(window) / 1e9)))


def _clocks(pids, ours):
    """Processor time so far: of the system under test, of our own processes, of the whole machine."""
    ours_ns = time.process_time_ns() + sum(footprint.cpu_ns(footprint.tree(child.pid)) for child in ours)
    return footprint.cpu_ns(pids), ours_ns, footprint.machine_busy_s()


def wait_until(moment_ns):
    """Until that monotonic time."""
    select.select([], [], [], max(0, moment_ns - time.monotonic_ns()) / 1e9)
