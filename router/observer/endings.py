"""The end of a session: a word, a code, a cause, and the level of its log line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from actors.connections.base import Ending
from router import closes
from router.translation import errors

if TYPE_CHECKING:
    from actors import lifecycle
    from actors.connections.base import ConnectionClosed
    from router.session.reports import SessionFailed

DRAIN: Final = "SERVER_GOING_AWAY"
CRASH: Final = "INTERNAL_SERVER_ERROR"

OPERATOR: Final = errors.FATAL | {"UPSTREAM_UNAUTHORIZED", CRASH}
"""Codes of errors that only the operator can correct: a key, a quota, a model, a bug."""

NO_TLS: Final = "no TLS"
"""The cause of a dial that failed because of the upstream's certificate (`DialFailure.TLS`)."""

MAX_CAUSE_CHARS: Final = 500


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one session."""

    end: str
    """`client`, `client lost`, `drained`, `failed`, `crashed`, `moved` to another process, or `closed` by the router
    without an Error."""
    code: str
    """The code of the `Error` that ended the session, or else the close code."""
    cause: str
    level: int = logging.INFO


MOVED: Final = End(end="moved", code="moved", cause="another process continues the session")
"""The end of a session in this process, if another process continues it."""


def judge(
    ended: lifecycle.SessionEnded,
    *,
    failure: SessionFailed | None,
    crashed: str,
    closed: ConnectionClosed | None,
    last_loss: str,
) -> End:
    """Return the end of a session.

    Args:
        ended: the supervisor's report.
        failure: the `Error` with which the machine ended the session.
        crashed: the part of the session that failed because of a bug in the router; empty if none failed.
        closed: the end of the client's connection; None if the supervisor got no report of it.
        last_loss: the cause of the last loss of an upstream.
    """
    if crashed:
        return End(end="crashed", code=CRASH, cause=crashed, level=logging.ERROR)
    if failure is not None and failure.code == DRAIN:
        return End(end="drained", code=DRAIN, cause=failure.description, level=logging.WARNING)
    if failure is not None:
        is_operator_s = failure.code in OPERATOR or last_loss == NO_TLS
        level = logging.ERROR if is_operator_s else logging.WARNING
        return End(end="failed", code=failure.code, cause=failure.description[:MAX_CAUSE_CHARS], level=level)
    code = str(int(ended.code))
    if closed is not None and closed.ending is not Ending.CLOSED_BY_US:
        end = "client" if closed.ending is Ending.CLOSED_BY_PEER else "client lost"
        return End(end=end, code=code, cause=closed.reason or closed.ending.value)
    if ended.code == closes.DRAINED.code:
        return End(end="drained", code=code, cause=ended.reason)
    return End(end="closed", code=code, cause=ended.reason)
