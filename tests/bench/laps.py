"""Compares checkouts of the router in a whole run: `python -m tests.bench.laps --against PATH`.

One run of each says little: the same code takes a tenth more in one run than in the next, because the machine is
quicker at one time than at another. So the relay and the checkouts alternate, and each lap gives one ratio. The memory
is larger where the router has to wait for a core.
"""

import argparse
import dataclasses
import statistics
import sys
from pathlib import Path

from tests.bench import figures, talking
from tests.bench.speech import Shape
from tests.bench.stage import RELAY, ROOT, ROUTER, Stage

LAPS = 6
SESSIONS = 100
DURATION_S = 6.0
FIELDS = ("cpu_us_per_message", "wakes_per_message", "memory_kb_per_session", "agent_p50_ms", "agent_p99_ms")


def measure(systems, shape, *, sessions, laps, duration_s):
    """Measure the systems in turns. Return the rows of each; the first system of a lap is the last of the next."""
    rows = {name: [] for name in systems}
    order = list(systems.items())
    for _ in range(laps):
        for name, system in order:
            with Stage(system, shape) as stage:
                rows[name].append(talking.measure(stage, sessions, duration_s))
        order.reverse()
    return rows


def report(systems, shape, *, sessions, laps, duration_s):
    """Measure the systems in turns, and return their number of sessions and their rows in a form for JSON."""
    rows = measure(systems, shape, sessions=sessions, laps=laps, duration_s=duration_s)
    return {"sessions": sessions, **{name: list(map(dataclasses.asdict, each)) for name, each in rows.items()}}


def table(rows):
    """Return a line for each system: its medians, and its ratios to the first system, lap by lap.

    *wakes* is how often a message woke a thread up. The ratio of two systems says little if their wakes differ between
    the laps.
    """
    base = next(iter(rows.values()))
    yield f"{'':<20}{'µs':>8}{'×':>8}{'from':>8}{'to':>8}{'wakes':>8}{'kB':>8}{'p50 ms':>8}{'p99 ms':>8}"
    for name, laps in rows.items():
        ratios = [
            mine.cpu_us_per_message / other.cpu_us_per_message
            for mine, other in zip(laps, base, strict=True)
            if mine.cpu_us_per_message and other.cpu_us_per_message
        ] or [float("nan")]
        middle = [statistics.median(getattr(each, field) or 0.0 for each in laps) for field in FIELDS]
        yield (
            f"{name:<20}{middle[0]:>8.1f}{statistics.median(ratios):>8.3f}{min(ratios):>8.3f}{max(ratios):>8.3f}"
            f"{middle[1]:>8.2f}{middle[2]:>8.1f}{middle[3]:>8.2f}{middle[4]:>8.2f}"
        )


def main():
    """Measure, print, and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.laps", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--against", type=Path, nargs="*", default=[], metavar="PATH", help="other checkouts")
    parser.add_argument("--sessions", type=int, default=SESSIONS, metavar="N", help=f"that talk ({SESSIONS})")
    parser.add_argument("--laps", type=int, default=LAPS, metavar="N", help=f"of each ({LAPS})")
    parser.add_argument("--duration", type=float, default=DURATION_S, metavar="S", help=f"of a lap ({DURATION_S:g})")
    parser.add_argument(
        "--flag", action="append", default=[], metavar="FLAG", help="of the router, as --flag=--no-keeper"
    )
    options = parser.parse_args()
    systems = {"relay": RELAY}
    for path in (ROOT, *(each.resolve() for each in options.against)):
        systems[path.name] = dataclasses.replace(ROUTER, checkout=path, flags=tuple(options.flag))
    found = measure(systems, Shape(), sessions=options.sessions, laps=options.laps, duration_s=options.duration)
    for line in table(found):
        print(line, flush=True)
    all_rows = [row for laps in found.values() for row in laps]
    for warning in sorted(set(figures.warnings(all_rows))):
        print(f"doubtful: {warning}", file=sys.stderr)
    lost = [sentence for row in all_rows for sentence in row.lost]
    for sentence in lost:
        print(f"lost: {sentence}", file=sys.stderr)
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
