"""Change a running session, one `session.update` at a time.

The upstream's acknowledgement names no update (upstream 2.3). With a single update on its way, `session.updated` and an
error must be about that update. An update that is on its way when the upstream is lost goes to the next one. Responses
wait for the updates that the client requested before them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.deepgram import blocks
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import TAKEOVER_S, Wait, length_s
from router.session.handlers import (
    early_input,
    format_negotiation,
    function_calls,
    passthrough,
    restart,
    settings,
    standby,
    upstream_setup,
)
from router.session.state.states import Lifecycle, ResponseState, StandbyState
from router.session.state.upstream import Update
from router.translation import errors, listening, session_config, validation

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import messages
    from router.session.context import Context
    from router.session.state.plan import SessionPlan
    from router.session.state.upstream import UpdateMessage, UpstreamLink


VOICE_IS_FIXED: Final = "cannot_update_voice"
"""The error code for a new voice, once the upstream's conversation holds assistant audio (upstream 2.4)."""


# The kinds: the agent that each update makes, and the changes that the upstream gets.


def _with_prompt(context: Context, agent: blocks.Agent, message: deepgram.UpdatePrompt) -> blocks.Agent:
    # Deepgram's pages disagree (client 3.1). It does less harm to add a prompt that was meant to replace the old one.
    think = session_config.first_think(agent)
    if context.policy is not None and message.prompt == think.prompt:
        return agent  # the policy forces one prompt in every message
    prompt = f"{think.prompt}\n\n{message.prompt}" if think.prompt else message.prompt
    return msgspec.structs.replace(agent, think=msgspec.structs.replace(think, prompt=prompt))


def _with_think(context: Context, agent: blocks.Agent, message: deepgram.UpdateThink) -> blocks.Agent:
    after = msgspec.structs.replace(agent, think=message.think)
    return function_calls.admit(context, _chosen(context, after))


def _chosen(context: Context, agent: blocks.Agent) -> blocks.Agent:
    # A session keeps its model (upstream 1.1), so of several think blocks the one for that model fits.
    return session_config.choose_think(agent, lambda model: model == context.state.model)


def _with_speak(_context: Context, agent: blocks.Agent, message: deepgram.UpdateSpeak) -> blocks.Agent:
    # `sessionAudioOutput`, the component's own field, would override the new voice.
    return msgspec.structs.replace(agent, speak=message.speak, sessionAudioOutput=None)


def _with_listen(_context: Context, agent: blocks.Agent, message: deepgram.UpdateListen) -> blocks.Agent:
    provider = listening.updated(agent.listen.provider, message.listen.provider)
    return msgspec.structs.replace(agent, listen=blocks.Listen(provider=provider))


