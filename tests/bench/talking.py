"""All callers talk, and the agent talks to all: the cost and the delay of a message, and the memory of a session."""

import contextlib
import dataclasses
import select
import time

from tests.bench import figures, footprint
from tests.bench.stage import FIRST_CALLER, call

FIRST_TALK_S = 0.5
WARM_UP_S = 1.0
LEAD_S = 0.3
"""The seconds from a command to the first message, by which both processes have read the command."""
TAIL_S = 0.5
"""The seconds for which both sides continue to talk after the window."""
DRAIN_S = 5.0
"""The seconds in which the last messages may arrive."""
ANSWER_S = 30.0


@dataclasses.dataclass(frozen=True)
class Usage:
    """The processor time that was used in the window."""

    cpu_ns: int
    """The processor time of the system under test."""
    ours_ns: int
    """The processor time of the benchmark itself."""
    other_cores: float
    """The cores that other programs used."""
    wakes: int
    """The number of times that threads of the system waited in the window."""


@dataclasses.dataclass(frozen=True)
class Lap:
    """The reports of a time in which all callers talked."""

    window: range
    """The measured time, in monotonic ns."""
    usage: Usage
    heard: dict
    """The report of the callers."""
    said: dict
    """The report of the stub."""


def measure(stage, sessions, duration_s):
    """Measure one system under one load, and return its `figures.Row`."""
    is_reached = had_a_talker(stage)
    load = stage.load()
    at_rest_bytes = footprint.own_bytes(stage.pids)
    call(load, sessions)
    if is_reached:
        with contextlib.suppress(TimeoutError):  # `figures` names the sessions that are missing
            stage.await_sessions(sessions)
    lap = talk(stage, load, sessions, duration_s)
    per_session = (footprint.own_bytes(stage.pids) - at_rest_bytes) / sessions if stage.pids else None
    return row(stage, lap, sessions, memory_bytes=per_session)


def had_a_talker(stage):
    """Hold a first call that talks, and end it. Return whether its session came to the benchmark's stub.

    The first audio makes pages of code and tables the process's own, once. They are no cost of a session.
    """
    load = stage.load()
    call(load, 1, first=FIRST_CALLER)
    try:
        stage.await_sessions(1)
    except TimeoutError:
        is_reached = False  # the router has another upstream
    else:
        is_reached = True
        talk(stage, load, 1, FIRST_TALK_S, first=FIRST_CALLER)
    load.tell(hang_up={})
    load.hear(ANSWER_S)
    stage.await_rest()
    return is_reached


def row(stage, lap, sessions, *, memory_bytes=None):
    """Return the row of a lap."""
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
        wakes_per_message=lap.usage.wakes / messages if stage.pids and messages else None,
        lost=figures.losses(callers, upstream, stage.microphone),
    )


def talk(stage, load, sessions, duration_s, *, first=0, meanwhile=None):
    """Run one lap of a process of callers, numbered from `first`. `meanwhile` is called when the window begins."""
    start_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
    talk_ms = (WARM_UP_S + duration_s + TAIL_S) * 1000
    deltas, frames = int(talk_ms / stage.shape.delta_ms), int(talk_ms / stage.shape.frame_ms)
    stage.stub.tell(speak={"start_ns": start_ns, "count": deltas, "first": first, "sessions": sessions})
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
    """Wait until the window ends, and return the processor time used in it."""
    ours = [stage.stub, load]
    wait_until(window.start)
    before, wakes_before = _clocks(stage.pids, ours), footprint.wakes(stage.pids)
    if meanwhile:
        meanwhile()
    wait_until(window.stop)
    wakes = footprint.wakes(stage.pids) - wakes_before
    cpu_ns, ours_ns, busy_s = (after - was for after, was in zip(_clocks(stage.pids, ours), before, strict=True))
    return Usage(cpu_ns, ours_ns, max(0.0, (busy_s - (cpu_ns + ours_ns) / 1e9) / (len(window) / 1e9)), wakes)


def _clocks(pids, ours):
    """Return the processor time so far: of the system under test, of the benchmark, and of the whole machine."""
    ours_ns = time.process_time_ns() + sum(footprint.cpu_ns(footprint.tree(child.pid)) for child in ours)
    return footprint.cpu_ns(pids), ours_ns, footprint.machine_busy_s()


def wait_until(moment_ns):
    """Wait until a monotonic time."""
    select.select([], [], [], max(0, moment_ns - time.monotonic_ns()) / 1e9)
