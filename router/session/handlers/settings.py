"""Take a client's Settings, from the handshake to SettingsApplied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.deepgram import blocks
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import configure_hook, conversions, function_calls, limits, upstream_setup
from router.session.state.pending import ResponseRequest, new_verbatim_text
from router.session.state.plan import plan_of_session_update, plan_of_settings
from router.session.state.states import Lifecycle
from router.translation import listening, session_config, text
from router.translation.audio import Microphone, Speaker
from router.translation.formats import Formats, input_format, output_format, with_rate

if TYPE_CHECKING:
    from actors import messages
    from router.audio.formats import Format
    from router.session.context import Context
    from router.session.state.limited import Limited


def welcome(session_id: str) -> str:
    """Return the first frame to a client.

    The frame leaves with the answer to the handshake, before `ClientOpened`.
    """
    return deepgram_codec.encode(deepgram.Welcome(request_id=session_id))


def client_opened(context: Context, _opened: messages.ClientOpened) -> None:
    """Wait for the client's Settings, and dial the default upstream meanwhile.

    A dial takes about a second at the real service. A client that never sends Settings costs an unused upstream session
    (docs/decisions/0008).
    """
    context.wait(Wait.SETTINGS)
    limits.start_clocks(context)
    dial(context, context.options.fixed_model or context.options.model)


def begin_at(context: Context, generation: int, limited: Limited) -> None:
    """Wait for Settings in a call that another machine began, and whose next upstream is about to be opened.

    `generation` is the number of that upstream. `limited` is the use of the call's limits so far.
    """
    state = context.state
    context.wait(Wait.SETTINGS)
    if state.adoptions:
        context.wait(Wait.ADOPTION)
    state.limited = limited
    limits.resume_clocks(context)
    state.model = context.options.fixed_model or context.options.model
    state.generation = generation - 1
    state.upstream = state.next_link()


def dial(context: Context, model: str) -> None:
    """Dial an upstream for this model, unless an upstream is dialled for this model already.

    Close an upstream that was dialled for another model.
    """
    state = context.state
    if state.upstream.generation and state.model == model:
        return
    if state.upstream.generation:
        # It was dialled in advance, for another model, and a session keeps its model (upstream 1.1).
        context.stop_waiting(Wait.SESSION_CREATED, Wait.UNANNOUNCED, Wait.ROLLOVER)
        context.close_upstream(state.upstream.generation)
    state.model = model
    state.upstream = state.next_link()
    context.open_upstream(state.upstream.generation, model)
    if state.lifecycle is not Lifecycle.AWAITING_SETTINGS or state.plan.source is not None:
        await_dial(context)


def await_dial(context: Context) -> None:
    """Start the deadline of the dial that the client's Settings wait for: a dial may wait for a thread, or hang."""
    link = context.state.upstream
    # Before the hook `configure` has chosen a model, there may be no dial to wait for.
    if link.generation and not link.opened_at:
        context.wait(Wait.DIAL)


# Settings.


def open_session(context: Context, message: deepgram.Settings) -> Lifecycle | None:
    """Take the Settings, and dial the upstream that they need.

    Return AWAITING_SETTINGS after invalid Settings, so that the client may send new Settings; otherwise None.
    """
    fault = session_config.validate_settings(message)
    if fault is not None:
        context.to_client(deepgram.Error(description=fault.description, code=fault.code))
        return Lifecycle.AWAITING_SETTINGS
    context.stop_waiting(Wait.SETTINGS)
    await_dial(context)
    if context.options.is_configured_outside:
        configure_hook.start(context, context.client_text, message)
    else:
        _open_with(context, message)
    return None


def apply_hook(context: Context, _name: str, done: messages.WorkDone) -> None:
    """Configure the session with the result of the `configure` hook, or with the client's own Settings."""
    message = configure_hook.take_result(context, done)
    if isinstance(message, inputs.PassthroughSessionUpdate):
        _open_with_passthrough(context, message)
    elif message is not None:
        _open_with(context, message)


def _open_with(context: Context, message: deepgram.Settings) -> None:
    assert isinstance(message.agent, blocks.Agent)  # noqa: S101 - validate_settings refuses the id of a stored agent
    audio = with_rate(message.audio, context.profile.linear16_rate)
    state, chosen = context.state, session_config.choose_think(message.agent, context.options.is_available)
    agent = function_calls.admit(context, chosen)
    source = msgspec.structs.replace(message, audio=audio)
    context.report_tags(message.tags)
    state.plan = plan_of_settings(source, agent, context.options.turn_detection)
    state.microphone = _microphone(context, input_format(audio))
    state.speaker = Speaker(output_format(audio))
    conversions.prepare(context, state.microphone.source, output_format(audio))
    function_calls.warn_of_omitted(context, chosen)
    warn_of_listening(context, message.agent.listen)
    limits.choose_idle(context, message.agent.idleTimeoutMs)
    dial(context, _choose_model(context, message.agent, agent))


