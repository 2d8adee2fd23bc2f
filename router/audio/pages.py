"""Buffers outside of the heap.

A large block in the heap keeps the freed memory around it from being returned to the system. A buffer in separate pages
does not, and its pages return to the system when the buffer is freed.
"""

from __future__ import annotations

import mmap
from typing import Any, Final

_OWN: Final[dict[str, int]] = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
"""The arguments of `mmap` for pages that belong to this process alone. Windows needs none."""


class Pages(mmap.mmap):
    """A buffer of a fixed size, which has zeros at first. The function `pages` makes it."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (self[:],)


def pages(size_bytes: int) -> Pages:
    """Return a new buffer."""
    return Pages(-1, size_bytes, **_OWN)
