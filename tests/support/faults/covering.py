"""Chooses the cells of the fault matrix that a plain `pytest` holds over sockets. Pure, and the same on each machine.

Over sockets only the dial, the reset and the threads of a cell differ from virtual time. So the chosen cells contain
each kind of fault at each place, and each possible pair of row, place, profile and modality.
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
"""The pairs of properties. The chosen cells contain each pair of their values that some cell has."""


def pairs_of(cell: Cell) -> frozenset[Hashable]:
    """Return the pairs of values that a cell has."""
    return frozenset((one, ASPECTS[one](cell), other, ASPECTS[other](cell)) for one, other in PAIRS)


def covering(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells that together have every pair. Each step takes the first cell that adds the most new pairs."""
    held = [(cell, pairs_of(cell)) for cell in cells]
    missing = frozenset[Hashable]().union(*(pairs for _, pairs in held))
    chosen = []
    while missing:
        best, pairs = max(held, key=lambda entry: len(entry[1] & missing))
        chosen.append(best)
        missing -= pairs
    return chosen
