"""Handlers of a client's Settings, from the handshake to SettingsApplied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from router.deepgram import blocks
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import configure_hook, conversions, format_negotiation, function_calls
from router.session.state.states import KEEP
from router.session.state.turn import ResponseRequest, new_verbatim_text
from router.translation import listening, session_config, text
from router.translation.audio import Microphone, Speaker
from router.translation.formats import input_format, output_format

if TYPE_CHECKING:
    from actors import messages
    from router.audio.formats import Format
    from router.session.machine import Session
    from router.session.state.states import Keep


def welcome(session_id: str) -> str:
    """Return the first frame to every client: it leaves with the answer to the handshake, before `ClientOpened`."""
    return deepgram_codec.encode(deepgram.Welcome(request_id=session_id))


def client_opened(session: Session, _opened: messages.ClientOpened) -> None:
    """Wait for the Settings of a client that has its Welcome. The upstream is dialled in advance."""
    session.wait(Wait.SETTINGS)
    dial(session, session.options.fixed_model or session.options.model)


def dial(session: Session, model: str) -> None:
    """Have an upstream for this model, unless one is on its way."""
    state = session.state
    if state.upstream.generation and state.route == model:
        return
    if state.upstream.generation:
        session.stop_waiting(Wait.SESSION_CREATED, Wait.ROLLOVER)
        session.close_upstream(state.upstream.generation)
    state.route = model
    state.upstream = state.next_link()
    session.open_upstream(state.upstream.generation, model)


# Settings.


def open_session(session: Session, message: deepgram.Settings) -> Keep | None:
    """Take the Settings, and dial the upstream that they ask for."""
    fault = session_config.validate_settings(message)
    if fault is not None:
        session.to_client(deepgram.Error(description=fault.description, code=fault.code))
        return KEEP
    session.stop_waiting(Wait.SETTINGS)
    if session.options.is_configured_outside:
        session.state.settings = message
        configure_hook.ask(session, session.client_text)
    else:
        _open_with(session, message)
    return None


def configured_by_application(session: Session, _name: str, done: messages.WorkDone) -> None:
    """Go on with what the embedding application has to say, or with the client's own Settings."""
    message = configure_hook.answered(session, done) or session.state.settings
    if isinstance(message, inputs.PassthroughSessionUpdate):
        _open_with_passthrough(session, message)
    elif message is not None:
        _open_with(session, message)


def _open_with(session: Session, message: deepgram.Settings) -> None:
    assert isinstance(message.agent, blocks.Agent)  # noqa: S101 - find_fault said so
    state, chosen = session.state, session_config.chosen(message.agent, session.options.is_available)
    agent = function_calls.admit(session, chosen)
    state.settings, state.agent = message, agent
    state.turn_detection = listening.detection_mode(agent, session.options.turn_detection)
    state.microphone = _microphone(session, input_format(message.audio))
    state.speaker = Speaker(output_format(message.audio))
    conversions.prepare(session, state.microphone.source, output_format(message.audio))
    function_calls.warn(session, chosen)
    dial(session, _choose_model(session, message.agent, agent))


def open_passthrough_session(session: Session, message: inputs.PassthroughSessionUpdate) -> None:
    """Take a client's own session.update for its Settings."""
    session.stop_waiting(Wait.SETTINGS)
    if session.options.is_configured_outside:
        session.state.settings = message
        configure_hook.ask(session, message.text)
    else:
        _open_with_passthrough(session, message)


def _open_with_passthrough(session: Session, message: inputs.PassthroughSessionUpdate) -> None:
    state = session.state
    state.settings = message = function_calls.with_ours(session, message)
    state.agent = session_config.passthrough_agent(orjson.loads(message.text).get("session"))
    state.turn_detection = listening.THE_CLIENT_S
    own = format_negotiation.passthrough_formats(message)
    state.microphone, state.speaker = _microphone(session, own.input), Speaker(own.output)
    dial(session, session.options.fixed_model or session.options.model)


def _microphone(session: Session, source: Format) -> Microphone:
    options = session.options
    microphone = Microphone(source, preroll_s=options.preroll_s, most_s=options.uncommitted_audio_s)
    # Without a detector of the upstream's, all that was said since the last commit is the turn.
    microphone.is_speech = not session.state.detects_turns
    return microphone


def _choose_model(session: Session, given: blocks.Agent, chosen: blocks.Agent) -> str:
    asked, think = session_config.first_think(given).provider.model, session_config.first_think(chosen)
    model = session.options.model_for(think.provider.model)
    if asked is not None and asked != model:
        warn_of_model(session, f"`agent.think.provider.model` {asked} is not available here: {model} is used")
    elif think.endpoint is not None:
        warn_of_model(session, f"`agent.think.endpoint` is not asked here: {model} is used")
    return model


def warn_of_model(session: Session, description: str) -> None:
    """Tell the client that another model thinks than it asked for."""
    session.to_client(deepgram.Warning(description=description, code="MODEL_NOT_AVAILABLE"))


def settings_again(session: Session, _message: deepgram.Settings) -> None:
    """Answer a second Settings. The React component sends one after a reload."""
    if not session.profile.settings_repeat:
        description = "Settings were given already: they can be given once"
        session.to_client(deepgram.Error(description=description, code="SETTINGS_ALREADY_APPLIED"))
    elif session.state.is_applied:
        session.to_client(deepgram.SettingsApplied())


# The upstream is ready.


def apply_settings(session: Session) -> None:
    """Tell the client that its Settings are applied, and put what they bring into the ledger. Once a session."""
    state = session.state
    if state.is_applied:
        return
    state.is_applied = True
    session.to_client(deepgram.SettingsApplied())
    if isinstance(state.settings, deepgram.Settings):
        _begin_with(session, state.agent)


def _begin_with(session: Session, agent: blocks.Agent) -> None:
    ledger, new_id = session.state.ledger, session.state.new_id
    for item in session_config.context_items(agent, new_id):
        ledger.add(item)
    if agent.greeting and not len(ledger):
        _greet_client(session, agent.greeting)


def _greet_client(session: Session, greeting: str) -> None:
    item_id, how = session.state.new_id(), session.options.greeting
    if how == "spoken" or (how == "auto" and session.profile.spoken_greeting):
        session.state.turn.request(ResponseRequest(verbatim=new_verbatim_text(item_id, greeting)))
    else:
        session.state.ledger.add(text.message_item(item_id, "assistant", greeting))
        session.to_client(deepgram.ConversationText(role="assistant", content=greeting))
