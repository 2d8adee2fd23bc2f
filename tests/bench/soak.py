"""A long run: some callers talk all the time, and others come and go. Any growth is a fault.

Every observer is on: the usage log, JSON lines, recordings, metrics, the operator's facts, the wire view, and traces if
the extra is installed. At the end of each lap the callers who came have left, and memory, threads, descriptors and
processor time are read.
"""

import contextlib
import dataclasses
import importlib.util
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import figures, footprint, talking
from tests.bench.stage import ROUTER, Stage, begin_calls

RESIDENTS = 20
LAP_S = 10.0
COMERS_PER_LAP = 50
FIRST = 1000
LEAST_LAPS = 6
MB = 1_000_000

SCRAPED = ("/metrics", "/admin/overview")
SCRAPE_S = 1.0

RECORDED_BYTES = 50 * MB
"""The bound of the folder of recordings: it is reached within a soak."""
WATCHED_BYTES = 2 * MB
"""The bound of the wire view: it is reached within a minute."""

HEADINGS = "minute   memory MB   threads   descriptors   p99 ms   µs/message   calls so far"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lap:
    """The figures at the end of a lap."""

    minute: float
    memory_mb: float
    """The anonymous part of the PSS of the tree, because other programs may share the libraries."""
    threads: int
    descriptors: int
    p99_ms: float
    """The p99 of both directions together."""
    cpu_us: float
    """The processor time for each message of the talking callers, with the time of the calls that came and went."""
    calls: int
    """The calls that have come and gone since the beginning."""
    lost: list[str]

    def __str__(self):
        cells = f"{self.minute:6.1f}{self.memory_mb:12.1f}{self.threads:10d}{self.descriptors:14d}"
        return f"{cells}{self.p99_ms:9.1f}{self.cpu_us:13.0f}{self.calls:15d}"


GROWTH = (
    # what, in words, how much more than in the second third of the laps is no growth: a share of it and so much
    ("memory_mb", "memory in MB", 0.02, 1.0),
    ("threads", "threads", 0, 8),  # the pools for dials and requests fill up to 8 each
    ("descriptors", "descriptors", 0, 5),  # somebody may just be leaving
    ("p99_ms", "p99 in ms", 2.0, 50.0),
    ("cpu_us", "CPU in µs a message", 0.3, 20.0),  # other programs on the cores change the cost of each message
)


def measure(shape, minutes, tell):
    """Run all laps, and return them. `tell` is called with a line after each."""
    laps = []
    tell(HEADINGS)
    with _observed() as system, Stage(system, shape) as stage, _scraping(stage.url):
        residents, comers = stage.callers(RESIDENTS), stage.load()
        started_s = time.monotonic()
        while time.monotonic() - started_s < minutes * 60 or len(laps) < LEAST_LAPS:
            laps.append(_lap(stage, residents, comers, calls_before=len(laps) * COMERS_PER_LAP, started_s=started_s))
            tell(str(laps[-1]))
    return laps


@contextlib.contextmanager
def _observed():
    """Return the router with every observer."""
    with tempfile.TemporaryDirectory() as folder, _collector() as collector:
        flags = ("--log-level", "info", "--log-format", "json", "--usage-log", str(Path(folder, "usage.jsonl")))
        recordings = ("--record", str(Path(folder, "recordings")), "--record-max-bytes", str(RECORDED_BYTES))
        flags = (*flags, *recordings, "--record-content")
        flags = (*flags, "--wire-view", "--wire-view-max-bytes", str(WATCHED_BYTES))
        if all(importlib.util.find_spec(name) for name in ("opentelemetry", "opentelemetry.sdk")):
            flags = (*flags, "--otel", collector)
        yield dataclasses.replace(ROUTER, flags=flags, log=str(Path(folder, "log.jsonl")))


@contextlib.contextmanager
def _collector():
    """Run a collector of traces that keeps nothing, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args):
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _scraping(url):
    """Read the metrics and the operator's facts, as Prometheus and a page do. Fail if one is missing."""
    ended, failures = threading.Event(), []
    where = f"http://{urlsplit(url).netloc}"

    def scrape():
        while not ended.wait(SCRAPE_S):
            for path in SCRAPED:
                try:
                    with urllib.request.urlopen(where + path, timeout=10) as response:  # noqa: S310 - our own server
                        response.read()
                except OSError as error:
                    failures.append(f"{path}: {error}")
                    return

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failures:
        raise RuntimeError(failures[0])


def _lap(stage, residents, comers, *, calls_before, started_s):
    waits = []

    def begin():
        wait = begin_calls(comers, COMERS_PER_LAP, first=FIRST + calls_before, over_s=LAP_S * 0.8, hang_up=True)
        waits.append(wait)

    lap = talking.talk(stage, residents, RESIDENTS, LAP_S, meanwhile=begin)
    calls = waits[0]()
    stage.await_rest(RESIDENTS)
    row, pids = talking.row(stage, lap, RESIDENTS), stage.pids
    return Lap(
        minute=(time.monotonic() - started_s) / 60,
        memory_mb=footprint.own_bytes(pids) / MB,
        threads=footprint.threads(pids),
        descriptors=sum(footprint.descriptors(pids)),
        p99_ms=max(row.agent_p99_ms, row.microphone_p99_ms),
        cpu_us=row.cpu_us_per_message or 0.0,
        calls=calls_before + COMERS_PER_LAP,
        lost=row.lost + [f"caller {it['number']}: {it['failure']}" for it in calls if it["failure"]],
    )


def complaints(laps):
    """Return the losses and the growth. The last third of the laps is compared with the second; the first warms up."""
    found = [f"minute {lap.minute:.1f}: {sentence}" for lap in laps for sentence in lap.lost]
    third = len(laps) // 3
    for name, words, share, more in GROWTH:
        was, now = (
            figures.percentile([getattr(lap, name) for lap in some], 0.5)
            for some in (laps[third : 2 * third], laps[-third:])
        )
        if now > was * (1 + share) + more:
            found.append(f"{words} grew from {was:.1f} to {now:.1f}")
    return found
