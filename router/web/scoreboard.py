"""The workers of one server, in a page of memory that they share: a row for each.

A worker writes its own row; the arbiter writes the rows of workers that start and end. Without locks: a reader may see
a row that is a second old, and nothing depends on a newer one.
"""

from __future__ import annotations

import enum
import mmap
import struct
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENT_S: Final = 5.0
"""A worker writes its row every second; after this time without one it counts as silent."""

_ROW: Final = struct.Struct("<BBHIIId")
"""Stage, `is_ready`, padding, pid, sessions, load, `seen_s`."""
_HEAD_BYTES: Final = 8
"""The first byte is `is_ending`; the others align the rows."""


class Stage(enum.IntEnum):
    """The stage of a worker's life."""

    NONE = 0
    BOOTING = 1
    SERVING = 2
    DRAINING = 3
    UNHEALTHY = 4
    """It runs and cannot carry calls."""
    DEAD = 5
    """It ended by itself; its successor takes the slot."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one worker."""

    pid: int
    stage: Stage
    is_ready: bool = False
    """Whether a new session would succeed."""
    sessions: int = 0
    load: int = 0
    """Sessions, and connections that may become one."""
    seen_s: float
    """The time of this row, on the clock that all processes of a machine share (`time.monotonic`)."""

    def problem(self, now_s: float) -> str:
        """Return the worker's problem in a few words; empty where there is none."""
        if self.stage in (Stage.UNHEALTHY, Stage.DEAD):
            return f"worker {self.pid} is {self.stage.name.lower()}"
        silent_s = now_s - self.seen_s
        return f"worker {self.pid} has not answered for {silent_s:.0f} s" if silent_s > SILENT_S else ""


class Scoreboard:
    """The shared page, made before the first fork, with a slot for every worker that may exist at a time."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, _HEAD_BYTES + slots * _ROW.size)

    @property
    def is_ending(self) -> bool:
        """Whether all workers end, and none is replaced."""
        return bool(self._memory[0])

    @is_ending.setter
    def is_ending(self, is_ending: bool) -> None:
        self._memory[0] = is_ending

    # Called by the arbiter.

    def take_slot(self, now_s: float) -> int | None:
        """Take a slot for a worker that will be forked now: a dead worker's, or a free one; None where all are taken.

        The worker counts as booting from now on.
        """
        stages = [self._stage(slot) for slot in range(self._slots)]
        # A dead worker's slot first: its replacement ends the problem that the row reports.
        for stage in (Stage.DEAD, Stage.NONE):
            if stage in stages:
                slot = stages.index(stage)
                self.write(slot, Row(pid=0, stage=Stage.BOOTING, seen_s=now_s))
                return slot
        return None

    def free_slot(self, slot: int, pid: int, now_s: float, *, was_stopped: bool) -> None:
        """Record the end of a worker. One that was not stopped is dead until another takes its slot."""
        self.write(slot, Row(pid=pid, stage=Stage.NONE if was_stopped else Stage.DEAD, seen_s=now_s))

    # Called by a worker.

    def write(self, slot: int, row: Row) -> None:
        """Write a row."""
        _ROW.pack_into(
            self._memory,
            _HEAD_BYTES + slot * _ROW.size,
            *(row.stage, row.is_ready, 0, row.pid, row.sessions, row.load, row.seen_s),
        )

    # Called by any process.

    def rows(self) -> list[Row]:
        """Return the row of every worker that exists, or should."""
        return list(self._read())

    def least_load(self, now_s: float, *, except_pid: int) -> int | None:
        """Return the smallest load of the other workers that serve; None where no other does."""
        return min((row.load for row in self._serving(now_s) if row.pid != except_pid), default=None)

    def is_any_ready(self, now_s: float) -> bool:
        """Whether any worker would start a new session, and the server is not ending."""
        return not self.is_ending and any(row.is_ready for row in self._serving(now_s))

    def problems(self, now_s: float) -> list[str]:
        """Return the problems of all workers, a few words each."""
        return [problem for row in self._read() if (problem := row.problem(now_s))]

    def _read(self) -> Iterator[Row]:
        for slot in range(self._slots):
            if self._stage(slot) is not Stage.NONE:
                stage, is_ready, _, pid, sessions, load, seen_s = _ROW.unpack_from(
                    self._memory, _HEAD_BYTES + slot * _ROW.size
                )
                yield Row(
                    pid=pid, stage=Stage(stage), is_ready=bool(is_ready), sessions=sessions, load=load, seen_s=seen_s
                )

    def _serving(self, now_s: float) -> Iterator[Row]:
        return (row for row in self._read() if row.stage is Stage.SERVING and not row.problem(now_s))

    def _stage(self, slot: int) -> Stage:
        return Stage(self._memory[_HEAD_BYTES + slot * _ROW.size])
