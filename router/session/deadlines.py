"""Every wait of a session: how long, and what happens at its end.

The dial's own deadline, the pings' and the close handshake's belong to the connections; they are configured in
the same place. docs/configuration.md shows them all.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.config.model import Deadlines

MANUAL_COMMIT_S: Final = 0.4
"""With turn detection `manual`, so long without audio ends the user's turn."""

ASK_AGAIN_S: Final = 0.5

COMMIT_S: Final = 5.0
"""Speech that ended and is not committed by then was none."""

FILL_AFTER_S: Final = 0.3
"""A microphone that says nothing for so long in the middle of the user's speech has stopped."""

ROLLOVER_LEAD_S: Final = 60.0
"""So long before an upstream's session expires, or a tenth of its life if that is less, the next is got ready."""

ROLLOVER_LEAD: Final = 0.1

LONGEST_LIFE_S: Final = 24 * 3600.0
"""No upstream's session lives longer: one that says so counts in milliseconds."""


class Wait(enum.Enum):
    """What a session waits for. The value is the name of its timer, and of its length in `Deadlines`."""

    SETTINGS = "settings"
    """From the client's handshake to its Settings."""
    SESSION_CREATED = "session_created"
    """From the upstream's handshake to its first event."""
    SESSION_UPDATED = "session_updated"
    """From session.update to session.updated."""
    UPDATE = "update"
    """From a later session.update to its session.updated."""
    ITEM_ACK = "item_ack"
    """From a user's item to conversation.item.added."""
    FIRST_EVENT = "first_event"
    """From response.create to response.created."""
    NEXT_EVENT = "next_event"
    """From one event to the next while a response is active."""
    RESPONSE = "response"
    """From response.created to response.done."""
    TRANSCRIPT = "transcript"
    """From the agent's text, or the end of its turn, to the transcript of what the user said before it."""
    COMMIT = "commit"
    """From the end of the user's speech to its commit, by which it becomes a turn."""
    TOOL_ANSWER = "tool_answer"
    """From a FunctionCallRequest to the last FunctionCallResponse that it wants."""
    RESTART = "restart"
    """From the loss of an upstream to the next one's session.updated."""
    ASK_AGAIN = "ask_again"
    """From a response that failed for want of capacity to the next try."""
    ROLLOVER = "rollover"
    """From session.created to the time to get the next upstream ready."""
    STANDBY = "spare"
    """From one step of the next upstream's getting ready to the next: as long as those of the one in use."""
    PLAYBACK = "playback"
    """Until the client has played so much that it may have more audio."""
    MICROPHONE = "microphone"
    """From one microphone frame to the next, in the middle of the user's speech."""
    MANUAL_COMMIT = "manual_commit"
    """From one microphone frame to the next, with turn detection `manual`."""
    DRAIN = "drain"
    """From the news that the process is ending to the session's end, if something is under way for so long."""


def length_s(wait: Wait, deadlines: Deadlines) -> float:
    """How long a wait may be. ROLLOVER, SPARE, PLAYBACK and DRAIN have no fixed length."""
    if wait is Wait.RESTART:
        return deadlines.dial_s + deadlines.restart_s
    if wait is Wait.UPDATE:
        return deadlines.session_updated_s
    fixed = _FIXED_S.get(wait)
    if fixed is not None:
        return fixed
    length: float = getattr(deadlines, f"{wait.value}_s")
    return length


_FIXED_S: Final = {
    Wait.MANUAL_COMMIT: MANUAL_COMMIT_S,
    Wait.ASK_AGAIN: ASK_AGAIN_S,
    Wait.MICROPHONE: FILL_AFTER_S,
    Wait.COMMIT: COMMIT_S,
}


def rollover_in_s(expires_at: float | None, opened_at: float, deadlines: Deadlines) -> float:
    """How long after `opened_at` (both in Unix seconds) to get the next upstream ready.

    An `expires_at` that is absent, past, or implausibly near or far is not trusted: clocks differ, and units do.
    """
    life_s = expires_at - opened_at if expires_at is not None else 0.0
    in_s = life_s - min(ROLLOVER_LEAD_S, life_s * ROLLOVER_LEAD)
    return in_s if deadlines.rollover_interval_s <= in_s <= LONGEST_LIFE_S else deadlines.rollover_after_s
