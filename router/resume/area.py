"""The snapshots of lost calls, in memory that the workers of one server share: a few slots of one size."""

from __future__ import annotations

import struct
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

from router.access.shared_lock import SharedLock
from router.shared_areas import OWN, store

if TYPE_CHECKING:
    from router.shared_areas import Areas

SLOTS: Final = 256
SLOT_BYTES: Final = 64 * 1024
"""The size of a slot. A conversation of ten minutes takes less."""

_HEAD: Final = struct.Struct("<16sdI")
"""The session's id, the time at which the snapshot expires, and its length. A free slot has the length 0."""
MOST_BYTES: Final = SLOT_BYTES - _HEAD.size


class TooLargeError(ValueError):
    """A snapshot does not fit into a slot."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def __str__(self) -> str:
        return f"a snapshot of {self.size} bytes is too large: {MOST_BYTES} are the most"


class SharedSnapshots:
    """The snapshots of lost calls, in slots of shared memory. A slot occupies no memory before its first use.

    Any thread of any worker may call the methods, except a dispatcher's.
    """

    def __init__(self, areas: Areas = OWN, slots: int = SLOTS) -> None:
        self._slots = slots
        self._memory = areas.memory("resume", slots * SLOT_BYTES)
        self._lock = SharedLock("resume-lock", areas)
        self._threads = threading.Lock()

    def put(self, session_id: str, data: bytes, keep_s: float) -> bool:
        """Keep a snapshot. Return False if it replaced the snapshot of another session whose client could still return.

        Raises:
            TooLargeError: the snapshot does not fit.
        """
        if len(data) > MOST_BYTES:
            raise TooLargeError(len(data))
        now_s = time.monotonic()
        with self._threads, self._lock.held():
            heads = [_HEAD.unpack_from(self._memory, slot * SLOT_BYTES) for slot in range(self._slots)]
            # Take the first free slot, or else the one that expires first.
            slot = min(range(self._slots), key=lambda it: heads[it][1] if heads[it][2] else 0.0)
            _, expires_s, length = heads[slot]
            at = slot * SLOT_BYTES
            self._memory[at + _HEAD.size : at + _HEAD.size + len(data)] = data
            store(self._memory, _HEAD, at, uuid.UUID(session_id).bytes, now_s + keep_s, len(data))
        return not length or expires_s <= now_s

    def take(self, session_id: str) -> bytes | None:
        """Remove the snapshot of a session, and return it; None if there is none, or it has expired."""
        wanted, now_s = uuid.UUID(session_id).bytes, time.monotonic()
        with self._threads, self._lock.held():
            for slot in range(self._slots):
                at = slot * SLOT_BYTES
                found, expires_s, length = _HEAD.unpack_from(self._memory, at)
                if length and found == wanted:
                    data = bytes(self._memory[at + _HEAD.size : at + _HEAD.size + length])
                    # Erase the snapshot, because no later reader of the memory may find the words of the conversation.
                    self._memory[at : at + _HEAD.size + length] = bytes(_HEAD.size + length)
                    return data if now_s < expires_s else None
        return None