def open_passthrough_session(context: Context, message: inputs.PassthroughSessionUpdate) -> None:
    """Take a client's own session.update, which configures the session in place of Settings."""
    context.stop_waiting(Wait.SETTINGS)
    await_dial(context)
    if context.options.is_configured_outside:
        configure_hook.start(context, message.text, message)
    else:
        _open_with_passthrough(context, message)


def _open_with_passthrough(context: Context, message: inputs.PassthroughSessionUpdate) -> None:
    state = context.state
    # Add the functions before `plan` is set, because an empty plan marks the first session.update. Only the first one
    # gets the router's functions if it has no `tools`.
    plan = plan_of_session_update(function_calls.add_router_functions(context, message))
    state.plan = plan
    formats = plan.client_formats or Formats()
    state.microphone, state.speaker = _microphone(context, formats.input), Speaker(formats.output)
    dial(context, context.options.fixed_model or context.options.model)


def _microphone(context: Context, source: Format) -> Microphone:
    bounds = context.options.bounds
    microphone = Microphone(source, preroll_s=bounds.preroll_s, max_s=bounds.uncommitted_audio_s)
    # Without the upstream's detector no event marks the start of speech: all audio since the last commit is the turn.
    microphone.is_speech = not context.state.plan.detection.is_on
    return microphone


def _choose_model(context: Context, requested_agent: blocks.Agent, chosen: blocks.Agent) -> str:
    requested, think = session_config.first_think(requested_agent).provider.model, session_config.first_think(chosen)
    model = context.options.model_for(think.provider.model)
    if requested is not None and requested != model:
        warn_of_model(context, f"`agent.think.provider.model` {requested} is not available here: {model} is used")
    elif think.endpoint is not None:
        warn_of_model(context, f"`agent.think.endpoint` is not called here: {model} is used")
    return model


def warn_of_model(context: Context, description: str) -> None:
    """Warn the client that the session uses another model than the client requested.

    The React component always names a model (client 9.2).
    """
    context.to_client(deepgram.Warning(description=description, code="MODEL_NOT_AVAILABLE"))


def warn_of_listening(context: Context, listen: blocks.Listen) -> None:
    """Warn the client of key terms and language hints that the transcription model does not take."""
    model = upstream_setup.transcription_model(context, context.state.upstream)
    ignored = listening.untaken(listen.provider, model)
    if ignored is not None:
        context.to_client(deepgram.Warning(description=ignored, code="LISTEN_OPTION_NOT_SUPPORTED"))


def repeat_settings(context: Context, _message: deepgram.Settings) -> None:
    """Answer a second Settings with SettingsApplied or an Error, as the profile says.

    The React component sends Settings again after a reload. If the first Settings have no SettingsApplied yet, that
    message will answer both.
    """
    if not context.profile.settings_repeat:
        description = "Settings can be sent once, and were sent already"
        context.to_client(deepgram.Error(description=description, code="SETTINGS_ALREADY_APPLIED"))
    elif context.state.is_applied:
        # Before `is_applied`, the SettingsApplied for the first Settings is still to come, and answers these, too.
        context.to_client(deepgram.SettingsApplied())


# The upstream is ready.


def apply_settings(context: Context) -> None:
    """Send SettingsApplied, and the greeting of a new conversation, if the plan has one.

    After a restart, send neither.
    """
    state = context.state
    if state.is_applied:
        return
    state.is_applied = True
    context.to_client(deepgram.SettingsApplied())
    # A conversation that continues an earlier one is not greeted again.
    if state.plan.agent.greeting and not session_config.has_context(state.plan.agent):
        _greet(context, state.plan.agent.greeting)


def _greet(context: Context, greeting: str) -> None:
    item_id, how = context.state.new_id(), context.options.greeting
    if how == "spoken" or (how == "auto" and context.profile.spoken_greeting):
        context.state.pending.add(ResponseRequest(verbatim=new_verbatim_text(item_id, greeting)))
    else:
        # The component displays a greeting as text (docs/decisions/0006).
        context.state.ledger.add(text.message_item(item_id, "assistant", greeting))
        context.to_client(deepgram.ConversationText(role="assistant", content=greeting), deepgram.AgentAudioDone())
        context.to_component(deepgram.AgentDone())
