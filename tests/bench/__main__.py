"""The benchmark: `python tests/bench`; docs/performance.md says what the figures mean.

For each number of sessions: a stub upstream, the system under test (the router, the bare relay, or nothing between)
and the callers, each a process of its own. Exit code 1 when anything was lost or, with --check, a bound was passed.
"""

import argparse
import contextlib
import dataclasses
import os
import select
import sys
import time
from pathlib import Path

import figures
import footprint
import orjson
import speech
from children import Child, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SYSTEMS = ("direct", "relay", "router")
WARM_UP_S = 1.0
LEAD_S = 0.3
"""From the order to the first message: both processes have read it by then."""
DRAIN_S = 5.0


def main():
    """Run, print, judge."""
    sys.path.insert(0, str(ROOT))
    options = parse()
    systems = options.only or SYSTEMS
    rows = []
    for sessions in options.sessions:
        for system in systems:
            rows.append(run(system, sessions, options.duration))
            print(progress(rows[-1]), file=sys.stderr, flush=True)
    print(figures.table(rows))
    if options.json:
        report = {"duration_s": options.duration, "rows": [dataclasses.asdict(row) for row in rows]}
        options.json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    for warning in figures.warnings(rows):
        print(f"doubtful: {warning}", file=sys.stderr)
    found = figures.complaints(rows, check=options.check)
    for complaint in found:
        print(f"failed: {complaint}", file=sys.stderr)
    return 1 if found else 0


