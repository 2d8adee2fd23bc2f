"""Handlers of an upstream on its way to being ready: greeted, and configured as Settings and updates have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.connections.close_codes import CloseCode
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation
from router.session.handlers.format_negotiation import SETTINGS_EVENT_ID
from router.session.handlers.refusals import abandon_refusing_upstream
from router.session.state.states import Lifecycle
from router.translation import errors, listening, session_config

if TYPE_CHECKING:
    from actors import messages
    from router.deepgram import messages as deepgram
    from router.session.context import Context
    from router.session.state.upstream import UpstreamLink
    from router.translation.listening import TurnDetection


CHANGES_EVENT_ID: Final = "sb_changes"
"""The `event_id` of what the client's own session.updates have changed since."""


def upstream_opened(context: Context, opened: messages.UpstreamOpened) -> None:
    """The handshake means nothing yet: a refusal may still come, as an error event (reference, 1.1)."""
    link = context.state.upstream
    link.opened_at, link.position = opened.unix_s, opened.position
    context.wait(Wait.SESSION_CREATED)


def on_session_created(context: Context, event: openai.SessionCreated) -> None:
    """The upstream is there. It is configured as soon as there are Settings (a joint rule)."""
    link = context.state.upstream
    link.is_created = True
    link.expires_at = event.session.expires_at
    context.stop_waiting(Wait.SESSION_CREATED)
    context.schedule_rollover()


def is_due(context: Context) -> bool:
    """Whether the upstream can be configured: it is there, so are Settings, and no preparation is waited for."""
    state = context.state
    is_preparing = state.asked_with is not None or bool(state.preparing)
    return state.lifecycle is Lifecycle.CONNECTING and state.upstream.is_created and not is_preparing


def configure(context: Context) -> None:
    """Send the one session.update, and wait for its acknowledgement."""
    context.wait(Wait.SESSION_UPDATED)
    send_configuration(context, context.state.upstream)


def send_configuration(context: Context, link: UpstreamLink) -> None:
    """Configure a line as the first one was, and as the client has changed it since."""
    state = context.state
    link.updates = 1
    link.formats = format_negotiation.requested_formats(context, link)
    if isinstance(state.settings, inputs.PassthroughSessionUpdate):
        context.forward(state.settings.text, link=link)
    elif state.settings is not None:
        update = _session_of(context, msgspec.structs.replace(state.settings, agent=state.agent), link)
        context.to_upstream(openai.SessionUpdate(session=update, event_id=SETTINGS_EVENT_ID), link)
    if state.changes:
        link.updates += 1
        context.to_upstream(openai.SessionUpdate(session=state.changes, event_id=CHANGES_EVENT_ID), link)


def _session_of(context: Context, given: deepgram.Settings, link: UpstreamLink) -> dict[str, Any]:
    return session_config.session_of(
        given,
        turn_detection=_detection_of_settings(context),
        formats=link.formats,
        voices=context.options.voices,
        transcription_model=transcription_model(context, link),
        model=context.state.route,
        ours=context.options.tools,
    )


def _detection_of_settings(context: Context) -> TurnDetection:
    return listening.detection_mode(context.state.agent, context.options.turn_detection)


def transcription_model(context: Context, link: UpstreamLink) -> str:
    """The model that transcribes at this upstream."""
    options = context.options
    theirs = options.transcription_models[link.position : link.position + 1]
    return (theirs[0] if theirs else None) or options.transcription_model


def is_configured(context: Context, link: UpstreamLink, event: openai.SessionUpdated) -> bool:
    """Take a session.updated; whether it was the last."""
    link.updates -= 1
    format_negotiation.record_formats(link, event)
    if link.updates <= 0 and not format_negotiation.is_reached(context, link):
        format_negotiation.ask_for_linear16(context, link)
    return link.updates <= 0


def judge_error(context: Context, event: openai.Error) -> None:
    """Refused Settings end the session, for they would be refused again; any other error is passed on."""
    context.state.last_error = event.error
    if abandon_refusing_upstream(context, event.error):
        return
    if format_negotiation.is_refused(context, context.state.upstream, event.error):
        send_configuration(context, context.state.upstream)
    elif event.error.event_id == CHANGES_EVENT_ID:
        _go_on_without_changes(context, event)
    elif event.error.event_id == SETTINGS_EVENT_ID or context.state.is_passthrough:
        error = errors.client_error(event.error, context.options.redact)
        context.end(errors.ClosingError(error, CloseCode.NORMAL_CLOSURE, error.code[:100]))
    else:
        context.to_client(errors.client_error(event.error, context.options.redact))


def _go_on_without_changes(context: Context, event: openai.Error) -> None:
    # What the upstream before took. The next would be asked for the same, and so on until none is left.
    context.state.changes = {}
    if not context.state.is_passthrough:
        context.state.turn_detection = _detection_of_settings(context)
    context.to_client(errors.client_error(event.error, context.options.redact))
    send_configuration(context, context.state.upstream)
