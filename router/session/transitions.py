"""The tables: what may come in each state, what is done about it, and where that leads.

Rules of this file. Everything about transitions lives here, and nothing else does. A row pairs a handler with the
next state; a handler that returns STAY keeps the one there is. Every state has its table, an empty one too. An
input that a table does not list has no business in that state: `UNLISTED` says what becomes of it. What may
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
from router.session import (
    as_is,
    configuring,
    conversions,
    draining,
    endings,
    functions,
    injections,
    inputs,
    interim,
    opening,
    responses,
    restarts,
    rollover,
    speaking,
    telling,
    turns,
    updates,
)
from router.session.deadlines import Wait
from router.session.line import SpareState
from router.session.state import Lifecycle
from router.session.stay import STAY as STAY  # noqa: PLC0414 - the machine takes it from here
from router.session.turn import ResponseState
from router.session.work import WorkKind, parted

Handler = Callable[[Any, Any], Any]
Row = tuple[Handler, Lifecycle]


def ignore(_session: Any, _input: Any) -> None:
    """Do nothing, on purpose."""


def log_unknown(session: Any, event: openai_codec.Unknown) -> None:
    """Pass over an event that we do not know; a log line for each type, once."""
    session.state.passed_over += 1
    session.log_unknown(event.type, event.problem)


def pass_over(session: Any, _event: Any) -> None:
    """Count an event that says nothing to the client (`router.openai.events.CONSUMED` has the reasons)."""
    session.state.passed_over += 1


def fire(session: Any, fired: messages.TimerFired) -> None:
    """Look a deadline up."""
    DEADLINES[Wait(fired.name)](session, fired)


def take_up(session: Any, event: openai.SessionUpdated) -> Any:
    """The upstream is configured: it takes the conversation up, from the beginning or from where it was lost."""
    if not configuring.is_configured(session, session.state.line, event):
        return STAY
    session.stop_waiting(Wait.SESSION_UPDATED, Wait.REPLUG)
    session.state.last_error = None
    opening.begin(session)
    restarts.take_up(session)
    if session.state.line.is_overdue:
        session.wait_for(Wait.ROLLOVER, 0.0)
    return None


def work_done(session: Any, done: messages.WorkDone) -> None:
    """Look up who had the work done."""
    kind, name = parted(done.key)
    WORK[kind](session, name, done)


WORK: Final[dict[WorkKind, Callable[[Any, str, messages.WorkDone], Any]]] = {
    WorkKind.TOOL: functions.tool_done,
    WorkKind.CONFIGURE: opening.configured_by_application,
    WorkKind.AUDIO: conversions.prepared,
}

DEADLINES: Final[dict[Wait, Handler]] = {
    Wait.SETTINGS: endings.no_settings,
    Wait.SESSION_CREATED: restarts.upstream_silent,
    Wait.SESSION_UPDATED: restarts.upstream_silent,
    Wait.UPDATE: updates.not_acknowledged,
    Wait.ITEM_ACK: turns.ask_anyway,
    Wait.FIRST_EVENT: restarts.upstream_silent,
    Wait.SILENCE: restarts.upstream_silent,
    Wait.RESPONSE: restarts.upstream_silent,
    Wait.TOOL_ANSWER: functions.give_up_on_calls,
    Wait.REPLUG: restarts.upstream_silent,
    Wait.ASK_AGAIN: restarts.ask_again,
    Wait.ROLLOVER: rollover.open_spare,
    Wait.SPARE: rollover.spare_lost,
    Wait.TRANSCRIPT: telling.stop_waiting_for_transcripts,
    Wait.COMMIT: turns.never_committed,
    Wait.PLAYBACK: telling.release,
    Wait.MICROPHONE: turns.fill_silence,
    Wait.MANUAL_COMMIT: turns.commit,
    Wait.DRAIN: draining.out_of_time,
}

ENDED: Final = Lifecycle.ENDED

_ANY_TIME: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    # None: the state that there is.
    deepgram.KeepAlive: (ignore, None),
    deepgram_codec.Unparsable: (opening.answer_unparsable, None),
    deepgram_codec.Foreign: (opening.answer_foreign, None),
    deepgram.UpdateThinkLive: (updates.answer_not_offered, None),
    deepgram.CustomToThinkProvider: (updates.answer_not_offered, None),
    messages.TimerFired: (fire, None),
    messages.WorkDone: (work_done, None),
    messages.ClientCaughtUp: (telling.client_reads, None),
    messages.ClientOverflowed: (endings.client_overflowed, ENDED),
    messages.ClientClosed: (endings.client_closed, ENDED),
    messages.DrainBegan: (draining.begin_drain, None),
}

_FROM_UPSTREAM: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    messages.UpstreamLost: (restarts.upstream_lost, Lifecycle.CONNECTING),
    openai_codec.Malformed: (restarts.upstream_malformed, None),
    openai_codec.Unknown: (log_unknown, None),
    openai.PassedOver: (pass_over, None),
}

UPDATES: Final = (deepgram.UpdatePrompt, deepgram.UpdateThink, deepgram.UpdateSpeak, deepgram.UpdateListen)

_NOT_READY: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    deepgram.Settings: (opening.settings_again, None),
    deepgram.InjectUserMessage: (opening.keep_user_message, None),
    deepgram.FunctionCallResponse: (functions.answer_function_call, None),
    deepgram.InjectAgentMessage: (opening.keep_message, None),
    deepgram.ForceEndTurn: (opening.keep_message, None),
    **dict.fromkeys(UPDATES, (opening.keep_message, None)),
    inputs.Microphone: (opening.keep_audio, None),
    inputs.SessionUpdateAsIs: (opening.keep_message, None),
    inputs.ItemCreateAsIs: (opening.keep_message, None),
    inputs.ItemDeleteAsIs: (opening.keep_message, None),
    inputs.ResponseCreateAsIs: (opening.keep_message, None),
    inputs.EventAsIs: (opening.keep_message, None),
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
            messages.ClientOpened: (opening.opened, None),
            deepgram.Settings: (opening.open_session, Lifecycle.CONNECTING),
            inputs.SessionUpdateAsIs: (opening.open_session_as_is, Lifecycle.CONNECTING),
            deepgram.InjectUserMessage: (opening.before_settings, None),
            deepgram.FunctionCallResponse: (opening.before_settings, None),
            deepgram.InjectAgentMessage: (opening.before_settings, None),
            deepgram.ForceEndTurn: (opening.before_settings, None),
            **dict.fromkeys(UPDATES, (opening.before_settings, None)),
            inputs.Microphone: (opening.before_settings, None),
            inputs.ItemCreateAsIs: (opening.before_settings, None),
            inputs.ItemDeleteAsIs: (opening.before_settings, None),
            inputs.ResponseCreateAsIs: (opening.before_settings, None),
            inputs.EventAsIs: (opening.before_settings, None),
            # The upstream, which was dialled in advance
            messages.UpstreamOpened: (configuring.await_session_created, None),
            messages.UpstreamLost: (restarts.forget_upstream, None),
            openai.SessionCreated: (configuring.greet, None),
            openai.Error: (opening.keep_error, None),
            openai_codec.Malformed: (restarts.upstream_malformed, None),
            openai_codec.Unknown: (log_unknown, None),
            openai.PassedOver: (pass_over, None),
        },
    ),
    Lifecycle.CONNECTING: _rows(
        Lifecycle.CONNECTING,
        _ANY_TIME,
        _FROM_UPSTREAM,
        _NOT_READY,
        {
            messages.UpstreamOpened: (configuring.await_session_created, None),
            openai.SessionCreated: (configuring.greet, None),
            openai.Error: (opening.keep_error, None),
        },
    ),
    Lifecycle.CONFIGURING: _rows(
        Lifecycle.CONFIGURING,
        _ANY_TIME,
        _FROM_UPSTREAM,
        _NOT_READY,
        {
            openai.SessionUpdated: (take_up, Lifecycle.READY),
            openai.Error: (configuring.judge_error, None),
        },
    ),
    Lifecycle.READY: _rows(
        Lifecycle.READY,
        _ANY_TIME,
        _FROM_UPSTREAM,
        {
            # The client
            deepgram.Settings: (opening.settings_again, None),
            deepgram.InjectUserMessage: (turns.inject_user_message, None),
            inputs.EchoedUserMessage: (turns.take_up_user_message, None),
            deepgram.FunctionCallResponse: (functions.answer_function_call, None),
            deepgram.InjectAgentMessage: (injections.inject_agent_message, None),
            deepgram.ForceEndTurn: (turns.force_end_turn, None),
            **dict.fromkeys(UPDATES, (updates.update, None)),
            inputs.Microphone: (turns.append_audio, None),
            inputs.SessionUpdateAsIs: (updates.update_as_is, None),
            inputs.ItemCreateAsIs: (as_is.forward_item, None),
            inputs.ItemDeleteAsIs: (as_is.forward_delete, None),
            inputs.ResponseCreateAsIs: (as_is.forward_response_create, None),
            inputs.EventAsIs: (as_is.forward_event, None),
            # The upstream: the session and its items
            openai.SessionUpdated: (updates.updated, None),
            openai.Error: (turns.upstream_error, None),
            openai.ConversationItemAdded: (turns.item_added, None),
            openai.ConversationItemDone: (turns.item_done, None),
            # The upstream: what the user says
            openai.InputAudioBufferSpeechStarted: (turns.speech_started, None),
            openai.InputAudioBufferSpeechStopped: (turns.speech_stopped, None),
            openai.InputAudioBufferCommitted: (turns.committed, None),
            openai.InputAudioTranscriptionDelta: (interim.heard_more, None),
            openai.InputAudioTranscriptionUpdated: (interim.heard_so_far, None),
            openai.InputAudioTranscriptionCompleted: (turns.user_said, None),
            openai.InputAudioTranscriptionFailed: (turns.transcription_failed, None),
            # The upstream: what the assistant says and does
            openai.ResponseCreated: (ignore, None),
            openai.ResponseDone: (ignore, None),
            openai.ResponseOutputItemAdded: (functions.output_item_added, None),
            openai.ResponseOutputTextDelta: (speaking.text_delta, None),
            openai.ResponseOutputTextDone: (speaking.text_done, None),
            openai.ResponseOutputAudioTranscriptDelta: (speaking.text_delta, None),
            openai.ResponseOutputAudioTranscriptDone: (speaking.transcript_done, None),
            openai.ResponseOutputAudioDelta: (speaking.play, None),
            openai.ResponseFunctionCallArgumentsDone: (functions.request_function_call, None),
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

SPARE: Final[dict[SpareState, dict[type, tuple[Handler, SpareState]]]] = {
    # The upstream that is got ready while another is in use. What its table does not list says nothing.
    SpareState.NONE: {},
    SpareState.CONNECTING: {
        messages.UpstreamOpened: (rollover.spare_opened, SpareState.CONNECTING),
        messages.UpstreamLost: (rollover.spare_lost, SpareState.NONE),
        openai.SessionCreated: (rollover.configure_spare, SpareState.CONFIGURING),
        openai.Error: (rollover.spare_lost, SpareState.NONE),
        openai_codec.Malformed: (rollover.spare_lost, SpareState.NONE),
    },
    SpareState.CONFIGURING: {
        messages.UpstreamLost: (rollover.spare_lost, SpareState.NONE),
        openai.SessionUpdated: (rollover.seed_spare, SpareState.SEEDED),
        openai.Error: (rollover.judge_spare_error, SpareState.NONE),
        openai_codec.Malformed: (rollover.spare_lost, SpareState.NONE),
    },
    SpareState.SEEDED: {
        messages.UpstreamLost: (rollover.spare_lost, SpareState.NONE),
        openai.SessionUpdated: (rollover.spare_updated, SpareState.SEEDED),
        openai.Error: (rollover.judge_seeded_error, SpareState.SEEDED),
        openai.ConversationItemAdded: (rollover.spare_acknowledged, SpareState.SEEDED),
        openai.ConversationItemDone: (rollover.spare_acknowledged, SpareState.SEEDED),
        openai_codec.Malformed: (rollover.spare_lost, SpareState.NONE),
    },
}

RESPONSE_INPUTS: Final = frozenset(kind for table in RESPONSE.values() for kind in table)


def is_to_be_configured(session: Any) -> bool:
    """There are Settings, and an upstream that is there to take them; nothing is waited for that belongs to them."""
    state = session.state
    is_waiting = state.asked_with is not None or bool(state.preparing)
    return state.lifecycle is Lifecycle.CONNECTING and state.line.is_greeted and not is_waiting


def configure(session: Any) -> None:
    """Send the one session.update, and wait for its acknowledgement."""
    configuring.configure(session)
    session.enter(Lifecycle.CONFIGURING)


def is_response_due(session: Any) -> bool:
    """A response is wanted, and none is active; nor is the user talking, about to be answered, or an update due.

    What was cut off comes first, as soon as it may be asked for again.
    """
    state, turn = session.state, session.state.turn
    if not turn.wants or turn.response is not ResponseState.NONE or state.lifecycle is not Lifecycle.READY:
        return False
    is_talking = state.is_speaking and state.turn_detection in opening.DETECTED
    has_to_wait = is_talking or state.awaits_what_was_cut_off
    return not turn.is_heard and (turn.wants[0].is_urgent or not has_to_wait) and not state.updates


def create_response(session: Any) -> None:
    """Ask for the response that is wanted longest. What is said in writing needs none."""
    turn = session.state.turn
    while is_response_due(session):
        if responses.create_response(session, turn.wants.popleft()) is not STAY:
            turn.response = ResponseState.REQUESTED


JOINT: Final = (
    (draining.is_drained, draining.end_drained),
    (is_to_be_configured, configure),
    (updates.is_due, updates.send),
    (rollover.can_plug_in, rollover.plug_in),
    (is_response_due, create_response),
)
"""What follows when several things have come together: looked at after every input, in this order."""

SETTLE_NOTHING: Final = frozenset({inputs.Microphone, openai.ResponseOutputAudioDelta})
"""Inputs that come many times a second and bring none of these things about."""


def UNLISTED(session: Any, unlisted: Any) -> None:  # noqa: N802 - one of the tables' names
    """Count what has no business in this state. A bug of the upstream's is no reason to end a conversation."""
    session.state.passed_over += 1
    session.log(10, f"{type(unlisted).__name__} in {session.state.lifecycle.name} passed over")
