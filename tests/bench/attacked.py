"""Measures twenty talking callers, undisturbed and beside each kind of attack from another address."""

import contextlib
import dataclasses
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import figures, footprint, talking
from tests.bench.attacker import ATTACKS
from tests.bench.children import Child
from tests.bench.stage import ROOT, Stage, router

OTHERS = 20
UNDISTURBED = "none"
ENDED_S = 20.0
LIMITS = """
[limits]
max_sessions_per_address = 40
max_pending_sessions = 40
new_sessions = "600/minute"
max_messages_per_s = 200
max_bytes_per_s = 1000000
"""
"""The limits of an address and a client that docs/security.md recommends for a server on the internet."""


@contextlib.contextmanager
def limited():
    """Return the router with limits."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "router.toml")
        file.write_text(LIMITS)
        yield dataclasses.replace(router("--config", str(file)), log=str(Path(folder, "log.txt")))


def measure(shape, duration_s, kinds=(UNDISTURBED, *ATTACKS)):
    """Return a row for each kind of attack."""
    return [_attacked(shape, duration_s, kind) for kind in kinds]


def _attacked(shape, duration_s, kind):
    with limited() as system, Stage(system, shape) as stage, contextlib.ExitStack() as stack:
        stage.had_a_caller()
        others = stage.callers(OTHERS)
        resident_bytes = footprint.resident_bytes(stage.pids)
        footprint.forget_peaks(stage.pids)
        attackers = []

        def begin():
            if kind in ATTACKS:
                command = ("-m", "tests.bench.attacker", kind, urlsplit(stage.url).netloc, duration_s)
                attackers.append(stack.enter_context(Child(command, cwd=ROOT)))

        lap = talking.talk(stage, others, OTHERS, duration_s, meanwhile=begin)
        row = talking.row(stage, lap, OTHERS)
        callers, upstream = lap.heard["sessions"], lap.said["sessions"]
        waits = figures.agent_latencies(callers, lap.window)
        waits += figures.microphone_latencies(callers, upstream, lap.window, stage.microphone)
        return {
            "attack": kind,
            "p50_ms": figures.percentile(waits, 0.5),
            "p99_ms": figures.percentile(waits, 0.99),
            "max_ms": max(waits),
            "more_mb": (footprint.peak_bytes(stage.pids) - resident_bytes) / 1_000_000,
            "other_cores": row.other_cores,
            "late_p99_ms": row.late_p99_ms,
            "lost": row.lost,
            **(attackers[0].hear(ENDED_S) if attackers else {}),
        }
