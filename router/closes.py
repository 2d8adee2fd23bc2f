"""Every close of a client's connection: code, reason, labels of the metric, and whether to come back. Pure.

An `Error` that ends a session has a row for its code. `docs/operations.md` has this table in the form that `table`
returns.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from actors.connections import close_codes
from actors.connections.close_codes import CloseCode


class ComeBack(enum.Enum):
    """Whether a client should connect again."""

    NO = "no"
    """The client should stay away, because the next session would end alike, or the end was on purpose."""
    AT_ONCE = "at once"
    """The client should connect again at once, because another process serves it."""
    LATER = "later"
    """The client should connect again after a back-off, because the cause may last."""


class End(enum.StrEnum):
    """The values of the label `end` in `switchboard_sessions_total`."""

    CLIENT = "client"
    CLIENT_LOST = "client lost"
    DRAINED = "drained"
    FAILED = "failed"
    CRASHED = "crashed"
    CLOSED = "closed"


class Close(NamedTuple):
    """One row of the table of closes."""

    code: CloseCode
    reason: str
    """The reason in the close frame; `…` if the reason depends on the occasion."""
    comes_back: ComeBack
    end: End
    label: str
    """The value of the label `code` in `switchboard_sessions_total`."""


def _error(code: str, close_code: CloseCode, comes_back: ComeBack, end: End = End.FAILED) -> Close:
    return Close(close_code, code, comes_back, end, code)


def _refused(code: str) -> Close:
    return _error(code, CloseCode.NORMAL_CLOSURE, ComeBack.NO)


def _unavailable(code: str) -> Close:
    return _error(code, CloseCode.INTERNAL_ERROR, ComeBack.LATER)


def _violation(code: CloseCode) -> Close:
    return Close(code, "…", ComeBack.NO, End.CLIENT_LOST, str(int(code)))


FATAL: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "account_deactivated",
        "invalid_api_key",
        "model_not_found",
        "invalid_model",
        "missing_model",
        "beta_api_shape_disabled",
    }
)
"""The codes of errors that a retry would meet again: of a credential, a quota or the configuration (upstream 8.3)."""

LIMITS: Final = (
    "MAX_CALL_LENGTH",
    "MAX_SILENCE",
    "MAX_TOKENS",
    "MAX_COST",
    "MAX_TURNS",
    "MAX_TOKENS_PER_DAY",
    "MAX_COST_PER_DAY",
    "MAX_TURNS_PER_DAY",
)
"""The codes of the limits of a call."""

OTHER_CODE: Final = "another code of the upstream"

ERRORS: Final[dict[str, Close]] = {
    row.reason: row
    for row in (
        _error("SERVER_GOING_AWAY", CloseCode.SERVICE_RESTART, ComeBack.AT_ONCE, End.DRAINED),
        _refused("SESSION_ENDED"),
        _refused("CLIENT_MESSAGE_TIMEOUT"),
        *(_refused(code) for code in LIMITS),
        _error("CLIENT_TOO_SLOW", CloseCode.POLICY_VIOLATION, ComeBack.LATER),
        _refused("UPSTREAM_UNAUTHORIZED"),
        _unavailable("UPSTREAM_UNAVAILABLE"),
        _unavailable("UPSTREAM_CLOSED"),
        _unavailable("UPSTREAM_TIMEOUT"),
        _unavailable("UPSTREAM_PROTOCOL_ERROR"),
        _unavailable("INTERNAL_SERVER_ERROR"),
        _unavailable("SESSION_LOST"),
        *(_refused(code) for code in sorted(FATAL)),
        _unavailable(OTHER_CODE),
    )
}
"""The closes after an `Error`, by its code."""

DRAINED: Final = Close(CloseCode.SERVICE_RESTART, "SERVER_GOING_AWAY", ComeBack.AT_ONCE, End.DRAINED, "1012")
"""The end of a drained session that has no turn in progress. Its client gets the reason in a `Warning`."""
DRAINED_OPENAI: Final = DRAINED._replace(reason="the server restarts")
"""The end of a drained session, for a client of OpenAI Realtime."""
HUNG_UP: Final = Close(CloseCode.NORMAL_CLOSURE, "", ComeBack.NO, End.CLIENT, "1000")
"""The answer to a client that closes the call."""
STREAM_ENDED: Final = HUNG_UP._replace(end=End.CLOSED)
"""The end of a transcription after its last words."""
SETTINGS_REFUSED: Final = Close(CloseCode.NORMAL_CLOSURE, "…", ComeBack.NO, End.FAILED, OTHER_CODE)
"""The end of a session whose Settings the upstream refused. The reason is the upstream's code."""
CALL_REFUSED: Final = Close(CloseCode.POLICY_VIOLATION, "…", ComeBack.NO, End.CLOSED, "1008")
"""The end of a telephone call that no agent can take."""
CRASHED: Final = Close(*close_codes.CRASHED, ComeBack.LATER, End.CRASHED, "INTERNAL_SERVER_ERROR")
SERVER_BUSY: Final = Close(*close_codes.SERVER_BUSY, ComeBack.LATER, End.CLOSED, "1013")

CLOSES: Final[dict[str, Close]] = {
    "the client closes the call": HUNG_UP,
    "the last words of a transcription": STREAM_ENDED,
    "a drain, between two turns": DRAINED,
    "the same on `/v1/realtime`": DRAINED_OPENAI,
    "a drain, on a client that connects meanwhile": Close(
        *close_codes.GOING_AWAY, ComeBack.AT_ONCE, End.CLOSED, "not counted"
    ),
    "a session's part fails": CRASHED,
    "too much memory is in use": SERVER_BUSY,
    "the upstream refuses the Settings": SETTINGS_REFUSED,
    "no agent takes the telephone call": CALL_REFUSED,
    "the client breaks WebSocket's rules": _violation(CloseCode.PROTOCOL_ERROR),
    "a text is not UTF-8": _violation(CloseCode.INVALID_DATA),
    "a message is too long": _violation(CloseCode.MESSAGE_TOO_BIG),
    **{f"`Error` `{code}`" if code != OTHER_CODE else f"`Error` with {code}": row for code, row in ERRORS.items()},
}
"""Every close, by its occasion."""


def of_error(code: str) -> Close:
    """Return the row of the table for a close after an `Error` with this code."""
    return ERRORS.get(code, ERRORS[OTHER_CODE])


def for_openai(code: int) -> int:
    """Return the close code for a client of OpenAI Realtime, in place of the code for a client of Deepgram's protocol.

    A close with 1011 becomes 1013, because the upstream is at fault, and another attempt may succeed.
    """
    return CloseCode.TRY_AGAIN_LATER if code == CloseCode.INTERNAL_ERROR else code


def table() -> str:
    """Return the table of all closes as Markdown."""
    rows = [
        f"| {occasion} | {int(it.code)} | {_shown(it)} | {it.comes_back.value} | `{it.end}` | {_label(it)} |"
        for occasion, it in CLOSES.items()
    ]
    head = "| occasion | code | reason | come back? | `end` | `code` of the metric |\n|---|---|---|---|---|---|"
    return "\n".join([head, *rows])


def _shown(close: Close) -> str:
    if close.reason in ("…", OTHER_CODE):
        return "…"
    return f"`{close.reason}`" if close.reason else ""


def _label(close: Close) -> str:
    return close.label if " " in close.label else f"`{close.label}`"
