"""Tells an embedding application what happens in its sessions, on a pool: it may block, fail and hang there."""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import messages
from actors.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.actor import Actor
    from actors.pool import Pool

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 64
"""Of one session; the newest is dropped beyond that, and said to be."""


class _Pending(msgspec.Struct, frozen=True):
    deliver: Callable[[Any], None]
    notification: Any
    timeout_s: float


class Notifications:
    """News, each session's in order and one at a time. On the thread of the actor that owns it.

    One that takes too long is given up, and the next begins: the two may then run at the same time.
    Whatever goes wrong is logged with the session's id, and matters to nobody else.
    """

    def __init__(self, actor: Actor, pool: Pool, on_idle: Callable[[], None]) -> None:
        self._work = Work(actor, lambda deliver: deliver(), self._done)
        self._pool = pool
        self._on_idle = on_idle
        self._waiting: dict[str, deque[_Pending]] = {}
        """By session, the news that is being told first."""

    @property
    def is_idle(self) -> bool:
        """Whether all is told."""
        return not self._waiting

    def add(self, session_id: str, deliver: Callable[[Any], None], notification: Any, timeout_s: float) -> None:
        """Have `deliver(notification)` called once all that is before it has been told."""
        waiting = self._waiting.setdefault(session_id, deque())
        if len(waiting) > MAX_WAITING:
            logger.error("session %s: %s is not told: too much waits", session_id, _name(notification))
            return
        waiting.append(_Pending(deliver, notification, timeout_s))
        if len(waiting) == 1:
            self._start(session_id)

    def _start(self, session_id: str) -> None:
        first = self._waiting[session_id][0]
        command = messages.StartWork(session_id, partial(first.deliver, first.notification), first.timeout_s)
        self._work.start(command, self._pool)

    def _done(self, done: messages.WorkDone) -> None:
        waiting = self._waiting[done.key]
        notification = waiting.popleft().notification
        if done.failure is not None:
            how, error = done.failure.kind.value, done.failure.error
            logger.error("session %s: telling of %s %s", done.key, _name(notification), how, exc_info=error)
        if waiting:
            self._start(done.key)
            return
        del self._waiting[done.key]
        if not self._waiting:
            self._on_idle()


def _name(notification: Any) -> str:
    return type(notification).__name__
