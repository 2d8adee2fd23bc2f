"""The present sessions of every worker of a server, in memory that the workers share.

Each worker writes only its own region, and reads the regions of all workers. When a worker ends, or is killed, the
server clears the worker's region, so no count stays wrong.
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING, Final

from router.shared_areas import OWN, store

if TYPE_CHECKING:
    import mmap

    from router.shared_areas import Areas

MAX_SESSIONS: Final = 16384
"""The most sessions of one worker that can be counted. A further session is refused."""

KEY_BYTES: Final = 8

_PENDING: Final = b"PENDING\0"
"""The mark of a session without Settings. A search finds no false mark across the border of two adjacent marks."""
_EMPTY: Final = bytes(KEY_BYTES)
_COLUMN_BYTES: Final = MAX_SESSIONS * KEY_BYTES
_ADDRESSES, _PRINCIPALS, _MARKS, _COLUMNS = range(4)
_HEAD: Final = struct.Struct("<II")
"""The number of cells that were ever in use, and the number of cells that are in use now."""
_REGION_BYTES: Final = _HEAD.size + _COLUMNS * _COLUMN_BYTES
_SALT_BYTES: Final = 16


class Counts:
    """The present sessions by address, principal and mark, in shared memory that is made before the first fork.

    Pages of that memory that no session has used occupy nothing.

    Args:
        slots: the number of workers that may exist at a time.
    """

    def __init__(self, slots: int = 1, areas: Areas = OWN) -> None:
        self._slots = slots
        self._memory = areas.memory("counts", slots * _REGION_BYTES + _SALT_BYTES)
        # The salt is shared, so that workers of two versions count the same client under one key.
        if self._memory[slots * _REGION_BYTES :] == bytes(_SALT_BYTES):
            self._memory[slots * _REGION_BYTES :] = os.urandom(_SALT_BYTES)
        self._salt = self._memory[slots * _REGION_BYTES :]

    def key_of(self, kind: str, name: str) -> bytes:
        """Return the key of an address or a principal, by which its sessions are counted.

        Because of the random salt, a client cannot choose a name that has the same key as another client.
        """
        text = f"{kind}\0{name}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, digest_size=KEY_BYTES, key=self._salt).digest()

    def clear(self, slot: int) -> None:
        """Forget the sessions of a worker that has ended."""
        used, _ = self.head(slot)
        for column in range(_COLUMNS):
            start = _start(slot, column)
            self._memory[start : start + used * KEY_BYTES] = bytes(used * KEY_BYTES)
        self.write_head(slot, 0, 0)

    def present(self) -> Present:
        """Return the sessions of all workers at this time."""
        regions = []
        for slot in range(self._slots):
            used, present = _HEAD.unpack_from(self._memory, slot * _REGION_BYTES)
            if present:
                regions.append((slot, used, present))
        return Present(self._memory, regions)

    # For `Seats`.

    def head(self, slot: int) -> tuple[int, int]:
        """Return a slot's number of cells that were ever in use, and its number of cells that are in use now."""
        used, present = _HEAD.unpack_from(self._memory, slot * _REGION_BYTES)
        return used, present

    def write_head(self, slot: int, used: int, present: int) -> None:
        """Write the two numbers that `head` returns."""
        store(self._memory, _HEAD, slot * _REGION_BYTES, used, present)

    def write_cell(self, slot: int, cell: int, keys: tuple[bytes, bytes, bytes]) -> None:
        """Write the three keys of a session into its cell: one into each column of the slot.

        The keys are those of the session's address and principal, and the mark of a session without Settings.
        """
        for column, key in enumerate(keys):
            start = _start(slot, column) + cell * KEY_BYTES
            self._memory[start : start + KEY_BYTES] = key


class Present:
    """The sessions of all workers at one moment. The numbers are right as long as the caller holds the lock.

    The two numbers at the beginning of each slot (`Counts.head`) are read only once, in the constructor. Reading them
    takes as long as checking all limits (docs/decisions/0059).
    """

    __slots__ = ("_memory", "_regions", "sessions")

    def __init__(self, memory: mmap.mmap, regions: list[tuple[int, int, int]]) -> None:
        self._memory = memory
        self._regions = regions
        """The slots with a session, each with the two numbers of the slot's head."""
        self.sessions = sum(present for _slot, _used, present in regions)
        """The number of all sessions."""

    def of_address(self, key: bytes) -> int:
        """Return the number of sessions of an address."""
        return self._count(_ADDRESSES, key)

    def of_principal(self, key: bytes) -> int:
        """Return the number of sessions of a principal."""
        return self._count(_PRINCIPALS, key)

    def pending(self) -> int:
        """Return the number of sessions without Settings."""
        return self._count(_MARKS, _PENDING)

    def _count(self, column: int, key: bytes) -> int:
        # This is a search in C over a few kilobytes. Keys are random, so it finds none across the border of two keys.
        count = 0
        for slot, used, _present in self._regions:
            start = _start(slot, column)
            count += self._memory[start : start + used * KEY_BYTES].count(key)
        return count


def _start(slot: int, column: int) -> int:
    return slot * _REGION_BYTES + _HEAD.size + column * _COLUMN_BYTES


class Seats:
    """The cells of one worker in the counts: one for each session. The caller holds a lock around each call."""

    def __init__(self, counts: Counts, slot: int) -> None:
        self._counts = counts
        self._slot = slot
        self._free: list[int] = []
        self._taken: dict[int, tuple[bytes, bytes]] = {}
        self._used = 0
        counts.clear(slot)

    def claim(self, address: bytes, principal: bytes | None) -> int | None:
        """Take a cell for a session without Settings, and return its number; None if all are taken."""
        if not self._free and self._used >= MAX_SESSIONS:
            return None
        cell = self._free.pop() if self._free else self._used
        self._used = max(self._used, cell + 1)
        keys = (address, principal or _EMPTY)
        self._taken[cell] = keys
        self._counts.write_cell(self._slot, cell, (*keys, _PENDING))
        self._write_head()
        return cell

    def settle(self, cell: int) -> None:
        """Record that a session has its Settings."""
        if cell in self._taken:
            self._counts.write_cell(self._slot, cell, (*self._taken[cell], _EMPTY))

    def release(self, cell: int) -> None:
        """Release the cell of a session that has ended. For a free cell do nothing."""
        if self._taken.pop(cell, None) is not None:
            self._counts.write_cell(self._slot, cell, (_EMPTY, _EMPTY, _EMPTY))
            self._free.append(cell)
            self._write_head()

    def _write_head(self) -> None:
        self._counts.write_head(self._slot, self._used, len(self._taken))
