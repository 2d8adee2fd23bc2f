"""The tables: the inputs that each state accepts, their handlers, and the next states.

They are the product's table of contents. This file holds rules alone, and every transition of the session. Every state
has its table, even an empty one. `ON_UNEXPECTED` handles an input that the state's table does not list. An input that
may rightly cross another on the wire has a row with `ignore`, so that silence is a decision. `router.session.tables`
explains rows and rules.

Wire inputs carry their vendor's name. In READY an input of `RESPONSE_INPUTS` is looked up twice: LIFECYCLE decides
about the message to the client, then RESPONSE about the response in progress. For an input of `USER_TURN_INPUTS`,
USER_TURN takes the place of RESPONSE. Inputs of the standby upstream are looked up in STANDBY alone, and signals in
their own table. `python -m router.session.diagram` draws docs/session-states.md from these tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from actors import messages
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.openai import codec as openai_codec
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import (
    adoption,
    agent_output,
    conversions,
    delivery,
    drain,
    early_input,
    ending,
    function_calls,
    injection,
    limits,
    passthrough,
    refusals,
    response_begin,
    response_end,
    response_requests,
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
    user_turn,
)
from router.session.handlers.ignored import ignore, ignore_event, log_unknown, on_unexpected
from router.session.state.limited import Limited
from router.session.state.states import Lifecycle, ResponseState, StandbyState, UserTurnState
from router.session.tables import Entry, Rule, Table, on, rows
from router.session.work import WorkKind, split_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.session.context import Context

# LIFECYCLE: the stages of a session.

AWAITING_SETTINGS: Final = Lifecycle.AWAITING_SETTINGS
CONNECTING: Final = Lifecycle.CONNECTING
CONFIGURING: Final = Lifecycle.CONFIGURING
READY: Final = Lifecycle.READY
ENDED: Final = Lifecycle.ENDED


def deadline(context: Context, fired: messages.TimerFired) -> None:
    """Call the handler that DEADLINES names for the deadline."""
    context.timers.pop(fired.name, None)
    DEADLINES[Wait(fired.name)](context, fired)


def work_done(context: Context, done: messages.WorkDone) -> None:
    """Call the handler that WORK names for the finished work."""
    kind, name = split_key(done.key)
    WORK[kind](context, name, done)


_IN_ANY_STATE: Final[tuple[Entry[Lifecycle], ...]] = (
    on(deepgram.KeepAlive, ignore),
    on(deepgram_codec.Unparsable, refusals.answer_unparsable),
    on(deepgram_codec.Foreign, refusals.answer_foreign),
    on(deepgram.UpdateThinkLive, updates.refuse_unoffered),
    on(deepgram.CustomToThinkProvider, updates.refuse_unoffered),
    on(messages.TimerFired, deadline),
    on(messages.WorkDone, work_done),
    on(messages.ClientCaughtUp, delivery.client_caught_up),
    on(messages.ClientPaused, user_speech.client_paused),
    on(messages.ClientResumed, user_speech.client_resumed),
    on(messages.ClientOverflowed, ending.client_overflowed, ENDED),
    on(messages.ClientClosed, ending.client_closed, ENDED),
    on(messages.DrainBegan, drain.begin_drain),
    on(messages.EndRequested, ending.end_requested, ENDED),
    on(messages.MoveRequested, standby.request_standby),
)

_ADOPTED: Final[Entry[Lifecycle]] = on(messages.ClientAdopted, adoption.adopt, CONNECTING)

_FROM_UPSTREAM: Final[tuple[Entry[Lifecycle], ...]] = (
    on(messages.UpstreamLost, restart.upstream_lost, CONNECTING),
    on(openai_codec.Malformed, restart.abandon_malformed),
    on(openai_codec.Unknown, log_unknown),
    on(openai.RateLimitsUpdated, upstream_events.record_rate_limits),
    on(openai.Ignored, ignore_event),
)

_BEFORE_SETTINGS: Final[tuple[Entry[Lifecycle], ...]] = (
    on(deepgram.InjectUserMessage, early_input.before_settings),
    on(deepgram.FunctionCallResponse, early_input.before_settings),
    on(deepgram.InjectAgentMessage, early_input.before_settings),
    on(deepgram.ForceEndTurn, early_input.before_settings),
    on(deepgram.UpdatePrompt, early_input.before_settings),
    on(deepgram.UpdateThink, early_input.before_settings),
    on(deepgram.UpdateSpeak, early_input.before_settings),
    on(deepgram.UpdateListen, early_input.before_settings),
    on(inputs.MicrophoneAudio, early_input.before_settings),
    on(inputs.PassthroughItemCreate, early_input.before_settings),
    on(inputs.PassthroughItemDelete, early_input.before_settings),
    on(inputs.PassthroughResponseCreate, early_input.before_settings),
    on(inputs.PassthroughCommit, early_input.before_settings),
    on(inputs.PassthroughAppend, early_input.before_settings),
    on(inputs.PassthroughEvent, early_input.before_settings),
)

_BEFORE_READY: Final[tuple[Entry[Lifecycle], ...]] = (
    on(deepgram.Settings, settings.repeat_settings),
    on(deepgram.InjectUserMessage, early_input.keep_user_message),
    # An answer to a call is not kept: the call may be one of the previous upstream, and its answer goes into the
    # ledger.
    on(deepgram.FunctionCallResponse, function_calls.answer_function_call),
    on(deepgram.InjectAgentMessage, early_input.keep_message),
    on(deepgram.ForceEndTurn, early_input.keep_message),
    on(deepgram.UpdatePrompt, early_input.keep_message),
    on(deepgram.UpdateThink, early_input.keep_message),
    on(deepgram.UpdateSpeak, early_input.keep_message),
    on(deepgram.UpdateListen, early_input.keep_message),
    on(inputs.MicrophoneAudio, early_input.keep_audio),
    on(inputs.PassthroughSessionUpdate, early_input.keep_message),
    on(inputs.PassthroughItemCreate, early_input.keep_message),
    on(inputs.PassthroughItemDelete, early_input.keep_message),
    on(inputs.PassthroughResponseCreate, early_input.keep_message),
    on(inputs.PassthroughCommit, early_input.keep_message),
    on(inputs.PassthroughAppend, early_input.keep_message),
    on(inputs.PassthroughEvent, early_input.keep_message),
)

LIFECYCLE: Final[Mapping[Lifecycle, Table[Lifecycle]]] = {
    AWAITING_SETTINGS: rows(
        AWAITING_SETTINGS,
        *_IN_ANY_STATE,
        *_FROM_UPSTREAM,
        *_BEFORE_SETTINGS,
        on(messages.ClientOpened, settings.client_opened),
        on(messages.ClientAdopted, adoption.adopt),
        on(deepgram.Settings, settings.open_session, CONNECTING, may_stay=True),
        on(inputs.PassthroughSessionUpdate, settings.open_passthrough_session, CONNECTING),
        # The upstream is dialled before Settings arrive.
        on(messages.UpstreamOpened, upstream_setup.upstream_opened),
        on(messages.UpstreamLost, restart.forget_upstream),
        on(openai.SessionCreated, upstream_setup.on_session_created),
        on(openai.Error, refusals.record_error),
    ),
    CONNECTING: rows(
        CONNECTING,
        *_IN_ANY_STATE,
        *_FROM_UPSTREAM,
        *_BEFORE_READY,
        _ADOPTED,
        on(messages.UpstreamOpened, upstream_setup.upstream_opened),
        # A joint rule leads to CONFIGURING: session.created, the hook and the converters come in any order.
        on(openai.SessionCreated, upstream_setup.on_session_created),
        on(openai.Error, refusals.record_error),
    ),
    CONFIGURING: rows(
        CONFIGURING,
        *_IN_ANY_STATE,
        *_FROM_UPSTREAM,
        *_BEFORE_READY,
        _ADOPTED,
        on(openai.SessionUpdated, takeover.session_updated, READY, may_stay=True),
        on(openai.Error, upstream_setup.judge_error),
        # The upstream did not send session.created in time.
        on(openai.SessionCreated, upstream_setup.created_behind_update),
        # The conversation so far is sent right after session.update.
        on(openai.ConversationItemAdded, upstream_setup.item_acknowledged),
        on(openai.ConversationItemDone, upstream_setup.item_acknowledged),
    ),
    READY: rows(
        READY,
        *_IN_ANY_STATE,
        *_FROM_UPSTREAM,
        _ADOPTED,
        # With a standby upstream the session stays ready.
        on(messages.UpstreamLost, restart.upstream_lost, CONNECTING, may_stay=True),
        # The client
        on(deepgram.Settings, settings.repeat_settings),
        on(deepgram.InjectUserMessage, user_text.inject_user_message),
        on(inputs.EchoedUserMessage, user_text.add_early_user_message),
        on(deepgram.FunctionCallResponse, function_calls.answer_function_call),
        on(deepgram.InjectAgentMessage, injection.inject_agent_message),
        on(deepgram.ForceEndTurn, user_speech.force_end_turn),
        on(deepgram.UpdatePrompt, updates.update),
        on(deepgram.UpdateThink, updates.update),
        on(deepgram.UpdateSpeak, updates.update),
        on(deepgram.UpdateListen, updates.update),
        on(inputs.MicrophoneAudio, user_speech.append_audio),
        on(inputs.PassthroughSessionUpdate, updates.update_passthrough),
        on(inputs.PassthroughItemCreate, passthrough.forward_item),
        on(inputs.PassthroughItemDelete, passthrough.forward_delete),
        on(inputs.PassthroughResponseCreate, passthrough.forward_response_create),
        on(inputs.PassthroughCommit, passthrough.forward_commit),
        on(inputs.PassthroughAppend, passthrough.forward_append),
        on(inputs.PassthroughEvent, passthrough.forward_event),
        # The upstream: the session and its items
        on(openai.SessionUpdated, updates.updated),
        on(openai.SessionCreated, upstream_setup.created_in_use),
        on(openai.Error, upstream_events.upstream_error),
        on(openai.ConversationItemAdded, upstream_events.item_added),
        on(openai.ConversationItemDone, upstream_events.item_done),
        # The upstream: the user's speech
        on(openai.InputAudioBufferSpeechStarted, ignore),  # USER_TURN takes it
        on(openai.InputAudioBufferSpeechStopped, ignore),  # USER_TURN takes it
        on(openai.InputAudioBufferCommitted, ignore),  # USER_TURN takes it
        on(openai.InputAudioBufferCleared, ignore),  # USER_TURN takes it
        on(openai.InputAudioBufferTimeoutTriggered, ignore),  # ACTIVITY takes it
        on(openai.InputAudioTranscriptionDelta, user_speech.interim_delta),
        on(openai.InputAudioTranscriptionUpdated, user_speech.interim_update),
        on(openai.InputAudioTranscriptionCompleted, user_speech.transcription_completed),
        on(openai.InputAudioTranscriptionFailed, user_speech.transcription_failed),
        # The upstream: the assistant's output
        on(openai.ResponseCreated, ignore),  # RESPONSE takes it
        on(openai.ResponseDone, ignore),  # RESPONSE takes it
        on(openai.ResponseOutputItemAdded, function_calls.output_item_added),
        on(openai.ResponseOutputTextDelta, agent_output.text_delta),
        on(openai.ResponseOutputTextDone, agent_output.text_done),
        on(openai.ResponseOutputAudioTranscriptDelta, agent_output.text_delta),
        on(openai.ResponseOutputAudioTranscriptDone, agent_output.transcript_done),
        on(openai.ResponseOutputAudioDelta, agent_output.audio_delta),
        on(openai.ResponseFunctionCallArgumentsDone, function_calls.request_function_call),
    ),
    ENDED: rows(ENDED, on(messages.ClientAdopted, adoption.end_again)),
}

ON_END: Final = ENDED
"""The state after a handler of any table has ended the session (`Context.end`)."""

ON_UNEXPECTED: Final = on_unexpected

# RESPONSE: the stages of the upstream's response. Joint rules lead from NONE to REQUESTED.


def _by_output(
    begin: Callable[[Context, response_begin.Output], ResponseState | None],
    # A response outside the conversation is no turn.
    instead: tuple[ResponseState, ...] = (),
) -> tuple[Entry[ResponseState], ...]:
    # Some servers send no response.created.
    active = ResponseState.ACTIVE
    return (
        on(openai.ResponseOutputItemAdded, begin, active, may_stay=True, instead=instead),
        on(openai.ResponseOutputTextDelta, begin, active, may_stay=True, instead=instead),
        on(openai.ResponseOutputAudioTranscriptDelta, begin, active, may_stay=True, instead=instead),
        on(openai.ResponseOutputAudioDelta, begin, active, may_stay=True, instead=instead),
        on(openai.ResponseFunctionCallArgumentsDone, begin, active, may_stay=True, instead=instead),
    )


_BY_UNASKED_TEXT: Final[tuple[Entry[ResponseState], ...]] = (
    on(openai.ResponseOutputTextDone, response_end.finish_unasked),
    on(openai.ResponseOutputAudioTranscriptDone, response_end.finish_unasked),
    on(openai.ConversationItemDone, response_end.finish_unasked_by_item),
)

_BY_WHOLE_TEXT: Final[tuple[Entry[ResponseState], ...]] = (
    on(openai.ResponseOutputTextDone, response_end.finish_unannounced, ResponseState.NONE, may_stay=True),
    on(openai.ResponseOutputAudioTranscriptDone, response_end.finish_unannounced, ResponseState.NONE, may_stay=True),
    on(openai.ConversationItemDone, response_end.finish_by_item, ResponseState.NONE, may_stay=True),
)

RESPONSE: Final[Mapping[ResponseState, Table[ResponseState]]] = {
    ResponseState.NONE: rows(
        ResponseState.NONE,
        # The upstream begins responses by itself, too.
        on(openai.ResponseCreated, response_begin.begin_response, ResponseState.ACTIVE, may_stay=True),
        *_by_output(response_begin.begin_unknown),
        *_BY_UNASKED_TEXT,
        on(openai.ResponseDone, response_end.note_late_end),
    ),
    ResponseState.REQUESTED: rows(
        ResponseState.REQUESTED,
        on(
            openai.ResponseCreated,
            response_begin.begin_response,
            ResponseState.ACTIVE,
            may_stay=True,
            # A response outside the conversation is no turn.
            instead=(ResponseState.NONE,),
        ),
        *_by_output(response_begin.begin_unannounced, instead=(ResponseState.NONE,)),
        *_BY_WHOLE_TEXT,
        on(openai.ResponseDone, response_end.finish_response, ResponseState.NONE, may_stay=True),
        on(
            openai.Error,
            response_requests.response_refused,
            ResponseState.NONE,
            may_stay=True,
            instead=(ResponseState.ACTIVE,),
        ),
        on(messages.UpstreamLost, ignore, ResponseState.NONE),
        on(messages.ClientAdopted, ignore, ResponseState.NONE),
    ),
    ResponseState.ACTIVE: rows(
        ResponseState.ACTIVE,
        on(openai.ResponseCreated, response_begin.another_begins),
        *_BY_WHOLE_TEXT,
        on(
            openai.ResponseDone,
            response_end.finish_response,
            ResponseState.NONE,
            may_stay=True,
            # A request is still in flight, beside which the upstream began a response of its own.
            instead=(ResponseState.REQUESTED,),
        ),
        on(openai.Error, response_requests.refused_in_flight),
        on(messages.UpstreamLost, ignore, ResponseState.NONE),
        on(messages.ClientAdopted, ignore, ResponseState.NONE),
    ),
}

RESPONSE_INPUTS: Final = frozenset(kind for table in RESPONSE.values() for kind in table)

# USER_TURN: the stages of one turn of the user's. The machine looks an input up for the speech in progress. It looks an
# input of AWAITING_ANSWER up for the turns that it is about (`UserTurns.about`).

_IDLE: Final = UserTurnState.IDLE
_SPEAKING: Final = UserTurnState.SPEAKING
_STOPPED: Final = UserTurnState.STOPPED
_COMMITTING: Final = UserTurnState.COMMITTING
_AWAITING_ANSWER: Final = UserTurnState.AWAITING_ANSWER

USER_TURN: Final[Mapping[UserTurnState, Table[UserTurnState]]] = {
    _IDLE: rows(
        _IDLE,
        on(openai.InputAudioBufferSpeechStarted, user_turn.speech_started, _SPEAKING),
        # This comes late: the speech was taken for a noise, or ended by hand.
        on(openai.InputAudioBufferSpeechStopped, user_turn.speech_stopped),
        on(openai.InputAudioBufferCommitted, user_turn.committed, _AWAITING_ANSWER, may_stay=True),
        on(openai.InputAudioBufferCleared, user_turn.buffer_cleared),
        on(inputs.CommitSent, user_turn.commit_sent, _COMMITTING),
        on(inputs.CommitRefused, user_turn.commit_refused, _AWAITING_ANSWER, may_stay=True),
    ),
    _SPEAKING: rows(
        _SPEAKING,
        on(openai.InputAudioBufferSpeechStarted, user_turn.speech_started),
        on(openai.InputAudioBufferSpeechStopped, user_turn.speech_stopped, _STOPPED),
        on(openai.InputAudioBufferCommitted, user_turn.committed, _AWAITING_ANSWER, may_stay=True, instead=(_IDLE,)),
        on(openai.InputAudioBufferCleared, user_turn.buffer_cleared, _IDLE, may_stay=True),
        on(inputs.CommitSent, user_turn.commit_sent, _COMMITTING),
        on(inputs.CommitRefused, user_turn.commit_withdrawn, instead=(_AWAITING_ANSWER,)),
        # Replayed speech that the next detector does not find, or silence that has no end.
        on(inputs.CommitTimedOut, user_turn.commit_timed_out, _IDLE),
        on(inputs.SpeechTimedOut, user_turn.speech_timed_out, _IDLE),
        on(inputs.DetectionStopped, user_turn.end_speech, _IDLE),
        on(inputs.SpeechReplayed, user_turn.speech_replayed),
    ),
    _STOPPED: rows(
        _STOPPED,
        on(openai.InputAudioBufferSpeechStarted, user_turn.speech_started, _SPEAKING),
        on(openai.InputAudioBufferCommitted, user_turn.committed, _AWAITING_ANSWER, may_stay=True, instead=(_IDLE,)),
        on(openai.InputAudioBufferCleared, user_turn.buffer_cleared, _IDLE, may_stay=True),
        on(inputs.CommitSent, user_turn.commit_sent, _COMMITTING),
        on(inputs.CommitRefused, user_turn.commit_withdrawn, instead=(_AWAITING_ANSWER,)),
        on(inputs.CommitTimedOut, user_turn.commit_timed_out, _IDLE),
        on(inputs.DetectionStopped, user_turn.end_speech, _IDLE),
        on(inputs.SpeechReplayed, user_turn.speech_replayed, _SPEAKING),
    ),
    _COMMITTING: rows(
        _COMMITTING,
        # The user continues to speak: the commit ends the speech before.
        on(openai.InputAudioBufferSpeechStarted, user_turn.speech_started, _SPEAKING),
        on(openai.InputAudioBufferSpeechStopped, user_turn.speech_stopped),
        on(openai.InputAudioBufferCommitted, user_turn.committed, _IDLE, instead=(_AWAITING_ANSWER,)),
        on(openai.InputAudioBufferCleared, user_turn.buffer_cleared, _IDLE, may_stay=True),
        on(inputs.CommitSent, user_turn.commit_sent),
        on(
            inputs.CommitRefused,
            user_turn.commit_failed,
            _IDLE,
            may_stay=True,
            # The refused commit crossed one of the detector's, and a later one is on its way.
            instead=(_SPEAKING, _AWAITING_ANSWER),
        ),
        on(inputs.CommitTimedOut, user_turn.commit_timed_out, _IDLE),
        on(inputs.SpeechReplayed, user_turn.repeat_commit),
    ),
    _AWAITING_ANSWER: rows(
        _AWAITING_ANSWER,
        on(inputs.SpeechAnswered, ignore, _IDLE),
        on(inputs.AnswerRequested, ignore, _IDLE),
        on(inputs.NoiseFound, ignore, _IDLE),
    ),
}

USER_TURN_INPUTS: Final = frozenset(kind for table in USER_TURN.values() for kind in table) - {
    *get_args(inputs.UserTurnSignal)
}

USER_TURN_DEADLINES: Final[Mapping[UserTurnState, tuple[Wait, ...]]] = {
    _IDLE: (),
    _SPEAKING: (Wait.SPEECH, Wait.MICROPHONE, Wait.COMMIT),
    _STOPPED: (Wait.COMMIT,),
    _COMMITTING: (Wait.COMMIT,),
    # This is also the response's deadline, and runs while no response is active.
    _AWAITING_ANSWER: (Wait.FIRST_EVENT,),
}
"""The deadlines of each state.

