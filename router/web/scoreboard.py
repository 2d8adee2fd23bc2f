"""What the processes of one server know of each other: a page of memory that they share, with a row for each worker.

A row is written by its worker, but for its coming and going, which is the arbiter's. Nothing is locked: who reads may
see a row that is a second old, and nothing depends on more.
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
"""A worker writes its row every second; one that has not for so long does not answer."""

_ROW: Final = struct.Struct("<BBHIIId")
_HEAD_BYTES: Final = 8


class Stage(enum.IntEnum):
    """How far a worker has come."""

    NONE = 0
    BOOTING = 1
    SERVING = 2
    DRAINING = 3
    UNHEALTHY = 4
    """It runs, and cannot carry calls."""
    DEAD = 5
    """It ended without having been told to; its successor takes the row."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    pid: int
    stage: Stage
    is_ready: bool = False
    """Whether a new session would come to life."""
    sessions: int = 0
    load: int = 0
    """Sessions, and connections that may become one."""
    seen_s: float
    """When it wrote this, on the clock that all processes of a machine share (`time.monotonic`)."""

    def problem(self, now_s: float) -> str:
        """What is wrong with it, in a few words; empty where nothing is."""
        if self.stage in (Stage.UNHEALTHY, Stage.DEAD):
            return f"worker {self.pid} is {self.stage.name.lower()}"
        silent_s = now_s - self.seen_s
        return f"worker {self.pid} has not answered for {silent_s:.0f} s" if silent_s > SILENT_S else ""


class Scoreboard:
    """Made before the first fork. `rows` is how many workers there may be at a time, those that drain included."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._memory = mmap.mmap(-1, _HEAD_BYTES + rows * _ROW.size)

    @property
    def is_ending(self) -> bool:
        """Whether all workers end: nobody takes the place of one that drains."""
        return bool(self._memory[0])

    @is_ending.setter
    def is_ending(self, is_ending: bool) -> None:
        self._memory[0] = is_ending

    # The arbiter's.

    def take_slot(self, now_s: float) -> int | None:
        """Return the place of a worker that is about to be forked: a dead one's, or a free one; None where all is full.

        The worker counts as booting from now on.
        """
        stages = [self._stage(slot) for slot in range(self._rows)]
        for stage in (Stage.DEAD, Stage.NONE):
            if stage in stages:
                slot = stages.index(stage)
                self.write(slot, Row(pid=0, stage=Stage.BOOTING, seen_s=now_s))
                return slot
        return None

    def free_slot(self, slot: int, pid: int, now_s: float, *, was_told_to: bool) -> None:
        """Note that a worker has ended. One that was not told to is dead until another takes its place."""
        self.write(slot, Row(pid=pid, stage=Stage.NONE if was_told_to else Stage.DEAD, seen_s=now_s))

    # A worker's.

    def write(self, slot: int, row: Row) -> None:
        """Write a row."""
        _ROW.pack_into(
            self._memory,
            _HEAD_BYTES + slot * _ROW.size,
            *(row.stage, row.is_ready, 0, row.pid, row.sessions, row.load, row.seen_s),
        )

    # Anybody's.

    def rows(self) -> list[Row]:
        """Every worker that there is, or should be."""
        return list(self._read())

    def _read(self) -> Iterator[Row]:
        for slot in range(self._rows):
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

    def least_load(self, now_s: float, but_for: int) -> int | None:
        """The smallest load of those that serve, and answer, but for one of them; None where nobody else does."""
        return min((row.load for row in self._serving(now_s) if row.pid != but_for), default=None)

    def is_any_ready(self, now_s: float) -> bool:
        """Whether any of them would bring a new session to life, and goes on to."""
        return not self.is_ending and any(row.is_ready for row in self._serving(now_s))

    def problems(self, now_s: float) -> list[str]:
        """What is wrong with any of them, a few words each."""
        return [problem for row in self._read() if (problem := row.problem(now_s))]
