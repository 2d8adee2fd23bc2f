"""Handlers of an upstream on its way to being ready: greeted, and configured as Settings and updates have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation
from router.session.handlers.format_negotiation import SETTINGS_EVENT_ID
from router.session.handlers.refusals import abandon_refusing_upstream
from router.session.state.states import KEEP
from router.translation import errors, listening, session_config

if TYPE_CHECKING:
    from actors import messages
    from router.deepgram import messages as deepgram
    from router.session.machine import Session
    from router.session.state.states import Keep
    from router.session.state.upstream import UpstreamLink
    from router.translation.listening import TurnDetection


CHANGES_EVENT_ID: Final = "sb_changes"
"""The `event_id` of what the client's own session.updates have changed since."""


def upstream_opened(session: Session, opened: messages.UpstreamOpened) -> None:
    """The handshake means nothing yet: a refusal may still come, as an error event (reference, 1.1)."""
    link = session.state.upstream
    link.opened_at, link.position = opened.unix_s, opened.position
    session.wait(Wait.SESSION_CREATED)


def on_session_created(session: Session, event: openai.SessionCreated) -> None:
    """The upstream is there. It is configured as soon as there are Settings (a joint rule)."""
    link = session.state.upstream
    link.is_created = True
    link.expires_at = event.session.expires_at
    session.stop_waiting(Wait.SESSION_CREATED)
    session.schedule_rollover()


def configure(session: Session) -> None:
    """Send the one session.update."""
    session.wait(Wait.SESSION_UPDATED)
    send_configuration(session, session.state.upstream)


def send_configuration(session: Session, link: UpstreamLink) -> None:
    """Configure a line as the first one was, and as the client has changed it since."""
    state = session.state
    link.updates = 1
    link.formats = format_negotiation.requested_formats(session, link)
    if isinstance(state.settings, inputs.PassthroughSessionUpdate):
        session.forward(state.settings.text, link=link)
    elif state.settings is not None:
        update = _session_of(session, msgspec.structs.replace(state.settings, agent=state.agent), link)
        session.to_upstream(openai.SessionUpdate(session=update, event_id=SETTINGS_EVENT_ID), link)
    if state.changes:
        link.updates += 1
        session.to_upstream(openai.SessionUpdate(session=state.changes, event_id=CHANGES_EVENT_ID), link)


def _session_of(session: Session, given: deepgram.Settings, link: UpstreamLink) -> dict[str, Any]:
    return session_config.session_of(
        given,
        turn_detection=_detection_of_settings(session),
        formats=link.formats,
        voices=session.options.voices,
        transcription_model=transcription_model(session, link),
        model=session.state.route,
        ours=session.options.tools,
    )


def _detection_of_settings(session: Session) -> TurnDetection:
    return listening.detection_mode(session.state.agent, session.options.turn_detection)


def transcription_model(session: Session, link: UpstreamLink) -> str:
    """The model that transcribes at this upstream."""
    options = session.options
    theirs = options.transcription_models[link.position : link.position + 1]
    return (theirs[0] if theirs else None) or options.transcription_model


def is_configured(session: Session, link: UpstreamLink, event: openai.SessionUpdated) -> bool:
    """Take a session.updated; whether it was the last."""
    link.updates -= 1
    format_negotiation.record_formats(link, event)
    if link.updates <= 0 and not format_negotiation.is_reached(session, link):
        format_negotiation.ask_for_linear16(session, link)
    return link.updates <= 0


def judge_error(session: Session, event: openai.Error) -> Keep | None:
    """Refused Settings end the session, for they would be refused again; any other error is passed on."""
    session.state.last_error = event.error
    if abandon_refusing_upstream(session, event.error):
        return KEEP
    if format_negotiation.is_refused(session, session.state.upstream, event.error):
        send_configuration(session, session.state.upstream)
        return KEEP
    if event.error.event_id == CHANGES_EVENT_ID:
        _go_on_without_changes(session, event)
        return KEEP
    as_is = isinstance(session.state.settings, inputs.PassthroughSessionUpdate)
    if event.error.event_id == SETTINGS_EVENT_ID or as_is:
        error = errors.client_error(event.error, session.options.redact)
        session.end(errors.ClosingError(error, errors.NORMAL, error.code[:100]))
    else:
        session.to_client(errors.client_error(event.error, session.options.redact))
    return KEEP


def _go_on_without_changes(session: Session, event: openai.Error) -> None:
    # What the upstream before took. The next would be asked for the same, and so on until none is left.
    session.state.changes = {}
    if not isinstance(session.state.settings, inputs.PassthroughSessionUpdate):
        session.state.turn_detection = _detection_of_settings(session)
    session.to_client(errors.client_error(event.error, session.options.redact))
    send_configuration(session, session.state.upstream)
