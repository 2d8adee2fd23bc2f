"""Handlers of what changes a running session: one `session.update` at a time.

The upstream's acknowledgement names no update (reference, 2.1). With one on its way, `session.updated` and an error are
known to be its. An update that is on its way when the upstream is lost goes to the next one. Responses that are wanted
wait for the updates that were asked for before them.
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
from router.session.deadlines import Wait, length_s
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
from router.session.state.states import Lifecycle, StandbyState
from router.translation import errors, listening, session_config, validation

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import messages
    from router.session.context import Context
    from router.session.state.upstream import UpstreamLink

    Message = deepgram.UpdatePrompt | deepgram.UpdateThink | deepgram.UpdateSpeak | deepgram.UpdateListen


VOICE_IS_FIXED: Final = "cannot_update_voice"
"""The upstream's code where assistant audio is present (reference, 2.1)."""


class Update(msgspec.Struct, frozen=True):
    """A change that is wanted. `event_id` comes back in the error that refuses it."""

    message: Message | inputs.PassthroughSessionUpdate
    event_id: str
    size_bytes: int
    is_late: bool = False
    """An upstream did not acknowledge it in time."""


# What each update means: the agent that it makes, and what the upstream is told of that.


def _with_prompt(_session: Context, agent: blocks.Agent, message: deepgram.UpdatePrompt) -> blocks.Agent:
    think = session_config.first_think(agent)
    prompt = f"{think.prompt}\n\n{message.prompt}" if think.prompt else message.prompt
    return msgspec.structs.replace(agent, think=msgspec.structs.replace(think, prompt=prompt))


def _with_think(context: Context, agent: blocks.Agent, message: deepgram.UpdateThink) -> blocks.Agent:
    after = msgspec.structs.replace(agent, think=message.think)
    return function_calls.admit(context, _chosen(context, after))


def _chosen(context: Context, agent: blocks.Agent) -> blocks.Agent:
    return session_config.choose_think(agent, lambda model: model == context.state.route)


def _with_speak(_session: Context, agent: blocks.Agent, message: deepgram.UpdateSpeak) -> blocks.Agent:
    return msgspec.structs.replace(agent, speak=message.speak, sessionAudioOutput=None)


def _with_listen(_session: Context, agent: blocks.Agent, message: deepgram.UpdateListen) -> blocks.Agent:
    provider = listening.updated(agent.listen.provider, message.listen.provider)
    return msgspec.structs.replace(agent, listen=blocks.Listen(provider=provider))


