"""Compares the time to `Welcome` of two routers call by call, on a machine whose pauses are longer than the difference.

Both routers run at the same time, without other callers. Each pair of calls takes a few milliseconds: one call to each
router, in random order. All processes of the measurement have real-time priority where the system permits it, so that
other programs do not interrupt them.

The kernel counts how long each thread waits for a core (`schedstat`). If the threads of the router and of the prober
waited too long during a pair, the pair is dropped as a whole. A wait for the interpreter's lock is no such wait, so the
delays that a router causes itself count.
"""

import base64
import contextlib
import os
import random
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import figures
from tests.bench.stage import Stage

LAPS = 10
PAIRS = 500
"""The pairs of a lap."""
REST_S = 0.004
"""The pause after a call, in which the router ends the session."""
LATE_MS = 0.5
"""The longest wait for a core, of all threads together, during a pair that counts."""
WARM_UP = 100
TIMEOUT_S = 10.0


class Prober:
    """Calls one router again and again, over a socket of its own for each call."""

    def __init__(self, stage):
        self.pids = stage.pids
        address = urlsplit(stage.url)
        self._address = address.hostname, address.port
        key = base64.b64encode(bytes(16)).decode()
        lines = [
            f"GET {address.path} HTTP/1.1",
            f"Host: {address.netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *stage.system.headers,
        ]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()

    def call(self):
        """Return the ms from the dial to the end of `Welcome`. Raises ConnectionError if the call is refused."""
        begun_ns = time.monotonic_ns()
        with socket.create_connection(self._address, TIMEOUT_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(self._request)
            answer = b""
            while b'"Welcome"' not in answer:
                received = connection.recv(4096)
                if not received or (answer and not answer.startswith(b"HTTP/1.1 101")):
                    raise ConnectionError(answer[:200].decode(errors="replace"))
                answer += received
            return (time.monotonic_ns() - begun_ns) / 1e6


@contextlib.contextmanager
def undisturbed():
    """Give this process, and the processes that it starts, real-time priority. Yield whether the system permits it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def measure(systems, shape, *, laps=LAPS, pairs=PAIRS):
    """Measure two systems, given by name, in pairs. Return the figures of each, and the difference of their p99."""
    with ExitStack() as stack:
        is_undisturbed = stack.enter_context(undisturbed())
        stages = {name: stack.enter_context(Stage(system, shape)) for name, system in systems.items()}
        for stage in stages.values():
            stage.had_a_caller()
        probers = {name: Prober(stage) for name, stage in stages.items()}
        _pairs(probers, WARM_UP)
        found = report(list(systems), [_pairs(probers, pairs) for _ in range(laps)])
        return found | {"is_undisturbed": is_undisturbed}


def report(names, laps):
    """Return the figures of two systems from their pairs, lap by lap. Pure."""
    theirs, mine = names
    kept = [[pair for pair in lap if pair["late_ms"] <= LATE_MS] for lap in laps]
    all_of, kept_of = ({name: [[pair[name] for pair in lap] for lap in of] for name in names} for of in (laps, kept))
    more_ms, low_ms, high_ms = figures.difference(kept_of[mine], kept_of[theirs], 0.99)
    rows = {}
    for name in names:
        found = [value for lap in kept_of[name] for value in lap]
        rows[name] = {
            "calls": len(found),
            "p50_ms": figures.percentile(found, 0.5),
            "p99_ms": figures.percentile(found, 0.99),
            "all_p99_ms": figures.percentile([value for lap in all_of[name] for value in lap], 0.99),
        }
    return rows | {
        "pairs": sum(map(len, laps)),
        "more_at_p99_ms": more_ms,
        "low_ms": low_ms,
        "high_ms": high_ms,
    }


def _pairs(probers, count):
    chance, order, found = random.Random(count), list(probers), []  # noqa: S311
    for _ in range(count):
        chance.shuffle(order)
        pair, waited_ns = {}, 0
        for name in order:
            threads = (*probers[name].pids, os.getpid())
            before = _waits_ns(threads)
            pair[name] = probers[name].call()
            after = _waits_ns(threads)
            waited_ns += sum(waited - before.get(thread, 0) for thread, waited in after.items())
            time.sleep(REST_S)
        found.append(pair | {"late_ms": waited_ns / 1e6})
    return found


def _waits_ns(pids):
    """Return the ns for which each thread of some processes has waited for a core so far."""
    found = {}
    for path in (path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")):
        with contextlib.suppress(OSError):  # the thread has ended
            found[path] = int(path.read_text().split()[1])
    return found
