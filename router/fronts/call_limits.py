"""The limits of one call for a relay: a machine that passes its upstream's protocol on, without a session machine.

A relay owns a `CallLimits`, and calls it after each input. The steps are those of a session
(`router.session.state.limited`): a warning at 80 % of a limit, and at the limit an end between two turns. The relay's
`Wire` makes the warning and the end in its own protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from actors import messages as engine
from router.session.state.limited import BY_CODE, CALL, GRACE_S, SILENCE, Act, Limit, Limited, Step

if TYPE_CHECKING:
    from router.session.options import SessionOptions
    from router.session.reports import Usage

Commands = Iterable[engine.Command]

CALL_TIMER: Final = "limits.call"
SILENCE_TIMER: Final = "limits.silence"
GRACE_TIMER: Final = "limits.grace"
"""The longest wait, after a limit was reached, for the end of the turn in progress."""
PLAYBACK_TIMER: Final = "limits.playback"
"""The wait until the caller has heard the last answer, because clients stop playing when their socket closes."""

_TIMERS: Final = {CALL: CALL_TIMER, SILENCE: SILENCE_TIMER}
"""The limits on time, and the timer of each."""


class Playback:
    """The estimated playback of the agent's audio, which the client gets faster than the caller hears it."""

    __slots__ = ("ends_s",)

    def __init__(self) -> None:
        self.ends_s = 0.0
        """The time at which the caller will have heard all audio that was sent."""

    def play(self, duration_s: float, now_s: float) -> None:
        """Record that the client was sent audio of this duration."""
        self.ends_s = max(self.ends_s, now_s) + duration_s

    def stop(self) -> None:
        """Record that the client drops the audio that it has not played, because the user interrupted the agent."""
        self.ends_s = 0.0

    def ahead_s(self, now_s: float) -> float:
        """Return the duration of sent audio that the caller has not heard yet."""
        return max(0.0, self.ends_s - now_s)


def _say_nothing(_text: str) -> Commands:
    return ()


class Wire(NamedTuple):
    """The functions of a relay that the limits of its call use."""

    is_in_turn: Callable[[], bool]
    """The function that returns whether the user speaks, a question is open, or the agent answers."""

    warn: Callable[[Limit], Commands]
    """The function that returns the commands that warn the client of a limit."""
    end: Callable[[Limit], Commands]
    """The function that returns the commands that end the session: an error of this wire, and a close.

    The close code does not invite the client to call again.
    """
    speak: Callable[[str], Commands] = _say_nothing
    """The function that returns the commands by which the agent says a configured text.

    It returns none if the wire has no agent, or if the agent cannot speak at the moment.
    """


