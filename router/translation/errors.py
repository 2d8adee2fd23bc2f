"""Errors for the client: the upstream's own, and the last one of a session.

An upstream's error keeps its code. Deepgram's codes stand for the client's mistakes, and codes of our own for failures
that neither vendor has a code for; docs/protocol-map.md lists them all. An end
that a new call would meet again has close code 1000, any other 1011; see `CloseCode`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.connections.close_codes import CloseCode
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
"""Codes of races between the router and the upstream, which the client need not know (upstream 8.2)."""

FATAL: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "account_deactivated",
        "invalid_api_key",
        "model_not_found",
        "invalid_model",
        "missing_model",
        "beta_api_shape_disabled",
    }
)
"""Codes that another try would meet again: credential, quota, configuration (upstream 8.3)."""

EXPIRED: Final = frozenset({"session_expired"})
"""Codes of an upstream's session that has reached its end, where a new one may begin."""

UNAUTHORIZED: Final = (401, 403)

_DESCRIPTION_CHARACTERS: Final = 2000
"""The length of a description, at most: an upstream's message may have any length."""

_REASON_CHARACTERS: Final = 100
"""A close frame has room for 123 bytes (RFC 6455, 5.5)."""


class FinalError(msgspec.Struct, frozen=True):
    """The end of a session: its last message, and the close frame that follows."""

    error: deepgram.Error
    close_code: int
    close_reason: str


def code_of(error: openai.ErrorDetail) -> str:
    """Return the upstream's own code. Some compatible services put it into `type`, and older errors have none."""
    return error.code or error.type or "server_error"


def client_error(error: openai.ErrorDetail, redact: Callable[[str], str]) -> deepgram.Error:
    """Translate an upstream's error, its code unchanged."""
    description = error.message or code_of(error)
    if error.param:
        description = f"{description} ({error.param})"
    # Redacted before it is cut: a credential that is cut in two would not be recognised.
    return deepgram.Error(description=redact(description)[:_DESCRIPTION_CHARACTERS], code=redact(code_of(error)))


def final_error(code: str, description: str, close_code: int = CloseCode.INTERNAL_ERROR) -> FinalError:
    """Make a final error of one of our own codes, which is the close reason, too."""
    return FinalError(deepgram.Error(description=description, code=code), close_code, code)


def dial_error(cause: str) -> FinalError:
    """Make the final error of an upstream that could not be dialled."""
    return final_error("UPSTREAM_UNAVAILABLE", f"the upstream cannot be reached ({cause})")


def upgrade_error(status: int) -> FinalError:
    """Make the final error of an upstream that answered the upgrade with another status than 101."""
    if status in UNAUTHORIZED:
        description = f"the upstream refused the router's credential (HTTP {status})"
        return final_error("UPSTREAM_UNAUTHORIZED", description, close_code=CloseCode.NORMAL_CLOSURE)
    return final_error("UPSTREAM_UNAVAILABLE", f"the upstream cannot be reached (HTTP {status})")


def upstream_error(error: openai.ErrorDetail, redact: Callable[[str], str]) -> FinalError:
    """Make the final error of an upstream whose own error explains its close, just before it (upstream 9.2)."""
    close_code = CloseCode.NORMAL_CLOSURE if code_of(error) in FATAL else CloseCode.INTERNAL_ERROR
    last = client_error(error, redact)
    return FinalError(last, close_code, last.code[:_REASON_CHARACTERS])


def is_fatal_reason(reason: str) -> bool:
    """Whether a close reason, `<type>.<code>` (upstream 9.2), says that another try would fail, too."""
    return reason.rpartition(".")[2] in FATAL


def close_error(code: int, reason: str, redact: Callable[[str], str]) -> FinalError:
    """Make the final error of an upstream that closed the connection."""
    if is_fatal_reason(reason):
        cause = reason.rpartition(".")[2]
        return final_error(cause, f"the upstream refused the session: {cause}", close_code=CloseCode.NORMAL_CLOSURE)
    detail = f" {redact(reason)}" if reason else ""
    return final_error("UPSTREAM_CLOSED", f"the upstream closed the connection ({code}{detail})")
