"""The states of the session's tables, and KEEP."""

from __future__ import annotations

import enum
from typing import Final, Literal


class StandbyState(enum.Enum):
    """How far the upstream is that will follow the one in use."""

    NONE = "none"
    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    SEEDED = "seeded"
    """Configured, and told the ledger: it can be plugged in between turns."""


class Lifecycle(enum.Enum):
    """How far a session has come."""

    AWAITING_SETTINGS = "awaiting Settings"
    CONNECTING = "connecting"
    """The upstream is dialled, or has not sent session.created."""
    CONFIGURING = "configuring"
    """session.update is out, session.updated is not in."""
    READY = "ready"
    ENDED = "ended"
    """The client has been told to close, or is gone."""


class _Keep(enum.Enum):
    KEEP = enum.auto()


KEEP: Final = _Keep.KEEP

Keep = Literal[_Keep.KEEP]


class ResponseState(enum.Enum):
    """Whether the upstream is answering."""

    NONE = "none"
    REQUESTED = "requested"
    """response.create is out, response.created is not in."""
    ACTIVE = "active"
