"""The recent arrivals of each address at all workers of a server, in memory that the workers share.

A period consists of 60 buckets, each with a count. An arrival counts for a whole period, and at most one bucket longer.
So no interval of the length of a period has more arrivals than allowed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from router.shared_areas import OWN, store

if TYPE_CHECKING:
    from router.shared_areas import Areas

CELLS: Final = 16384
"""The most addresses that are remembered."""
WAYS: Final = 4
"""The number of cells that can hold a given address.

If other addresses occupy all of them, the new address replaces the one that arrived longest ago.
"""

BUCKETS_PER_PERIOD: Final = 60
_BUCKETS: Final = BUCKETS_PER_PERIOD + 1
"""The buckets of a cell: one more than a period has, because a part of the oldest bucket still belongs to the period.
"""
_KEY_BYTES: Final = 8
_CELL: Final = struct.Struct(f"<8sQ{_BUCKETS}I")
"""The key, the number of the newest bucket, and the counts.

The count of a bucket is at its number modulo `_BUCKETS`.
"""
_BUCKET_S: Final = struct.Struct("<d")
"""The length of a bucket in seconds. The memory has it after the cells."""
_BYTES: Final = CELLS * _CELL.size + _BUCKET_S.size


def reserve(areas: Areas) -> None:
    """Make the memory of the arrivals at the start of a server whose memory outlives a reload.

    The configuration of a later reload may contain a limit that counts arrivals.
    """
    if areas.lasts:
        areas.memory("arrivals", _BYTES).close()


class Look(NamedTuple):
    """The arrivals of one address, counted at one moment for the period before it."""

    key: bytes
    place: int
    """The position of the address's cell in the memory."""
    newest: int
    """The number of the present bucket."""
    counts: list[int]


class Arrivals:
    """The arrivals of all addresses, in shared memory that is made before the first fork.

    An address may arrive `count` times in a period. The caller holds a lock around each call.
    """

    def __init__(self, count: int, period_s: float, areas: Areas = OWN) -> None:
        self._most = count
        self._bucket_s = period_s / BUCKETS_PER_PERIOD
        self._memory = areas.memory("arrivals", _BYTES)
        # An older configuration may have counted in buckets of another length. Such counts mean nothing here.
        if _BUCKET_S.unpack_from(self._memory, CELLS * _CELL.size) != (self._bucket_s,):
            self._memory[:] = bytes(_BYTES)
            store(self._memory, _BUCKET_S, CELLS * _CELL.size, self._bucket_s)

    def look(self, key: bytes, now_s: float) -> Look:
        """Return the arrivals of an address up to `now_s`. The result is right while the caller holds the lock."""
        place, present = self._place(key), int(now_s / self._bucket_s)
        found, newest, *counts = _CELL.unpack_from(self._memory, place)
        if found != key or present - newest >= _BUCKETS:
            return Look(key, place, present, [0] * _BUCKETS)
        for number in range(newest + 1, present + 1):
            counts[number % _BUCKETS] = 0
        return Look(key, place, present, counts)

    def wait_s(self, look: Look, now_s: float) -> float:
        """Return the seconds until another arrival of an address is allowed; 0 if it is allowed now."""
        newest, counts = look.newest, look.counts
        excess = sum(counts) - self._most + 1
        # Go from the oldest bucket on, until enough arrivals have left the period.
        for number in range(newest - _BUCKETS + 1, newest + 1):
            if excess <= 0:
                break
            excess -= counts[number % _BUCKETS]
            left_s = (number + _BUCKETS) * self._bucket_s
            if excess <= 0:
                return max(0.0, left_s - now_s)
        return 0.0

    def add(self, look: Look) -> None:
        """Count an arrival of an address at the time of the look."""
        look.counts[look.newest % _BUCKETS] += 1
        store(self._memory, _CELL, look.place, look.key, look.newest, *look.counts)

    def _place(self, key: bytes) -> int:
        """Return the position of a key's cell in the memory. A key without a cell gets the cell that it may replace."""
        first = int.from_bytes(key, "little") % (CELLS // WAYS) * WAYS * _CELL.size
        places = range(first, first + WAYS * _CELL.size, _CELL.size)
        memory = self._memory
        for place in places:
            if memory[place : place + _KEY_BYTES] == key:
                return place
        return min(places, key=lambda place: int.from_bytes(memory[place + _KEY_BYTES : place + 16], "little"))
