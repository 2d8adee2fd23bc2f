"""The state of reloads, in memory that all workers share: an operator may ask any worker."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

from router.shared_areas import store

if TYPE_CHECKING:
    from router.shared_areas import Areas

_MAX_BYTES: Final = 512
_ROW: Final = struct.Struct(f"<BBHI{_MAX_BYTES}s")
"""The layout: whether a reload is requested, whether a reload runs, and the result of the last one.

The result is the length of the problem, the number of finished reloads, and the problem.
"""
_AGE: Final = struct.Struct("<Q")


class ReloadState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the reloads at one moment."""

    finished: int
    """The number of reloads that are over."""
    is_running: bool
    problem: str
    """The reason why the last reload failed, and so changed nothing; empty if it succeeded."""


class ReloadBoard:
    """The shared memory with the state of reloads.

    A worker writes the request for a reload, and the arbiter writes everything else.
    """

    def __init__(self, areas: Areas) -> None:
        self._memory = areas.memory("reload", _ROW.size + _AGE.size)

    @property
    def is_asked(self) -> bool:
        """Whether an operator has asked for a reload that has not begun."""
        return bool(self._memory[0])

    @is_asked.setter
    def is_asked(self, is_asked: bool) -> None:
        self._memory[0] = is_asked

    @property
    def least_age(self) -> int:
        """The age of the oldest worker that no reload has retired.

        A worker's age is its number, counted since the start of the server.
        """
        return int(_AGE.unpack_from(self._memory, _ROW.size)[0])

    @least_age.setter
    def least_age(self, age: int) -> None:
        store(self._memory, _AGE, _ROW.size, age)

    def begin(self) -> None:
        """Record that a reload begins."""
        self._memory[1] = True

    def finish(self, problem: str = "") -> None:
        """Record that a reload is over. `problem` is the reason of its failure; empty after a success."""
        text = problem.encode("utf-8", "replace")[:_MAX_BYTES]
        store(self._memory, _ROW, 0, self._memory[0], False, len(text), self.state().finished + 1, text)

    def state(self) -> ReloadState:
        """Return the present state."""
        _, is_running, length, finished, text = _ROW.unpack_from(self._memory)
        problem = text[:length].decode("utf-8", "replace")
        return ReloadState(finished=finished, is_running=bool(is_running), problem=problem)
