"""The delivery of notifications to an embedding application, on a pool.

The application's code may block, fail and hang there. This module knows sessions by their id alone, and
notifications by their class's name.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import messages
from actors.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.actor import Actor
    from actors.pool import Pool

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 64
"""The most notifications of one session that may wait.

A hook that hangs must not fill the memory, so further ones are dropped.
"""


class _Pending(msgspec.Struct, frozen=True):
    log_fields: Mapping[str, Any]
    deliver: Callable[[Any], None]
    notification: Any
    timeout_s: float


class Notifications:
    """A queue of notifications for each session, delivered in order and one at a time.

    Its methods are called on the thread of the actor that owns it. If a delivery takes too long, the next one begins,
    so two deliveries may run at the same time. A failure is logged with the session's id, and affects no other session.
    """

    def __init__(self, actor: Actor, pool: Pool, on_idle: Callable[[], None]) -> None:
        self._work = Work(actor, lambda deliver: deliver(), self._done)
        self._pool = pool
        self._on_idle = on_idle
        self._waiting: dict[str, deque[_Pending]] = {}
        """The notifications of each session; the first is being delivered."""

    @property
    def is_idle(self) -> bool:
        """Whether every notification is delivered."""
        return not self._waiting

    def add(
        self, log_fields: Mapping[str, Any], deliver: Callable[[Any], None], notification: Any, timeout_s: float
    ) -> None:
        """Call `deliver(notification)` on the pool, after the earlier notifications of the session in `log_fields`.

        If the call takes longer than `timeout_s`, the next notification does not wait for its end. If more than
        `MAX_WAITING` notifications of the session wait already, drop this one.
        """
        session_id = log_fields["session"]
        waiting = self._waiting.setdefault(session_id, deque())
        if len(waiting) > MAX_WAITING:
            logger.error(
                "session %s: %s is not delivered: too many wait", session_id, _name(notification), extra={**log_fields}
            )
            return
        waiting.append(_Pending(log_fields, deliver, notification, timeout_s))
        if len(waiting) == 1:
            self._start(session_id)

    def _start(self, session_id: str) -> None:
        first = self._waiting[session_id][0]
        command = messages.StartWork(session_id, partial(first.deliver, first.notification), first.timeout_s)
        self._work.start(command, self._pool)

    def _done(self, done: messages.WorkDone) -> None:
        waiting = self._waiting[done.key]
        pending = waiting.popleft()
        if done.failure is not None:
            how, error = done.failure.kind.value, done.failure.error
            logger.error(
                "session %s: the delivery of %s %s",
                *(done.key, _name(pending.notification), how),
                exc_info=error,
                extra={**pending.log_fields},
            )
        if waiting:
            self._start(done.key)
            return
        del self._waiting[done.key]  # sessions come and go: an entry for each would add up
        if not self._waiting:
            self._on_idle()


def _name(notification: Any) -> str:
    return type(notification).__name__
