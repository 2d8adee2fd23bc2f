"""The command: `python -m tests.explore --seconds 60`. Its exit code is 3 if an invariant is broken."""

from __future__ import annotations

import argparse
import sys
import time

from tests.explore.search import Report, WorkerError, explore, shape_of
from tests.explore.shrink import playbook, shortest

VIOLATED = 3
"""The exit code for a violation. A crash of the search itself has another."""
FAILED = 1
"""The exit code if a worker process ended without its report."""


def main() -> int:
    """Explore, print each violation as soon as its root is searched, then the figures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.explore", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--transitions", type=int, default=0, help="from each root, in place of a time")
    parser.add_argument("--depth", type=int, default=50, help="stop the exhaustive part at this depth")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    start_s = time.monotonic()
    reports = explore(
        options.seconds,
        depth=options.depth,
        seed=options.seed,
        processes=options.processes,
        transitions=options.transitions,
    )
    total, shapes = Report(), set()
    try:
        for report in reports:
            total.add(report)
            for found in report.found:
                # Violations of one kind, of several roots, are mostly one fault.
                if shape_of(found.words) not in shapes:
                    shapes.add(shape_of(found.words))
                    print(f"{playbook(shortest(found))}\n", flush=True)
    except WorkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    took_s = time.monotonic() - start_s
    print(
        f"{total.states:,} states, {total.transitions:,} transitions, exhaustive to depth {total.depth}, "
        f"longest walk {total.deepest}, {total.triples:,} triples, {total.ends:,} ends, in {took_s:.0f} s"
    )
    print(f"\n{len(total.found)} violations, of {len(shapes)} kinds")
    return VIOLATED if shapes else 0


if __name__ == "__main__":
    sys.exit(main())
