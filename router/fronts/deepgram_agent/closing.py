"""The end of a relayed session: limits, drain, errors. Pure."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from actors import messages as engine
from router import closes
from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.fronts.call_limits import CallLimits, Wire
from router.fronts.deepgram_agent import endings
from router.session.handlers import limits

if TYPE_CHECKING:
    from router.fronts.deepgram_agent.reporting import Reporter
    from router.session.options import SessionOptions
    from router.session.state.limited import Limit, Limited
    from router.translation.errors import FinalError

Commands = Iterator[engine.Command]

SETTINGS_TIMER: Final = "deepgram.settings"
DRAIN_TIMER: Final = "deepgram.drain"
PLAYBACK_TIMER: Final = "deepgram.playback"
"""The wait until the caller has heard the last answer, because clients stop playing when their socket closes."""


class Closing:
    """The end of one session. A drain or a limit ends the session between two turns, or when its time is over."""

    def __init__(
        self,
        options: SessionOptions,
        reporter: Reporter,
        is_in_turn: Callable[[], bool],
        speak: Callable[[str], Commands],
    ) -> None:
        self._settings_s = options.deadlines.settings_s
        self._reporter = reporter
        self._is_in_turn = is_in_turn
        self.limits = CallLimits(options, Wire(is_in_turn, self._warn_of_limit, self._end_at_limit, speak))
        self._drain_until_s = math.inf
        self._stays_idle = False
        self._heard_at_s = 0.0
        """The time for which the playback timer was last started: the end of the playback, on the session's clock."""
        self.has_ended = False
        self._ending: tuple[int, str, float] | None = None
        """The close code, the reason and the time to read of a session that has ended."""

    def begin(self, now_s: float) -> Commands:
        """Start the clocks of a session whose client is connected."""
        yield engine.StartTimer(SETTINGS_TIMER, self._settings_s)
        yield from self.limits.begin(now_s)

    def resume(self, limited: Limited, now_s: float, *, has_settings: bool) -> Commands:
        """Continue the clocks of a call that another backend began. Without `has_settings` await the Settings, too."""
        if not has_settings:
            yield engine.StartTimer(SETTINGS_TIMER, self._settings_s)
        yield from self.limits.resume(limited, now_s)

    def adopt(self, now_s: float, *, has_settings: bool) -> Commands:
        """Continue the clocks of a session that another process carried. Forget the drain of that process.

        Without `has_settings` await the Settings, too.
        """
        self._drain_until_s, self._stays_idle, self._heard_at_s = math.inf, False, 0.0
        if not has_settings:
            yield engine.StartTimer(SETTINGS_TIMER, self._settings_s)
        yield from self.limits.adopt(now_s)

    def settle(self, now_s: float) -> Commands:
        """End a session that is between two turns, if a limit or a drain requires the end.

        The relay calls this after each input.
        """
        if not self.has_ended:
            yield from self.limits.settle(now_s)
        is_drained = self._drain_until_s < math.inf and not self._stays_idle and not self._is_in_turn()
        if is_drained and not self.has_ended:
            yield from self._end_drained(now_s)

    def is_own(self, fired: engine.TimerFired) -> bool:
        """Whether a timer is one of this class. The relay hands such a timer to `fire`."""
        return fired.name in _DUE or self.limits.is_own(fired)

    def fire(self, fired: engine.TimerFired, now_s: float) -> Commands:
        """Take a timer for which `is_own` is true."""
        if self.limits.is_own(fired):
            yield from self.limits.fire(fired, now_s)
        else:
            yield from _DUE[fired.name](self)

    def drain(self, drain: engine.DrainBegan, now_s: float) -> Commands:
        """Limit the session's remaining time, and warn the client at the first drain.

        A second drain may shorten that time. With `keeps_idle` a session without a turn stays until the next drain, or
        the end of that time.
        """
        self._stays_idle = drain.keeps_idle
        if self._drain_until_s == math.inf:
            description = "the server is going away: the turn in progress is finished, then connect again"
            yield to_client(deepgram.Warning(description=description, code=endings.GOING_AWAY))
        self._drain_until_s = min(self._drain_until_s, now_s + drain.deadline_s)
        yield engine.StartTimer(DRAIN_TIMER, max(0.0, self._drain_until_s - now_s))

    def overflow(self, overflowed: engine.ClientOverflowed) -> Commands:
        """End the session of a client that does not read."""
        yield engine.Log(logging.WARNING, f"the client does not read: {overflowed.dropped_bytes} bytes dropped")
        yield from self.fail(endings.TOO_SLOW)

    def fail(self, last: FinalError) -> Commands:
        """Send the last error, and end the session."""
        yield from self._reporter.fail(last.error)
        yield to_client(last.error)
        yield from self.end(last.close_code, last.close_reason)

    def end(self, code: int = closes.HUNG_UP.code, reason: str = "", linger_s: float = 0.0) -> Commands:
        """End the session of a client that has got the reason already, or is gone.

        `linger_s` is the time that the client has for reading its backlog.
        """
        self.has_ended = True
        self._ending = int(code), reason, linger_s
        yield from self._reporter.end()
        yield engine.EndSession(code, reason, linger_s)

    def end_again(self) -> Commands:
        """End a session that had ended in another process, in the same way."""
        yield engine.EndSession(*self._ending or (closes.HUNG_UP.code, "", 0.0))

    def _warn_of_limit(self, limit: Limit) -> Commands:
        yield to_client(deepgram.Warning(description=limit.warning, code=limit.code))

    def _end_at_limit(self, limit: Limit) -> Commands:
        yield from self.fail(limits.final_error(limit.code))

    def _end_drained(self, now_s: float) -> Commands:
        playback = self.limits.playback
        if playback.ahead_s(now_s) <= 0:
            # The client knows the reason. It may take the rest of the time to read its backlog.
            linger_s = max(0.0, self._drain_until_s - now_s)
            yield from self.end(closes.DRAINED.code, closes.DRAINED.reason, linger_s)
        elif self._heard_at_s != playback.ends_s:
            self._heard_at_s = playback.ends_s
            yield engine.StartTimer(PLAYBACK_TIMER, playback.ahead_s(now_s))

    def _settings_missed(self) -> Commands:
        yield from self.fail(endings.NO_SETTINGS)

    def _drain_missed(self) -> Commands:
        yield from self.fail(endings.DRAINED)

    def _heard(self) -> Commands:
        self._heard_at_s = 0.0
        yield from ()  # `settle` ends the session


def to_client(message: deepgram.ServerMessage) -> engine.Command:
    """Return the command that sends the client a message that the router itself made."""
    return engine.SendToClient(codec.encode(message))


_DUE: Final[dict[str, Callable[[Closing], Commands]]] = {
    SETTINGS_TIMER: Closing._settings_missed,  # noqa: SLF001 - the table of this class
    DRAIN_TIMER: Closing._drain_missed,  # noqa: SLF001
    PLAYBACK_TIMER: Closing._heard,  # noqa: SLF001
}
"""The timers of this class, and the handler of each. `CallLimits` has its own."""