class CallLimits:
    """The limits of one relayed call.

    Each use of `mark_active`, and each turn in progress, ends a silence. So a relay calls `mark_active` for neither
    microphone audio nor KeepAlive.
    """

    def __init__(self, options: SessionOptions, wire: Wire) -> None:
        self.limited = Limited(options)
        """The amounts of the call that count towards its limits, and the warnings that the client got."""
        self._limits = options.limits
        self._wire = wire
        self.playback = Playback()
        self._heard_at_s = 0.0
        """The time for which the playback timer was last started: the end of the playback, on the session's clock."""
        self._is_over = False

    # From the relay.

    def begin(self, now_s: float) -> Iterator[engine.Command]:
        """Start the clocks of a call, when its client is connected."""
        for step in self.limited.begin(now_s):
            yield from self._take(step)

    def resume(self, limited: Limited, now_s: float) -> Iterator[engine.Command]:
        """Continue the clocks of a call that another machine began. `limited` has the amounts that count so far."""
        self.limited = limited
        for step in limited.resume(now_s):
            yield from self._take(step)

    def adopt(self, now_s: float) -> Iterator[engine.Command]:
        """Start the timers again for a call that another process carried."""
        self._heard_at_s = 0.0
        yield from self.resume(self.limited, now_s)
        if self.limited.reached is not None:
            yield engine.StartTimer(GRACE_TIMER, GRACE_S)

    def mark_active(self, now_s: float, *, is_agent: bool = False) -> None:
        """Record speech of the user, or a message that requests something; with `is_agent` speech of the agent."""
        if is_agent:
            self.limited.note_agent(now_s)
        else:
            self.limited.note_user(now_s)

    def mark_interrupted(self, now_s: float) -> None:
        """Record that the user begins to speak. After a limit of tokens, money or turns this ends the call."""
        self.limited.note_turn(now_s)

    def add_usage(self, usage: Usage) -> None:
        """Add the usage that the upstream reported. The next `settle` compares the new sum with the limits."""
        self.limited.spending.add(usage)

    def add_turn(self) -> None:
        """Count an answer of the agent. The next `settle` compares the new count with the limits."""
        self.limited.spending.add_turn()

    def is_own(self, fired: engine.TimerFired) -> bool:
        """Whether a timer belongs to the limits. The relay hands such a timer to `fire`."""
        return fired.name in _DUE

    def fire(self, fired: engine.TimerFired, now_s: float) -> Iterator[engine.Command]:
        """Take a timer of the limits. The relay calls `settle` afterwards, as after every input."""
        if not self._is_over:
            yield from _DUE[fired.name](self, now_s)

    def settle(self, now_s: float) -> Iterator[engine.Command]:
        """End a call that has reached a limit and is between two turns, and warn of usage close to a limit.

        After a limit of tokens, money or turns, a turn that begins later ends the call, too.

        The relay calls this after each input.
        """
        if self.limited.spending.is_changed:
            for step in tuple(self.limited.of_spending()):
                yield from self._take(step)
        if self.limited.reached is None or self._is_over:
            return
        if self._wire.is_in_turn():
            if self.limited.is_over:
                yield from self._end(now_s)
            return
        self.limited.note_rest()
        ahead_s = self.playback.ahead_s(now_s)
        if ahead_s <= 0:
            yield from self._end(now_s)
        elif self._heard_at_s != self.playback.ends_s:
            # Do not start the timer again at each microphone frame.
            self._heard_at_s = self.playback.ends_s
            yield engine.StartTimer(PLAYBACK_TIMER, ahead_s)

    # Steps.

    def _of_call(self, now_s: float) -> Iterator[engine.Command]:
        yield from self._take(self.limited.of_call(now_s))

    def _of_silence(self, now_s: float) -> Iterator[engine.Command]:
        is_busy = self._wire.is_in_turn() or self.playback.ahead_s(now_s) > 0
        yield from self._take(self.limited.of_silence(now_s, is_busy=is_busy, heard_at_s=self.playback.ends_s))

    def _take(self, step: Step) -> Iterator[engine.Command]:
        limited = self.limited
        if step.act is not Act.WAIT and step.limit.code not in limited.warned_of:
            # One report of usage may exceed a limit at once. So the client is also warned at an end, if it was not
            # warned before.
            limited.warned_of |= {step.limit.code}
            yield from self._wire.warn(step.limit)
            if step.limit is SILENCE and step.act is Act.WARN and self._limits.silence_question:
                yield from self._ask(self._limits.silence_question)
        if step.act is not Act.END:
            if step.limit in _TIMERS:
                yield engine.StartTimer(_TIMERS[step.limit], step.again_s)
        elif limited.reached is None:
            limited.reached = step.limit.code
            if step.limit is SILENCE and self._limits.silence_goodbye:
                yield from self._wire.speak(self._limits.silence_goodbye)
            yield engine.StartTimer(GRACE_TIMER, GRACE_S)

    def _ask(self, question: str) -> Iterator[engine.Command]:
        commands = tuple(self._wire.speak(question))
        if commands:
            self.limited.note_question(0.0)
        yield from commands

    def _heard(self, _now_s: float) -> Iterator[engine.Command]:
        self._heard_at_s = 0.0
        yield from ()  # `settle` ends the call

    def _end(self, _now_s: float) -> Iterator[engine.Command]:
        reached = self.limited.reached
        if reached is not None:
            self._is_over = True
            yield from self._wire.end(BY_CODE[reached])


_DUE: Final[dict[str, Callable[[CallLimits, float], Iterator[engine.Command]]]] = {
    CALL_TIMER: CallLimits._of_call,  # noqa: SLF001
    SILENCE_TIMER: CallLimits._of_silence,  # noqa: SLF001
    GRACE_TIMER: CallLimits._end,  # noqa: SLF001
    PLAYBACK_TIMER: CallLimits._heard,  # noqa: SLF001
}
"""The timers of the limits, and the handler of each."""
