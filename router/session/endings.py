"""Handlers of every end. A teardown always reaches the client as a typed message, and then a close frame."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait, length_s
from router.translation import errors

if TYPE_CHECKING:
    from actors import messages
    from router.openai import codec as openai_codec
    from router.session.session import Session

DRAIN_CODE = 1012
"""Service restart (RFC 6455's registry): coming back helps."""

POLICY_VIOLATION = 1008


def upstream_refused(session: Session, message: messages.UpstreamRefused) -> None:
    """The upstream could not be dialled."""
    session.log(logging.WARNING, f"the upstream cannot be dialled: {message.error}")
    session.end(errors.refusal_farewell(message.error.kind.value, message.error.status))


def upstream_closed(session: Session, message: messages.UpstreamClosed) -> None:
    """The upstream is gone."""
    closed = message.closed
    redact = session.options.redact
    session.end(errors.loss_farewell(closed.code, closed.reason, _explanation(session), redact))


def _explanation(session: Session) -> Any:
    # Before session.updated any error explains the close that follows; later only a fatal one does.
    error = session.state.last_error
    is_running = session.state.lifecycle.name == "READY"
    return None if error is None or (is_running and errors.code_of(error) not in errors.FATAL) else error


def upstream_failed(session: Session, _message: messages.UpstreamFailed) -> None:
    """Our own side of the upstream's leg broke."""
    session.end(errors.farewell("INTERNAL_SERVER_ERROR", "the connection to the upstream failed on our side"))


def upstream_malformed(session: Session, malformed: openai_codec.Malformed) -> None:
    """The upstream sent something that is no event."""
    session.log(logging.ERROR, f"the upstream sent a malformed frame: {malformed.problem}")
    session.end(errors.farewell("UPSTREAM_PROTOCOL_ERROR", "the upstream sent something that is no event"))


def client_closed(session: Session, _message: messages.ClientClosed) -> None:
    """The client is gone: a session ends with its client."""
    session.end_silently()


def client_overflowed(session: Session, message: messages.ClientOverflowed) -> None:
    """The client does not read: it alone pays for that."""
    session.log(logging.WARNING, f"the client does not read: {message.dropped_bytes} bytes dropped")
    session.end(errors.farewell("CLIENT_TOO_SLOW", "the client does not read what it is sent", POLICY_VIOLATION))


def drain(session: Session, _message: messages.DrainBegan) -> None:
    """The process is ending."""
    error = deepgram.Error(description="the server is going away: connect again", code="SERVER_GOING_AWAY")
    session.end(errors.Farewell(error, DRAIN_CODE, "SERVER_GOING_AWAY"))


_WAITED_FOR = {
    Wait.SESSION_CREATED: "its first event",
    Wait.SESSION_UPDATED: "session.updated",
    Wait.FIRST_EVENT: "response.created",
    Wait.SILENCE: "the next event of a response",
    Wait.RESPONSE: "response.done",
}


def upstream_silent(session: Session, fired: messages.TimerFired) -> None:
    """The upstream did not do in time what it has to."""
    wait = Wait(fired.name)
    timeout_s = length_s(wait, session.options.deadlines)
    description = f"the upstream did not send {_WAITED_FOR[wait]} within {timeout_s:g} s"
    session.end(errors.farewell("UPSTREAM_TIMEOUT", description))
