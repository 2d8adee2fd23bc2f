"""The work of one actor that runs on pools of threads: `StartWork` of a session machine, and notifications.

This module does not know the purpose of the work: a function of the actor performs the work.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from actors import messages
from actors.pool import PoolClosed, PoolFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.actor import Actor
    from actors.pool import Job, Pool
    from actors.timers import Timer

logger = logging.getLogger(__name__)


class Pools(msgspec.Struct, frozen=True):
    """The pools for work of sessions that may block, one for each use: work that hangs in one pool stops no other pool.

    See docs/decisions/0019-a-pool-for-each-use.md.
    """

    tools: Pool
    """The pool for the work of a session that has begun: functions and their endpoints."""
    setup: Pool
    """The pool for the work that a session needs before it can begin."""
    hooks: Pool
    """The pool for the delivery of notifications to the embedding application."""


class _Running(msgspec.Struct, eq=False):
    timer: Timer
    job: Job | None = None


class Work:
    """The work that one actor has under way. Only the actor's dispatcher uses this object.

    The actor gets the end of each piece of work that is not cancelled exactly once, and in time: work that hangs ends
    as timed out. A result that comes after a time-out, a `cancel` or a `discard` is dropped and counted.
    """

    __slots__ = ("_actor", "_deliver", "_dispatcher", "_perform", "_running", "dropped")

    def __init__(
        self, actor: Actor, perform: Callable[[Any], Any], deliver: Callable[[messages.WorkDone], None]
    ) -> None:
        self._actor: Actor | None = actor
        self._dispatcher = actor.dispatcher
        self._perform = perform
        self._deliver = deliver
        self._running: dict[str, _Running] = {}
        self.dropped = 0
        """The number of results that came too late."""

    @property
    def keys(self) -> list[str]:
        """The keys of the work that is under way."""
        return list(self._running)

    def start(self, command: messages.StartWork, pool: Pool) -> None:
        """Submit work to a pool. A key names one piece of work at a time."""
        key, work, perform = command.key, command.work, self._perform
        assert key not in self._running, key  # noqa: S101 - a bug of the machine's: no work runs twice
        time_out = partial(self._guarded, partial(self._time_out, key))
        entry = _Running(self._dispatcher.call_later(command.timeout_s, time_out))
        # The entry stands before `submit`: a pool that refuses calls back from inside of it.
        self._running[key] = entry
        entry.job = pool.submit(lambda: perform(work), lambda result: self._hand_in(key, entry, result))

    def cancel(self, key: str) -> None:
        """Withdraw work, or drop its result if it has begun. The call has no effect when the work has ended."""
        entry = self._running.pop(key, None)
        if entry is not None:
            _release(entry)
        if not self._running:
            self._running = {}  # a dictionary keeps the room for entries that have left

    def discard(self) -> None:
        """Cancel all work that is under way."""
        for key in self.keys:
            self.cancel(key)

    def close(self) -> None:
        """Cancel all work, and release the actor, which has stopped."""
        self.discard()
        self._deliver = _ignore
        self._actor = None

    def _guarded(self, callback: Callable[[], object]) -> None:
        if self._actor is not None:
            self._actor.run_guarded(callback)

    def _hand_in(self, key: str, entry: _Running, result: Any) -> None:
        # The pool calls this on one of its threads. A pool that refuses calls it on the dispatcher's thread, while the
        # machine's commands are performed. So a later turn delivers the result.
        self._dispatcher.call_soon(partial(self._guarded, partial(self._finish, key, entry, result)))

    def _finish(self, key: str, entry: _Running, result: Any) -> None:
        if self._running.get(key) is not entry:  # cancelled; the key may be another's by now
            self.dropped += 1
            logger.info("the result of %s came too late", key, extra=self._actor.log_fields if self._actor else None)
            return
        self.cancel(key)
        self._deliver(_outcome(key, result))

    def _time_out(self, key: str) -> None:
        self.cancel(key)
        self._deliver(messages.WorkDone(key, failure=messages.WorkFailure(messages.WorkFailureKind.TIMED_OUT)))


def _ignore(_: Any) -> None:
    pass


def _release(entry: _Running) -> None:
    entry.timer.discard()
    if entry.job is not None:
        entry.job.withdraw()
        entry.job = None  # it holds this entry: the two would wait for the garbage collector


def _outcome(key: str, result: Any) -> messages.WorkDone:
    if not isinstance(result, BaseException):
        return messages.WorkDone(key, result)
    is_refused = isinstance(result, PoolFull | PoolClosed)
    kind = messages.WorkFailureKind.REFUSED if is_refused else messages.WorkFailureKind.RAISED
    return messages.WorkDone(key, failure=messages.WorkFailure(kind, result))