The session starts the first one when it enters the state, and cancels all of them when it leaves the state, unless the
next state or a response still needs them.
"""

# STANDBY: the stages of the upstream that will follow the one in use. An input that is not listed is counted.

STANDBY_SIGNALS: Final = frozenset(get_args(inputs.StandbySignal))
"""Inputs that handlers send to STANDBY themselves."""

SIGNALS: Final = frozenset(get_args(inputs.Signal))
"""Inputs that handlers send themselves."""

_STANDBY_FAILS: Final[tuple[Entry[StandbyState], ...]] = (
    on(messages.UpstreamLost, standby.standby_failed, StandbyState.NONE),
    on(openai_codec.Malformed, standby.standby_failed, StandbyState.NONE),
    on(inputs.StandbyTimedOut, standby.standby_failed, StandbyState.NONE),
    on(inputs.StandbyReleased, standby.close_standby, StandbyState.NONE),
    on(inputs.StandbyRequested, ignore),  # it is on its way already
)

STANDBY: Final[Mapping[StandbyState, Table[StandbyState]]] = {
    StandbyState.NONE: rows(
        StandbyState.NONE,
        on(inputs.StandbyRequested, standby.dial_standby, StandbyState.CONNECTING),
        on(inputs.StandbyReleased, ignore),
        on(inputs.StandbyTimedOut, ignore),  # its deadline ends with it
    ),
    StandbyState.CONNECTING: rows(
        StandbyState.CONNECTING,
        *_STANDBY_FAILS,
        on(messages.UpstreamOpened, standby.standby_opened),
        on(openai.SessionCreated, standby.configure_standby, StandbyState.CONFIGURING),
        on(inputs.StandbyUnannounced, standby.configure_unannounced, StandbyState.CONFIGURING),
        on(openai.Error, standby.standby_failed, StandbyState.NONE),
    ),
    StandbyState.CONFIGURING: rows(
        StandbyState.CONFIGURING,
        *_STANDBY_FAILS,
        on(openai.SessionUpdated, standby.seed_standby, StandbyState.SEEDED, may_stay=True),
        on(openai.SessionCreated, standby.standby_created),
        on(openai.Error, standby.judge_error, StandbyState.NONE, may_stay=True),
    ),
    StandbyState.SEEDED: rows(
        StandbyState.SEEDED,
        *_STANDBY_FAILS,
        on(openai.SessionUpdated, standby.standby_updated),
        on(openai.SessionCreated, standby.standby_created_late),
        on(openai.Error, standby.judge_seeded_error, instead=(StandbyState.NONE,)),
        on(openai.ConversationItemAdded, standby.standby_acknowledged),
        on(openai.ConversationItemDone, standby.standby_acknowledged),
        on(inputs.StandbyPromoted, standby.promote, StandbyState.NONE),
    ),
}

# JOINT: transitions that several tables cause together, in whatever order their inputs come. The machine applies them
# after every input, except those of NEVER_SETTLES.

JOINT: Final[tuple[Rule[Lifecycle] | Rule[ResponseState] | Rule[StandbyState], ...]] = (
    # Before the drain, which ends a session that has reached a limit.
    Rule(limits.is_spent, limits.act_on_spending),
    # Early, so that a drained session begins nothing new.
    Rule(drain.is_drained, drain.end_drained),
    Rule(upstream_setup.is_due, upstream_setup.configure, state=CONNECTING, next_state=CONFIGURING),
    # Before the responses that wait for the update.
    Rule(updates.is_due, updates.send),
    # Before the standby upstream and the next response, which both wait for the end of this one.
    Rule(
        response_end.calls_are_answered,
        response_end.finish_by_calls,
        state=ResponseState.ACTIVE,
        next_state=ResponseState.NONE,
    ),
    # After a rule that may end the response, and before the rules that may begin another one.
    Rule(function_calls.are_refused, function_calls.warn_of_refused),
    # Before the next response, which would be requested beside this one.
    Rule(
        response_end.awaits_request,
        response_end.return_to_request,
        state=ResponseState.NONE,
        next_state=ResponseState.REQUESTED,
    ),
    # Before the next response, which would make the session busy again.
    Rule(standby.can_switch_over, standby.switch_over, state=StandbyState.SEEDED, next_state=StandbyState.NONE),
    Rule(
        response_requests.is_due,
        response_requests.create_next,
        state=ResponseState.NONE,
        next_state=ResponseState.REQUESTED,
        may_stay=True,
    ),
)

ACTIVITY: Final[Mapping[type, Callable[[Limited, float], None]]] = {
    deepgram.Settings: Limited.note_agent,  # no user has done anything yet
    deepgram.InjectUserMessage: Limited.note_turn,
    deepgram.InjectAgentMessage: Limited.note_user,
    deepgram.FunctionCallResponse: Limited.note_user,
    deepgram.ForceEndTurn: Limited.note_user,
    inputs.EchoedUserMessage: Limited.note_turn,
    inputs.PassthroughItemCreate: Limited.note_turn,
    inputs.PassthroughResponseCreate: Limited.note_turn,
    openai.InputAudioBufferSpeechStarted: Limited.note_turn,
    openai.InputAudioBufferSpeechStopped: Limited.note_user,
    openai.InputAudioBufferTimeoutTriggered: Limited.note_question,
    openai.ResponseCreated: Limited.note_agent,
    openai.ResponseDone: Limited.note_agent,
}
"""Inputs that end a silence, and the agent's question to a silent user, which does not end it.

