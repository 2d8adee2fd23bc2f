"""The use of a session's limits, and the steps that follow from it.

The limits are on time, silence, turns, tokens and money. The sessions of the router and the relays of other upstreams
(`router.fronts.call_limits`) take the same steps.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from router.session.state.queues import EMPTY
from router.usage.tokens import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.session.options import SessionOptions
    from router.session.reports import Usage


WARNED_AT: Final = 0.8
"""The fraction of a limit at which the client is warned."""

GRACE_S: Final = 120.0
"""The longest time by which a turn in progress may exceed a limit. Otherwise a caller could keep the turn open."""


class Limit(NamedTuple):
    """A limit, and the sentences for a client that reaches it."""

    code: str
    """The code of the warning and of the error."""
    warning: str
    error: str


CALL: Final = Limit(
    code="MAX_CALL_LENGTH",
    warning="the call is close to its longest length",
    error="the call has reached its longest length",
)
SILENCE: Final = Limit(
    code="MAX_SILENCE",
    warning="the call ends soon, because there was no speech and no message for a long time",
    error="the call ends, because there was no speech and no message for a long time",
)
TOKENS: Final = Limit(
    code="MAX_TOKENS",
    warning="the call has used most of its tokens",
    error="the call has used all of its tokens",
)
COST: Final = Limit(
    code="MAX_COST",
    warning="the call has used most of its budget",
    error="the call has used all of its budget",
)

TURNS: Final = Limit(
    code="MAX_TURNS",
    warning="the call is close to its largest number of turns",
    error="the call has reached its largest number of turns",
)
TOKENS_TODAY: Final = Limit(
    code="MAX_TOKENS_PER_DAY",
    warning="this client has used most of its tokens of today",
    error="this client has used all of its tokens of today",
)
COST_TODAY: Final = Limit(
    code="MAX_COST_PER_DAY",
    warning="this client has used most of its budget of today",
    error="this client has used all of its budget of today",
)
TURNS_TODAY: Final = Limit(
    code="MAX_TURNS_PER_DAY",
    warning="this client is close to its largest number of turns of today",
    error="this client has reached its largest number of turns of today",
)

SPENT: Final = frozenset(limit.code for limit in (TOKENS, COST, TURNS, TOKENS_TODAY, COST_TODAY, TURNS_TODAY))
"""The codes of the limits of which each turn uses more. No turn begins after the turn that reaches one of them."""

BY_CODE: Final = {
    limit.code: limit for limit in (CALL, SILENCE, TOKENS, COST, TURNS, TOKENS_TODAY, COST_TODAY, TURNS_TODAY)
}

MIN_IDLE_S: Final = 5.0
"""The shortest silence that a client may choose as the end of its session."""

IDLE_GRACE_S: Final = 2.0
"""The time that the session adds to the silence that a client chose.

The React component closes by itself after that silence, and the session must not close first.
"""

QUESTION_S: Final = 15.0
"""The longest time by which the call's end is delayed for the question that the agent asks a silent user."""

_POLL_S: Final = 1.0


class Act(enum.Enum):
    """The action that a step demands."""

    WAIT = "wait"
    WARN = "warn"
    END = "end"


class Step(NamedTuple):
    """A step towards the end of a call."""

    act: Act
    limit: Limit
    again_s: float = 0.0
    """The seconds to the next check of the limit. They have no meaning with `END`."""


