"""The memory of a talking session without the keeper, and the memory that the keeper adds to it."""

from tests.bench.laps import report
from tests.bench.stage import ROUTER, router

SESSIONS = 200
LAPS = 3
"""The laps of each router. They alternate, because other work on the machine makes messages wait in memory."""


def measure(shape, duration_s, *, sessions=SESSIONS, laps=LAPS):
    """Measure a router without the keeper and one with it in turns, and return their rows."""
    systems = {"without": router("--no-keeper"), "kept": ROUTER}
    return report(systems, shape, sessions=sessions, laps=laps, duration_s=duration_s)
