"""The benchmark: `python -m tests.bench`; docs/performance.md says what the figures mean.

Without flags it measures every figure that has a target, in a quarter of an hour, and writes docs/performance. The exit
code is 1 if anything was lost or grew, or, with --check, if a figure misses its bound.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import orjson

from tests.bench import (
    arrivals,
    attacked,
    capacity,
    chart,
    figures,
    idle,
    kept,
    report,
    safe,
    soak,
    talking,
    targets,
    unread,
)
from tests.bench.speech import Shape
from tests.bench.stage import (
    DEEPGRAM,
    DEEPGRAM_RELAY,
    DIRECT,
    EVENTS_RELAY,
    ON_ASGI,
    ON_WSGI,
    REALTIME,
    RELAY,
    ROOT,
    ROUTER,
    TWILIO,
    Stage,
    System,
    yardsticks,
)

OUT = ROOT / "docs" / "performance"
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "performance.md")
FLAT = (10, 30, 100, 300)
SESSIONS = (100, 200)
FRONTS = (EVENTS_RELAY, REALTIME, DEEPGRAM_RELAY, DEEPGRAM, TWILIO)
TOO_MANY = (600, 1000)
"""The numbers of sessions that are too many for one process."""


def main():
    """Measure, print and write the figures, and judge them."""
    options = parse()
    shape = Shape(frame_ms=options.frame_ms, delta_ms=options.delta_ms, rate=options.rate)
    if options.rewrite:
        return rewrite(orjson.loads((OUT / "figures.json").read_bytes()))
    if options.soak is not None:
        return finish(soak.complaints(soak.measure(shape, options.soak, say)))
    wanted = options.only or ([] if options.compare else MEASUREMENTS)
    results = {"machine": report.machine(), "duration_s": options.duration, "shape": dataclasses.asdict(shape)}
    if options.compare:
        results["talking"] = talk(shape, options, (DIRECT, RELAY, other(options)))
    for name in wanted:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = MEASUREMENTS[name](shape, options)
    show(results)
    write(results, options, is_whole=set(wanted) == set(MEASUREMENTS) and not options.compare)
    due = all_rows(results) + ours(results.get("overload", []))
    return finish(report.losses(due) + (list(targets.complaints(results)) if options.check else []))


def parse():
    """The flags."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", choices=MEASUREMENTS, nargs="+", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--check", action="store_true", help="fail when a figure is not what it must be")
    parser.add_argument("--soak", type=float, nargs="?", const=30.0, metavar="MINUTES", help="look for growth (30)")
    parser.add_argument("--rewrite", action="store_true", help="only the documents and the chart, from figures.json")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for the JSON and the chart")
    load = parser.add_argument_group("load")
    load.add_argument("--sessions", type=int, nargs="+", default=SESSIONS, metavar="N", help="that talk (100 200)")
    load.add_argument("--duration", type=float, default=10.0, metavar="S", help="of each measured window (10)")
    load.add_argument("--frame-ms", type=int, default=20, metavar="MS", help="of microphone in a message (20)")
    load.add_argument("--delta-ms", type=int, default=100, metavar="MS", help="of agent audio in an event (100)")
    load.add_argument("--rate", type=int, default=16_000, metavar="HZ", help="of the microphone (16000)")
    parser_compare(parser.add_argument_group("another router, instead of ours; it runs, and its upstream is the stub"))
    return parser.parse_args()


def parser_compare(group):
    """Add the flags that describe another router."""
    group.add_argument("--compare", metavar="URL", help="ws://host:port/path, where it takes callers")
    group.add_argument("--protocol", choices=("deepgram", "openai", "bare"), default="openai", help="(openai)")
    group.add_argument("--stub-port", type=int, default=9100, metavar="PORT", help="where our stub listens (9100)")
    group.add_argument("--pid", type=int, help="of its process tree, for CPU and memory")
    group.add_argument("--header", action="append", default=[], metavar="LINE", help="for the handshake of callers")
    group.add_argument("--hold-back-ms", type=float, default=0.0, metavar="MS", help="that its resampler may keep (0)")


def other(options):
    """Return the other router that the flags describe, or None."""
    return System(
        name="other",
        protocol=options.protocol,
        url=options.compare,
        pid=options.pid,
        stub_port=options.stub_port,
        headers=tuple(options.header),
        hold_back_ms=options.hold_back_ms,
    )


def talk(shape, options, systems=None, sessions=None):
    """Return the rows of systems under loads, by default those of the router and of the relays."""
    systems = systems or (DIRECT, RELAY, *yardsticks(), ROUTER)
    rows = []
    for count in sessions or options.sessions:
        for system in systems:
            with Stage(system, shape) as stage:
                rows.append(talking.measure(stage, count, options.duration))
            print(f"  {system.name}, {count} sessions", file=sys.stderr, flush=True)
    for warning in figures.warnings(rows):
        print(f"  doubtful: {warning}", file=sys.stderr)
    return [dataclasses.asdict(row) for row in rows]


MEASUREMENTS = {
    "talking": talk,
    "kept": lambda shape, options: kept.measure(shape, options.duration / 2),
    "flat": lambda shape, options: talk(shape, options, (ROUTER,), FLAT),
    "fronts": lambda shape, options: talk(shape, options, FRONTS),
    "hosts": lambda shape, options: talk(shape, options, (ROUTER, ON_WSGI, ON_ASGI)),
    "overload": lambda shape, options: talk(shape, options, (RELAY, ROUTER), TOO_MANY),
    "idle": lambda shape, options: {"tree": idle.tree(shape), "sessions": idle.sessions(shape, options.duration / 2)},
    "capacity": lambda shape, options: capacity.measure(shape, options.duration / 2),
    "unread": lambda shape, options: unread.measure(shape, options.duration / 2),
    "safe": lambda shape, options: safe.measure(shape, options.duration),
    "welcomes": lambda shape, _options: safe.welcomes(shape),
    "attacked": lambda shape, options: attacked.measure(shape, options.duration / 2),
    "arrivals": lambda shape, _options: arrivals.probes(shape),
    "storm": lambda shape, _options: arrivals.storm(shape),
}


def all_rows(results):
    """Return every row of the run, except those of the search for the capacity and of too many sessions."""
    return [row for name in ("talking", "fronts", "hosts", "flat") for row in results.get(name, [])]


def ours(rows):
    """Return the rows of the router, because an overloaded relay may lose messages."""
    return [row for row in rows if row["system"] == ROUTER.name]


def show(results):
    """Print the figures."""
    if all_rows(results):
        say(report.rows(all_rows(results)) + "\n")
    if "overload" in results:
        say(report.rows(results["overload"]) + "\n")
    if "capacity" in results:
        say(report.capacity(results) + "\n")
    if targets.verdicts(results):
        say(report.verdicts(results))


def write(results, options, *, is_whole):
    """Write docs/performance and the generated parts of the documents after a whole run, else only to `--out`."""
    out = options.out or (OUT if is_whole else None)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.json").write_bytes(report.to_json(results))
    if "talking" in results:
        (out / "figures.svg").write_text(chart.draw(results))
    if is_whole and out == OUT:
        rewrite(results)


def rewrite(results):
    """Write the chart and the generated parts of the documents."""
    (OUT / "figures.svg").write_text(chart.draw(results))
    for document in DOCUMENTS:
        document.write_text(report.fill(document.read_text(), results))
    return 0


def finish(complaints):
    """Print the complaints, and return the exit code."""
    for complaint in complaints:
        print(f"failed: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def say(line):
    """Print a line, and flush it."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