KeepAlive and microphone audio end no silence, because an open microphone is no speech.
"""

NEVER_SETTLES: Final = frozenset({inputs.MicrophoneAudio, openai.ResponseOutputAudioDelta})
"""Inputs that cannot make a joint rule hold. They arrive many times a second, and each check takes time."""

# DEADLINES and WORK: the rows of `TimerFired` and `WorkDone` look these up.

DEADLINES: Final[Mapping[Wait, Callable[[Context, messages.TimerFired], None]]] = {
    Wait.SETTINGS: ending.settings_timed_out,
    Wait.DIAL: restart.abandon_silent,
    Wait.SESSION_CREATED: restart.abandon_silent,
    Wait.UNANNOUNCED: upstream_setup.created_timed_out,
    Wait.SESSION_UPDATED: restart.abandon_silent,
    Wait.UPDATE: updates.update_timed_out,
    Wait.ITEM_ACK: upstream_events.request_anyway,
    Wait.FIRST_EVENT: restart.abandon_silent,
    Wait.NEXT_EVENT: restart.abandon_stopped,
    Wait.RESPONSE: restart.abandon_silent,
    Wait.TOOL_ANSWER: function_calls.answers_timed_out,
    Wait.RESTART: restart.abandon_silent,
    Wait.ASK_AGAIN: resume.request_again,
    Wait.ROLLOVER: standby.request_standby,
    Wait.STANDBY: standby.standby_timed_out,
    Wait.TRANSCRIPT: delivery.abandon_transcripts,
    Wait.SPEECH: user_turn.speech_deadline,
    Wait.COMMIT: user_turn.commit_deadline,
    Wait.TAKEOVER: updates.takeover_timed_out,
    Wait.ADOPTION: adoption.acquit,
    Wait.PLAYBACK: delivery.release_audio,
    Wait.MICROPHONE: user_speech.fill_silence,
    Wait.MANUAL_COMMIT: user_speech.commit,
    Wait.CALL: limits.call_deadline,
    Wait.SILENCE: limits.silence_deadline,
    Wait.DRAIN: drain.drain_timed_out,
}

WORK: Final[Mapping[WorkKind, Callable[[Context, str, messages.WorkDone], None]]] = {
    WorkKind.TOOL: function_calls.tool_done,
    WorkKind.CONFIGURE: settings.apply_hook,
    WorkKind.AUDIO: conversions.prepared,
}