def _prompt_changes(_session: Context, _line: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    return {"instructions": session_config.first_think(after).prompt}


def _think_changes(context: Context, _line: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    before, model, ours = context.state.agent, context.state.route, context.options.tools
    thinking = (session_config.thinking_of(session_config.first_think(agent), model, ours) for agent in (before, after))
    return session_config.replaced(*thinking)


def _speak_changes(context: Context, _line: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    voices = context.options.voices
    output = session_config.replaced(
        *(session_config.speech_of(agent, voices) for agent in (context.state.agent, after))
    )
    return {"audio": {"output": output}}


def _listen_changes(context: Context, link: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    model = upstream_setup.transcription_model(context, link)
    changes: dict[str, Any] = {"transcription": {"language": None, **listening.transcription(after, model)}}
    if not context.state.is_passthrough:
        mode = listening.detection_mode(after, context.options.turn_detection)
        changes["turn_detection"] = listening.turn_detection(after.listen.provider, mode)
    return {"audio": {"input": changes}}


class _Kind(msgspec.Struct, frozen=True):
    ack: deepgram.ServerMessage
    fault: Callable[[Any], str | None]
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


# An update is wanted.


def update(context: Context, message: Message) -> None:
    """Take an update, or say by field why it cannot be obeyed."""
    fault = session_config.invalid_settings(_KINDS[type(message)].fault(message))
    if fault is not None:
        context.to_client(deepgram.Error(description=fault.description, code=fault.code))
        return
    wanted = Update(message, context.state.new_id(), size_bytes=len(msgspec.json.encode(message)))
    if early_input.is_one_too_many(context, context.state.updates, wanted):
        return
    if isinstance(message, deepgram.UpdateThink):
        _warn_of_model(context, message)
        function_calls.warn(
            context, _chosen(context, msgspec.structs.replace(context.state.agent, think=message.think))
        )
    context.state.updates.append(wanted)


def _warn_of_model(context: Context, message: deepgram.UpdateThink) -> None:
    asked = session_config.first_think(_with_think(context, context.state.agent, message)).provider.model
    if asked is not None and asked != context.state.route:
        settings.warn_of_model(context, f"`think.provider.model` {asked} is not used: a session keeps its model")


def update_passthrough(context: Context, event: inputs.PassthroughSessionUpdate) -> None:
    """Take a client's own session.update."""
    text, event_id = passthrough.with_event_id(context, function_calls.with_ours(context, event).text)
    wanted = Update(inputs.PassthroughSessionUpdate(text), event_id, size_bytes=len(text))
    if not early_input.is_one_too_many(context, context.state.updates, wanted):
        context.state.updates.append(wanted)


def is_due(context: Context) -> bool:
    """An update is wanted, and none is on its way."""
    state = context.state
    return bool(state.updates) and not state.upstream.is_updating and state.lifecycle is Lifecycle.READY


def send(context: Context) -> None:
    """Send the update that is wanted longest."""
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


def _changes(context: Context, message: Message, link: UpstreamLink) -> dict[str, Any]:
    kind = _KINDS[type(message)]
    return kind.changes(context, link, kind.agent(context, context.state.agent, message))


# Its end.


def updated(context: Context, event: openai.SessionUpdated) -> None:
    """The update that is on its way is applied. The client of a `session.update` hears SettingsApplied, as at first."""
    format_negotiation.record_formats(context.state.upstream, event)
    format_negotiation.apply(context)
    if context.state.upstream.updates > 0:  # one that it was told of before it was in use
        context.state.upstream.updates -= 1
        return
    taken = _take(context)
    if taken is None:
        return
    _update_standby(context, taken)
    if isinstance(taken.message, inputs.PassthroughSessionUpdate):
        _apply_passthrough(context, orjson.loads(taken.message.text).get("session"))
        context.to_client(deepgram.SettingsApplied())
        return
    _apply(context, taken.message)
    context.to_client(_KINDS[type(taken.message)].ack)


def _apply(context: Context, message: Message) -> None:
    state = context.state
    changes = _changes(context, message, state.upstream)
    state.agent = _KINDS[type(message)].agent(context, state.agent, message)
    if not state.is_passthrough:
        state.turn_detection = listening.detection_mode(state.agent, context.options.turn_detection)
    if state.changes or state.is_passthrough:
        _remember(context, {"type": "realtime", **changes})


def _apply_passthrough(context: Context, changes: Any) -> None:
    state = context.state
    _remember(context, changes)
    if not state.is_passthrough and state.microphone is not None:
        state.turn_detection = listening.passthrough_detection(changes, state.turn_detection)
        state.microphone.is_speech |= not state.detects_turns


def _remember(context: Context, changes: Any) -> None:
    """Another upstream will be told it, after what the session began with."""
    if isinstance(changes, dict):
        context.state.changes = session_config.merged(context.state.changes, changes)


def _update_standby(context: Context, update: Update) -> None:
    """The upstream that was configured in advance hears of it, too; one that was not will hear it in full."""
    standby = context.state.standby
    if standby is None or context.state.standby_state is StandbyState.CONNECTING:
        return
    standby.updates += 1
    context.wait_for(Wait.STANDBY, context.options.deadlines.session_updated_s)
    _send(context, update, standby)


def is_refused(context: Context, error: openai.ErrorDetail) -> bool:
    """Drop the update that this error refuses, if it does; whether nobody has to hear of that.

    Without an id the update is known by the field that the error names.
    """
    updates = context.state.updates
    if not updates or not context.state.upstream.is_updating:
        return False
    is_named = error.event_id == updates[0].event_id
    if not is_named and (error.event_id is not None or not (error.param or "").startswith("session.")):
        return False
    refused = _take(context)
    if refused is None or errors.code_of(error) != VOICE_IS_FIXED:
        return False
    return _change_voice(context, refused.message)


def _change_voice(context: Context, message: Message | inputs.PassthroughSessionUpdate) -> bool:
    """A session that has spoken keeps its voice: another one takes over between turns, told what was said."""
    if not isinstance(message, deepgram.UpdateSpeak):
        return False
    state = context.state
    state.agent = _with_speak(context, state.agent, message)
    state.pending_acks.append(deepgram.SpeakUpdated())
    if state.standby_state is not StandbyState.CONNECTING:  # else it is told when it is configured
        context.signal(inputs.StandbyReleased())
    standby.request_standby(context, None)
    return True


def update_timed_out(context: Context, fired: messages.TimerFired) -> None:
    """The upstream did not say in time whether it took the update: another may, or we go on without."""
    taken = _take(context)
    if taken is None:
        return
    if taken.is_late:
        _give_up(context, taken)
        return
    context.state.updates.appendleft(msgspec.structs.replace(taken, is_late=True))
    context.state.upstream.is_updating = True
    restart.upstream_silent(context, fired)


def _give_up(context: Context, taken: Update) -> None:
    is_as_is = isinstance(taken.message, inputs.PassthroughSessionUpdate)
    name = "session.update" if is_as_is else type(taken.message).__name__
    context.log(logging.WARNING, f"{name} is not acknowledged")
    timeout_s = length_s(Wait.UPDATE, context.options.deadlines)
    description = f"{name}: the upstream has not taken it within {timeout_s:g} s"
    context.to_client(deepgram.Error(description=description, code="UPDATE_NOT_APPLIED"))


def _take(context: Context) -> Update | None:
    state = context.state
    if not state.updates or not state.upstream.is_updating:
        return None
    state.upstream.is_updating = False
    context.stop_waiting(Wait.UPDATE)
    taken: Update = state.updates.popleft()
    return taken


# Messages of services that are not here.

_NOT_OFFERED: Final[dict[type, str]] = {
    deepgram.UpdateThinkLive: "UpdateThink_Live: Think Live is not offered here",
    deepgram.CustomToThinkProvider: "__customToThinkProvider: there is no custom think provider here",
}


def refuse_unoffered(context: Context, message: deepgram.UpdateThinkLive | deepgram.CustomToThinkProvider) -> None:
    """Answer a message to a service that is not here."""
    context.to_client(deepgram.Error(description=_NOT_OFFERED[type(message)], code="INVALID_SETTINGS"))
