"""Handlers of every end. A teardown always reaches the client as a typed message, and then a close frame."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.connections.close_codes import CloseCode
from actors.restart import Loss, LossKind
from router.openai import events as openai
from router.session.state.states import ResponseState
from router.translation import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import messages
    from router.session.context import Context


def end_lost_session(context: Context, lost: messages.UpstreamLost) -> None:
    """The upstream is lost and there will be no other: say why."""
    loss = lost.loss
    error = context.state.last_error
    if error is not None and (errors.code_of(error) in errors.FATAL or not context.state.is_applied):
        context.end(errors.refused_error(error, context.options.redact))
    else:
        context.end(_CLOSING_ERRORS[loss.kind](loss, context.options.redact))


def _closed(loss: Loss, redact: Callable[[str], str]) -> errors.ClosingError:
    return errors.loss_error(loss.code or CloseCode.ABNORMAL_CLOSURE, loss.reason, redact)


_CLOSING_ERRORS: Final[dict[LossKind, Callable[[Loss, Callable[[str], str]], errors.ClosingError]]] = {
    LossKind.CLOSED: _closed,
    LossKind.NOT_DIALLED: lambda loss, _: errors.unreachable_error(loss.cause),
    LossKind.HTTP: lambda loss, _: errors.http_error(loss.code or 0),
    LossKind.SILENT: lambda loss, _: errors.closing_error(
        "UPSTREAM_TIMEOUT", f"the upstream fell silent ({loss.cause})"
    ),
    LossKind.MALFORMED: lambda _loss, _: errors.closing_error(
        "UPSTREAM_PROTOCOL_ERROR", "the upstream sent something that is none of its protocol"
    ),
    LossKind.FAILED: lambda _loss, _: errors.closing_error(
        "INTERNAL_SERVER_ERROR", "the connection to the upstream failed on our side"
    ),
    LossKind.REFUSED: lambda loss, _: errors.closing_error(loss.cause, f"the upstream refused to go on: {loss.cause}"),
}


def client_closed(context: Context, _message: messages.ClientClosed) -> None:
    """The client is gone: a session ends with its client, and nobody shall pay for an answer that nobody hears."""
    if context.state.turn.response is not ResponseState.NONE:
        context.to_upstream(openai.ResponseCancel(response_id=context.state.turn.response_id))
    context.end_silently()


def settings_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """The client is connected and does not say what it wants: an upstream does not wait for it for ever."""
    description = "no message came in time: send Settings at the start of the session"
    context.end(errors.closing_error("CLIENT_MESSAGE_TIMEOUT", description, CloseCode.NORMAL_CLOSURE))


def client_overflowed(context: Context, message: messages.ClientOverflowed) -> None:
    """The client does not read: it alone pays for that."""
    context.log(logging.WARNING, f"the client does not read: {message.dropped_bytes} bytes dropped")
    description = "the client does not read what it is sent"
    context.end(errors.closing_error("CLIENT_TOO_SLOW", description, CloseCode.POLICY_VIOLATION))
