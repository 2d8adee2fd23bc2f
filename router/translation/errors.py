"""What goes wrong, in words for the client.

An upstream's own error keeps its code. Deepgram's codes are for the client's mistakes, and ours for what neither
of them has a word for; docs/protocol-map.md lists them all. An end that a new call would meet again has close code
1000, any other 1011; see `CloseCode`.
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
"""Races between us and the upstream that nobody has to hear of (reference, 7)."""

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
"""Codes that another try would meet again: credential, quota, configuration (reference, 7)."""

EXPIRED: Final = frozenset({"session_expired"})
"""Codes of a session that has come to its end, where a new one may begin."""

UNAUTHORIZED: Final = (401, 403)

_DESCRIPTION_BYTES: Final = 2000


class ClosingError(msgspec.Struct, frozen=True):
    """How a session ends: the last message, and the close frame behind it."""

    error: deepgram.Error
    close_code: int
    close_reason: str


def code_of(error: openai.ErrorDetail) -> str:
    """The upstream's own code. Some compatible services put it into `type`, and older errors have none."""
    return error.code or error.type or "server_error"


def client_error(error: openai.ErrorDetail, redact: Callable[[str], str]) -> deepgram.Error:
    """An upstream's error in the client's shape, its code unchanged."""
    description = error.message or code_of(error)
    if error.param:
        description = f"{description} ({error.param})"
    return deepgram.Error(description=redact(description)[:_DESCRIPTION_BYTES], code=redact(code_of(error)))


def closing_error(code: str, description: str, close_code: int = CloseCode.INTERNAL_ERROR) -> ClosingError:
    """An end with a code of ours."""
    return ClosingError(deepgram.Error(description=description, code=code), close_code, code)


def unreachable_error(cause: str) -> ClosingError:
    """The end when the upstream could not be dialled."""
    return closing_error("UPSTREAM_UNAVAILABLE", f"the upstream cannot be reached ({cause})")


def http_error(status: int) -> ClosingError:
    """The end when the upstream answered the upgrade with another status than 101."""
    if status in UNAUTHORIZED:
        description = f"the upstream refused our credential (HTTP {status})"
        return closing_error("UPSTREAM_UNAUTHORIZED", description, close_code=CloseCode.NORMAL_CLOSURE)
    return closing_error("UPSTREAM_UNAVAILABLE", f"the upstream cannot be reached (HTTP {status})")


def refused_error(error: openai.ErrorDetail, redact: Callable[[str], str]) -> ClosingError:
    """The end that the upstream's own error explains; it comes just before its close (reference, 8)."""
    close_code = CloseCode.NORMAL_CLOSURE if code_of(error) in FATAL else CloseCode.INTERNAL_ERROR
    told = client_error(error, redact)
    return ClosingError(told, close_code, told.code[:100])


def is_fatal_reason(reason: str) -> bool:
    """Whether a close reason, `<type>.<code>` (reference, 8), says that another try is of no use."""
    return reason.rpartition(".")[2] in FATAL


def loss_error(code: int, reason: str, redact: Callable[[str], str]) -> ClosingError:
    """The end when the upstream closed."""
    if is_fatal_reason(reason):
        cause = reason.rpartition(".")[2]
        return closing_error(cause, f"the upstream refused the session: {cause}", close_code=CloseCode.NORMAL_CLOSURE)
    detail = f" {redact(reason)}" if reason else ""
    return closing_error("UPSTREAM_CLOSED", f"the upstream closed the connection ({code}{detail})")