class Spending:
    """The tokens, dollars and answers of one session, and the sums of its client's sessions since midnight (UTC)."""

    __slots__ = ("_limits", "_prices", "_spend_today", "cost_usd", "is_changed", "today", "tokens", "turns")

    def __init__(self, options: SessionOptions) -> None:
        self._limits = options.limits
        self._prices = options.price_table
        self._spend_today = options.spend_today
        self.tokens = 0
        self.cost_usd = 0.0
        self.turns = 0
        """The answers of the agent to its user."""
        self.today: tuple[int, float, int] = (0, 0.0, 0)
        """The tokens, dollars and answers of all sessions of the client today, as this session last saw them."""
        self.is_changed = False
        """Whether usage was added since the last comparison with the limits."""

    def add(self, usage: Usage) -> None:
        """Add the usage of a response or a transcript."""
        price = self._prices.find(usage.model) if self._prices is not None else None
        cost_usd = price.cost_usd(measure(usage.details)) if price is not None else 0.0
        self.tokens += usage.total_tokens
        self.cost_usd += cost_usd
        if self._spend_today is not None:
            self.today = self._spend_today(usage.total_tokens, cost_usd, 0)
        self.is_changed = self.is_limited

    def add_turn(self) -> None:
        """Count an answer of the agent."""
        self.turns += 1
        if self._spend_today is not None:
            self.today = self._spend_today(0, 0.0, 1)
        self.is_changed = self.is_limited

    @property
    def is_limited(self) -> bool:
        """Whether tokens, dollars or answers have a limit."""
        limits = self._limits
        return bool(limits.max_tokens or limits.max_cost_usd or limits.max_turns or self._spend_today)

    def shares(self) -> Iterator[tuple[Limit, float]]:
        """Yield each limit with the fraction of it that is used."""
        limits = self._limits
        used = (
            (TOKENS, self.tokens, limits.max_tokens),
            (COST, self.cost_usd, limits.max_cost_usd),
            (TURNS, self.turns, limits.max_turns),
            (TOKENS_TODAY, self.today[0], limits.max_tokens_per_day),
            (COST_TODAY, self.today[1], limits.max_cost_usd_per_day),
            (TURNS_TODAY, self.today[2], limits.max_turns_per_day),
        )
        return ((limit, spent / most) for limit, spent, most in used if most)


