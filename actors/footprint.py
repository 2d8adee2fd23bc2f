"""The memory that the peers of a process hold together. It has a bound, and the peer that holds the most gives way.

This module knows no peer: only sizes, and a callback for each holding. A bound for each peer bounds no process, because
a client may connect many times (docs/decisions/0021-bounds-for-a-slow-client.md).
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 256 * 1024 * 1024
"""The default bound of a `Footprint`."""

STEP_BYTES: Final = 64 * 1024
"""The smallest change in bytes that is noted. Nearly every peer holds less, and so takes no lock."""


class Footprint:
    """The memory of all holdings of a process together. All methods may be called from any thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.evictions = 0
        """The number of holdings that had to give way."""
        self._lock = threading.Lock()
        self._holdings: set[Holding] = set()
        """The holdings whose noted size is not 0."""
        self._total_bytes = 0

    @property
    def total_bytes(self) -> int:
        """The bytes of all holdings."""
        return self._total_bytes

    def holding(self, name: object, evict: Callable[[int], None]) -> Holding:
        """Return a new holding, of size 0.

        `evict(held_bytes)` is called when all holdings together exceed the bound and no other holding has more. The
        call comes on the thread of the holding that exceeded the bound. `evict` has to free the memory soon, or to call
        `stay` with the size that is left.
        """
        return Holding(self, name, evict)

    def _change(self, holding: Holding, held_bytes: int) -> None:
        evicted = []
        with self._lock:
            if holding.is_giving_way:  # another thread asked for it a moment ago
                return
            self._set(holding, held_bytes)
            while self._total_bytes > self.max_bytes:
                greediest = max(self._holdings, key=_held_bytes)
                evicted.append((greediest, greediest.held_bytes))
                self._set(greediest, 0)  # as if it had freed the memory already: no second one gives way for it
                greediest.is_giving_way = True
                self.evictions += 1
        for greediest, had_bytes in evicted:
            logger.warning(
                "%s holds %d bytes, the most of %d: it has to give way", greediest.name, had_bytes, self.max_bytes
            )
            greediest.evict(had_bytes)

    def _set(self, holding: Holding, held_bytes: int) -> None:
        self._total_bytes += held_bytes - holding.held_bytes
        holding.held_bytes = held_bytes
        (self._holdings.add if held_bytes else self._holdings.discard)(holding)


class Holding:
    """The memory that one peer holds in one place. `Footprint.holding` makes it."""

    __slots__ = ("_footprint", "evict", "held_bytes", "is_giving_way", "name")

    def __init__(self, footprint: Footprint, name: object, evict: Callable[[int], None]) -> None:
        self._footprint = footprint
        self.name = name
        self.evict = evict
        self.held_bytes = 0
        """The size that was last noted."""
        self.is_giving_way = False
        """Whether `evict` was called, and `stay` was not: the memory is about to be freed."""

    def note(self, held_bytes: int) -> None:
        """Note the present size.

        A size below `STEP_BYTES` counts as 0, and a change of less than `STEP_BYTES` is ignored.
        """
        if held_bytes < STEP_BYTES:
            held_bytes = 0
        if abs(held_bytes - self.held_bytes) >= STEP_BYTES:
            self._footprint._change(self, held_bytes)  # noqa: SLF001 - one module, two classes

    def stay(self, held_bytes: int) -> None:
        """Note the present size, and do not give way, because most of the memory was freed in the meantime."""
        self.is_giving_way = False
        self.note(held_bytes)

    def release(self) -> None:
        """Note that nothing is held any more, and release the callback `evict`."""
        self.note(0)
        self.evict = _ignore


def _ignore(_held_bytes: int) -> None:
    pass


def _held_bytes(holding: Holding) -> int:
    return holding.held_bytes
