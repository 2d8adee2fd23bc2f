"""The memory of a process tree without calls, and the cost of silent sessions."""

import time

from tests.bench import footprint
from tests.bench.stage import ROUTER, Stage, call

SETTLE_S = 1.0
STEPS = (10, 100, 300, 1000)
MB = 1_000_000


def tree(shape):
    """Measure the memory of the router after its start, before its first caller."""
    with Stage(ROUTER, shape) as stage:
        time.sleep(SETTLE_S)
        pids = stage.pids
        return {
            "processes": len(pids),
            "pss_mb": footprint.pss_bytes(pids) / MB,
            "alone_mb": footprint.alone_bytes(pids) / MB,
        }


def sessions(shape, duration_s):
    """Measure the cost of silent sessions for growing numbers of them. Return an entry for each number."""
    with Stage(ROUTER, shape) as stage:
        stage.had_a_caller()
        load = stage.load()
        there, memory_bytes, steps = 0, footprint.own_bytes(stage.pids), []
        for count in STEPS:
            call(load, count - there, first=there)
            cpu_cores = _cores(stage, duration_s)
            now_bytes = footprint.own_bytes(stage.pids)
            more_kb = (now_bytes - memory_bytes) / 1024 / (count - there)
            steps.append({"sessions": count, "kb_per_more_session": more_kb, "cpu_cores": cpu_cores})
            there, memory_bytes = count, now_bytes
        return steps


def _cores(stage, duration_s):
    """Return the cores that the system uses once it has settled."""
    time.sleep(SETTLE_S)
    before_ns, started_ns = footprint.cpu_ns(stage.pids), time.monotonic_ns()
    time.sleep(duration_s)
    return (footprint.cpu_ns(stage.pids) - before_ns) / (time.monotonic_ns() - started_ns)
