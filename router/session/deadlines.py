"""Every wait of a session, and its length. `router.session.transitions.DEADLINES` names the handlers of their ends.

The connections have deadlines of their own: for the dial, the pings and the close handshake. `[deadlines]` configures
both kinds (docs/configuration.md), except the four waits of fixed length below.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.config.model import Deadlines

MANUAL_COMMIT_S: Final = 0.4
"""With turn detection `manual`, a pause of this length ends the user's turn."""

ASK_AGAIN_S: Final = 0.5
"""The pause before a failed response is requested again. It gives a busy upstream time to recover."""

COMMIT_S: Final = 5.0
"""The time from the end of speech to its commit. Speech without a commit by then was a noise."""

FILL_AFTER_S: Final = 0.3
"""A microphone that is silent for this long in the middle of the user's speech has stopped."""

ROLLOVER_LEAD_S: Final = 60.0
"""The time before an upstream's end at which its successor is dialled."""

ROLLOVER_LEAD: Final = 0.1
"""The same as a share of the upstream's life, for a short one. The smaller of the two counts."""

LONGEST_LIFE_S: Final = 24 * 3600.0
"""The longest life of an upstream's session that is believed. A longer one is probably in milliseconds."""


class Wait(enum.Enum):
    """The waits of a session. The value is the name of the timer, and of its length in `Deadlines`."""

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
    """From the agent's text, or the end of its turn, to the transcript of the user's speech before it."""
    COMMIT = "commit"
    """From the end of the user's speech to its commit, which makes it a turn."""
    TOOL_ANSWER = "tool_answer"
    """From a FunctionCallRequest to the last FunctionCallResponse."""
    RESTART = "restart"
    """From the loss of an upstream to the next one's session.updated."""
    ASK_AGAIN = "ask_again"
    """From a failed response to its repeated request."""
    ROLLOVER = "rollover"
    """From session.created to the time to dial the next upstream."""
    STANDBY = "standby"
    """From one step of the standby upstream's setup to the next, with the limits of the upstream in use."""
    PLAYBACK = "playback"
    """Until the client has played enough for more audio."""
    MICROPHONE = "microphone"
    """From one microphone frame to the next, in the middle of the user's speech."""
    MANUAL_COMMIT = "manual_commit"
    """From one microphone frame to the next, with turn detection `manual`."""
    DRAIN = "drain"
    """From the begin of a drain to the session's end, where its work takes that long."""


def length_s(wait: Wait, deadlines: Deadlines) -> float:
    """Return the length of a wait. ROLLOVER, STANDBY, PLAYBACK and DRAIN have no fixed length."""
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
"""The lengths that no configuration changes."""


def rollover_in_s(expires_at: float | None, opened_at: float, deadlines: Deadlines) -> float:
    """Return the time from `opened_at` to the dial of the next upstream. Both arguments are Unix seconds.

    An `expires_at` that is absent, past, or implausibly near or far is not trusted, because clocks and units differ.
    """
    life_s = expires_at - opened_at if expires_at is not None else 0.0
    in_s = life_s - min(ROLLOVER_LEAD_S, life_s * ROLLOVER_LEAD)
    return in_s if deadlines.rollover_interval_s <= in_s <= LONGEST_LIFE_S else deadlines.rollover_after_s
