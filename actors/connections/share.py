"""A connection's share of the memory that all peers of a process hold together. This module knows no message.

See docs/decisions/0021-bounds-for-a-slow-client.md. Everything runs on the dispatcher's thread, except for the callback
`evict` of `actors.footprint`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from actors.dispatcher import Dispatcher
    from actors.footprint import Footprint


class Sharer(Protocol):
    """The connection that a share belongs to."""

    @property
    def held_bytes(self) -> int:
        """The size of everything that is kept for the peer."""

    @property
    def may_give_way(self) -> bool:
        """Whether `give_way` is still useful: a connection that ends frees its memory anyway."""

    def give_way(self) -> None:
        """Drop what is held, and notify the listener."""


class Share:
    """The memory that one connection holds, as a `Footprint` records it."""

    __slots__ = ("_dispatcher", "_owner", "holding")

    def __init__(self, owner: Sharer, footprint: Footprint, dispatcher: Dispatcher) -> None:
        self._owner: Sharer | None = owner
        self._dispatcher = dispatcher
        self.holding = footprint.holding(owner, self._evict)
        """The record. Its `held_bytes` are the size that was last noted."""

    def note(self) -> None:
        """Note the size that the connection holds at this moment."""
        if self._owner is not None:
            self.holding.note(self._owner.held_bytes)

    def release(self) -> None:
        """Note that nothing is held any more, and release the connection."""
        self.holding.release()
        self._owner = None

    def _evict(self, had_bytes: int) -> None:
        # This runs on the thread of any connection of the process.
        self._dispatcher.call_soon(partial(self._give_way, had_bytes))

    def _give_way(self, had_bytes: int) -> None:
        owner = self._owner
        if owner is None or not owner.may_give_way:
            return
        if owner.held_bytes < had_bytes // 2:  # most of it has left in the meantime
            self.holding.stay(owner.held_bytes)
        else:
            owner.give_way()
