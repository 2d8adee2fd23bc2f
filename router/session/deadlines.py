"""Every wait of a session: how long, and what happens at its end.

The dial's own deadline, the pings' and the close handshake's belong to the connections; they are configured in
the same place. docs/configuration.md shows them all.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.config import Deadlines

MANUAL_COMMIT_S: Final = 0.4
"""With turn detection `manual`, so long without audio ends the user's turn."""


class Wait(enum.Enum):
    """What a session waits for. The value is the name of its timer, and of its length in `Deadlines`."""

    SESSION_CREATED = "session_created"
    """From the upstream's handshake to its first event."""
    SESSION_UPDATED = "session_updated"
    """From session.update to session.updated."""
    ITEM_ACK = "item_ack"
    """From a user's item to conversation.item.added."""
    FIRST_EVENT = "first_event"
    """From response.create to response.created."""
    SILENCE = "silence"
    """From one event to the next while a response is active."""
    RESPONSE = "response"
    """From response.created to response.done."""
    TOOL_ANSWER = "tool_answer"
    """From a FunctionCallRequest to the last FunctionCallResponse that it wants."""
    MANUAL_COMMIT = "manual_commit"
    """From one microphone frame to the next, with turn detection `manual`."""


def length_s(wait: Wait, deadlines: Deadlines) -> float:
    """How long a wait may be."""
    if wait is Wait.MANUAL_COMMIT:
        return MANUAL_COMMIT_S
    length: float = getattr(deadlines, f"{wait.value}_s")
    return length
