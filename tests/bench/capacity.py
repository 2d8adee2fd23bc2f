"""Finds the number of sessions that two cores carry, with a worker on each core and the callers beside them."""

import dataclasses

from tests.bench import footprint, talking
from tests.bench.stage import CallError, Stage, call, router

WORKERS = 2
FIRST_CALLERS = 10
"""The number of first callers, so that each worker has had one."""
P99_MS = 50.0
START = 400
STEP = 100
FINE = 50
MOST = 1500


def measure(shape, duration_s):
    """Return the highest number of sessions that is carried, and every attempt."""
    attempts = []

    def holds(sessions):
        attempts.append(attempt(shape, sessions, duration_s))
        return attempts[-1]["holds"]

    return {"workers": WORKERS, "highest": search(holds), "attempts": attempts}


def search(holds, start=START, step=STEP, fine=FINE, most=MOST):
    """Return the highest count for which `holds(count)` is true: in steps from `start`, then with one finer step."""
    count = start
    if holds(start):
        while count + step <= most and holds(count + step):
            count += step
    else:
        count -= step
        while count > 0 and not holds(count):
            count -= step
    return count + fine if count + fine <= most and holds(count + fine) else max(count, 0)


def attempt(shape, sessions, duration_s):
    """Measure `sessions` sessions. Return their row, their distribution over the workers, and the objection."""
    with Stage(router("--workers", str(WORKERS)), shape) as stage:
        stage.had_a_caller(FIRST_CALLERS)
        load = stage.load()
        before = footprint.descriptors(stage.pids)
        try:
            call(load, sessions)
        except CallError as error:
            return {"sessions": sessions, "holds": False, "why": str(error), "row": None, "spread": []}
        spread = _spread(before, footprint.descriptors(stage.pids))
        row = talking.row(stage, talking.talk(stage, load, sessions, duration_s), sessions)
    why = objection(row)
    return {"sessions": sessions, "holds": not why, "why": why, "row": dataclasses.asdict(row), "spread": spread}


def objection(row):
    """Return the reason why a row does not count as carried, or an empty text."""
    p99_ms = max(row.agent_p99_ms, row.microphone_p99_ms)
    if row.lost:
        return f"{len(row.lost)} losses, the first: {row.lost[0]}"
    return "" if p99_ms < P99_MS else f"p99 {p99_ms:.0f} ms"


def _spread(before, after):
    """Return the number of sessions of each worker, each of which has two sockets."""
    more = [now - was for now, was in zip(after, before, strict=True)]
    return sorted(count // 2 for count in more if count > 1)
