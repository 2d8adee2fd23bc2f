"""The cost of a dispatcher's turn: `python -m tests.bench.turn`; docs/performance.md says what the figures mean.

With --against it compares this checkout with another one. The two alternate, so that other programs affect both
equally. With --safe it compares a router that has authentication, a policy and limits with one that has none. With
--kept it compares one whose sessions have a keeper, for the clients that --front names. With --fronts it compares
relaying (`/v1/realtime`) with translating (`/v1/agent/converse`). With --cold each turn carries one message, and finds
nothing in the core's own caches, as after other work of the machine. With --instructions it counts instructions in
place of time, and with --check it fails if they are more than tests/bench/instructions.json allows.
"""

import argparse
import contextlib
import dataclasses
import math
import statistics
import subprocess
import sys
from pathlib import Path

import orjson

from tests.bench import instructions, report, safe
from tests.bench.turner import FRAMES, PATHS

RELAYED = ("--front", "realtime")
TRANSLATED = ("--front", "converse")
ROOT = Path(__file__).resolve().parents[2]
TURNER = Path(__file__).with_name("turner.py")
SESSIONS = (1, 4)
"""The numbers of sessions whose messages come in the same turn."""
COLD_SESSIONS = (60,)
COLD_ROUNDS = 3
ROUNDS = 40
QUANTILE = 0.1
"""The quantile of the rounds of a lap that counts. The quick rounds are those that nothing disturbed."""
Z = 1.96
"""The factor for an interval that contains the true value 19 times out of 20."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of messages in µs."""

    frame: float
    delta: float
    message: float
    """The mean of five frames and one delta."""


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The ratio of the costs of two checkouts, and the interval in which it lies."""

    middle: float
    low: float
    high: float

    def __str__(self):
        return f"{self.middle:.3f} ({self.low:.3f}–{self.high:.3f})"


def cost(rounds, sessions):
    """Return the cost of a message, from the ns of all frames and of all deltas in each round."""
    frames, deltas = (quantile([each[kind] for each in rounds]) / sessions / 1000 for kind in (0, 1))
    return Cost(frames / FRAMES, deltas, (frames + deltas) / (FRAMES + 1))


def quantile(values):
    """Return the value below which `QUANTILE` of the values lie."""
    return sorted(values)[int(len(values) * QUANTILE)]


def ratio(ours, theirs):
    """Compare two checkouts by their costs, which are lists of laps, one list for each start.

    One start may be a percent quicker than another of the same code, by the addresses that it got. So the median of a
    start's laps counts once, and the interval is read from the order of those medians.
    """
    medians = sorted(
        statistics.median(mine.message / other.message for mine, other in zip(*laps, strict=True))
        for laps in zip(ours, theirs, strict=True)
    )
    count = len(medians)
    below = max(0, math.floor(count / 2 - Z * math.sqrt(count) / 2))
    return Ratio(statistics.median(medians), medians[below], medians[count - 1 - below])


class Turner:
    """A process that takes turns of a checkout; see `turner`."""

    def __init__(self, checkout, sessions, options=()):
        command = [sys.executable, TURNER, checkout, str(sessions), *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        try:
            self._answer()
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def rounds(self, count):
        """Return the ns of all frames and of all deltas in each of `count` rounds."""
        self._process.stdin.write(b"%d\n" % count)
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that takes turns has ended")
        return orjson.loads(line)


def measure(candidates, sessions, *, starts, laps, rounds):
    """Measure the candidates in turns. Return the costs of each: a list of laps for each start of its process.

    A candidate is a checkout, with the options of its process.
    """
    found = [[] for _ in candidates]
    for _ in range(starts):
        started = one_start(candidates, sessions, laps, rounds)
        for costs, of_start in zip(found, started, strict=True):
            costs.append(of_start)
    return found


def one_start(candidates, sessions, laps, rounds):
    """Return the laps of each candidate. The first candidate of a lap is the last one of the next lap."""
    with contextlib.ExitStack() as stack:
        turners = [stack.enter_context(Turner(checkout, sessions, options)) for checkout, options in candidates]
        found = [[] for _ in turners]
        order = list(enumerate(turners))
        for _ in range(laps):
            for at, turner in order:
                found[at].append(cost(turner.rounds(rounds), sessions))
            order.reverse()
        return found


def row(name, costs):
    """Return a line of the table, with the medians of all laps."""
    laps = [lap for of_start in costs for lap in of_start]
    middle = [statistics.median(getattr(each, kind) for each in laps) for kind in ("frame", "delta", "message")]
    return f"{name:<28}" + "".join(f"{value:>10.2f}" for value in middle)


def main():
    """Measure and print the figures, and judge them."""
    options = parse()
    with contextlib.ExitStack() as stack:
        safely = stack.enter_context(safe.settings()) if options.safe else None
        of_front = ("--front", options.front) if options.front else ()
        if (options.safe or options.kept) and options.instructions:
            return instructions.compare(ROOT, safely or ("--kept",), of_front)
        if options.fronts and options.instructions:
            return instructions.compare_fronts(ROOT, RELAYED, TRANSLATED)
        if options.instructions or options.check or options.write:
            return instructions.main(ROOT, is_checked=options.check, is_written=options.write)
        candidates = {ROOT.name: (ROOT, ())}
        if safely:
            candidates = {"safe": (ROOT, safely), "open": (ROOT, ())}
        elif options.fronts:
            candidates = {"relayed": (ROOT, RELAYED), "translated": (ROOT, TRANSLATED)}
        elif options.kept:
            candidates = {"kept": (ROOT, ("--kept", *of_front)), "not kept": (ROOT, of_front)}
        elif options.against is not None:
            candidates[options.against.resolve().name] = (options.against.resolve(), ())
        compare(candidates, options)
    return 0


def compare(candidates, options):
    """Measure the candidates, and print their costs and the ratio."""
    print(f"µs, {report.interpreter()}")
    print(f"{'':<28}{'frame':>10}{'delta':>10}{'message':>10}")
    cold = ("--cold",) * options.cold
    measured = [(checkout, (*further, *cold)) for checkout, further in candidates.values()]
    rounds = options.rounds or (COLD_ROUNDS if options.cold else ROUNDS)
    for sessions in options.sessions or (COLD_SESSIONS if options.cold else SESSIONS):
        found = measure(measured, sessions, starts=options.starts, laps=options.laps, rounds=rounds)
        for name, costs in zip(candidates, found, strict=True):
            print(row(f"{name}, {sessions} {'in turn' if options.cold else 'at once'}", costs), flush=True)
        if len(found) > 1:
            print(f"{'ratio':<28}{ratio(*found)}", flush=True)


def parse():
    """The flags."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.turn", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout, measured alternately")
    parser.add_argument("--safe", action="store_true", help="authentication, a policy and limits, beside none")
    parser.add_argument("--fronts", action="store_true", help="/v1/realtime, beside /v1/agent/converse")
    parser.add_argument("--kept", action="store_true", help="with the keeper, beside the same without")
    parser.add_argument("--front", choices=PATHS, help="of the clients, with --kept (openai)")
    parser.add_argument("--cold", action="store_true", help="a turn for each message, with nothing in the caches")
    parser.add_argument("--sessions", type=int, nargs="+", metavar="N", help="in a turn (1 4), or one by one (60)")
    parser.add_argument("--starts", type=int, default=8, metavar="N", help="of each checkout's process (8)")
    parser.add_argument("--laps", type=int, default=12, metavar="N", help="of each start (12)")
    parser.add_argument("--rounds", type=int, metavar="N", help="in a lap: 5 frames and 1 delta (40, cold 3)")
    parser.add_argument("--instructions", action="store_true", help="count instructions, with valgrind and a compiler")
    parser.add_argument("--check", action="store_true", help="the same, and fail where they are 5 %% too many")
    parser.add_argument("--write", action="store_true", help="the same, and write the reference figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
