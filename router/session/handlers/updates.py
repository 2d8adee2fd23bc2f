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
    takeover,
    upstream_setup,
)
from router.session.state.states import Lifecycle, StandbyState
from router.translation import errors, listening, session_config, validation

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import messages
    from router.session.machine import Session
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


def _with_prompt(_session: Session, agent: blocks.Agent, message: deepgram.UpdatePrompt) -> blocks.Agent:
    think = session_config.first_think(agent)
    prompt = f"{think.prompt}\n\n{message.prompt}" if think.prompt else message.prompt
    return msgspec.structs.replace(agent, think=msgspec.structs.replace(think, prompt=prompt))


def _with_think(session: Session, agent: blocks.Agent, message: deepgram.UpdateThink) -> blocks.Agent:
    after = msgspec.structs.replace(agent, think=message.think)
    return function_calls.admit(session, _chosen(session, after))


def _chosen(session: Session, agent: blocks.Agent) -> blocks.Agent:
    return session_config.chosen(agent, lambda model: model == session.state.route)


def _with_speak(_session: Session, agent: blocks.Agent, message: deepgram.UpdateSpeak) -> blocks.Agent:
    return msgspec.structs.replace(agent, speak=message.speak, sessionAudioOutput=None)


def _with_listen(_session: Session, agent: blocks.Agent, message: deepgram.UpdateListen) -> blocks.Agent:
    provider = listening.updated(agent.listen.provider, message.listen.provider)
    return msgspec.structs.replace(agent, listen=blocks.Listen(provider=provider))


