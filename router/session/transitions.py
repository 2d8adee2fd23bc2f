"""The tables: what may come in each state, what is done about it, and where that leads.

Rules of this file. Everything about transitions lives here, and nothing else does. A row pairs a handler with the
next state; a handler that returns STAY keeps the one there is. Every state has its table, an empty one too. An
input that a table does not list has no business in that state: `on_unexpected` says what becomes of it. What may
rightly cross on the wire is listed, with `ignore`: silence is a decision.

Wire inputs go by their vendor's name. In READY an input of `RESPONSE_INPUTS` is looked up twice: here for what
the client is told, and then in `RESPONSE` for what it means to the response that is under way.

docs/session-states.md is drawn from these tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from actors import messages
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.openai import codec as openai_codec
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import (
    agent_output,
    conversions,
    delivery,
    drain,
    early_input,
    ending,
    function_calls,
    injection,
    passthrough,
    refusals,
    responses,
    restart,
    resume,
    settings,
    standby,
    takeover,
    updates,
    upstream_events,
    upstream_setup,
    user_speech,
    user_text,
)
from router.session.state.states import KEEP as KEEP  # noqa: PLC0414 - the machine takes it from here
from router.session.state.states import Lifecycle, ResponseState, StandbyState
from router.session.work import WorkKind, parted

Handler = Callable[[Any, Any], Any]
Row = tuple[Handler, Lifecycle]


def ignore(_session: Any, _input: Any) -> None:
    """Do nothing, on purpose."""


def log_unknown(session: Any, event: openai_codec.Unknown) -> None:
    """Pass over an event that we do not know; a log line for each type, once."""
    session.state.ignored += 1
    session.log_unknown(event.type, event.problem)


def ignore_event(session: Any, _event: Any) -> None:
    """Count an event that says nothing to the client (`router.openai.events.CONSUMED` has the reasons)."""
    session.state.ignored += 1


def fire(session: Any, fired: messages.TimerFired) -> None:
    """Look a deadline up."""
    DEADLINES[Wait(fired.name)](session, fired)


def session_updated(session: Any, event: openai.SessionUpdated) -> Any:
    """The upstream is configured: it takes the conversation up, from the beginning or from where it was lost."""
    if not upstream_setup.is_configured(session, session.state.upstream, event):
        return KEEP
    session.stop_waiting(Wait.SESSION_UPDATED, Wait.REPLUG)
    session.state.last_error = None
    settings.apply_settings(session)
    takeover.take_over(session)
    if session.state.upstream.is_overdue:
        session.wait_for(Wait.ROLLOVER, 0.0)
    return None


def work_done(session: Any, done: messages.WorkDone) -> None:
    """Look up who had the work done."""
    kind, name = parted(done.key)
    WORK[kind](session, name, done)


WORK: Final[dict[WorkKind, Callable[[Any, str, messages.WorkDone], Any]]] = {
    WorkKind.TOOL: function_calls.tool_done,
    WorkKind.CONFIGURE: settings.configured_by_application,
    WorkKind.AUDIO: conversions.prepared,
}

DEADLINES: Final[dict[Wait, Handler]] = {
    Wait.SETTINGS: ending.settings_timed_out,
    Wait.SESSION_CREATED: restart.upstream_silent,
    Wait.SESSION_UPDATED: restart.upstream_silent,
    Wait.UPDATE: updates.update_timed_out,
    Wait.ITEM_ACK: upstream_events.ask_anyway,
    Wait.FIRST_EVENT: restart.upstream_silent,
    Wait.SILENCE: restart.upstream_silent,
    Wait.RESPONSE: restart.upstream_silent,
    Wait.TOOL_ANSWER: function_calls.give_up_on_calls,
    Wait.REPLUG: restart.upstream_silent,
    Wait.ASK_AGAIN: resume.ask_again,
    Wait.ROLLOVER: standby.open_standby,
    Wait.STANDBY: standby.standby_failed,
    Wait.TRANSCRIPT: delivery.give_up_transcripts,
    Wait.COMMIT: user_speech.commit_timed_out,
    Wait.PLAYBACK: delivery.release_audio,
    Wait.MICROPHONE: user_speech.fill_silence,
    Wait.MANUAL_COMMIT: user_speech.commit,
    Wait.DRAIN: drain.drain_timed_out,
}

ENDED: Final = Lifecycle.ENDED

_ANY_TIME: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    # None: the state that there is.
    deepgram.KeepAlive: (ignore, None),
    deepgram_codec.Unparsable: (refusals.answer_unparsable, None),
    deepgram_codec.Foreign: (refusals.answer_foreign, None),
    deepgram.UpdateThinkLive: (updates.refuse_unoffered, None),
    deepgram.CustomToThinkProvider: (updates.refuse_unoffered, None),
    messages.TimerFired: (fire, None),
    messages.WorkDone: (work_done, None),
    messages.ClientCaughtUp: (delivery.client_caught_up, None),
    messages.ClientOverflowed: (ending.client_overflowed, ENDED),
    messages.ClientClosed: (ending.client_closed, ENDED),
    messages.DrainBegan: (drain.begin_drain, None),
}

_FROM_UPSTREAM: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    messages.UpstreamLost: (restart.upstream_lost, Lifecycle.CONNECTING),
    openai_codec.Malformed: (restart.upstream_malformed, None),
    openai_codec.Unknown: (log_unknown, None),
    openai.Ignored: (ignore_event, None),
}

UPDATES: Final = (deepgram.UpdatePrompt, deepgram.UpdateThink, deepgram.UpdateSpeak, deepgram.UpdateListen)

_NOT_READY: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    deepgram.Settings: (settings.settings_again, None),
    deepgram.InjectUserMessage: (early_input.keep_user_message, None),
    deepgram.FunctionCallResponse: (function_calls.answer_function_call, None),
    deepgram.InjectAgentMessage: (early_input.keep_message, None),
    deepgram.ForceEndTurn: (early_input.keep_message, None),
    **dict.fromkeys(UPDATES, (early_input.keep_message, None)),
    inputs.Microphone: (early_input.keep_audio, None),
    inputs.PassthroughSessionUpdate: (early_input.keep_message, None),
    inputs.PassthroughItemCreate: (early_input.keep_message, None),
    inputs.PassthroughItemDelete: (early_input.keep_message, None),
    inputs.PassthroughResponseCreate: (early_input.keep_message, None),
    inputs.PassthroughEvent: (early_input.keep_message, None),
}


def _rows(state: Lifecycle, *tables: dict[type, tuple[Handler, Lifecycle | None]]) -> dict[type, Row]:
    return {
        kind: (handler, state if next_state is None else next_state)
        for table in tables
        for kind, (handler, next_state) in table.items()
    }


LIFECYCLE: Final[dict[Lifecycle, dict[type, Row]]] = {
    Lifecycle.AWAITING_SETTINGS: _rows(
        Lifecycle.AWAITING_SETTINGS,
        _ANY_TIME,
        {
            messages.ClientOpened: (settings.client_opened, None),
            deepgram.Settings: (settings.open_session, Lifecycle.CONNECTING),
            inputs.PassthroughSessionUpdate: (settings.open_passthrough_session, Lifecycle.CONNECTING),
            deepgram.InjectUserMessage: (early_input.before_settings, None),
            deepgram.FunctionCallResponse: (early_input.before_settings, None),
            deepgram.InjectAgentMessage: (early_input.before_settings, None),
            deepgram.ForceEndTurn: (early_input.before_settings, None),
            **dict.fromkeys(UPDATES, (early_input.before_settings, None)),
            inputs.Microphone: (early_input.before_settings, None),
            inputs.PassthroughItemCreate: (early_input.before_settings, None),
            inputs.PassthroughItemDelete: (early_input.before_settings, None),
            inputs.PassthroughResponseCreate: (early_input.before_settings, None),
            inputs.PassthroughEvent: (early_input.before_settings, None),
            # The upstream, which was dialled in advance
            messages.UpstreamOpened: (upstream_setup.upstream_opened, None),
            messages.UpstreamLost: (restart.forget_upstream, None),
            openai.SessionCreated: (upstream_setup.on_session_created, None),
            openai.Error: (refusals.record_error, None),
            openai_codec.Malformed: (restart.upstream_malformed, None),
            openai_codec.Unknown: (log_unknown, None),
            openai.Ignored: (ignore_event, None),
        },
    ),
    Lifecycle.CONNECTING: _rows(
        Lifecycle.CONNECTING,
        _ANY_TIME,
        _FROM_UPSTREAM,
        _NOT_READY,
        {
            messages.UpstreamOpened: (upstream_setup.upstream_opened, None),
            openai.SessionCreated: (upstream_setup.on_session_created, None),
            openai.Error: (refusals.record_error, None),
        },
    ),
    Lifecycle.CONFIGURING: _rows(
        Lifecycle.CONFIGURING,
        _ANY_TIME,
        _FROM_UPSTREAM,
        _NOT_READY,
        {
            openai.SessionUpdated: (session_updated, Lifecycle.READY),
            openai.Error: (upstream_setup.judge_error, None),
        },
    ),
    Lifecycle.READY: _rows(
        Lifecycle.READY,
        _ANY_TIME,
        _FROM_UPSTREAM,
        {
            # The client
            deepgram.Settings: (settings.settings_again, None),
            deepgram.InjectUserMessage: (user_text.inject_user_message, None),
            inputs.EchoedUserMessage: (user_text.add_early_user_message, None),
            deepgram.FunctionCallResponse: (function_calls.answer_function_call, None),
            deepgram.InjectAgentMessage: (injection.inject_agent_message, None),
            deepgram.ForceEndTurn: (user_speech.force_end_turn, None),
            **dict.fromkeys(UPDATES, (updates.update, None)),
            inputs.Microphone: (user_speech.append_audio, None),
            inputs.PassthroughSessionUpdate: (updates.update_passthrough, None),
            inputs.PassthroughItemCreate: (passthrough.forward_item, None),
            inputs.PassthroughItemDelete: (passthrough.forward_delete, None),
            inputs.PassthroughResponseCreate: (passthrough.forward_response_create, None),
            inputs.PassthroughEvent: (passthrough.forward_event, None),
            # The upstream: the session and its items
            openai.SessionUpdated: (updates.updated, None),
            openai.Error: (upstream_events.upstream_error, None),
            openai.ConversationItemAdded: (upstream_events.item_added, None),
            openai.ConversationItemDone: (upstream_events.item_done, None),
            # The upstream: what the user says
            openai.InputAudioBufferSpeechStarted: (user_speech.speech_started, None),
            openai.InputAudioBufferSpeechStopped: (user_speech.speech_stopped, None),
            openai.InputAudioBufferCommitted: (user_speech.committed, None),
            openai.InputAudioTranscriptionDelta: (user_speech.interim_delta, None),
            openai.InputAudioTranscriptionUpdated: (user_speech.interim_update, None),
            openai.InputAudioTranscriptionCompleted: (user_speech.transcription_completed, None),
            openai.InputAudioTranscriptionFailed: (user_speech.transcription_failed, None),
            # The upstream: what the assistant says and does
            openai.ResponseCreated: (ignore, None),
            openai.ResponseDone: (ignore, None),
            openai.ResponseOutputItemAdded: (function_calls.output_item_added, None),
            openai.ResponseOutputTextDelta: (agent_output.text_delta, None),
            openai.ResponseOutputTextDone: (agent_output.text_done, None),
            openai.ResponseOutputAudioTranscriptDelta: (agent_output.text_delta, None),
            openai.ResponseOutputAudioTranscriptDone: (agent_output.transcript_done, None),
            openai.ResponseOutputAudioDelta: (agent_output.audio_delta, None),
            openai.ResponseFunctionCallArgumentsDone: (function_calls.request_function_call, None),
        },
    ),
    Lifecycle.ENDED: {},
}

RESPONSE: Final[dict[ResponseState, dict[type, tuple[Handler, ResponseState]]]] = {
    # A response that is wanted is asked for as soon as this is NONE: a rule of `JOINT`.
    ResponseState.NONE: {
        openai.ResponseCreated: (responses.begin_response, ResponseState.ACTIVE),
    },
    ResponseState.REQUESTED: {
        openai.ResponseCreated: (responses.begin_response, ResponseState.ACTIVE),
        openai.ResponseDone: (responses.finish_response, ResponseState.NONE),
        openai.ResponseOutputTextDone: (responses.finish_unannounced, ResponseState.NONE),
        openai.ResponseOutputAudioTranscriptDone: (responses.finish_unannounced, ResponseState.NONE),
        openai.Error: (responses.response_refused, ResponseState.NONE),
    },
    ResponseState.ACTIVE: {
        openai.ResponseCreated: (responses.another_begins, ResponseState.ACTIVE),
        openai.ResponseDone: (responses.finish_response, ResponseState.NONE),
    },
}

STANDBY: Final[dict[StandbyState, dict[type, tuple[Handler, StandbyState]]]] = {
    # The upstream that is got ready while another is in use. What its table does not list says nothing.
    StandbyState.NONE: {},
    StandbyState.CONNECTING: {
        messages.UpstreamOpened: (standby.standby_opened, StandbyState.CONNECTING),
        messages.UpstreamLost: (standby.standby_failed, StandbyState.NONE),
        openai.SessionCreated: (standby.configure_standby, StandbyState.CONFIGURING),
        openai.Error: (standby.standby_failed, StandbyState.NONE),
        openai_codec.Malformed: (standby.standby_failed, StandbyState.NONE),
    },
    StandbyState.CONFIGURING: {
        messages.UpstreamLost: (standby.standby_failed, StandbyState.NONE),
        openai.SessionUpdated: (standby.seed_standby, StandbyState.SEEDED),
        openai.Error: (standby.judge_standby_error, StandbyState.NONE),
        openai_codec.Malformed: (standby.standby_failed, StandbyState.NONE),
    },
    StandbyState.SEEDED: {
        messages.UpstreamLost: (standby.standby_failed, StandbyState.NONE),
        openai.SessionUpdated: (standby.standby_updated, StandbyState.SEEDED),
        openai.Error: (standby.judge_seeded_standby_error, StandbyState.SEEDED),
        openai.ConversationItemAdded: (standby.standby_acknowledged, StandbyState.SEEDED),
        openai.ConversationItemDone: (standby.standby_acknowledged, StandbyState.SEEDED),
        openai_codec.Malformed: (standby.standby_failed, StandbyState.NONE),
    },
}

RESPONSE_INPUTS: Final = frozenset(kind for table in RESPONSE.values() for kind in table)


def is_to_be_configured(session: Any) -> bool:
    """There are Settings, and an upstream that is there to take them; nothing is waited for that belongs to them."""
    state = session.state
    is_waiting = state.asked_with is not None or bool(state.preparing)
    return state.lifecycle is Lifecycle.CONNECTING and state.upstream.is_created and not is_waiting


def configure(session: Any) -> None:
    """Send the one session.update, and wait for its acknowledgement."""
    upstream_setup.configure(session)
    session.enter(Lifecycle.CONFIGURING)


def is_response_due(session: Any) -> bool:
    """A response is wanted, and none is active; nor is the user talking, about to be answered, or an update due.

    What was cut off comes first, as soon as it may be asked for again.
    """
    state, turn = session.state, session.state.turn
    if not turn.requests or turn.response is not ResponseState.NONE or state.lifecycle is not Lifecycle.READY:
        return False
    is_talking = state.is_speaking and state.detects_turns
    has_to_wait = is_talking or state.awaits_resumed
    return not turn.awaits_answer and (turn.requests[0].is_urgent or not has_to_wait) and not state.updates


def create_response(session: Any) -> None:
    """Ask for the response that is wanted longest. What is said in writing needs none."""
    turn = session.state.turn
    while is_response_due(session):
        if responses.create_response(session, turn.requests.popleft()) is not KEEP:
            turn.response = ResponseState.REQUESTED


JOINT: Final = (
    (drain.is_drained, drain.end_drained),
    (is_to_be_configured, configure),
    (updates.is_due, updates.send),
    (standby.can_switch_over, standby.switch_over),
    (is_response_due, create_response),
)
"""What follows when several things have come together: looked at after every input, in this order."""

SETTLE_NOTHING: Final = frozenset({inputs.Microphone, openai.ResponseOutputAudioDelta})
"""Inputs that come many times a second and bring none of these things about."""


def on_unexpected(session: Any, unlisted: Any) -> None:
    """Count what has no business in this state. A bug of the upstream's is no reason to end a conversation."""
    session.state.ignored += 1
    session.log(10, f"{type(unlisted).__name__} in {session.state.lifecycle.name} passed over")
