"""The memory of a talking session without the keeper, and the memory that the keeper adds to it."""

import dataclasses

from tests.bench import talking
from tests.bench.stage import ROUTER, Stage, router

SESSIONS = 200
LAPS = 3
"""The laps of each router. They alternate, because other work on the machine makes messages wait in memory."""


def measure(shape, duration_s, *, sessions=SESSIONS, laps=LAPS):
    """Measure a router without the keeper and one with it in turns, and return their rows."""
    found = {"sessions": sessions, "without": [], "kept": []}
    order = [("without", router("--no-keeper")), ("kept", ROUTER)]
    for _ in range(laps):
        for kind, each in order:
            with Stage(each, shape) as stage:
                found[kind].append(dataclasses.asdict(talking.measure(stage, sessions, duration_s)))
        order.reverse()
    return found
