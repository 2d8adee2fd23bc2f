"""The fuzzer: `python -m tests.fuzz`; docs/fuzzing.md describes its targets and its recorded run.

The exit code is 1 if an input crashed, was stuck, or took longer than 50 ms.
"""

import argparse
import logging
import sys
import time

from tests.fuzz import run
from tests.fuzz.conversations import Conversation
from tests.fuzz.fronts import Fronts
from tests.fuzz.targets import ClientCodec, Connection, Parser, UpstreamCodec

TARGETS = (ClientCodec, UpstreamCodec, Parser, Connection, Conversation, Fronts)


def main():
    """Fuzz every target, or repeat one input."""
    options = parse()
    logging.getLogger("actors").propagate = False
    targets = [make() for make in TARGETS if options.target in (None, make.name)]
    if options.at is not None:
        return repeat(targets[0], options)
    print(f"seed {options.seed}", flush=True)
    seconds, inputs = options.seconds / len(targets), options.inputs / len(targets)
    began_s = time.monotonic()
    all_figures = []
    for target in targets:
        figures = run.fuzz(target, options.seed, seconds=seconds, inputs=inputs)
        all_figures.append(figures)
        print(figures, flush=True)
    total = sum(it.inputs for it in all_figures)
    longest_s = max(it.longest_s for it in all_figures)
    duration_s = time.monotonic() - began_s
    print(f"{total} inputs in {duration_s:.0f} s ({total / duration_s:.0f}/s), longest slice {1000 * longest_s:.1f} ms")
    failures = [failure for it in all_figures for failure in it.failures.values()]
    for failure in failures:
        print(f"\n{run.shrunk(failure)}")
    return 1 if failures else 0


def repeat(target, options):
    """Check one input again, and print it if it fails."""
    given = run.drawn(target, options.seed, options.at)
    try:
        slice_s = run.check(target, given)
    except Exception as cause:  # noqa: BLE001 - it is shown
        print(run.shrunk(run.FoundError(target, options.seed, options.at, given, cause)))
        return 1
    print(f"input {options.at} passes, with a slice of {1000 * slice_s:.1f} ms")
    return 0


def parse():
    """Return the parsed flags."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="N", help="of all targets together")
    parser.add_argument("--inputs", type=int, default=None, metavar="N", help="of all targets together")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6, help="for the same inputs again")
    parser.add_argument("--target", choices=[it.name for it in TARGETS], help="this one alone")
    parser.add_argument("--at", type=int, metavar="NUMBER", help="this input of the target alone")
    options = parser.parse_args()
    if options.at is not None and options.target is None:
        parser.error("--at needs --target")
    if options.inputs is None:
        options.inputs = float("inf")
        options.seconds = min(options.seconds, 60.0) if options.seconds == float("inf") else options.seconds
    return options


if __name__ == "__main__":
    sys.exit(main())
