"""The single-use tokens that were used, in memory that the workers of a server share."""

from __future__ import annotations

import contextlib
import hashlib
import struct
import threading
from typing import TYPE_CHECKING, Final

from router.access.shared_lock import SharedLock
from router.shared_areas import OWN, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.shared_areas import Areas

MAX_TOKENS: Final = 16384
"""The most used tokens that are remembered until they expire.

A further token is refused, because its second use could not be detected.
"""

_KEY_BYTES: Final = 16
_CELL: Final = struct.Struct(f"<{_KEY_BYTES}sd")
"""The hash of a token's id, and the time at which the token expires."""
_NEXT: Final = struct.Struct("<I")


class FullError(Exception):
    """Every cell is occupied by a token that has not expired."""


class SpentTokens:
    """The single-use tokens that were used, in shared memory that is made before the first fork.

    Methods may be called from any thread.
    """

    def __init__(self, areas: Areas = OWN, *, is_shared: bool = True) -> None:
        """Make the memory. With `is_shared`, also make a lock that excludes other processes and keeps a file open."""
        self._memory = areas.memory("spent", _NEXT.size + MAX_TOKENS * _CELL.size)
        # The lock against processes does not exclude threads.
        self._threads = threading.Lock()
        self._processes = SharedLock("spent-lock", areas) if is_shared else None

    def spend(self, token_id: str, expires_s: float, now_s: float) -> bool:
        """Record the use of a token. Return False if the token was used before.

        Raises:
            FullError: no cell is free.
        """
        key = _key_of(token_id)
        with self._held():
            if self._memory.find(key, _NEXT.size) >= 0:
                return False
            cell = self._free_cell(now_s)
            store(self._memory, _CELL, _place_of(cell), key, expires_s)
            store(self._memory, _NEXT, 0, (cell + 1) % MAX_TOKENS)
        return True

    def restore(self, token_id: str) -> None:
        """Forget the use of a token that opened no session."""
        with self._held():
            place = self._memory.find(_key_of(token_id), _NEXT.size)
            if place >= 0:
                store(self._memory, _CELL, place, bytes(_KEY_BYTES), 0.0)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with self._threads, self._processes.held() if self._processes is not None else contextlib.nullcontext():
            yield

    def _free_cell(self, now_s: float) -> int:
        (begin,) = _NEXT.unpack_from(self._memory, 0)
        for step in range(MAX_TOKENS):
            cell: int = (begin + step) % MAX_TOKENS
            _, expires_s = _CELL.unpack_from(self._memory, _place_of(cell))
            if expires_s <= now_s:
                return cell
        raise FullError


def _place_of(cell: int) -> int:
    return _NEXT.size + cell * _CELL.size


def _key_of(token_id: str) -> bytes:
    return hashlib.blake2b(token_id.encode("utf-8", "surrogateescape"), digest_size=_KEY_BYTES).digest()
