"""The sessions of a process that goes away: each departs to another process, or ends after its turn in progress."""

from __future__ import annotations

import functools
import math
import random
import time
from typing import TYPE_CHECKING, Final

from actors import leaving, lifecycle, messages

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from actors.dispatcher import Dispatcher
    from actors.record import SessionRecord

SPREAD_S: Final = 1.0
"""The time in seconds over which sessions begin to depart, so that their dials are spread."""

DUE_SHARE: Final = 0.9
"""The share of the drain after which the last session departs in the middle of a turn."""

FIRST_DUE_SHARE: Final = 0.5
"""The share of the drain after which the first session departs in the middle of a turn, if very many have to.

Sessions that depart at the same time wait for each other, and meanwhile their callers hear nothing.
"""

DUE_SPACING_S: Final = 0.1
"""The time in seconds from one such departure to the next, if the drain is long enough for it."""


class Departures:
    """The drain of a supervisor's sessions. It runs on the supervisor's thread only.

    Args:
        dispatcher: the dispatcher of the supervisor.
        sessions: the supervisor's sessions.
        is_idle: whether every notification of the sessions was delivered.
    """

    def __init__(
        self, dispatcher: Dispatcher, sessions: Mapping[str, SessionRecord], is_idle: Callable[[], bool]
    ) -> None:
        self._dispatcher = dispatcher
        self._sessions = sessions
        self._is_idle = is_idle
        self._exit: lifecycle.Exit | None = None
        """The functions that move sessions to another process; None if a drain ends all sessions here."""
        self._drained: threading.Event | None = None
        self._until_s = math.inf

    def let_depart(self, message: lifecycle.LetDepart) -> None:
        """Let sessions depart in the next drain, by the functions of `message.by`."""
        self._exit = message.by

    def drain(self, message: lifecycle.Drain) -> None:
        """Let each session depart, or end after its turn in progress. A second call may shorten the drain."""
        self._drained = message.drained
        self._until_s = min(self._until_s, time.monotonic() + message.deadline_s)
        sessions = self._send_off_all()
        random.shuffle(sessions)  # not by age: calls that began together would end together
        delays_s = leaving.delays_s(len(sessions), self._left_s(), random.random)
        for session, delay_s in zip(sessions, delays_s, strict=True):
            self.send_drain(session, keeps_idle=delay_s > 0)
            if delay_s > 0:
                self._dispatcher.call_later(delay_s, functools.partial(self.send_drain, session))
        self.report()

    def admit(self, session: SessionRecord) -> None:
        """Drain a session that was accepted while a drain began. Without a drain, do nothing."""
        if self._drained is None:
            return
        if self._may_depart(session):
            self._send_off(session, 0.0)
            self._send_off(session, self._left_s() * DUE_SHARE, is_due=True)
        else:
            self.send_drain(session)

    def send_drain(self, session: SessionRecord, *, keeps_idle: bool = False) -> None:
        """Order a session to end after its turn in progress.

        An idle session ends at once. With `keeps_idle` it continues, until this method is called again without the
        flag.
        """
        session.is_draining = True
        session.tell(session.translator, messages.DrainBegan(self._left_s(), keeps_idle))

    def report(self) -> None:
        """Report the end of the drain, once there is no session and no undelivered notification."""
        # Notifications too: the last of a session is delivered after its end.
        if self._drained is not None and not self._sessions and self._is_idle():
            self._drained.set()

    def _left_s(self) -> float:
        return max(0.0, self._until_s - time.monotonic())

    def _may_depart(self, session: SessionRecord) -> bool:
        return self._exit is not None and session.spec.carried is not None and session.is_live

    def _send_off_all(self) -> list[SessionRecord]:
        """Begin the departure of each session that can depart, spread over `SPREAD_S`. Return the other sessions."""
        sessions = list(self._sessions.values())
        departing = [it for it in sessions if self._may_depart(it)]
        spread_s = min(SPREAD_S, self._left_s() / 4)
        due_s = self._left_s() * DUE_SHARE
        for place, session in enumerate(departing):
            self._send_off(session, min(spread_s * place / len(departing), due_s))
        if departing:
            self._dispatcher.call_later(self._left_s() * FIRST_DUE_SHARE, functools.partial(self._send_off_rest, due_s))
        return [it for it in sessions if not self._may_depart(it)]

    def _send_off_rest(self, due_s: float) -> None:
        """Order the sessions that are still here to depart in the middle of a turn, one after the other.

        `due_s` is the time from the beginning of the drain to the last of these departures.
        """
        sessions = [it for it in self._sessions.values() if self._may_depart(it)]
        left_s = due_s * (1 - FIRST_DUE_SHARE / DUE_SHARE)
        spacing_s = min(DUE_SPACING_S, left_s / max(1, len(sessions)))
        for place, session in enumerate(sessions):
            self._send_off(session, left_s - place * spacing_s, is_due=True)

    def _send_off(self, session: SessionRecord, delay_s: float, *, is_due: bool = False) -> None:
        """Order a session to depart between two turns, from `delay_s` on.

        With `is_due` it does not wait for the end of a turn.
        """
        assert self._exit is not None  # noqa: S101 - the caller looked
        depart = lifecycle.Depart(self._exit, is_due=is_due)
        self._dispatcher.call_later(delay_s, lambda: session.tell(session.client, depart))
