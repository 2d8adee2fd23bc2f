"""Bring an upstream from its handshake to an acknowledged configuration: the Settings, and every update since."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router import closes
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import format_negotiation, items
from router.session.handlers.format_negotiation import SETTINGS_EVENT_ID
from router.session.handlers.refusals import abandon_refusing_upstream, record_error
from router.session.state.states import Lifecycle
from router.translation import errors, listening, session_config

if TYPE_CHECKING:
    from actors import messages
    from router.deepgram import messages as deepgram
    from router.session.context import Context
    from router.session.state.upstream import UpstreamLink


CHANGES_EVENT_ID: Final = "sb_changes"
"""The `event_id` of the session.update that repeats `SessionPlan.changes`."""


def upstream_opened(context: Context, opened: messages.UpstreamOpened) -> None:
    """Wait for session.created. The handshake proves nothing: a refusal may follow as an error event (upstream 1.2)."""
    link = context.state.upstream
    link.opened_at, link.position = opened.unix_s, opened.position
    context.stop_waiting(Wait.DIAL)
    context.wait(Wait.SESSION_CREATED)
    context.wait(Wait.UNANNOUNCED)


def on_session_created(context: Context, event: openai.SessionCreated) -> None:
    """Record that the upstream has begun its session. A joint rule configures it as soon as there are Settings."""
    record_created(context, context.state.upstream, event)
    context.stop_waiting(Wait.SESSION_CREATED)
    context.schedule_rollover()


def record_created(context: Context, link: UpstreamLink, event: openai.SessionCreated) -> None:
    """Record the session.created of an upstream, with the time at which its session expires."""
    link.is_created, link.created_s = True, context.now_s
    link.expires_at = event.session.expires_at
    context.stop_waiting(Wait.UNANNOUNCED)


def created_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """Let the session configure an upstream that has not sent session.created in time: some servers never send it.

    The deadline SESSION_CREATED stays: it ends the wait for an upstream that sends nothing at all.
    """
    # A standby is dialled only after the upstream in use was created, so the timer is that of the standby.
    if context.state.standby is not None:
        context.signal(inputs.StandbyUnannounced())
    else:
        context.state.upstream.is_unannounced = True
        context.schedule_rollover()


def created_behind_update(context: Context, event: openai.SessionCreated) -> None:
    """Take a session.created that arrives after the session.update was sent. Start the deadline of session.updated."""
    if context.state.upstream.is_created:
        context.state.ignored += 1
        return
    on_session_created(context, event)
    context.wait(Wait.SESSION_UPDATED)


def created_in_use(context: Context, event: openai.SessionCreated) -> None:
    """Take a session.created that arrives after session.updated, with the formats that it names."""
    if context.state.upstream.is_created:
        context.state.ignored += 1
        return
    on_session_created(context, event)
    format_negotiation.record_formats(context.state.upstream, event)
    format_negotiation.apply_formats(context)


def is_due(context: Context) -> bool:
    """Whether the upstream can be configured.

    The upstream's session has begun, or its session.created did not come in time. The Settings are there, and all
    preparation is done.
    """
    state, link = context.state, context.state.upstream
    is_preparing = state.in_hook is not None or bool(state.preparing)
    is_serving = link.is_created or link.is_unannounced
    return state.lifecycle is Lifecycle.CONNECTING and is_serving and not is_preparing


def configure(context: Context) -> None:
    """Configure the upstream in use, give it the conversation so far, and wait for its acknowledgement."""
    state = context.state
    # Before session.created its own deadline still runs, and ends the wait for a silent upstream (docs/decisions/0050).
    if state.upstream.is_created:
        context.wait(Wait.SESSION_UPDATED)
    send_configuration(context, state.upstream)
    if not state.has_context:
        state.has_context = True
        shows_calls = context.profile.component_messages
        state.ledger.extend(session_config.context_items(state.plan.agent, state.new_id, shows_calls=shows_calls))
    # Send the context right after the configuration: it is upstream before the client gets SettingsApplied.
    items.seed(context, state.upstream)


def item_acknowledged(context: Context, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """Record that an upstream has an item which it got with its configuration."""
    is_done = isinstance(event, openai.ConversationItemDone)
    context.state.upstream.items.acknowledge(event.item, is_done=is_done)


def send_configuration(context: Context, link: UpstreamLink) -> None:
    """Send an upstream the client's configuration, and the changes that the client made since."""
    plan = context.state.next_plan
    link.pending_updates = 1
    link.formats = format_negotiation.requested_formats(context, link)
    if isinstance(plan.source, inputs.PassthroughSessionUpdate):
        context.forward(plan.source.text, link=link)
    elif plan.source is not None:
        # The agent of the plan has every acknowledged update.
        agent = plan.agent
        if link.position in context.state.without_idle:
            agent = msgspec.structs.replace(agent, idleTimeoutMs=None)
        configuration = _session_of(context, msgspec.structs.replace(plan.source, agent=agent), link)
        update = context.enforced(configuration, opens=True)
        context.to_upstream(openai.SessionUpdate(session=update, event_id=SETTINGS_EVENT_ID), link)
    if plan.changes:
        # Send the changes as a second update. The service refuses an update as a whole (upstream 2.2), and a refused
        # change must not take the Settings with it.
        link.pending_updates += 1
        context.to_upstream(openai.SessionUpdate(session=plan.changes, event_id=CHANGES_EVENT_ID), link)


