"""The last messages of a relayed session, by the way in which the session ends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.fronts.deepgram_agent.fields import text_of
from router.session.handlers.ending import error_of_loss
from router.translation import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.restart import Loss
    from router.fronts.deepgram_agent.fields import Fields

CLIENT_ERRORS: Final = frozenset(
    {
        "UNPARSABLE_CLIENT_MESSAGE",
        "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
        "SETTINGS_ALREADY_APPLIED",
        "INVALID_SETTINGS",
        "INVALID_AGENT_ID",
        "AGENT_ID_NOT_SUPPORTED",
        "USER_AUDIO_FORMAT",
        "CLIENT_MESSAGE_TIMEOUT",
    }
)
"""Codes of Deepgram's errors that the client caused (client 7.1). Another session would get the same error."""

GOING_AWAY: Final = "SERVER_GOING_AWAY"

NO_SETTINGS: Final = errors.final_error(
    "CLIENT_MESSAGE_TIMEOUT",
    "no Settings came in time: send them at the start of the session",
)
TOO_SLOW: Final = errors.final_error("CLIENT_TOO_SLOW", "the client does not read its messages")
# No SDK reconnects after this close code (client 7.1).
ENDED_BY_OPERATOR: Final = errors.final_error("SESSION_ENDED", "an operator ended the session")
DRAINED: Final = errors.final_error(GOING_AWAY, "the server is going away: connect again")
"""The end of a session whose turn is still in progress when the time of a drain is over."""


def of_loss(loss: Loss, error: Fields | None, redact: Callable[[str], str]) -> errors.FinalError:
    """Return the end of a session whose upstream is lost and is not replaced.

    `error` is the last `Error` that the upstream sent, or None. `redact` takes credentials out of a text.
    """
    if error is not None:
        code = redact(text_of(error, "code")) or "UPSTREAM_CLOSED"
        return errors.final_error(code, redact(text_of(error, "description")))
    return error_of_loss(loss, redact)
