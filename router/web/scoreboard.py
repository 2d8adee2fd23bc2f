"""The workers of one server, in a page of memory that they share, with a row for each worker.

A worker writes its own row; the arbiter writes the rows of workers that start and end. No lock is needed, because no
reader depends on a row that is newer than a second.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final

import msgspec

from router.shared_areas import OWN, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.shared_areas import Areas

SILENT_S: Final = 5.0
"""If a row is older than this many seconds, its worker counts as silent. A worker writes its row every second."""

_ROW: Final = struct.Struct("<BBHIIId")
"""The layout of a row: stage, `is_ready`, `used` in thousandths, pid, sessions, load, `seen_s`."""
_FULL: Final = 1000
_MOST: Final = 0xFFFF
_HEAD_BYTES: Final = 8
"""The size of the head: `is_ending` is its first byte, `log_steps` its second; the rest aligns the rows."""


class Stage(enum.IntEnum):
    """The stage of a worker's life."""

    NONE = 0
    BOOTING = 1
    SERVING = 2
    DRAINING = 3
    UNHEALTHY = 4
    """The worker runs and cannot carry calls."""
    DEAD = 5
    """The worker ended without an order of the arbiter. The worker that replaces it takes the slot."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one worker."""

    pid: int
    stage: Stage
    is_ready: bool = False
    """Whether the worker is ready for new sessions (`Router.readiness`)."""
    sessions: int = 0
    load: int = 0
    """The number of sessions, and of connections that may become sessions."""
    used: float = 0.0
    """The share in use of the worker's fullest limit, in steps of a thousandth; 1.0 is full."""
    seen_s: float
    """The time at which the row was written, on the clock that all processes of a machine share (`time.monotonic`)."""

    def problem(self, now_s: float) -> str:
        """Return the worker's problem in a few words; empty if there is none."""
        if self.stage in (Stage.UNHEALTHY, Stage.DEAD):
            return f"worker {self.pid} is {self.stage.name.lower()}"
        silent_s = now_s - self.seen_s
        return f"worker {self.pid} has not answered for {silent_s:.0f} s" if silent_s > SILENT_S else ""


class Scoreboard:
    """Memory that the workers share, mapped before the first fork. A worker has one slot, or none if all are taken."""

    def __init__(self, slots: int, areas: Areas = OWN) -> None:
        self._slots = slots
        self._memory = areas.memory("scoreboard", _HEAD_BYTES + slots * _ROW.size)

    @property
    def is_ending(self) -> bool:
        """Whether the server ends, so that no worker is replaced."""
        return bool(self._memory[0])

    @is_ending.setter
    def is_ending(self, is_ending: bool) -> None:
        self._memory[0] = is_ending

    @property
    def log_steps(self) -> int:
        """The number of SIGUSR2 signals so far, modulo 256. Each changes the level of log lines."""
        return self._memory[1]

    @log_steps.setter
    def log_steps(self, log_steps: int) -> None:
        self._memory[1] = log_steps % 256

    # Called by the arbiter.

    def take_slot(self, now_s: float) -> int | None:
        """Take a slot for a worker that is forked next, and return its index; None if every slot is taken.

        A dead worker's slot goes first. The new worker counts as booting from now on.
        """
        stages = [self._stage(slot) for slot in range(self._slots)]
        # A dead worker's slot goes first, because its new row removes the problem that the old one reports.
        for stage in (Stage.DEAD, Stage.NONE):
            if stage in stages:
                slot = stages.index(stage)
                self.write(slot, Row(pid=0, stage=Stage.BOOTING, seen_s=now_s))
                return slot
        return None

    def free_slot(self, slot: int, pid: int, now_s: float, *, was_stopped: bool) -> None:
        """Record the end of a worker. `was_stopped` says that the arbiter or a reload ordered the end.

        Without such an order the worker counts as dead until another worker takes its slot.
        """
        self.write(slot, Row(pid=pid, stage=Stage.NONE if was_stopped else Stage.DEAD, seen_s=now_s))

    # Called by a worker.

    def write(self, slot: int, row: Row) -> None:
        """Write the row of the worker in a slot."""
        store(
            self._memory,
            _ROW,
            _HEAD_BYTES + slot * _ROW.size,
            *(
                row.stage,
                row.is_ready,
                min(round(row.used * _FULL), _MOST),
                row.pid,
                row.sessions,
                row.load,
                row.seen_s,
            ),
        )

    # Called by any process.

    def rows(self) -> list[Row]:
        """Return the row of every worker that runs, and of every dead one that is not replaced yet."""
        return list(self._read())

    def least_load(self, now_s: float, *, except_pid: int) -> int | None:
        """Return the smallest load of the serving workers other than `except_pid`; None if no other worker serves."""
        return min((row.load for row in self._serving(now_s) if row.pid != except_pid), default=None)

    def is_any_ready(self, now_s: float) -> bool:
        """Whether any worker would start a new session, and the server is not ending."""
        return not self.is_ending and any(row.is_ready for row in self._serving(now_s))

    def least_used(self, now_s: float) -> float | None:
        """Return the smallest `Row.used` of the workers that would start a new session; None if no worker would."""
        return min((row.used for row in self._serving(now_s) if row.is_ready), default=None)

    def problems(self, now_s: float) -> list[str]:
        """Return the problems of all workers, a few words each."""
        return [problem for row in self._read() if (problem := row.problem(now_s))]

    def _read(self) -> Iterator[Row]:
        for slot in range(self._slots):
            if self._stage(slot) is not Stage.NONE:
                stage, is_ready, used, pid, sessions, load, seen_s = _ROW.unpack_from(
                    self._memory, _HEAD_BYTES + slot * _ROW.size
                )
                yield Row(
                    pid=pid,
                    stage=Stage(stage),
                    is_ready=bool(is_ready),
                    sessions=sessions,
                    load=load,
                    used=used / _FULL,
                    seen_s=seen_s,
                )

    def _serving(self, now_s: float) -> Iterator[Row]:
        return (row for row in self._read() if row.stage is Stage.SERVING and not row.problem(now_s))

    def _stage(self, slot: int) -> Stage:
        return Stage(self._memory[_HEAD_BYTES + slot * _ROW.size])
