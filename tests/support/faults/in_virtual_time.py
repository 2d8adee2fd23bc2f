"""The fault matrix in virtual time. Each cell has its own world, whose latency and back-off are chosen."""

import contextlib
import os
from collections.abc import Iterator

from router.config.model import Deadlines
from router.simulator import SimulatorConfig
from tests.support.clients.wire_client import StreamClient
from tests.support.faults.cells import Medium, last_frames
from tests.support.faults.matrix import Cell, Route
from tests.support.faults.virtual_world import ABRUPT, CLOSED_PORT, NO_TLS, Conditions, VirtualWorld, virtual_world

CONDITIONS = {
    ("openai", "audio"): Conditions(jitter=1.0),
    ("openai", "text"): Conditions(latency_s=0.02, jitter=0.0),
    ("converse", "audio"): Conditions(latency_s=0.02, is_answer_alone=True),
    ("converse", "text"): Conditions(is_answer_alone=True, jitter=0.0),
}
"""The conditions, by profile and modality. So each fault at each place meets all conditions."""

PROMPT_S = 0.015
LATENCIES = 17
"""The most latencies from a loss to the answer. A step that takes longer waited for something else, too."""

ALWAYS = 1000

DETOURS = {
    Route.REFUSED: CLOSED_PORT,
    Route.UNKNOWN: None,
    Route.NO_TLS: NO_TLS,
    Route.ABRUPT: ABRUPT,
}


@contextlib.contextmanager
def open_world(
    profile: str, modality: str, deadlines: Deadlines, cell: Cell | None
) -> Iterator[tuple[VirtualWorld, StreamClient]]:
    """Make a world and its client for a conversation; see `Medium.open`."""
    is_abrupt = cell is not None and cell.detour is Route.ABRUPT
    with virtual_world(
        SimulatorConfig(pace=0, faults=cell.faults if cell else ()),
        deadlines=deadlines,
        conditions=CONDITIONS[profile, modality],
        last_frames=last_frames(cell) if is_abrupt else b"",
    ) as here:
        here.makes_records = cell is None or cell.row.kills or bool(os.environ.get("CI"))
        if cell is not None and cell.row.kills:
            here.kill_at_reset()
        if cell is not None and cell.detour is not None:
            here.routes[0].detour(cell.column.dial, DETOURS[cell.detour], times=cell.times or ALWAYS)
        yield here, here.call(profile)


def prompt_s(cell: Cell) -> float:
    """Return the longest time for a step of a cell, without deadlines and back-offs."""
    return PROMPT_S + LATENCIES * CONDITIONS[cell.profile, cell.modality].latency_s


VIRTUAL_TIME = Medium("in virtual time", open_world, prompt_s)
