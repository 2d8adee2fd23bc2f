"""The time in which new callers are served while others talk: one by one, and in a storm."""

import dataclasses
import tempfile
from pathlib import Path

from tests.bench import figures, talking
from tests.bench.stage import ROUTER, Stage, begin_calls

TALKING = 100
FIRST = 10_000
PROBES = 300
PROBES_OVER_S = 6.0
STORM = 500
STORM_OVER_S = 2.0
SERVED_S = 10.0
"""The seconds of a lap. By its end every caller should be served."""


def probes(shape, system=ROUTER):
    """Measure the time to `Welcome` and to `SettingsApplied` of single calls beside 100 talking ones."""
    with tempfile.NamedTemporaryFile() as file:
        with Stage(dataclasses.replace(system, stamps=file.name), shape) as stage:
            calls, lap = _calls_meanwhile(stage, PROBES, PROBES_OVER_S, PROBES_OVER_S + 1, hang_up=True)
            updated_ns = stage.told()["updated_ns"]
            row = talking.row(stage, lap, TALKING)
        called_ns = dict(line.split() for line in Path(file.name).read_text().splitlines())
    served = [it for it in calls if not it["failure"]]
    welcomes_ns = [it["welcomed_ns"] - int(called_ns[str(it["port"])]) for it in served]
    return {
        "talking": TALKING,
        "calls": PROBES,
        "lost": row.lost + _failures(calls),
        "welcome": _quantiles(welcomes_ns),
        "welcome_from_connect": _quantiles(it["welcomed_ns"] - it["dialled_ns"] for it in served),
        "applied": _quantiles(it["applied_ns"] - updated_ns[str(it["number"])] for it in served),
    }


def storm(shape):
    """Measure the service of 500 clients who come within two seconds, beside 100 talking ones."""
    with Stage(ROUTER, shape) as stage:
        calls, lap = _calls_meanwhile(stage, STORM, STORM_OVER_S, SERVED_S, hang_up=False)
        row = talking.row(stage, lap, TALKING)
        served = [it for it in calls if not it["failure"]]
        begun_ns = min(it["dialled_ns"] for it in calls)
        served_ns = max((it["applied_ns"] for it in served), default=begun_ns)
        callers, upstream = lap.heard["sessions"], lap.said["sessions"]
        window = range(begun_ns, served_ns)
        microphone = figures.microphone_latencies(callers, upstream, window, stage.microphone)
        return {
            "clients": STORM,
            "over_s": STORM_OVER_S,
            "served": len(served),
            "all_served_s": (served_ns - begun_ns) / 1e9,
            "welcome": _quantiles(it["welcomed_ns"] - it["dialled_ns"] for it in served),
            "talking": TALKING,
            "p99_ms": figures.percentile(figures.agent_latencies(callers, window) + microphone, 0.99),
            "lost": row.lost + _failures(calls),
        }


def _calls_meanwhile(stage, count, over_s, duration_s, *, hang_up):
    """Let `count` callers call while 100 talk. Return the calls, and the lap of the talking callers."""
    stage.had_a_caller()
    talkers, comers = stage.callers(TALKING), stage.load()
    waits = []

    def begin():
        waits.append(begin_calls(comers, count, first=FIRST, over_s=over_s, hang_up=hang_up))

    lap = talking.talk(stage, talkers, TALKING, duration_s, meanwhile=begin)
    return waits[0](), lap


def _failures(calls):
    return [f"caller {it['number']}: {it['failure']}" for it in calls if it["failure"]]


def _quantiles(times_ns):
    milliseconds = [time_ns / 1e6 for time_ns in times_ns]
    return {"p50_ms": figures.percentile(milliseconds, 0.5), "p99_ms": figures.percentile(milliseconds, 0.99)}
