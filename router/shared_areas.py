"""Memory that the processes of one server share, each area with a name.

`Areas` serves the processes that are forked from its maker. `LastingAreas` also serves a process that runs other code:
a reload hands the descriptors of the areas on. If the size of an area differs in the newer code, the area is made
again.
"""

from __future__ import annotations

import logging
import mmap
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import struct
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

CAN_LAST: Final = sys.platform == "linux" and hasattr(os, "memfd_create")
"""Whether this system has memory that another program can map by a descriptor."""

Handed = tuple[int, int]
"""A descriptor, and the size of its memory in bytes. For a file without memory the size is 0."""


def store(memory: mmap.mmap, layout: struct.Struct, place: int, *values: Any) -> None:
    """Store values at a place in one copy, so that a reader without a lock sees eight aligned bytes whole.

    `Struct.pack_into` first fills the place with zeros, and another process could read these.
    """
    memory[place : place + layout.size] = layout.pack(*values)


class Areas:
    """The areas of shared memory, and files for locks, of one process and the processes that are forked from it."""

    lasts = False
    """Whether a process that runs other code may inherit the areas."""

    def memory(self, _name: str, size: int) -> mmap.mmap:
        """Return memory of `size` bytes, all zero at first."""
        return mmap.mmap(-1, size)

    def file(self, _name: str) -> int:
        """Return the descriptor of an empty file, for a lock. The caller closes the descriptor."""
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


class LastingAreas(Areas):
    """Areas that a reload also hands on to a process with other code. They need a system on which `CAN_LAST` is true.

    Args:
        handed: the areas that this process inherited, by name.
    """

    lasts = True

    def __init__(self, handed: Mapping[str, Handed] | None = None) -> None:
        self._handed = dict(handed or {})

    @property
    def handed(self) -> dict[str, Handed]:
        """The areas for the process that takes over from this one, by name."""
        return dict(self._handed)

    def memory(self, name: str, size: int) -> mmap.mmap:
        """Return the memory of this name, with its present contents."""
        found = self._handed.get(name)
        if found is not None and found[1] != size:
            logger.warning("the shared memory %s has another size in this version: it begins anew", name)
            os.close(found[0])
            found = None
        if found is None:
            descriptor = os.memfd_create(f"switchboard-{name}")
            os.ftruncate(descriptor, size)
            found = self._handed[name] = (descriptor, size)
        return mmap.mmap(found[0], size)

    def file(self, name: str) -> int:
        """Return a descriptor of the file of this name."""
        if name not in self._handed:
            self._handed[name] = (os.memfd_create(f"switchboard-{name}"), 0)
        return os.dup(self._handed[name][0])

    def close(self) -> None:
        """Close the descriptors in a process that hands no area on. The memory stays mapped."""
        for descriptor, _ in self._handed.values():
            os.close(descriptor)
        self._handed.clear()


OWN: Final = Areas()
"""The areas of a router without a server around it."""
