"""Lines that a server logs once, and not once in each worker: a set of names in shared memory.

Two workers that meet a name at the same moment may both log it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from router.shared_areas import OWN

if TYPE_CHECKING:
    from router.shared_areas import Areas

PLACES: Final = 128
"""The most names that are kept. Beyond it no name counts as new, because a peer may invent any number of names."""

_BYTES: Final = 8
"""The number of bytes in a name's hash."""
_FREE: Final = bytes(_BYTES)


class Once:
    """A set of names, in shared memory that is made before the first fork, or in the memory of one process.

    The caller's lock has to guard each use.
    """

    def __init__(self, areas: Areas = OWN) -> None:
        self._memory = areas.memory("once", PLACES * _BYTES)

    def attach(self, shared: Once) -> None:
        """Use the memory of another set from now on, and forget the names of this one."""
        self._memory = shared._memory

    def is_first(self, name: str) -> bool:
        """Whether the name is new. A new name is kept from now on."""
        key = hashlib.sha256(name.encode("utf-8", "replace")).digest()[:_BYTES]
        for at in range(0, PLACES * _BYTES, _BYTES):
            found = self._memory[at : at + _BYTES]
            if found == key:
                return False
            if found == _FREE:
                self._memory[at : at + _BYTES] = key
                return True
        return False
