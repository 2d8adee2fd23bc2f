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
from router.session import endings, functions, inputs, opening, turns
from router.session.deadlines import Wait
from router.session.state import Lifecycle, ResponseState
from router.session.stay import STAY as STAY  # noqa: PLC0414 - the machine takes it from here

Handler = Callable[[Any, Any], Any]
Row = tuple[Handler, Lifecycle]


def ignore(_session: Any, _input: Any) -> None:
    """Do nothing, on purpose."""


def log_unknown(session: Any, event: openai_codec.Unknown) -> None:
    """Pass over an event that we do not know; a log line for each type, once."""
    session.state.passed_over += 1
    if event.type not in session.state.unknown_types:
        session.state.unknown_types.add(event.type)
        session.log(30, f"the upstream sent {event.type[:80]}, passed over: {event.problem}")


def pass_over(session: Any, _event: Any) -> None:
    """Count an event that says nothing to the client (`router.openai.events.CONSUMED` has the reasons)."""
    session.state.passed_over += 1


def fire(session: Any, fired: messages.TimerFired) -> None:
    """Look a deadline up."""
    DEADLINES[Wait(fired.name)](session, fired)


DEADLINES: Final[dict[Wait, Handler]] = {
    Wait.SESSION_CREATED: endings.upstream_silent,
    Wait.SESSION_UPDATED: endings.upstream_silent,
    Wait.ITEM_ACK: turns.ask_anyway,
    Wait.FIRST_EVENT: endings.upstream_silent,
    Wait.SILENCE: endings.upstream_silent,
    Wait.RESPONSE: endings.upstream_silent,
    Wait.TOOL_ANSWER: functions.give_up_on_calls,
    Wait.MANUAL_COMMIT: turns.commit,
}

ENDED: Final = Lifecycle.ENDED

_ANY_TIME: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    # None: the state that there is.
    deepgram.KeepAlive: (ignore, None),
    deepgram_codec.Unparsable: (opening.answer_unparsable, None),
    deepgram_codec.Foreign: (opening.answer_foreign, None),
    messages.TimerFired: (fire, None),
    messages.ClientOverflowed: (endings.client_overflowed, ENDED),
    messages.ClientClosed: (endings.client_closed, ENDED),
    messages.DrainBegan: (endings.drain, ENDED),
}

_UPSTREAM_LOST: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    messages.UpstreamClosed: (endings.upstream_closed, ENDED),
    messages.UpstreamFailed: (endings.upstream_failed, ENDED),
    openai_codec.Malformed: (endings.upstream_malformed, ENDED),
    openai_codec.Unknown: (log_unknown, None),
    openai.PassedOver: (pass_over, None),
}

