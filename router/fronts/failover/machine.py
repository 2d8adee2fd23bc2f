"""The machine of a call that two backends may serve: it passes everything to the side of the upstream in use. Pure.

The engine chooses the upstream. When the upstream is opened, the machine learns which backend it belongs to, and moves
the call there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors import messages as engine
from router.fronts.failover.marks import CallMarks
from router.fronts.failover.sides import NO_SETTINGS, RelaySide, SessionSide, is_restart_warning
from router.session import reports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.fronts.failover.sides import Parts, Side


class FailoverMachine:
    """The machine of one call that two backends may serve."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._is_relayed = parts.begins_relayed
        self._side = self._new_side()
        self.marks = CallMarks(self._side)
        """The object whose attributes show when the call has to be stored."""
        self._timers: set[str] = set()
        """The timers of the present side that may be running."""
        self._work: set[str] = set()
        """The work of the present side that has not ended."""
        self._is_warned = False
        """Whether the client was warned since an upstream last served the call."""

    def handle(self, message: engine.Input, now_s: float, /) -> list[engine.Command]:
        """Take an input, and return the commands that follow."""
        if isinstance(message, engine.TimerFired):
            self._timers.discard(message.name)
        elif isinstance(message, engine.WorkDone):
            self._work.discard(message.key)
        elif isinstance(message, engine.UpstreamOpened) and self._is_of_other_side(message):
            return list(self._noted(self._move(message, now_s)))
        return list(self._noted(self._side.take(message, now_s)))

    def held_bytes(self) -> int:
        """Return the bytes that are kept for the client and for an upstream."""
        return self._side.machine.held_bytes() + self._side.held_bytes

    def describe(self) -> engine.Facts:
        """Return a few facts about the call."""
        return {**self._side.machine.describe(), "backend": "deepgram" if self._is_relayed else "openai"}

    # Another process.

    def begin_side(self, *, is_relayed: bool, is_warned: bool) -> Side:
        """Begin with the side that served the call in another process, and return it without its memory."""
        self._is_relayed, self._is_warned = is_relayed, is_warned
        self._side = self._new_side()
        self.marks.begin(self._side)
        return self._side

    @property
    def can_move(self) -> bool:
        """Whether a move to another process at this moment interrupts no turn and no request."""
        return self._side.can_move

    # The other backend.

    def _is_of_other_side(self, opened: engine.UpstreamOpened) -> bool:
        return (opened.position == self._parts.deepgram_position) is not self._is_relayed

    def _new_side(self) -> Side:
        return RelaySide(self._parts) if self._is_relayed else SessionSide(self._parts)

    def _move(self, opened: engine.UpstreamOpened, now_s: float) -> Iterator[engine.Command]:
        left = self._side.leave(now_s)
        if left is None:
            yield engine.AbandonUpstream(opened.generation, NO_SETTINGS)
            return
        last, call = left
        yield from (engine.CancelTimer(name) for name in sorted(self._timers))
        yield from (engine.CancelWork(key) for key in sorted(self._work))
        self._timers.clear()
        self._work.clear()
        yield from last
        self._is_relayed = not self._is_relayed
        self._side = self._new_side()
        self.marks.begin(self._side)
        yield from self._side.continue_call(call, opened)

    def _noted(self, commands: Iterable[engine.Command]) -> Iterator[engine.Command]:
        for command in commands:
            match command:
                case engine.StartTimer(name):
                    self._timers.add(name)
                case engine.CancelTimer(name):
                    self._timers.discard(name)
                case engine.StartWork(key):
                    self._work.add(key)
                case engine.CancelWork(key):
                    self._work.discard(key)
                case engine.Notify(reports.UpstreamTookOver()):
                    self._is_warned = False
                case engine.SendToClient(frame) if is_restart_warning(frame):
                    if self._is_warned:
                        continue
                    self._is_warned = True
            yield command
