"""The restart policy: what becomes of a session whose upstream was lost. Pure: a table, and the arithmetic round it.

Rows are tried from the top. `docs/never-stuck.md` tells a user what they mean.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from actors.connections.close_codes import CloseCode


class LossKind(enum.Enum):
    """How an upstream was lost."""

    CLOSED = "closed"
    """A close frame, with whatever code; the peer began, or the socket ended without one (1006)."""
    NOT_DIALLED = "not dialled"
    """DNS, TCP, TLS, the handshake, or a time-out of them."""
    HTTP = "refused by HTTP"
    """The upgrade was answered with another status than 101."""
    SILENT = "silent"
    """A deadline ran out, or a ping was not answered."""
    MALFORMED = "malformed"
    """It sent something that is none of its protocol."""
    FAILED = "failed"
    """Our own side of its leg broke."""
    REFUSED = "refused"
    """It said in its own protocol that it will not, or cannot, serve us any more."""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about one loss. `cause` is a word for logs and error codes."""

    kind: LossKind
    code: int | None = None
    """Close code or HTTP status."""
    reason: str = ""
    cause: str = ""
    is_fatal: bool = False
    """Another try would meet the same answer: credential, quota, configuration."""

    def __str__(self) -> str:
        return " ".join(str(fact) for fact in (self.cause, self.code, self.reason) if fact)


class Decision(enum.Enum):
    """What is done about it."""

    RESTART = "restart"
    """Dial again, the first upstream first."""
    RESTART_ELSEWHERE = "restart elsewhere"
    """Dial the next upstream, or the only one again."""
    LEAVE = "leave"
    """Dial the next upstream; where there is no other, tear down."""
    TEAR_DOWN = "tear down"
    """End the session with an error."""


HTTP_UNAUTHORIZED: Final = (401, 403)
HTTP_TOO_MANY: Final = 429
HTTP_SERVER: Final = 500


def _is_http(loss: Loss) -> bool:
    return loss.kind is LossKind.HTTP


def _is_capacity(status: int) -> bool:
    return status == HTTP_TOO_MANY or status >= HTTP_SERVER


POLICY: Final = (
    ("the upstream refuses for good", lambda loss: loss.is_fatal, Decision.LEAVE),
    ("HTTP 401, 403", lambda loss: _is_http(loss) and loss.code in HTTP_UNAUTHORIZED, Decision.LEAVE),
    ("HTTP 429, 5xx", lambda loss: _is_http(loss) and _is_capacity(loss.code or 0), Decision.RESTART_ELSEWHERE),
    ("any other HTTP status", _is_http, Decision.RESTART_ELSEWHERE),
    ("it cannot be dialled", lambda loss: loss.kind is LossKind.NOT_DIALLED, Decision.RESTART_ELSEWHERE),
    ("close 1013: try again later", lambda loss: loss.code == CloseCode.TRY_AGAIN_LATER, Decision.RESTART_ELSEWHERE),
    ("any other close, a reset, silence, a malformed frame, our own failure", lambda _loss: True, Decision.RESTART),
)

BACK_OFF_S: Final = (0.0, 0.5, 1.0)
"""Before the first, second, and every further restart in a row."""

JITTER: Final = 0.2
"""Of the back-off, up or down: sessions that were lost together should not come back together."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, where and when."""

    decision: Decision
    position: int = 0
    """Of the upstream to dial, in the configured list."""
    delay_s: float = 0.0


class History(msgspec.Struct, kw_only=True):
    """What the policy remembers of one session."""

    restarts_in_a_row: int = 0
    """Since the last completed turn."""
    restarts: int = 0
    position: int = 0
    refused: set[int] = msgspec.field(default_factory=set)
    """Positions that refused us for good."""

    def turn_completed(self) -> None:
        """Refill the budget."""
        self.restarts_in_a_row = 0


def policy_of(loss: Loss) -> Decision:
    """The row that a loss falls into."""
    return next(decision for _, applies, decision in POLICY if applies(loss))


def decide(loss: Loss, history: History, *, restarts: int, upstreams: int, is_draining: bool, jitter: float) -> Verdict:
    """Decide, and remember the decision in `history`. `jitter` is a random number from -1 to 1."""
    decision = policy_of(loss)
    if decision is Decision.LEAVE:
        history.refused.add(history.position)
    position = _position(decision, history, upstreams)
    if is_draining or history.restarts_in_a_row >= restarts or position is None:
        return Verdict(decision=Decision.TEAR_DOWN, position=history.position)
    delay_s = BACK_OFF_S[min(history.restarts_in_a_row, len(BACK_OFF_S) - 1)]
    history.restarts_in_a_row += 1
    history.restarts += 1
    history.position = position
    return Verdict(decision=decision, position=position, delay_s=delay_s * (1 + JITTER * jitter))


def _position(decision: Decision, history: History, upstreams: int) -> int | None:
    """Where to dial: the first again, or the next that has not refused us for good."""
    start = 0 if decision is Decision.RESTART else history.position + 1
    around = ((start + step) % upstreams for step in range(upstreams))
    return next((position for position in around if position not in history.refused), None)
