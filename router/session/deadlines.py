"""Every wait of a session, and its length. `router.session.transitions.DEADLINES` names the handlers of their ends.

The connections have deadlines of their own: for the dial, the pings and the close handshake. `[deadlines]` configures
both kinds (docs/configuration.md), except the waits of fixed length below.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.config.model import Deadlines

MANUAL_COMMIT_S: Final = 0.4
"""With turn detection `manual`, a pause of this length ends the user's turn."""

UNANNOUNCED_S: Final = 0.25
"""The time that an open upstream has to send session.created. After it, the upstream is configured all the same."""

ASK_AGAIN_S: Final = 0.5
"""The pause before a failed response is requested again. The pause gives a busy upstream time to recover."""

COMMIT_S: Final = 5.0
"""The time from the end of speech to its commit. Without a commit by then the session takes the speech for a noise."""

SPEECH_S: Final = 60.0
"""Speech without interim words for this time counts as ended, because a noise may keep the upstream's detector on."""

ADOPTION_S: Final = 3.0
"""The time after which an adopted session counts as harmless. A session that crashes its process does so at once."""

TAKEOVER_S: Final = 60.0
"""The time within which another upstream must take over with a new voice.

Several dials and the wait for the end of a turn have to fit into this time.
"""

ROLLOVER_LEAD_S: Final = 60.0
"""The time before the end of an upstream's session at which the session dials the next upstream."""

ROLLOVER_LEAD: Final = 0.1
"""The lead of a rollover as a fraction of the life of an upstream's session. The shorter of the two leads applies."""

LONGEST_LIFE_S: Final = 24 * 3600.0
"""The longest life of an upstream's session that the session trusts.

A longer life probably comes from an expiry in milliseconds.
"""


class Wait(enum.Enum):
    """The waits of a session. The value names the timer. `length_s` returns the length, if no handler computes it."""

    SETTINGS = "settings"
    """From the client's handshake to its Settings."""
    DIAL = "dial"
    """From the client's Settings to the handshake of the upstream that the session dials for them."""
    SESSION_CREATED = "session_created"
    """From the upstream's handshake to session.created, or to session.updated if session.created does not come."""
    UNANNOUNCED = "unannounced"
    """From the upstream's handshake to its configuration, if session.created has not come."""
    SESSION_UPDATED = "session_updated"
    """From session.update to session.updated. A session.created in between starts the wait again."""
    UPDATE = "update"
    """From a later session.update to its session.updated."""
    ITEM_ACK = "item_ack"
    """From the item that a response request waits for to its conversation.item.added."""
    FIRST_EVENT = "first_event"
    """From response.create, or from a committed turn that is owed an answer, to response.created."""
    NEXT_EVENT = "next_event"
    """From one event to the next while a response is active."""
    RESPONSE = "response"
    """From response.created to response.done."""
    TRANSCRIPT = "transcript"
    """From the agent's text, or the end of its turn, to the transcript of the user's speech before it."""
    SPEECH = "speech"
    """From one sign of the user's speech to the next: its start, or interim words."""
    COMMIT = "commit"
    """From the end of the user's speech, or from a commit by hand, to the upstream's `committed`."""
    TOOL_ANSWER = "tool_answer"
    """From a FunctionCallRequest to the last FunctionCallResponse."""
    RESTART = "restart"
    """From the loss of an upstream to the session.updated of the next upstream."""
    ASK_AGAIN = "ask_again"
    """From a failed response to its repeated request."""
    ROLLOVER = "rollover"
    """From session.created to the time to dial the next upstream."""
    STANDBY = "standby"
    """From one step of the standby upstream's setup to the next.

    Each step has the same limit as for the upstream in use.
    """
    TAKEOVER = "takeover"
    """From the refusal of a new voice to the upstream that takes over with it."""
    ADOPTION = "adoption"
    """From the adoption of a session whose process died to the time at which the session counts as harmless."""
    PLAYBACK = "playback"
    """From the moment at which audio begins to wait, until the client has played enough for more audio.

    In a drain also the time until the caller has heard the last audio.
    """
    MICROPHONE = "microphone"
    """From one microphone frame to the next, in the middle of the user's speech.

    Its length is a gap that no network makes, or a short gap if the microphone has stopped before
    (`UserTurns.fill_after_s`).
    """
    MANUAL_COMMIT = "manual_commit"
    """From one microphone frame to the next, with turn detection `manual`."""
    CALL = "call"
    """From the client's handshake to the warning that the call is nearly too long, and from there to its end."""
    SILENCE = "silence"
    """From speech or a message to the warning that the silence is nearly too long, and from there to the call's end."""
    DRAIN = "drain"
    """From the beginning of a drain to the session's end, at the latest."""


def length_s(wait: Wait, deadlines: Deadlines) -> float:
    """Return the length of a wait.

    ROLLOVER, STANDBY, PLAYBACK, MICROPHONE, CALL, SILENCE and DRAIN must not be passed: their handlers compute the
    length.
    """
    if wait in (Wait.RESTART, Wait.DIAL):
        return deadlines.dial_s + deadlines.restart_s
    if wait is Wait.UPDATE:
        return deadlines.session_updated_s
    fixed = _FIXED_S.get(wait)
    if fixed is not None:
        return fixed
    length: float = getattr(deadlines, _FIELDS[wait])
    return length


_FIELDS: Final = {wait: f"{wait.value}_s" for wait in Wait}
"""The field of `Deadlines` for each wait.

The interpreter's cache of attributes keeps each name that it has looked up. So a name that is made anew for each
session would stay in memory.
"""


_FIXED_S: Final = {
    Wait.MANUAL_COMMIT: MANUAL_COMMIT_S,
    Wait.UNANNOUNCED: UNANNOUNCED_S,
    Wait.ASK_AGAIN: ASK_AGAIN_S,
    Wait.SPEECH: SPEECH_S,
    Wait.COMMIT: COMMIT_S,
    Wait.TAKEOVER: TAKEOVER_S,
    Wait.ADOPTION: ADOPTION_S,
}
"""The lengths that no configuration changes."""


def rollover_in_s(expires_at: float | None, opened_at: float, deadlines: Deadlines) -> float:
    """Return the seconds from `opened_at` to the dial of the next upstream.

    Both times are Unix seconds. If `expires_at` is absent, past, or implausibly near or far, return `rollover_after_s`,
    because clocks and units differ.
    """
    life_s = expires_at - opened_at if expires_at is not None else 0.0
    in_s = life_s - min(ROLLOVER_LEAD_S, life_s * ROLLOVER_LEAD)
    return in_s if deadlines.rollover_interval_s <= in_s <= LONGEST_LIFE_S else deadlines.rollover_after_s
