"""The restart policy: a pure function from the loss of an upstream to a decision.

It has a table of rules, and calculates the delay and the next position. The first row that applies decides;
`docs/never-stuck.md` explains the rows to a user. The policy knows a session by its restarts alone.
"""

from __future__ import annotations

import enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from actors.connections.close_codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class LossKind(enum.Enum):
    """The way in which an upstream was lost."""

    CLOSED = "closed"
    """The upstream sent a close frame, with any code, or its socket ended without one (1006)."""
    NOT_DIALLED = "not dialled"
    """DNS, TCP, TLS or the handshake failed, or timed out."""
    HTTP = "refused by HTTP"
    """The upgrade was answered with another status than 101."""
    SILENT = "silent"
    """A deadline ran out, or a ping was not answered."""
    MALFORMED = "malformed"
    """The upstream sent a message that does not belong to its protocol."""
    FAILED = "failed"
    """The router's side of the upstream's leg failed."""
    REFUSED = "refused"
    """The upstream refused, in its own protocol, to continue the session."""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about one loss. `cause` is a word for logs and error codes."""

    kind: LossKind
    code: int | None = None
    """Close code or HTTP status."""
    reason: str = ""
    cause: str = ""
    is_fatal: bool = False
    """Whether another attempt would get the same answer, because of the credential, the quota or the configuration."""
    retry_after_s: float | None = None
    """The seconds for which the upstream asked not to be dialled; None if it named no time."""

    def __str__(self) -> str:
        return " ".join(str(fact) for fact in (self.cause, self.code, self.reason) if fact)


class Decision(enum.Enum):
    """The answer to a loss."""

    RESTART = "restart"
    """Dial again, beginning with the first upstream of the list."""
    RESTART_ELSEWHERE = "restart elsewhere"
    """Dial the next upstream; dial the same one if it is the only one, or has another key."""
    LEAVE = "leave"
    """Dial the next upstream, or the same one with another key; if neither is possible, tear down."""
    TEAR_DOWN = "tear down"
    """End the session with an error."""


UNAUTHORIZED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def _is_http(loss: Loss) -> bool:
    return loss.kind is LossKind.HTTP


POLICY: Final = (
    ("the upstream refuses for good", lambda loss: loss.is_fatal, Decision.LEAVE),
    ("HTTP 401, 403", lambda loss: _is_http(loss) and loss.code in UNAUTHORIZED, Decision.LEAVE),
    ("any other HTTP status", _is_http, Decision.RESTART_ELSEWHERE),
    ("it cannot be dialled", lambda loss: loss.kind is LossKind.NOT_DIALLED, Decision.RESTART_ELSEWHERE),
    ("close 1013: try again later", lambda loss: loss.code == CloseCode.TRY_AGAIN_LATER, Decision.RESTART_ELSEWHERE),
    ("any other close, a reset, silence, a malformed frame, our own failure", lambda _loss: True, Decision.RESTART),
)
"""Name, condition and decision of each row."""

BACK_OFF_S: Final = (0.0, 0.5, 1.0)
"""The delays before the first, the second, and every further restart in a row."""

JITTER: Final = 0.2
"""The fraction by which a delay varies, up or down, so that sessions lost together do not return together."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, with the upstream to dial and the delay."""

    decision: Decision
    position: int = 0
    """The upstream's position in the configured list."""
    delay_s: float = 0.0


class History(msgspec.Struct, kw_only=True):
    """The restarts of one session."""

    restarts_in_a_row: int = 0
    """The restarts since the last completed turn."""
    restarts: int = 0
    position: int = 0
    """The position of the upstream that was dialled last."""
    is_chosen: bool = False
    """Whether the latest verdict chose `position`, and no dial followed yet."""
    refused: frozenset[int] = frozenset()
    """The positions of upstreams that refused the session for good."""

    def turn_completed(self) -> None:
        """Reset the restart budget: a session that answers may be restarted again."""
        self.restarts_in_a_row = 0


def policy_of(loss: Loss) -> Decision:
    """Return the decision of the first row that applies to a loss."""
    return next(decision for _, applies, decision in POLICY if applies(loss))


def _never(_position: int) -> bool:
    return False


def first_of(positions: Sequence[int], _leaving: int | None) -> int:
    """Return the first of the positions that may be dialled. The positions are in the order of preference."""
    return positions[0]


def decide(
    loss: Loss,
    history: History,
    *,
    restarts: int,
    upstreams: int,
    is_draining: bool,
    jitter: float,
    is_paused: Callable[[int], bool] = _never,
    choose: Callable[[Sequence[int], int | None], int] = first_of,
    has_other_key: bool = False,
) -> Verdict:
    """Decide how a session continues after a loss, and note a restart, or a refusal for good, in `history`.

    Args:
        loss: the loss.
        history: the restarts of the session so far.
        restarts: the restart budget.
        upstreams: the number of upstreams in the configured list.
        is_draining: whether the session ends soon.
        jitter: a random number from -1 to 1.
        is_paused: whether an operator has paused the upstream at a position.
        choose: chooses the position to dial, as `SessionSpec.choose` does.
        has_other_key: whether the lost upstream has another key, with which it may serve the session.
    """
    decision = policy_of(loss)
    if decision is Decision.LEAVE and not has_other_key:
        history.refused |= {history.position}
    leaving = None if decision is Decision.RESTART or has_other_key else history.position
    # The list is in the order of preference: a plain restart returns to the first.
    start = 0 if decision is Decision.RESTART else history.position + (leaving is not None)
    positions = positions_from(start, history, upstreams, is_paused)
    # A process that ends begins nothing new. Without a position every upstream is paused, or has refused for good.
    if is_draining or history.restarts_in_a_row >= restarts or not positions:
        return Verdict(decision=Decision.TEAR_DOWN, position=history.position)
    # The first restart has no delay, because a caller is waiting.
    delay_s = BACK_OFF_S[min(history.restarts_in_a_row, len(BACK_OFF_S) - 1)]
    history.restarts_in_a_row += 1
    history.restarts += 1
    history.position, history.is_chosen = choose(positions, leaving), True
    return Verdict(decision=decision, position=history.position, delay_s=delay_s * (1 + JITTER * jitter))


def positions_from(start: int, history: History, upstreams: int, is_paused: Callable[[int], bool]) -> list[int]:
    """Return the positions that are not paused and have not refused for good.

    The positions begin at `start` and go once around the configured list.
    """
    around = ((start + step) % upstreams for step in range(upstreams))
    return [it for it in around if it not in history.refused and not is_paused(it)]
