"""What calls cost the application that they live in: `python -m tests.bench.hosting`; see docs/embedding.md.

A Flask application under gunicorn's gthread worker is asked for a page of its own by a process that does nothing else,
in turns with nobody on the line and with everybody talking. Exit code 1 where its 95th percentile is beyond what it may
be, a thread of the server's is held, or a call lost anything.
"""

import argparse
import contextlib
import os
import sys

import orjson

from tests.bench import figures
from tests.bench.children import Child, free_port
from tests.bench.stage import ROOT, ROUTER, Stage, System, call
from tests.bench.talking import row, talk

THREADS = 8
PER_S = 50
TIMES, PLUS_MS = 1.5, 3.0
"""How much slower a page may be, whichever is more."""
MARGIN_S = 2.0
HEADING = "| the host's page, ms | p50 | p95 | p99 | threads held |\n|---|---|---|---|---|"


@contextlib.contextmanager
def hosted(port, upstream):
    """The application under gunicorn; its process."""
    listen = ["--bind", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "warning"]
    command = ["-m", "gunicorn", *listen, "--threads", THREADS, "tests.bench.hosted:app"]
    with Child(command, speaks=False, cwd=ROOT, env=os.environ | {"HOSTED_UPSTREAM": upstream}) as process:
        process.wait_for_port(port)
        yield process


class Host:
    """The application with callers on the line, and who asks it for pages."""

    def __init__(self, stage, address, seconds):
        self._stage = stage
        self._address = address
        self._seconds = seconds

    def alone(self):
        """The times of its pages, in ms."""
        with self._asker() as asker:
            return self._told(asker)

    def beside(self, load, sessions):
        """The same while everybody talks; what the callers lost; how many threads are held."""
        with contextlib.ExitStack() as stack:
            askers = []

            def begin():
                askers.append(stack.enter_context(self._asker()))

            lap = talk(self._stage, load, sessions, self._seconds + MARGIN_S, meanwhile=begin)
            return self._told(askers[0]), row(self._stage, lap, sessions).lost

    def threads_held(self):
        """How many threads of the server's are busy although nobody asks for anything."""
        with Child(["-c", PROBE, self._address]) as probe:
            return probe.hear(MARGIN_S)["busy"]

    def _asker(self):
        options = {"address": self._address, "per_s": PER_S, "seconds": self._seconds}
        return Child(["-m", "tests.bench.asking", orjson.dumps(options).decode()], cwd=ROOT)

    def _told(self, asker):
        return [took / 1e6 for took in asker.hear(self._seconds * 3 + MARGIN_S * 5)["took_ns"]]


PROBE = "import sys, urllib.request as r; print(r.urlopen(f'http://{sys.argv[1]}/threads').read().decode(), flush=True)"


def measure(sessions, seconds, rounds):
    """The times alone and beside talking sessions, the losses, and the threads that are held."""
    port, stub_port = free_port(), free_port()
    system = System(name=ROUTER.name, protocol="deepgram", url=f"ws://127.0.0.1:{port}/openai", stub_port=stub_port)
    with hosted(port, f"ws://127.0.0.1:{stub_port}/v1/realtime"), Stage(system) as stage:
        stage.had_a_caller()
        host = Host(stage, f"127.0.0.1:{port}", seconds)
        alone, beside, lost = [], [], []
        for _ in range(rounds):
            alone += host.alone()
            load = stage.load()
            call(load, sessions)
            times, losses = host.beside(load, sessions)
            beside += times
            lost += losses
            held = host.threads_held()
            load.tell(hang_up={})
            load.hear(MARGIN_S)
            stage.await_rest()
    return alone, beside, lost, held


def line(name, times, held):
    """A row of the table."""
    cells = (f"{figures.percentile(times, share):.1f}" for share in (0.5, 0.95, 0.99))
    return f"| {name} | {' | '.join(cells)} | {held} |"


def main():
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.hosting", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--sessions", type=int, default=100, metavar="N", help="that talk (100)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each window (10)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="without and with sessions, in turns (3)")
    options = parser.parse_args()
    alone, beside, lost, held = measure(options.sessions, options.seconds, options.rounds)
    print(HEADING)
    print(line("nobody on the line", alone, 0))
    print(line(f"{options.sessions} talking sessions", beside, held))
    before, after = figures.percentile(alone, 0.95), figures.percentile(beside, 0.95)
    failures = [f"{len(lost)} calls lost something: {lost[0]}, ..."] if lost else []
    if after > max(TIMES * before, before + PLUS_MS):
        failures.append(f"p95 {after:.1f} ms, and alone {before:.1f}")
    if held:
        failures.append(f"{held} threads of the server's are held")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
