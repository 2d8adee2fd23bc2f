"""The states of the session's tables."""

from __future__ import annotations

import enum


class Lifecycle(enum.Enum):
    """How far the session is."""

    AWAITING_SETTINGS = "awaiting Settings"
    CONNECTING = "connecting"
    """The upstream is dialled, or has not sent session.created."""
    CONFIGURING = "configuring"
    """session.update is sent; session.updated has not arrived."""
    READY = "ready"
    ENDED = "ended"
    """The session has commanded its end, or the client is gone."""


class ResponseState(enum.Enum):
    """Whether the upstream is answering."""

    NONE = "none"
    REQUESTED = "requested"
    """response.create is sent; response.created has not arrived."""
    ACTIVE = "active"


class StandbyState(enum.Enum):
    """How far the upstream is that will follow the one in use."""

    NONE = "none"
    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    SEEDED = "seeded"
    """It is configured and has the ledger: the session can switch over to it between turns."""
