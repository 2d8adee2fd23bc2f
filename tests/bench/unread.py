"""Measures a client that never reads while an hour of audio comes: its cost, its end, and the effect on others."""

import time

from router.config.model import Deadlines
from tests.bench import figures, footprint, talking
from tests.bench.stage import ROUTER, Stage, call

OTHERS = 20
NUMBER = 500_000
FLOOD_BYTES = 144_000_000
LIMIT_S = Deadlines().write_stall_s + Deadlines().close_s
"""The seconds within which the router promises to end a client that reads nothing."""
LEAST_S = 1.0
"""The least time in seconds for which latencies are measured."""
GLANCE_S = 0.01
MB = 1_000_000


def measure(shape, duration_s):
    """Measure twenty talking callers, first undisturbed, and then beside the client that does not read."""
    with Stage(ROUTER, shape) as stage:
        stage.had_a_caller()
        others = stage.callers(OTHERS)
        victim = stage.load()
        call(victim, 1, first=NUMBER)
        victim.tell(gag={})
        victim.hear(talking.ANSWER_S)
        before = talking.talk(stage, others, OTHERS, duration_s)
        footprint.forget_peaks(stage.pids)
        resident_bytes = footprint.resident_bytes(stage.pids)
        flood = Flood(stage)
        during = talking.talk(stage, others, OTHERS, LIMIT_S + LEAST_S, meanwhile=flood.run)
        more_bytes = footprint.peak_bytes(stage.pids) - resident_bytes
        return {
            "offered_mb": FLOOD_BYTES / MB,
            "taken_mb": flood.taken_bytes / MB,
            "more_mb": more_bytes / MB,
            "ended_s": flood.ended_s,
            "limit_s": LIMIT_S,
            "p99_before_ms": _p99(stage, before, before.window),
            "p99_during_ms": _p99(stage, during, flood.window),
            "lost": talking.row(stage, before, OTHERS).lost + talking.row(stage, during, OTHERS).lost,
        }


class Flood:
    """The audio for the client that does not read."""

    def __init__(self, stage):
        self._stage = stage
        self.window = range(0)
        self.ended_s = None
        """The seconds until its session ended; None if it did not end within the limit."""
        self.taken_bytes = 0

    def run(self):
        """Begin the flood, and wait for the end of the session."""
        start_ns = time.monotonic_ns()
        count = FLOOD_BYTES // self._stage.shape.delta_bytes
        self._ask(flood={"session": NUMBER, "count": count})
        while self.ended_s is None and time.monotonic_ns() < start_ns + LIMIT_S * 1e9:
            time.sleep(GLANCE_S)
            seen = self._ask(times={})
            self.taken_bytes = seen["flooded"] * self._stage.shape.delta_bytes
            if seen["sessions"] <= OTHERS:
                self.ended_s = (time.monotonic_ns() - start_ns) / 1e9
        self.window = range(start_ns, start_ns + int(max(self.ended_s or LIMIT_S, LEAST_S) * 1e9))

    def _ask(self, **order):
        self._stage.stub.tell(**order)
        return self._stage.stub.hear(talking.ANSWER_S)


def _p99(stage, lap, window):
    """Return the p99 of both directions together."""
    callers, upstream = lap.heard["sessions"], lap.said["sessions"]
    microphone = figures.microphone_latencies(callers, upstream, window, stage.microphone)
    return figures.percentile(figures.agent_latencies(callers, window) + microphone, 0.99)