_NOT_READY: Final[dict[type, tuple[Handler, Lifecycle | None]]] = {
    deepgram.Settings: (opening.settings_again, None),
    deepgram.InjectUserMessage: (opening.keep_user_message, None),
    deepgram.FunctionCallResponse: (functions.answer_unknown_call, None),
    inputs.Microphone: (opening.keep_audio, None),
    inputs.SessionUpdateAsIs: (opening.keep_message, None),
    inputs.ItemCreateAsIs: (opening.keep_message, None),
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
            messages.ClientOpened: (opening.welcome, None),
            deepgram.Settings: (opening.open_session, Lifecycle.CONNECTING),
            inputs.SessionUpdateAsIs: (opening.open_session_as_is, Lifecycle.CONNECTING),
            deepgram.InjectUserMessage: (opening.before_settings, None),
            deepgram.FunctionCallResponse: (opening.before_settings, None),
            inputs.Microphone: (opening.before_settings, None),
            inputs.ItemCreateAsIs: (opening.before_settings, None),
            inputs.ResponseCreateAsIs: (opening.before_settings, None),
            inputs.EventAsIs: (opening.before_settings, None),
        },
    ),
    Lifecycle.CONNECTING: _rows(
        Lifecycle.CONNECTING,
        _ANY_TIME,
        _UPSTREAM_LOST,
        _NOT_READY,
        {
            messages.UpstreamRefused: (endings.upstream_refused, ENDED),
            messages.UpstreamOpened: (opening.await_session_created, None),
            openai.SessionCreated: (opening.configure, Lifecycle.CONFIGURING),
            openai.Error: (opening.keep_error, None),
        },
    ),
    Lifecycle.CONFIGURING: _rows(
        Lifecycle.CONFIGURING,
        _ANY_TIME,
        _UPSTREAM_LOST,
        _NOT_READY,
        {
            openai.SessionUpdated: (opening.apply_settings, Lifecycle.READY),
            openai.Error: (opening.judge_error, None),
        },
    ),
    Lifecycle.READY: _rows(
        Lifecycle.READY,
        _ANY_TIME,
        _UPSTREAM_LOST,
        {
            # The client
            deepgram.Settings: (opening.settings_again, None),
            deepgram.InjectUserMessage: (turns.inject_user_message, None),
            inputs.EchoedUserMessage: (turns.add_user_message, None),
            deepgram.FunctionCallResponse: (functions.answer_function_call, None),
            inputs.Microphone: (turns.append_audio, None),
            inputs.SessionUpdateAsIs: (turns.forward_event, None),
            inputs.ItemCreateAsIs: (turns.forward_item, None),
            inputs.ResponseCreateAsIs: (turns.forward_response_create, None),
            inputs.EventAsIs: (turns.forward_event, None),
            # The upstream: the session and its items
            openai.SessionUpdated: (opening.updated_again, None),
            openai.Error: (turns.upstream_error, None),
            openai.ConversationItemAdded: (turns.item_added, None),
            openai.ConversationItemDone: (turns.item_done, None),
            # The upstream: what the user says
            openai.InputAudioBufferSpeechStarted: (turns.speech_started, None),
            openai.InputAudioBufferSpeechStopped: (turns.speech_stopped, None),
            openai.InputAudioTranscriptionCompleted: (turns.user_said, None),
            openai.InputAudioTranscriptionFailed: (turns.transcription_failed, None),
            # The upstream: what the assistant says and does
            openai.ResponseCreated: (ignore, None),
            openai.ResponseDone: (ignore, None),
            openai.ResponseOutputItemAdded: (functions.learn_name, None),
            openai.ResponseOutputTextDelta: (turns.start_speaking, None),
            openai.ResponseOutputTextDone: (turns.text_done, None),
            openai.ResponseOutputAudioTranscriptDelta: (turns.start_speaking, None),
            openai.ResponseOutputAudioTranscriptDone: (turns.transcript_done, None),
            openai.ResponseOutputAudioDelta: (turns.play, None),
            openai.ResponseFunctionCallArgumentsDone: (functions.request_function_call, None),
        },
    ),
    Lifecycle.ENDED: {},
}

RESPONSE: Final[dict[ResponseState, dict[type, tuple[Handler, ResponseState]]]] = {
    # A response that is wanted is asked for as soon as this is NONE: the joint rule, `Session._settle`.
    ResponseState.NONE: {
        openai.ResponseCreated: (turns.begin_response, ResponseState.ACTIVE),
    },
    ResponseState.REQUESTED: {
        openai.ResponseCreated: (turns.begin_response, ResponseState.ACTIVE),
        openai.ResponseDone: (turns.finish_response, ResponseState.NONE),
        openai.ResponseOutputTextDone: (turns.finish_unannounced, ResponseState.NONE),
        openai.ResponseOutputAudioTranscriptDone: (turns.finish_unannounced, ResponseState.NONE),
        openai.Error: (turns.response_refused, ResponseState.NONE),
    },
    ResponseState.ACTIVE: {
        openai.ResponseCreated: (ignore, ResponseState.ACTIVE),
        openai.ResponseDone: (turns.finish_response, ResponseState.NONE),
    },
}

RESPONSE_INPUTS: Final = frozenset(kind for table in RESPONSE.values() for kind in table)

CREATE_RESPONSE: Final = turns.create_response
"""The joint rule's handler; it leads to REQUESTED."""


def UNLISTED(session: Any, unlisted: Any) -> None:  # noqa: N802 - one of the tables' names
    """Count what has no business in this state. A bug of the upstream's is no reason to end a conversation."""
    session.state.passed_over += 1
    session.log(10, f"{type(unlisted).__name__} in {session.state.lifecycle.name} passed over")
