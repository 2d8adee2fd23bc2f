"""The tokens, dollars and turns of each client since midnight (UTC), in memory that the workers of a server share.

Each worker writes only its own region, and reads the regions of all workers. A region outlives its worker, because the
day is not over. The next worker of the slot adds to the region.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from router.shared_areas import OWN, store

if TYPE_CHECKING:
    from router.shared_areas import Areas

DAY_S: Final = 86_400
MICRO: Final = 1_000_000
"""Dollars are counted in millionths, so that sums are exact."""

CELLS: Final = 8192
"""The most clients that one worker remembers."""
WAYS: Final = 4
"""The number of cells that can hold a given client.

If other clients occupy all of them, the new client replaces one of another day, or else the one with the fewest tokens.
With equal tokens the fewest turns decide.
"""

_CELL: Final = struct.Struct("<8sQQQQ")
"""The key, the day, tokens, millionths of a dollar, and turns."""
_REGION_BYTES: Final = CELLS * _CELL.size

Sums = tuple[int, float, int]
"""Tokens, dollars, and answers of the agent."""


def day_of(unix_s: float) -> int:
    """Return the UTC day of a Unix time, counted from 1970-01-01."""
    return int(unix_s // DAY_S)


def left_s(unix_s: float) -> float:
    """Return the seconds from a Unix time to the next midnight (UTC)."""
    return DAY_S - unix_s % DAY_S


class DailySums:
    """The tokens, dollars and turns of each client and day, in shared memory that is made before the first fork.

    Only one process writes a slot. That process serializes its threads with its own lock.

    Args:
        slots: the number of workers that may exist at a time.
    """

    def __init__(self, slots: int = 1, areas: Areas = OWN) -> None:
        self._slots = slots
        self._memory = areas.memory("daily", slots * _REGION_BYTES)

    def add(self, slot: int, key: bytes, spent: Sums, day: int) -> Sums:
        """Add tokens, dollars and turns to a client's sums of a day, in one slot.

        Return the client's sums over all slots.
        """
        place = self._place(slot, key, day)
        found, of_day, tokens, micros, turns = _CELL.unpack_from(self._memory, place)
        if found != key or of_day != day:
            tokens = micros = turns = 0
        sums = (tokens + spent[0], micros + round(spent[1] * MICRO), turns + spent[2])
        store(self._memory, _CELL, place, key, day, *sums)
        return self.of(key, day)

    def of(self, key: bytes, day: int) -> Sums:
        """Return a client's sums of a day, over all slots. For an unknown client return zeros."""
        tokens = micros = turns = 0
        for slot in range(self._slots):
            for place in self._places(slot, key):
                found, of_day, its_tokens, its_micros, its_turns = _CELL.unpack_from(self._memory, place)
                if found == key and of_day == day:
                    tokens, micros, turns = tokens + its_tokens, micros + its_micros, turns + its_turns
        return tokens, micros / MICRO, turns

    def _place(self, slot: int, key: bytes, day: int) -> int:
        places = self._places(slot, key)
        cells = {place: _CELL.unpack_from(self._memory, place) for place in places}
        own = [place for place, cell in cells.items() if cell[0] == key]
        return (
            own[0] if own else min(places, key=lambda place: (cells[place][1] == day, cells[place][2], cells[place][4]))
        )

    def _places(self, slot: int, key: bytes) -> list[int]:
        first = int.from_bytes(key, "little") % (CELLS // WAYS) * WAYS
        return [slot * _REGION_BYTES + (first + way) * _CELL.size for way in range(WAYS)]
