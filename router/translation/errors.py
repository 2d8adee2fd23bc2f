"""Errors for the client: those of the upstream, and the last error of a session.

An upstream's error keeps its code. For a client's mistakes the router uses Deepgram's codes. Other failures have the
router's own codes. docs/protocol-map.md lists all codes. `router.closes` has the close code of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router import closes
from router.deepgram import messages as deepgram

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.openai import events as openai

ALREADY_ACTIVE: Final = "conversation_already_has_active_response"

NOTHING_TO_COMMIT: Final = "input_audio_buffer_commit_empty"

BENIGN: Final = frozenset(
    {
        ALREADY_ACTIVE,
        "response_cancel_not_active",
        NOTHING_TO_COMMIT,
        "item_truncate_invalid_item_id",
        "item_already_truncated",
        "item_delete_invalid_item_id",
        "item_retrieve_invalid_item_id",
    }
)
"""Codes of races between the router and the upstream, which are not reported to the client (upstream 8.2)."""

FATAL: Final = closes.FATAL
"""The codes of errors that another try would meet again. The table of closes has a row for each of them."""

EXPIRED: Final = frozenset({"session_expired"})
"""The codes that say that the upstream's session has reached its longest duration. A new session may begin."""

UNAUTHORIZED: Final = (401, 403)

_DESCRIPTION_CHARACTERS: Final = 2000
"""The most characters of a description, because an upstream's message may have any length."""

_REASON_CHARACTERS: Final = 100
"""The most characters of a close reason. A close frame has room for 123 bytes (RFC 6455, 5.5)."""


class FinalError(msgspec.Struct, frozen=True):
    """The end of a session: its last message, and the close frame that follows."""

    error: deepgram.Error
    close_code: int
    close_reason: str


def code_of(error: openai.ErrorDetail) -> str:
    """Return the upstream's own code.

    Some compatible services put the code into `type`. An error without a code gets `server_error`.
    """
    return error.code or error.type or "server_error"


def explained(event: openai.Error) -> openai.Error:
    """Return an error event as it is if its error has a message, a parameter, or a code with a known meaning.

    Otherwise give the error the message at the top of the event, or a new one, which names the refused event.
    """
    error = event.error
    has_meaning = error.param or error.code in BENIGN | FATAL | EXPIRED
    if error.message or has_meaning:
        return event
    if event.message or event.code:
        body = msgspec.structs.replace(error, message=event.message, code=event.code or error.code)
    else:
        body = msgspec.structs.replace(error, message=_unexplained(event))
    return msgspec.structs.replace(event, error=body)


def _unexplained(event: openai.Error) -> str:
    error = event.error
    named = f" {event.event_id}" if event.event_id else ""
    about = f" about the event {error.event_id}" if error.event_id else ""
    code = error.code or error.type
    lacking = f"with the code {code} and without a message" if code else "without a body"
    return (
        f"the upstream sent the event `error`{named}{about} {lacking}, so the cause is unknown: "
        "send the last message again, or look for the event in the upstream's log"
    )


def client_error(error: openai.ErrorDetail, redact: Callable[[str], str]) -> deepgram.Error:
    """Translate an upstream's error. Its code stays, and `redact` removes credentials from its texts."""
    description = error.message or code_of(error)
    if error.param:
        description = f"{description} ({error.param})"
    # Redact before the cut, because a credential that is cut in two would not be recognized.
    return deepgram.Error(description=redact(description)[:_DESCRIPTION_CHARACTERS], code=redact(code_of(error)))


def final_error(code: str, description: str) -> FinalError:
    """Make a final error. Its close code comes from the table of closes, and its close reason is the error's code."""
    return FinalError(deepgram.Error(description=description, code=code), closes.of_error(code).code, code)


def dial_error(cause: str) -> FinalError:
    """Make the final error of an upstream that could not be dialled."""
    return final_error("UPSTREAM_UNAVAILABLE", f"the upstream cannot be reached ({cause})")


def upgrade_error(status: int) -> FinalError:
    """Make the final error of an upstream that answered the upgrade with a status other than 101."""
    if status in UNAUTHORIZED:
        description = f"the upstream refused the router's credential (HTTP {status})"
        return final_error("UPSTREAM_UNAUTHORIZED", description)
    return final_error("UPSTREAM_UNAVAILABLE", f"the upstream cannot be reached (HTTP {status})")


def upstream_error(error: openai.ErrorDetail, redact: Callable[[str], str]) -> FinalError:
    """Make the final error of an upstream that sent an error just before its close (upstream 9.2).

    `redact` removes credentials from the error's texts.
    """
    last = client_error(error, redact)
    return FinalError(last, closes.of_error(code_of(error)).code, last.code[:_REASON_CHARACTERS])


def is_fatal_reason(reason: str) -> bool:
    """Whether a close reason, `<type>.<code>` (upstream 9.2), says that another try would fail, too."""
    return reason.rpartition(".")[2] in FATAL


def close_error(code: int, reason: str, redact: Callable[[str], str]) -> FinalError:
    """Make the final error of an upstream that closed the connection with this code and reason.

    `redact` removes credentials from the reason.
    """
    if is_fatal_reason(reason):
        cause = reason.rpartition(".")[2]
        return final_error(cause, f"the upstream refused the session: {cause}")
    detail = f" {redact(reason)}" if reason else ""
    return final_error("UPSTREAM_CLOSED", f"the upstream closed the connection ({code}{detail})")
