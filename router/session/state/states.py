"""The states of the session's tables."""

from __future__ import annotations

import enum


class Lifecycle(enum.Enum):
    """The stages of a session."""

    AWAITING_SETTINGS = "awaiting Settings"
    CONNECTING = "connecting"
    """The upstream is dialled, or has not sent session.created."""
    CONFIGURING = "configuring"
    """session.update is sent; session.updated has not arrived."""
    READY = "ready"
    ENDED = "ended"
    """The session has commanded its end, or the client is gone."""


class ResponseState(enum.Enum):
    """The stages of a response. An upstream has one active response at a time (upstream 5.1)."""

    NONE = "none"
    REQUESTED = "requested"
    """response.create is sent; response.created has not arrived."""
    ACTIVE = "active"


class StandbyState(enum.Enum):
    """The stages of the upstream that will follow the one in use."""

    NONE = "none"
    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    SEEDED = "seeded"
    """It is configured and has the ledger: the session can switch over to it between turns."""
