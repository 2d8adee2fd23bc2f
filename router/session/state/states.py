"""The states of the session's tables."""

from __future__ import annotations

import enum


class _Key(enum.Enum):
    """A key of tables. Its hash is that of any object, because an enum's own hash is slow Python code."""

    __hash__ = object.__hash__


class Lifecycle(_Key):
    """The states of a session, from the handshake to the end."""

    AWAITING_SETTINGS = "awaiting Settings"
    CONNECTING = "connecting"
    """The upstream is dialled, or has not sent session.created."""
    CONFIGURING = "configuring"
    """session.update is sent; session.updated has not arrived."""
    READY = "ready"
    ENDED = "ended"
    """The session has commanded its end, or the client is gone."""


class ResponseState(_Key):
    """The states of a response. An upstream has one active response at a time (upstream 5.1)."""

    NONE = "none"
    REQUESTED = "requested"
    """response.create is sent; response.created has not arrived."""
    ACTIVE = "active"


class StandbyState(_Key):
    """The states of the standby upstream."""

    NONE = "none"
    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    SEEDED = "seeded"
    """The standby upstream is configured and has the ledger: the session can switch over to it between turns."""


class UserTurnState(_Key):
    """The states of one turn of the user's (upstream 4.2)."""

    IDLE = "idle"
    """No speech is in progress. A turn of the user's begins and ends in this state."""
    SPEAKING = "speaking"
    STOPPED = "stopped"
    """The speech has ended, and is not committed."""
    COMMITTING = "committing"
    """A commit of the session's or of the client's own is on its way."""
    AWAITING_ANSWER = "awaiting answer"
    """The speech is an item, and the upstream owes an answer to it."""
