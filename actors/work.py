"""The work of one session that is under way on the pool: what a session machine asks for by `StartWork`."""

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
    """Threads for whatever of a session may block, a pool for each use: what hangs in one holds up none of another."""

    tools: Pool
    """For what it has done while it goes on."""
    setup: Pool
    """For what it needs before it can begin."""
    hooks: Pool
    """For telling an embedding application of it."""


class _UnderWay(msgspec.Struct, eq=False):
    timer: Timer
    job: Job | None = None


class Work:
    """Hands work to a pool, and tells its end exactly once, in time. On the dispatcher's thread.

    Work that hangs answers as timed out; what comes of it later is dropped and counted, as is what comes of work
    that was cancelled. After `discard` nothing is told of what was begun, after `close` nothing at all.
    """

    def __init__(self, actor: Actor, perform: Callable[[Any], Any], tell: Callable[[messages.WorkDone], None]) -> None:
        self._dispatcher = actor.dispatcher
        self._guarded: Callable[[Any], None] = actor.run_guarded
        self._perform = perform
        self._tell = tell
        self._under_way: dict[str, _UnderWay] = {}
        self.dropped = 0
        """Results that came too late."""

    @property
    def keys(self) -> list[str]:
        """What is under way."""
        return list(self._under_way)

    def start(self, command: messages.StartWork, pool: Pool) -> None:
        """Have it done there. A key names one piece of work at a time."""
        key, work, perform = command.key, command.work, self._perform
        assert key not in self._under_way, key  # noqa: S101 - a bug of the machine's: no work is done twice
        time_out = partial(self._guarded, partial(self._timed_out, key))
        entry = _UnderWay(self._dispatcher.call_later(command.timeout_s, time_out))
        self._under_way[key] = entry
        entry.job = pool.submit(lambda: perform(work), lambda result: self._hand_in(key, entry, result))

    def cancel(self, key: str) -> None:
        """Have it not begun, or its result dropped. Harmless when it is done."""
        entry = self._under_way.pop(key, None)
        if entry is not None:
            _let_go(entry)

    def discard(self) -> None:
        """Cancel everything."""
        for key in self.keys:
            self.cancel(key)

    def close(self) -> None:
        """Cancel everything, and let go of the actor, which has stopped."""
        self.discard()
        self._guarded = self._tell = _nobody

    def _hand_in(self, key: str, entry: _UnderWay, result: Any) -> None:
        # On a thread of the pool, or where it refuses, on ours: there, too, the machine hears of it afterwards.
        self._dispatcher.call_soon(partial(self._guarded, partial(self._done, key, entry, result)))

    def _done(self, key: str, entry: _UnderWay, result: Any) -> None:
        if self._under_way.get(key) is not entry:
            self.dropped += 1
            logger.info("the result of %s came too late", key)
            return
        self.cancel(key)
        self._tell(_outcome(key, result))

    def _timed_out(self, key: str) -> None:
        self.cancel(key)
        self._tell(messages.WorkDone(key, failure=messages.WorkFailure(messages.WorkFailureKind.TIMED_OUT)))


def _nobody(_: Any) -> None:
    """Who is told once nobody is there."""


def _let_go(entry: _UnderWay) -> None:
    entry.timer.discard()
    if entry.job is not None:
        entry.job.withdraw()
        entry.job = None  # it holds this entry, and a circle waits for the collector


def _outcome(key: str, result: Any) -> messages.WorkDone:
    if not isinstance(result, BaseException):
        return messages.WorkDone(key, result)
    is_refused = isinstance(result, PoolFull | PoolClosed)
    kind = messages.WorkFailureKind.REFUSED if is_refused else messages.WorkFailureKind.RAISED
    return messages.WorkDone(key, failure=messages.WorkFailure(kind, result))