def parse():
    """The flags."""
    parser = argparse.ArgumentParser(prog="python tests/bench", description=__doc__.split("\n")[0])
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 50, 100], metavar="N")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="the measured window (10)")
    parser.add_argument("--only", choices=SYSTEMS, nargs="+", metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--check", action="store_true", help="fail when a bound of the product is passed")
    return parser.parse_args()


def progress(row):
    """One line per run."""
    return f"{row.system}, {row.sessions} sessions: {row.messages} messages, {len(row.lost)} losses"


def run(system, sessions, duration_s):
    """One system under one load."""
    with contextlib.ExitStack() as stack:
        stub = stack.enter_context(Child([HERE / "stub.py"]))
        stub_port = stub.hear(10)["port"]
        sut, port = start(stack, system, stub_port)
        idle_bytes = sut and idle_memory(sut, system, port)
        load = stack.enter_context(Child([HERE / "load.py", system, port, sessions]))
        load.hear(60)
        window = speak_and_send(stub, load, duration_s)
        usage = measure(window, sut, (stub, load))
        memory = sut and (footprint.memory_bytes(footprint.tree(sut.pid)) - idle_bytes) / 1024 / sessions
        heard, said = reports(stub, load, system, duration_s)
    return judge(system, sessions, window=window, usage=usage, memory=memory, heard=heard, said=said)


def start(stack, system, stub_port):
    """The process under test, and the port that callers dial."""
    if system == "direct":
        return None, stub_port
    port = free_port()
    url = f"ws://127.0.0.1:{stub_port}/v1/realtime"
    command = [HERE / "relay.py", url, port]
    if system == "router":
        command = [ROOT / "run.py", "--upstream", url, "--port", port, "--log-level", "warning"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ROUTER_"))}
    sut = stack.enter_context(Child(command, speaks=False, cwd=ROOT, env=environment))
    sut.wait_for_port(port)
    return sut, port


def idle_memory(sut, system, port):
    """Memory with nobody there, after a first caller: what is loaded once is not a session's."""
    with Child([HERE / "load.py", system, port, 1]) as caller:
        caller.hear(60)
    return footprint.memory_bytes(footprint.tree(sut.pid))


@dataclasses.dataclass(frozen=True)
class Usage:
    """Processor time spent in the window."""

    cpu_ns: int
    """By the system under test."""
    other_cores: float
    """By programs that have nothing to do with it, in cores."""


def measure(window, sut, ours):
    """Wait the window out; what it cost."""
    wait_until(window.start)
    before = clocks(sut, ours)
    wait_until(window.stop)
    cpu_ns, ours_ns, busy_s = (after - was for after, was in zip(clocks(sut, ours), before, strict=True))
    seconds = len(window) / 1e9
    return Usage(cpu_ns, max(0.0, (busy_s - (cpu_ns + ours_ns) / 1e9) / seconds))


def clocks(sut, ours):
    """Processor time so far: of the system under test, of our own processes, of the whole machine."""
    ours_ns = time.process_time_ns() + sum(footprint.cpu_ns(footprint.tree(child.pid)) for child in ours)
    return (footprint.cpu_ns(footprint.tree(sut.pid)) if sut else 0), ours_ns, footprint.machine_busy_s()


def speak_and_send(stub, load, duration_s):
    """Start both directions; the window that is measured, in monotonic ns."""
    start_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
    stub.tell(speak={"start_ns": start_ns, "count": deltas(duration_s)})
    load.tell(send={"start_ns": start_ns, "count": frames(duration_s)})
    window_ns = start_ns + int(WARM_UP_S * 1e9)
    return range(window_ns, window_ns + int(duration_s * 1e9))


def deltas(duration_s):
    """Pieces of agent audio per session: through the warm-up, the window, and half a second beyond."""
    return int((WARM_UP_S + duration_s + 0.5) * 1000 / speech.DELTA_MS)


def frames(duration_s):
    """Microphone frames per session, as long."""
    return int((WARM_UP_S + duration_s + 0.5) * 1000 / speech.FRAME_MS)


def reports(stub, load, system, duration_s):
    """What both ends saw, once everything has arrived or will not any more."""
    layout = microphone_wire(system)
    until_ns = time.monotonic_ns() + int((0.5 + DRAIN_S) * 1e9)
    load.tell(report={"until_ns": until_ns, "bytes": deltas(duration_s) * speech.DELTA_BYTES})
    heard = load.hear(DRAIN_S + 20)
    least_bytes = frames(duration_s) * layout.frame_bytes - layout.held_back_bytes
    stub.tell(report={"until_ns": until_ns, "bytes": least_bytes})
    return heard, stub.hear(DRAIN_S + 20)


def microphone_wire(system):
    """How microphone audio looks at the stub: as it is, or resampled to 24 kHz."""
    if system != "router":
        return figures.PLAIN
    from router.audio.resample import Resampler  # noqa: PLC0415 - the path is set by main

    held_back_bytes = int(Resampler(speech.MICROPHONE_RATE, 24_000).hold_back_ms * 48)
    return figures.Wire(frame_bytes=len(speech.FRAME) * 3 // 2, held_back_bytes=held_back_bytes)


def judge(system, sessions, *, window, usage, memory, heard, said):
    """The figures."""
    layout = microphone_wire(system)
    callers, stub_sessions = heard["sessions"], said["sessions"]
    agent = figures.agent_latencies(callers, window)
    microphone = figures.microphone_latencies(callers, stub_sessions, window, layout)
    messages = figures.count_messages(callers, window)
    return figures.Figures(
        system=system,
        sessions=sessions,
        messages=messages,
        cpu_us_per_message=usage.cpu_ns / 1000 / messages if system != "direct" else None,
        agent_p50_ms=figures.percentile(agent, 0.5),
        agent_p99_ms=figures.percentile(agent, 0.99),
        microphone_p50_ms=figures.percentile(microphone, 0.5),
        microphone_p99_ms=figures.percentile(microphone, 0.99),
        memory_kb_per_session=memory,
        late_p99_ms=figures.percentile(heard["lateness"] + said["lateness"], 0.99) / 1e6,
        other_cores=usage.other_cores,
        lost=figures.losses(callers, stub_sessions, layout),
    )


def wait_until(moment_ns):
    """Until that monotonic time."""
    select.select([], [], [], max(0, moment_ns - time.monotonic_ns()) / 1e9)


if __name__ == "__main__":
    sys.exit(main())
