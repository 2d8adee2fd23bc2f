"""Bring an upstream from its handshake to an acknowledged configuration: the Settings, and every update since."""

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
"""The `event_id` of the session.update that repeats `State.session_changes`."""


def upstream_opened(context: Context, opened: messages.UpstreamOpened) -> None:
    """Wait for session.created. The handshake proves nothing: a refusal may follow as an error event (upstream 1.2)."""
    link = context.state.upstream
    link.opened_at, link.position = opened.unix_s, opened.position
    context.wait(Wait.SESSION_CREATED)


def on_session_created(context: Context, event: openai.SessionCreated) -> None:
    """Record that the upstream serves. A joint rule configures it as soon as there are Settings."""
    link = context.state.upstream
    link.is_created = True
    link.expires_at = event.session.expires_at
    context.stop_waiting(Wait.SESSION_CREATED)
    context.schedule_rollover()


def is_due(context: Context) -> bool:
    """Whether the upstream can be configured: it serves, the Settings are there, and all preparation is done."""
    state = context.state
    is_preparing = state.settings_in_hook is not None or bool(state.preparing)
    return state.lifecycle is Lifecycle.CONNECTING and state.upstream.is_created and not is_preparing


def configure(context: Context) -> None:
    """Configure the upstream in use, and wait for its acknowledgement."""
    context.wait(Wait.SESSION_UPDATED)
    send_configuration(context, context.state.upstream)


def send_configuration(context: Context, link: UpstreamLink) -> None:
    """Send an upstream the client's configuration, and the changes that the client made since."""
    state = context.state
    link.pending_updates = 1
    link.formats = format_negotiation.requested_formats(context, link)
    if isinstance(state.settings, inputs.PassthroughSessionUpdate):
        context.forward(state.settings.text, link=link)
    elif state.settings is not None:
        # With the agent of now: every acknowledged update is in it.
        update = _session_of(context, msgspec.structs.replace(state.settings, agent=state.agent), link)
        context.to_upstream(openai.SessionUpdate(session=update, event_id=SETTINGS_EVENT_ID), link)
    if state.session_changes:
        # As a second update: the service refuses an update whole (upstream 2.2), and Settings alone must not fail.
        link.pending_updates += 1
        context.to_upstream(openai.SessionUpdate(session=state.session_changes, event_id=CHANGES_EVENT_ID), link)


def _session_of(context: Context, settings: deepgram.Settings, link: UpstreamLink) -> dict[str, Any]:
    return session_config.session_of(
        settings,
        turn_detection=_detection_of_settings(context),
        formats=link.formats,
        voices=context.options.voices,
        transcription_model=transcription_model(context, link),
        model=context.state.model,
        server_functions=context.options.tools,
    )


def _detection_of_settings(context: Context) -> TurnDetection:
    return listening.detection_mode(context.state.agent, context.options.turn_detection)


def transcription_model(context: Context, link: UpstreamLink) -> str:
    """Return the transcription model of an upstream: its own where it has one, as Azure does (upstream 12.7)."""
    options = context.options
    own = options.transcription_models[link.position : link.position + 1]
    return (own[0] if own else None) or options.transcription_model


def record_acknowledgement(context: Context, link: UpstreamLink, event: openai.SessionUpdated) -> bool:
    """Record a session.updated. Return whether the upstream is configured, with no update left and agreed formats."""
    link.pending_updates -= 1
    format_negotiation.record_formats(link, event)
    if link.pending_updates <= 0 and not format_negotiation.is_agreed(context, link):
        format_negotiation.request_linear16(context, link)
    return link.pending_updates <= 0


def judge_error(context: Context, event: openai.Error) -> None:
    """End the session where the error refuses the Settings, since the next upstream would refuse them, too.

    Other errors are passed on: they may be about something else, and the deadline decides.
    """
    # A close may follow, which this error explains.
    context.state.last_error = event.error
    if abandon_refusing_upstream(context, event.error):
        return
    if format_negotiation.rule_out_refused_g711(context, context.state.upstream, event.error):
        send_configuration(context, context.state.upstream)
    elif event.error.event_id == CHANGES_EVENT_ID:
        _drop_changes(context, event)
    # A client's own session.update has its own event_id, or none: any error counts as its refusal.
    elif event.error.event_id == SETTINGS_EVENT_ID or context.state.is_passthrough:
        # With the close code that no SDK reconnects after: the same Settings would be refused again (client 7.1).
        error = errors.client_error(event.error, context.options.redact)
        context.end(errors.FinalError(error, CloseCode.NORMAL_CLOSURE, error.code[:100]))
    else:
        context.to_client(errors.client_error(event.error, context.options.redact))


def _drop_changes(context: Context, event: openai.Error) -> None:
    # The previous upstream took these changes. Every later upstream would be asked for them again, and might refuse
    # them again, until no restart is left.
    context.state.session_changes = {}
    if not context.state.is_passthrough:
        context.state.turn_detection = _detection_of_settings(context)
    context.to_client(errors.client_error(event.error, context.options.redact))
    send_configuration(context, context.state.upstream)