def _prompt_changes(_context: Context, _link: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    return {"instructions": session_config.first_think(after).prompt}


def _think_changes(context: Context, _link: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    before, model, ours = context.state.plan.agent, context.state.model, context.options.tools
    tuning = context.options.tuning
    thinking = (
        session_config.thinking_of(session_config.first_think(agent), model, ours, tuning) for agent in (before, after)
    )
    return session_config.replaced(*thinking)


def _speak_changes(context: Context, _link: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    voices, tuning = context.options.voices, context.options.tuning
    output = session_config.replaced(
        *(session_config.speech_of(agent, voices, tuning) for agent in (context.state.plan.agent, after))
    )
    return {"audio": {"output": output}}


def _listen_changes(context: Context, link: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    model = upstream_setup.transcription_model(context, link)
    # An absent field keeps its value (upstream 2.1), so a language that is gone is unset.
    changes: dict[str, Any] = {"transcription": {"language": None, **listening.transcription(after, model)}}
    # If the client opened the session with its own event, it chooses the turn detection with such events, too.
    if context.state.plan.chooses_detection:
        mode = listening.detection_mode(after, context.options.turn_detection)
        changes["turn_detection"] = session_config.turn_detection_of(after, mode, context.options.tuning)
    return {"audio": {"input": changes}}


class _Kind(msgspec.Struct, frozen=True):
    ack: deepgram.ServerMessage
    validate: Callable[[Any], str | None]
    """A function that returns the fault of a message, or None."""
    agent: Callable[[Context, blocks.Agent, Any], blocks.Agent]
    changes: Callable[[Context, UpstreamLink, blocks.Agent], dict[str, Any]]


_KINDS: Final[dict[type, _Kind]] = {
    deepgram.UpdatePrompt: _Kind(deepgram.PromptUpdated(), lambda _: None, _with_prompt, _prompt_changes),
    deepgram.UpdateThink: _Kind(
        deepgram.ThinkUpdated(), lambda message: validation.validate_think(message.think), _with_think, _think_changes
    ),
    deepgram.UpdateSpeak: _Kind(
        deepgram.SpeakUpdated(), lambda message: validation.validate_speak(message.speak), _with_speak, _speak_changes
    ),
    deepgram.UpdateListen: _Kind(
        deepgram.ListenUpdated(),
        lambda message: validation.validate_listen(message.listen),
        _with_listen,
        _listen_changes,
    ),
}


# The request.


def update(context: Context, message: UpdateMessage) -> None:
    """Queue an update.

    An invalid update gets an Error that names the field, and one update too many gets an Error, too.
    """
    fault = session_config.invalid_settings(_KINDS[type(message)].validate(message))
    if fault is not None:
        context.to_client(deepgram.Error(description=fault.description, code=fault.code))
        return
    requested = Update(
        message,
        context.state.new_id(),
        size_bytes=len(msgspec.json.encode(message)),
        has_speed=_has_speed(_changes(context, message, context.state.upstream)),
    )
    if early_input.refuse_excess(context, context.state.updates, requested):
        return
    if isinstance(message, deepgram.UpdateThink):
        _warn_of_model(context, message)
        function_calls.warn_of_omitted(
            context, _chosen(context, msgspec.structs.replace(context.state.plan.agent, think=message.think))
        )
    if isinstance(message, deepgram.UpdateListen):
        settings.warn_of_listening(context, message.listen)
    context.state.updates += (requested,)


def _warn_of_model(context: Context, message: deepgram.UpdateThink) -> None:
    requested = session_config.first_think(_with_think(context, context.state.plan.agent, message)).provider.model
    if requested is not None and requested != context.state.model:
        settings.warn_of_model(context, f"`think.provider.model` {requested} is not used: a session keeps its model")


def update_passthrough(context: Context, event: inputs.PassthroughSessionUpdate) -> None:
    """Queue a client's own session.update."""
    text, event_id = passthrough.with_event_id(context, function_calls.add_router_functions(context, event).text)
    has_speed = _has_speed(orjson.loads(text).get("session"))
    requested = Update(inputs.PassthroughSessionUpdate(text), event_id, size_bytes=len(text), has_speed=has_speed)
    if not early_input.refuse_excess(context, context.state.updates, requested):
        context.state.updates += (requested,)


def _has_speed(session: object) -> bool:
    audio = session.get("audio") if isinstance(session, dict) else None
    output = audio.get("output") if isinstance(audio, dict) else None
    return isinstance(output, dict) and "speed" in output


def is_due(context: Context) -> bool:
    """Whether an update is requested, and none is on its way.

    An update of the speed also waits for the end of a response. The upstream changes the speed between turns alone
    (upstream 2.1).
    """
    state = context.state
    if not state.updates or state.upstream.is_updating or state.lifecycle is not Lifecycle.READY:
        return False
    return state.turn.response is ResponseState.NONE or not state.updates[0].has_speed


def send(context: Context) -> None:
    """Send the update that was requested first."""
    state = context.state
    state.upstream.is_updating = True
    context.wait(Wait.UPDATE)
    _send(context, state.updates[0], state.upstream)


def _send(context: Context, update: Update, link: UpstreamLink) -> None:
    if isinstance(update.message, inputs.PassthroughSessionUpdate):
        context.forward(update.message.text, link=link)
    else:
        changes = {"type": "realtime", **_changes(context, update.message, link)}
        context.to_upstream(openai.SessionUpdate(session=changes, event_id=update.event_id), link)


def _changes(context: Context, message: UpdateMessage, link: UpstreamLink) -> dict[str, Any]:
    kind = _KINDS[type(message)]
    return context.enforced(kind.changes(context, link, kind.agent(context, context.state.plan.agent, message)))


# The acknowledgement.


def updated(context: Context, event: openai.SessionUpdated) -> None:
    """Apply the update that is on its way, and acknowledge it to the client.

    The acknowledgement of a client's own session.update is SettingsApplied.
    """
    # session.updated has the whole effective session (upstream 2.3), and a client's own update may change formats.
    format_negotiation.record_formats(context.state.upstream, event)
    format_negotiation.apply_formats(context)
    if context.state.upstream.pending_updates > 0:
        # This acknowledges an update from the upstream's time on standby, and says nothing about a later one.
        context.state.upstream.pending_updates -= 1
        return
    current = _take_current(context)
    if current is None:
        return
    _update_standby(context, current)
    if isinstance(current.message, inputs.PassthroughSessionUpdate):
        _apply(context, context.state.plan.changed(orjson.loads(current.message.text).get("session")))
        context.to_client(deepgram.SettingsApplied())
        return
    _apply(context, _plan_with(context, current.message))
    context.to_client(_KINDS[type(current.message)].ack)


def _plan_with(context: Context, message: UpdateMessage) -> SessionPlan:
    state = context.state
    changes = {"type": "realtime", **_changes(context, message, state.upstream)}
    return state.plan.updated(_KINDS[type(message)].agent(context, state.plan.agent, message), changes)


def _apply(context: Context, plan: SessionPlan) -> None:
    state = context.state
    state.plan = plan
    if state.microphone is not None:
        # Without a detector no event marks the start of speech: all audio since the last commit may be the turn.
        state.microphone.is_speech |= not plan.detection.is_on
    if not plan.detection.is_on:
        context.signal(inputs.DetectionStopped())


def _update_standby(context: Context, update: Update) -> None:
    """Send an update to a standby upstream whose configuration was sent already.

    A standby that is still being dialled gets the update with its configuration.
    """
    standby_link = context.state.standby
    if standby_link is None or context.state.standby_state is StandbyState.CONNECTING:
        return
    standby_link.note_update(update.event_id)
    context.wait_for(Wait.STANDBY, context.options.deadlines.session_updated_s)
    _send(context, update, standby_link)


# The refusal.


def take_refusal(context: Context, error: openai.ErrorDetail) -> bool:
    """Drop the update that an error refuses, if any. Return whether the client need not see the error.

    An error without an `event_id` refuses the update if it names a field of the session.
    """
    updates, link = context.state.updates, context.state.upstream
    if link.refuse_update(error.event_id):
        # Another upstream has acknowledged this update before, and the client knows. Now it gets the error, too.
        return False
    if not updates or not link.is_updating:
        return False
    # At most one update is on its way, so an error about the session can only be about this one.
    is_named = error.event_id == updates[0].event_id
    if not is_named and (error.event_id is not None or not (error.param or "").startswith("session.")):
        return False
    refused = _take_current(context)
    if refused is None or errors.code_of(error) != VOICE_IS_FIXED:
        return False
    return _change_voice(context, refused.message)


def _change_voice(context: Context, message: UpdateMessage | inputs.PassthroughSessionUpdate) -> bool:
    """Request another upstream for the new voice, since a session that has spoken keeps its voice.

    The other upstream takes over between turns, with the conversation as text. The client then gets the
    acknowledgement. Return False if the message is no `UpdateSpeak`.
    """
    if not isinstance(message, deepgram.UpdateSpeak):
        return False
    state = context.state
    state.next_speak = message.speak
    state.pending_acks += (deepgram.SpeakUpdated(),)
    context.wait(Wait.TAKEOVER)
    # A standby upstream that is not configured yet will get the new voice. A configured one has the old voice.
    if state.standby_state is not StandbyState.CONNECTING:
        context.signal(inputs.StandbyReleased())
    standby.request_standby(context)
    return True


def takeover_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """Give up the new voice, because no upstream took it in time. A standby that is ready for it gets more time."""
    state = context.state
    if state.standby_state is StandbyState.SEEDED:
        # The standby takes over at the end of the turn in progress, which has deadlines of its own.
        context.wait(Wait.TAKEOVER)
        return
    state.next_speak = None
    refused, state.pending_acks = state.pending_acks, ()
    for _ in refused:
        _report_not_applied(context, "UpdateSpeak", f"no upstream took the new voice within {TAKEOVER_S:g} s")
    context.signal(inputs.StandbyReleased())
    context.schedule_rollover()


def update_timed_out(context: Context, fired: messages.TimerFired) -> None:
    """Abandon an upstream that did not acknowledge an update. Drop an update that two upstreams did not acknowledge.

    The first silence counts as a loss of the upstream. The second silence is the fault of the update, and ends no
    session (docs/decisions/0006).
    """
    current = _take_current(context)
    if current is None:
        return
    if current.is_late:
        _report_failure(context, current)
        return
    # The next upstream gets this update first. `is_updating` keeps the abandoned upstream from getting another one.
    context.state.updates = (msgspec.structs.replace(current, is_late=True), *context.state.updates)
    context.state.upstream.is_updating = True
    restart.abandon_silent(context, fired)


def _report_failure(context: Context, update: Update) -> None:
    is_passthrough = isinstance(update.message, inputs.PassthroughSessionUpdate)
    name = "session.update" if is_passthrough else type(update.message).__name__
    timeout_s = length_s(Wait.UPDATE, context.options.deadlines)
    _report_not_applied(context, name, f"the upstream did not acknowledge it within {timeout_s:g} s")


def _report_not_applied(context: Context, name: str, reason: str) -> None:
    context.log(logging.WARNING, f"{name} is not applied: {reason}")
    context.to_client(deepgram.Error(description=f"{name}: {reason}", code="UPDATE_NOT_APPLIED"))


def _take_current(context: Context) -> Update | None:
    """Remove and return the update that is on its way, or None."""
    state = context.state
    if not state.updates or not state.upstream.is_updating:
        return None
    state.upstream.is_updating = False
    context.stop_waiting(Wait.UPDATE)
    current, *others = state.updates
    state.updates = tuple(others)
    return current


# Messages to services that are not offered.

_NOT_OFFERED: Final[dict[type, str]] = {
    deepgram.UpdateThinkLive: "UpdateThink_Live: Think Live is not offered here",
    deepgram.CustomToThinkProvider: "__customToThinkProvider: there is no custom think provider here",
}


def refuse_unoffered(context: Context, message: deepgram.UpdateThinkLive | deepgram.CustomToThinkProvider) -> None:
    """Answer a message with an Error, because it is for a service that the router does not offer."""
    context.to_client(deepgram.Error(description=_NOT_OFFERED[type(message)], code="INVALID_SETTINGS"))
