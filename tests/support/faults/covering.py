"""Chooses the cells of the fault matrix that a plain `pytest` holds over sockets. Pure, and the same on each machine.

Over sockets a cell differs from the same cell in virtual time by its dial, its reset and its threads. So each kind of
fault is held at each place, and each row, place, profile and modality beside each other that it can meet.
"""

from collections.abc import Callable, Hashable, Iterable

from tests.support.faults.matrix import Cell

ASPECTS: dict[str, Callable[[Cell], Hashable]] = {
    "kind": lambda cell: (cell.row.is_redial, cell.detour or cell.row.fault["action"]),
    "row": lambda cell: cell.row.name,
    "column": lambda cell: cell.column.name,
    "scenario": lambda cell: cell.column.scenario,
    "profile": lambda cell: cell.profile,
    "modality": lambda cell: cell.modality,
}
PAIRS = (
    ("kind", "column"),
    ("row", "scenario"),
    ("row", "profile"),
    ("row", "modality"),
    ("column", "profile"),
    ("column", "modality"),
    ("profile", "modality"),
)
"""Each value of the one beside each value of the other, where a cell has both."""


def pairs_of(cell: Cell) -> frozenset[Hashable]:
    """Return the pairs that a cell holds."""
    return frozenset((one, ASPECTS[one](cell), other, ASPECTS[other](cell)) for one, other in PAIRS)


def covering(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells that hold every pair: again and again the one that adds the most, the first of several."""
    held = [(cell, pairs_of(cell)) for cell in cells]
    missing = frozenset[Hashable]().union(*(pairs for _, pairs in held))
    chosen = []
    while missing:
        best, pairs = max(held, key=lambda entry: len(entry[1] & missing))
        chosen.append(best)
        missing -= pairs
    return chosen