class Limited:
    """The use of one session's limits, and the warnings that its client got."""

    __slots__ = (
        "_has_user",
        "_heard_s",
        "_idle_s",
        "_limits",
        "active_s",
        "began_s",
        "has_asked",
        "is_over",
        "reached",
        "spending",
        "warned_of",
    )

    def __init__(self, options: SessionOptions) -> None:
        self._limits = options.limits
        self._idle_s = math.inf
        self._has_user = False
        self._heard_s = -math.inf
        self.began_s = 0.0
        """The time at which the client was connected."""
        self.active_s = 0.0
        """The time of the last speech or message; see `transitions.ACTIVITY`."""
        self.has_asked = False
        """Whether the agent has asked the silent user a question by itself. The question does not end the silence."""
        self.spending = Spending(options)
        self.warned_of: frozenset[str] = EMPTY
        """The codes of the limits that the client was warned of."""
        self.reached: str | None = None
        """The code of the limit that ends the session."""
        self.is_over = False
        """Whether the turn that reached a limit of `SPENT` has ended, or was interrupted by the user.

        A further turn ends the session at once.
        """

    def note_user(self, now_s: float) -> None:
        """Record speech of the user, or a message that requests something."""
        self.active_s, self._has_user, self.has_asked = now_s, True, False

    def note_turn(self, now_s: float) -> None:
        """Record that the user begins a turn, which interrupts the agent's turn."""
        self.note_user(now_s)
        self.note_rest()

    def note_agent(self, now_s: float) -> None:
        """Record that the agent speaks."""
        if not self.has_asked:
            self.active_s = now_s

    def note_question(self, _now_s: float) -> None:
        """Record that the agent asks the silent user a question by itself."""
        self.has_asked = True

    def note_rest(self) -> None:
        """Record that no turn is in progress.

        After a limit of tokens, money or turns was reached, no further turn may begin.
        """
        self.is_over = self.reached in SPENT

    def choose_idle(self, idle_s: float) -> Step:
        """Take the longest silence that the client requests, and return the next step for the silence.

        The silence counts only after the user's first activity.
        """
        self._idle_s = max(MIN_IDLE_S, idle_s) + IDLE_GRACE_S
        longest_s = self._limits.max_silence_s or math.inf
        return Step(Act.WAIT, SILENCE, min(self._idle_s, longest_s * WARNED_AT))

    def begin(self, now_s: float) -> Iterator[Step]:
        """Record the start of a call. Return the first step of each time limit."""
        self.began_s = self.active_s = now_s
        for limit, length_s in ((CALL, self._limits.max_call_s), (SILENCE, self._limits.max_silence_s)):
            if length_s:
                yield Step(Act.WAIT, limit, length_s * WARNED_AT)

    def resume(self, now_s: float) -> Iterator[Step]:
        """Return the next step of each time limit, for a call that another machine began."""
        if self._limits.max_call_s:
            share = 1.0 if CALL.code in self.warned_of else WARNED_AT
            yield Step(Act.WAIT, CALL, max(0.0, self._limits.max_call_s * share - (now_s - self.began_s)))
        longest_s = min(self._limits.max_silence_s or math.inf, self._idle_s)
        if longest_s < math.inf:
            yield Step(Act.WAIT, SILENCE, max(0.0, longest_s * WARNED_AT - (now_s - self.active_s)))

    def of_call(self, now_s: float) -> Step:
        """Return the next step for the call's length. This is called at the time that the previous step named."""
        left_s = max(0.0, self._limits.max_call_s - (now_s - self.began_s))
        return Step(Act.END if CALL.code in self.warned_of else Act.WARN, CALL, left_s)

    def of_silence(self, now_s: float, *, is_busy: bool, heard_at_s: float) -> Step:
        """Return the next step for the silence. The inputs of `transitions.ACTIVITY` begin a new silence.

        `is_busy` is true if a turn is in progress, or if the caller still hears audio. `heard_at_s` is the time at
        which the caller has heard all audio.
        """
        audible_s = max(0.0, heard_at_s - now_s)
        operator_s = self._limits.max_silence_s or math.inf
        idle_s = self._idle_s if self._has_user else math.inf
        longest_s = min(operator_s, idle_s)
        if longest_s == math.inf:
            return Step(Act.WAIT, SILENCE, self._idle_s)
        if not self.has_asked:
            # The caller may have heard an answer between two steps, long after it was sent.
            self.active_s = now_s + audible_s if is_busy else max(self.active_s, min(heard_at_s, now_s))
        quiet_s = now_s - self.active_s
        if is_busy and self.has_asked and quiet_s < longest_s + QUESTION_S:
            self._heard_s = now_s + audible_s
            return Step(Act.WAIT, SILENCE, max(audible_s, _POLL_S))
        # A client that chose the length of the silence itself needs no warning.
        warned_s = longest_s * WARNED_AT if operator_s <= idle_s else longest_s
        if quiet_s < warned_s:
            self.warned_of = self.warned_of - {SILENCE.code} or EMPTY
            return Step(Act.WAIT, SILENCE, warned_s - quiet_s)
        if quiet_s < longest_s:
            return Step(Act.WARN, SILENCE, longest_s - quiet_s)
        answer_s = longest_s * (1 - WARNED_AT) - (now_s - self._heard_s)
        if self.has_asked and answer_s > 0 and quiet_s < longest_s + QUESTION_S:
            return Step(Act.WAIT, SILENCE, answer_s)
        return Step(Act.END, SILENCE)

    def of_spending(self) -> Iterator[Step]:
        """Return the steps that follow from the used tokens, money and turns.

        A limit that the client was warned of causes no second warning.
        """
        if not self.spending.is_changed or self.reached is not None:
            return
        is_due = False
        for limit, share in self.spending.shares():
            if share >= 1.0:
                yield Step(Act.END, limit)
                return
            if share >= WARNED_AT and limit.code not in self.warned_of:
                is_due = True
                yield Step(Act.WARN, limit)
        self.spending.is_changed = is_due