def _prompt_changes(_session: Session, _line: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    return {"instructions": session_config.first_think(after).prompt}


def _think_changes(session: Session, _line: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    before, model, ours = session.state.agent, session.state.route, session.options.tools
    thinking = (session_config.thinking_of(session_config.first_think(agent), model, ours) for agent in (before, after))
    return session_config.replaced(*thinking)


def _speak_changes(session: Session, _line: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    voices = session.options.voices
    output = session_config.replaced(
        *(session_config.speech_of(agent, voices) for agent in (session.state.agent, after))
    )
    return {"audio": {"output": output}}


def _listen_changes(session: Session, link: UpstreamLink, after: blocks.Agent) -> dict[str, Any]:
    model = upstream_setup.transcription_model(session, link)
    changes: dict[str, Any] = {"transcription": {"language": None, **listening.transcription(after, model)}}
    if isinstance(session.state.settings, deepgram.Settings):
        mode = listening.detection_mode(after, session.options.turn_detection)
        changes["turn_detection"] = listening.turn_detection(after.listen.provider, mode)
    return {"audio": {"input": changes}}


class _Kind(msgspec.Struct, frozen=True):
    ack: deepgram.ServerMessage
    fault: Callable[[Any], str | None]
    agent: Callable[[Session, blocks.Agent, Any], blocks.Agent]
    changes: Callable[[Session, UpstreamLink, blocks.Agent], dict[str, Any]]


_KINDS: Final[dict[type, _Kind]] = {
    deepgram.UpdatePrompt: _Kind(deepgram.PromptUpdated(), lambda _: None, _with_prompt, _prompt_changes),
    deepgram.UpdateThink: _Kind(
        deepgram.ThinkUpdated(), lambda message: validation.of_think(message.think), _with_think, _think_changes
    ),
    deepgram.UpdateSpeak: _Kind(
        deepgram.SpeakUpdated(), lambda message: validation.of_speak(message.speak), _with_speak, _speak_changes
    ),
    deepgram.UpdateListen: _Kind(
        deepgram.ListenUpdated(), lambda message: validation.of_listen(message.listen), _with_listen, _listen_changes
    ),
}


# An update is wanted.


def update(session: Session, message: Message) -> None:
    """Take an update, or say by field why it cannot be obeyed."""
    fault = session_config.invalid(_KINDS[type(message)].fault(message))
    if fault is not None:
        session.to_client(deepgram.Error(description=fault.description, code=fault.code))
        return
    wanted = Update(message, session.state.new_id(), size_bytes=len(msgspec.json.encode(message)))
    if early_input.is_one_too_many(session, session.state.updates, wanted):
        return
    if isinstance(message, deepgram.UpdateThink):
        _warn_of_model(session, message)
        function_calls.warn(
            session, _chosen(session, msgspec.structs.replace(session.state.agent, think=message.think))
        )
    session.state.updates.append(wanted)


def _warn_of_model(session: Session, message: deepgram.UpdateThink) -> None:
    asked = session_config.first_think(_with_think(session, session.state.agent, message)).provider.model
    if asked is not None and asked != session.state.route:
        settings.warn_of_model(session, f"`think.provider.model` {asked} is not used: a session keeps its model")


def update_passthrough(session: Session, event: inputs.PassthroughSessionUpdate) -> None:
    """Take a client's own session.update."""
    text, event_id = passthrough.with_event_id(session, function_calls.with_ours(session, event).text)
    wanted = Update(inputs.PassthroughSessionUpdate(text), event_id, size_bytes=len(text))
    if not early_input.is_one_too_many(session, session.state.updates, wanted):
        session.state.updates.append(wanted)


def is_due(session: Session) -> bool:
    """An update is wanted, and none is on its way."""
    state = session.state
    return bool(state.updates) and not state.upstream.is_updating and state.lifecycle is Lifecycle.READY


def send(session: Session) -> None:
    """Send the update that is wanted longest."""
    state = session.state
    state.upstream.is_updating = True
    session.wait(Wait.UPDATE)
    _send(session, state.updates[0], state.upstream)


def _send(session: Session, update: Update, link: UpstreamLink) -> None:
    if isinstance(update.message, inputs.PassthroughSessionUpdate):
        session.forward(update.message.text, link=link)
    else:
        changes = {"type": "realtime", **_changes(session, update.message, link)}
        session.to_upstream(openai.SessionUpdate(session=changes, event_id=update.event_id), link)


def _changes(session: Session, message: Message, link: UpstreamLink) -> dict[str, Any]:
    kind = _KINDS[type(message)]
    return kind.changes(session, link, kind.agent(session, session.state.agent, message))


# Its end.


def updated(session: Session, event: openai.SessionUpdated) -> None:
    """The update that is on its way is applied. The client of a `session.update` hears SettingsApplied, as at first."""
    format_negotiation.record_formats(session.state.upstream, event)
    format_negotiation.apply(session)
    if session.state.upstream.updates > 0:  # one that it was told of before it was in use
        session.state.upstream.updates -= 1
        return
    taken = _take(session)
    if taken is None:
        return
    _update_standby(session, taken)
    if isinstance(taken.message, inputs.PassthroughSessionUpdate):
        _apply_passthrough(session, orjson.loads(taken.message.text).get("session"))
        session.to_client(deepgram.SettingsApplied())
        return
    _apply(session, taken.message)
    session.to_client(_KINDS[type(taken.message)].ack)


def _apply(session: Session, message: Message) -> None:
    state = session.state
    changes = _changes(session, message, state.upstream)
    state.agent = _KINDS[type(message)].agent(session, state.agent, message)
    if isinstance(state.settings, deepgram.Settings):
        state.turn_detection = listening.detection_mode(state.agent, session.options.turn_detection)
    if state.changes or not isinstance(state.settings, deepgram.Settings):
        _remember(session, {"type": "realtime", **changes})


def _apply_passthrough(session: Session, changes: Any) -> None:
    state = session.state
    _remember(session, changes)
    if isinstance(state.settings, deepgram.Settings) and state.microphone is not None:
        state.turn_detection = listening.passthrough_detection(changes, state.turn_detection)
        state.microphone.is_speech |= not state.detects_turns


def _remember(session: Session, changes: Any) -> None:
    """Another upstream will be told it, after what the session began with."""
    if isinstance(changes, dict):
        session.state.changes = session_config.merged(session.state.changes, changes)


def _update_standby(session: Session, update: Update) -> None:
    """The upstream that was configured in advance hears of it, too; one that was not will hear it in full."""
    standby = session.state.standby
    if standby is None or session.state.standby_state is StandbyState.CONNECTING:
        return
    standby.updates += 1
    session.wait_for(Wait.STANDBY, session.options.deadlines.session_updated_s)
    _send(session, update, standby)


def is_refused(session: Session, error: openai.ErrorDetail) -> bool:
    """Drop the update that this error refuses, if it does; whether nobody has to hear of that.

    Without an id the update is known by the field that the error names.
    """
    updates = session.state.updates
    if not updates or not session.state.upstream.is_updating:
        return False
    is_named = error.event_id == updates[0].event_id
    if not is_named and (error.event_id is not None or not (error.param or "").startswith("session.")):
        return False
    refused = _take(session)
    if refused is None or errors.code_of(error) != VOICE_IS_FIXED:
        return False
    return _change_voice(session, refused.message)


def _change_voice(session: Session, message: Message | inputs.PassthroughSessionUpdate) -> bool:
    """A session that has spoken keeps its voice: another one takes over between turns, told what was said."""
    if not isinstance(message, deepgram.UpdateSpeak):
        return False
    state = session.state
    state.agent = _with_speak(session, state.agent, message)
    state.pending_acks.append(deepgram.SpeakUpdated())
    if state.standby_state is not StandbyState.CONNECTING:  # else it is told when it is configured
        takeover.release_standby(session)
    standby.open_standby(session, None)
    return True


def update_timed_out(session: Session, fired: messages.TimerFired) -> None:
    """The upstream did not say in time whether it took the update: another may, or we go on without."""
    taken = _take(session)
    if taken is None:
        return
    if taken.is_late:
        _give_up(session, taken)
        return
    session.state.updates.appendleft(msgspec.structs.replace(taken, is_late=True))
    session.state.upstream.is_updating = True
    restart.upstream_silent(session, fired)


def _give_up(session: Session, taken: Update) -> None:
    is_as_is = isinstance(taken.message, inputs.PassthroughSessionUpdate)
    name = "session.update" if is_as_is else type(taken.message).__name__
    session.log(logging.WARNING, f"{name} is not acknowledged")
    timeout_s = length_s(Wait.UPDATE, session.options.deadlines)
    description = f"{name}: the upstream has not taken it within {timeout_s:g} s"
    session.to_client(deepgram.Error(description=description, code="UPDATE_NOT_APPLIED"))


def _take(session: Session) -> Update | None:
    state = session.state
    if not state.updates or not state.upstream.is_updating:
        return None
    state.upstream.is_updating = False
    session.stop_waiting(Wait.UPDATE)
    taken: Update = state.updates.popleft()
    return taken


# Messages of services that are not here.

_NOT_OFFERED: Final[dict[type, str]] = {
    deepgram.UpdateThinkLive: "UpdateThink_Live: Think Live is not offered here",
    deepgram.CustomToThinkProvider: "__customToThinkProvider: there is no custom think provider here",
}


def refuse_unoffered(session: Session, message: deepgram.UpdateThinkLive | deepgram.CustomToThinkProvider) -> None:
    """Answer a message to a service that is not here."""
    session.to_client(deepgram.Error(description=_NOT_OFFERED[type(message)], code="INVALID_SETTINGS"))
