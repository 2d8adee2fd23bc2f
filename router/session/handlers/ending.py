"""End a session. The client gets a typed message and a close frame, unless it ended the session itself."""

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
    """End a session whose upstream is lost and will not be replaced, with the best known reason.

    The upstream's last error explains its close if the error is fatal, or came before SettingsApplied. A later error
    that is not fatal did not end the connection.
    """
    loss = lost.loss
    error = context.state.last_error
    if error is not None and (errors.code_of(error) in errors.FATAL or not context.state.is_applied):
        context.end(errors.upstream_error(error, context.options.redact))
    else:
        context.end(error_of_loss(loss, context.options.redact))


def error_of_loss(loss: Loss, redact: Callable[[str], str]) -> errors.FinalError:
    """Return the end of a session whose lost upstream gave no reason of its own."""
    return _CLOSING_ERRORS[loss.kind](loss, redact)


def _closed(loss: Loss, redact: Callable[[str], str]) -> errors.FinalError:
    return errors.close_error(loss.code or CloseCode.ABNORMAL_CLOSURE, loss.reason, redact)


_CLOSING_ERRORS: Final[dict[LossKind, Callable[[Loss, Callable[[str], str]], errors.FinalError]]] = {
    LossKind.CLOSED: _closed,
    LossKind.NOT_DIALLED: lambda loss, _: errors.dial_error(loss.cause),
    LossKind.HTTP: lambda loss, _: errors.upgrade_error(loss.code or 0),
    LossKind.SILENT: lambda loss, _: errors.final_error(
        "UPSTREAM_TIMEOUT", f"the upstream missed the deadline {loss.cause}"
    ),
    LossKind.MALFORMED: lambda _loss, _: errors.final_error(
        "UPSTREAM_PROTOCOL_ERROR", "the upstream sent a frame that is not an event"
    ),
    LossKind.FAILED: lambda _loss, _: errors.final_error(
        "INTERNAL_SERVER_ERROR", "the router failed to use its connection to the upstream"
    ),
    LossKind.REFUSED: lambda loss, _: errors.final_error(loss.cause, f"the upstream refused to continue: {loss.cause}"),
}


def client_closed(context: Context, _message: messages.ClientClosed) -> None:
    """End the session of a client that is gone.

    The session cancels the response in progress, because every further token costs money.
    """
    if context.state.turn.response is not ResponseState.NONE:
        context.to_upstream(openai.ResponseCancel(response_id=context.state.turn.response_id))
    context.end_silently()


def end_requested(context: Context, _message: messages.EndRequested) -> None:
    """End the session for an operator. The close code is 1000, after which no SDK reconnects (client 7.1)."""
    # Every further token of the answer would cost money.
    if context.state.turn.response is not ResponseState.NONE:
        context.to_upstream(openai.ResponseCancel(response_id=context.state.turn.response_id))
    description = "an operator ended the session"
    context.end(errors.final_error("SESSION_ENDED", description))


def settings_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """End the session of a client that sent no Settings, because the session holds an upstream dialled in advance."""
    description = "no Settings came in time: send them at the start of the session"
    context.end(errors.final_error("CLIENT_MESSAGE_TIMEOUT", description))


def client_overflowed(context: Context, message: messages.ClientOverflowed) -> None:
    """End the session of a client that does not read.

    If the session stopped reading the upstream instead, `speech_started` would wait behind the audio that it should
    interrupt (docs/decisions/0005).
    """
    context.log(logging.WARNING, f"the client does not read: {message.dropped_bytes} bytes dropped")
    context.end(errors.final_error("CLIENT_TOO_SLOW", "the client does not read its messages"))
