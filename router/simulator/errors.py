"""Refusals of an event and of a connection, in OpenAI's words.

Codes and messages are those of the Realtime API (upstream 9.2); nothing here depends on a session.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

INVALID_REQUEST: Final = "invalid_request_error"


class RequestError(Exception):
    """The refusal of a client event: an `error` event answers it, and nothing else changes."""

    def __init__(self, code: str, message: str, param: str | None = None, *, kind: str = INVALID_REQUEST) -> None:
        super().__init__(code, message, param)
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The refusal of a connection right after its handshake: an `error` event, then a close frame."""

    kind: str = INVALID_REQUEST
    code: str
    message: str
    close_code: int
    param: str | None = None

    @property
    def close_reason(self) -> str:
        """The reason in the close frame: `<error.type>.<error.code>`."""
        return f"{self.kind}.{self.code}"

    def error(self) -> dict[str, Any]:
        """Return the body of the `error` event."""
        return error_body(self.kind, self.code, self.message, self.param)


REFUSALS: Final = {
    refusal.code: refusal
    for refusal in (
        Refusal(code="invalid_api_key", message="Incorrect API key provided.", close_code=3000),
        Refusal(code="missing_model", message="You must provide a model parameter.", close_code=4000, param="model"),
        Refusal(
            code="invalid_model",
            message="Model is not supported in realtime mode.",
            close_code=4000,
            param="model",
        ),
        Refusal(
            code="beta_api_shape_disabled",
            message="The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
            close_code=4000,
        ),
        Refusal(
            code="model_not_found",
            message="The model does not exist or you do not have access to it.",
            close_code=4004,
            param="model",
        ),
        Refusal(
            kind="insufficient_quota",
            code="insufficient_quota",
            message="You exceeded your current quota, please check your plan and billing details.",
            close_code=1013,
        ),
    )
}
"""Every refusal of a connection by its code (upstream 9.2)."""


def error_body(
    kind: str, code: str | None, message: str, param: str | None = None, event_id: str | None = None
) -> dict[str, Any]:
    """Return the `error` object of an `error` event."""
    return {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