def _session_of(context: Context, settings: deepgram.Settings, link: UpstreamLink) -> dict[str, Any]:
    return session_config.session_of(
        settings,
        turn_detection=listening.detection_mode(context.state.next_plan.agent, context.options.turn_detection),
        formats=link.formats,
        voices=context.options.voices,
        transcription_model=transcription_model(context, link),
        model=context.state.model,
        server_functions=context.options.tools,
        tuning=context.options.tuning,
    )


def transcription_model(context: Context, link: UpstreamLink) -> str:
    """Return the transcription model of an upstream: its own if it has one, as Azure does (upstream 12.7)."""
    options = context.options
    own = options.transcription_models[link.position : link.position + 1]
    return (own[0] if own else None) or options.transcription_model


def record_acknowledgement(context: Context, link: UpstreamLink, event: openai.SessionUpdated) -> bool:
    """Record a session.updated.

    Return whether the upstream is configured: all updates acknowledged, the formats agreed on.
    """
    # An upstream may send an acknowledgement twice.
    link.pending_updates = max(0, link.pending_updates - 1)
    format_negotiation.record_formats(link, event)
    if link.pending_updates <= 0 and not format_negotiation.is_agreed(context, link):
        format_negotiation.request_linear16(context, link)
    return link.pending_updates <= 0


def judge_error(context: Context, event: openai.Error) -> None:
    """End the session if the error refuses the Settings, since the next upstream would refuse them, too.

    If the upstream refuses G.711, the idle timeout or later changes, the session configures it again without that part.
    A fatal error abandons the upstream. An error in place of session.created is only recorded. The client gets a
    refusal of an item or of changes, and any error that none of these rules is about. If session.updated does not
    follow, its deadline abandons the upstream.
    """
    # A close may follow, which this error explains.
    link, context.state.last_error = context.state.upstream, event.error
    if abandon_refusing_upstream(context, event.error):
        return
    if items.refuse_item(context, event.error) is not None:
        context.to_client(errors.client_error(event.error, context.options.redact))
    elif rules_out(context, link, event.error):
        send_configuration(context, link)
    elif event.error.event_id == CHANGES_EVENT_ID:
        _drop_changes(context, event)
    elif not link.is_created and event.error.event_id is None:
        # It comes in place of session.created, and explains the close that follows (upstream 9.2).
        record_error(context, event)
    # A client's own session.update has its own event_id, or none: any error counts as its refusal.
    elif event.error.event_id == SETTINGS_EVENT_ID or not context.state.plan.chooses_detection:
        # Close with the code after which no SDK reconnects: the same Settings would be refused again (client 7.1).
        error = errors.client_error(event.error, context.options.redact)
        context.end(errors.FinalError(error, closes.SETTINGS_REFUSED.code, error.code[:100]))
    else:
        context.to_client(errors.client_error(event.error, context.options.redact))


def rules_out(context: Context, link: UpstreamLink, error: openai.ErrorDetail) -> bool:
    """Record that an upstream lacks a part of the configuration, if its error may be a refusal of that part.

    Return whether the error may be such a refusal. The calling handler then sends the configuration again, without the
    part.
    """
    if format_negotiation.rule_out_refused_g711(context, link, error):
        return True
    state = context.state
    is_about_idle = _IDLE in (error.param or "") or _IDLE in (error.message or "")
    if not is_about_idle or state.plan.agent.idleTimeoutMs is None or link.position in state.without_idle:
        return False
    state.without_idle |= {link.position}
    context.log(logging.WARNING, f"the upstream refuses {_IDLE}: the agent asks no silent user")
    return True


_IDLE: Final = "idle_timeout_ms"
"""A field that some compatible servers do not know (upstream 4.9)."""


def _drop_changes(context: Context, event: openai.Error) -> None:
    # An earlier upstream took these changes, and this one refuses them. If the plan kept them, each later upstream
    # might refuse them again, until no restart is left.
    context.state.plan = context.state.plan.without_changes(context.options.turn_detection)
    context.to_client(errors.client_error(event.error, context.options.redact))
    send_configuration(context, context.state.upstream)
