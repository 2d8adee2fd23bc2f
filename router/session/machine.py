"""The machine: decode an input, look it up in the tables, enter the next state, apply the joint rules."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from actors import messages
from router.deepgram import codec as deepgram_codec
from router.openai import codec as openai_codec
from router.openai import events as openai
from router.session import inputs, transitions
from router.session.context import Context
from router.session.deadlines import Wait
from router.session.handlers import adoption, conversions, delivery, permission, settings
from router.session.state.meter import EVENTS as METERED
from router.session.state.states import Lifecycle, ResponseState, StandbyState, UserTurnState
from router.session.work import WorkKind, work_key
from router.translation import errors
from router.translation.speech import CHARACTERS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.messages import Facts
    from router.session.options import SessionOptions
    from router.session.profile import Profile
    from router.session.state.limited import Limited
    from router.session.state.text_delivery import ItemDelivery
    from router.session.tables import Row

STEP_CHARS: Final = 12
"""The number of characters by which the heard text of an answer grows between two snapshots: about two words."""

_NOT_FOUND_AGAIN: Final = (0, 1, 3, 6)
"""The indices in `Session._marked` of the counts that another process cannot find again.

These are the texts, the lifecycle, the function calls and the adoptions.
"""

USAGE_FIELD: Final = '"usage"'
"""The text that every event with usage contains. `read_late` decodes no event without it."""

_NOTED: Final = frozenset(METERED) | frozenset(transitions.ACTIVITY)
"""The inputs that count as activity, or may report usage.

For other inputs, such as audio, the check costs only one look-up in this set.
"""

_NAMES_FORMATS: Final = (openai.SessionUpdated, openai.SessionCreated)
"""The upstream's events that may name audio formats."""

_CONVERTER: Final = work_key(WorkKind.AUDIO, conversions.UPSTREAM)
"""The key of the work for which these events wait."""

_UNMARKED: Final[tuple[object, ...]] = (0, Lifecycle.AWAITING_SETTINGS, 0, 0, 0, False, 0)
"""The value of `Session._marked` in a new session."""

_LOOKED_UP_TWICE: Final = transitions.RESPONSE_INPUTS | transitions.USER_TURN_INPUTS
"""The inputs that READY looks up in a second table.

For other inputs, such as audio, the check costs only one look-up in this set.
"""


class Session:
    """One conversation. `handle` takes an input and the time from the actors, and returns commands."""

    words_bytes = 160
    """The room for words behind a stored snapshot (`words_due`)."""
    is_exact = True
    """Whether a step that changes `words_due` alone has no other effect; see `Marks`.

    Such a step is audio of the agent.
    """
    was_audio = False
    """Whether the newest text of the client was only audio. No text of Deepgram's protocol is."""

    def __init__(self, session_id: str, profile: Profile, options: SessionOptions) -> None:
        self.context = Context(session_id, profile, options)
        self.state = self.context.state
        """The session's memory."""
        self._rows = transitions.LIFECYCLE[self.state.lifecycle]
        self.snapshot_due = 0
        """A number that grows with each change that a snapshot has to hold before its effects are visible.

        Frames of audio, and texts of the upstream that the client does not get yet, are no such changes.
        """
        self.record_due = 0
        """A number like `snapshot_due`, without the changes that another process finds again.

        That process finds them in the client's messages, or by asking the upstream again.
        """
        self.words_due = 0
        """A number that grows when a stored snapshot lacks only some words of the answer.

        Then it is enough to store these words (`take_words`).
        """
        self._noted_part: ItemDelivery | None = None
        self._noted_chars = 0
        self._marked = _UNMARKED
        self._stored_part: ItemDelivery | None = None
        self._stored_chars = 0

    def handle(self, message: messages.Input, now_s: float) -> list[messages.Command]:
        """Take an input, and return the commands that follow from it, in order.

        An input of an upstream that is neither in use nor on standby is counted and ignored, because an abandoned
        upstream may still have frames on their way.
        """
        context = self.context
        context.now_s = now_s
        if type(message) is messages.ClientBinaryReceived:
            # Most inputs are frames of the microphone. They have no generation, report nothing and settle nothing.
            self.take(inputs.MicrophoneAudio(message.data))
            if context.sent_texts != self._marked[0]:
                self._mark()
            return context.take_commands()
        state, decode = context.state, _DECODERS.get(type(message))
        decoded = message if decode is None else decode(context, message)
        # Inputs of the client, of timers and of work have no generation.
        generation = getattr(message, "generation", None)
        if type(decoded) in _NOTED:
            self._note(decoded, generation)
        if isinstance(decoded, _NAMES_FORMATS) and self._defers(decoded, generation):
            return context.take_commands()
        if type(message) is messages.ClientAdopted:
            self.take(message)
            adoption.finish(context)
        elif generation is None or generation == state.upstream.generation:
            self.take(decoded)
            if type(message) is messages.UpstreamTextReceived:
                self._restart_silence_deadline()
        else:
            self._take_of_other(decoded, generation)
        if state.deferred and type(message) is messages.WorkDone and message.key == _CONVERTER:
            self._take_deferred()
        if type(message) is messages.ClientTextReceived:
            context.client_text = ""  # Settings may be long, and are often a client's last text
        self._finish(type(decoded))
        return context.take_commands()

    def _defers(self, decoded: openai.SessionUpdated | openai.SessionCreated, generation: int | None) -> bool:
        """Keep an event that has to wait for a converter. Return whether it has to wait.

        If too many events wait, the session takes all of them, and builds the converter on the dispatcher.
        """
        if conversions.defers(self.context, decoded, generation):
            return True
        if len(self.state.deferred) == conversions.MAX_DEFERRED:
            self.state.has_converters = True
            self._take_deferred()
        return False

    def _take_deferred(self) -> None:
        """Take the events that waited for a converter."""
        state = self.state
        deferred, state.deferred = state.deferred, ()
        for event, generation in deferred:
            if generation == state.upstream.generation:
                self.take(event)
            else:
                self._take_of_other(event, generation)
            self._settle()

    def _take_of_other(self, decoded: object, generation: int) -> None:
        """Take an input of the standby upstream. Count the input if it is of neither upstream."""
        standby = self.state.standby
        if standby is not None and generation == standby.generation:
            self._take_for_standby(decoded)
        else:
            self.state.ignored += 1

    def _finish(self, kind: type) -> None:
        if kind not in transitions.NEVER_SETTLES:
            self._settle()
            self._mark()
        elif self.context.sent_texts != self._marked[0]:
            self._mark()
        elif self._outruns_snapshot():
            self._require_words()

    # A call that another machine began.

    def begin_at(self, generation: int, limited: Limited, now_s: float) -> list[messages.Command]:
        """Forget the conversation, and wait for Settings at an upstream of this generation.

        This upstream is about to be opened. The call of this method takes the place of `ClientOpened` in a call that
        another machine began. `limited` is the use of the call's limits so far.
        """
        self.forget()
        self.context.now_s = now_s
        settings.begin_at(self.context, generation, limited)
        return self.context.take_commands()

    def forget(self) -> None:
        """Forget all but the usage and the count of adoptions, because another machine continues the call."""
        before = self.context
        self.context = Context(before.state.session_id, before.profile, before.options)
        # The counted usage and the model stay, because late events of earlier upstreams may follow.
        self.context.meter, self.context.now_s = before.meter, before.now_s
        self.context.state.model = before.state.model
        self.context.state.adoptions = before.state.adoptions
        self.enter_restored()
        self._marked, self._stored_part, self._stored_chars = _UNMARKED, None, 0
        self._noted_part, self._noted_chars = None, 0

    # Snapshots.

    @property
    def can_move(self) -> bool:
        """Whether the session is between two turns, so that a move to another process cuts nothing off."""
        state = self.state
        is_unsent = state.playback.is_waiting or state.transcripts.held or state.updates
        is_open = state.lifecycle in (Lifecycle.READY, Lifecycle.AWAITING_SETTINGS)
        return is_open and not (is_unsent or state.is_busy or state.turn.is_open or state.deferred)

    def _mark(self) -> None:
        """Note a change of texts, questions or items that a snapshot has to hold before its effects are visible."""
        state = self.state
        marked = (
            self.context.sent_texts,
            state.lifecycle,
            len(state.pending) + len(state.user_turns.owed) + (state.turn.response is not ResponseState.NONE),
            len(state.calls.outstanding),
            state.ledger.sequence,
            state.user_turns.has_floor,
            state.adoptions,
        )
        before = self._marked
        if marked != before:
            self._marked = marked
            # `newest` makes a part for an answer without one, and this part would only take memory.
            part = self.state.turn.answer.newest if self.state.turn.answer.parts else None
            self._stored_part, self._stored_chars = part, len(part.transcript) if part is not None else 0
            self.snapshot_due += 1
            if any(marked[at] != before[at] for at in _NOT_FOUND_AGAIN):
                self.record_due += 1

    def _require_words(self) -> None:
        part = self.state.turn.answer.newest
        self._stored_part, self._stored_chars = part, len(part.transcript)
        self.snapshot_due += 1
        if part is self._noted_part:
            self.words_due += 1
        else:
            self.record_due += 1

    def note_stored(self) -> None:
        """Note that a snapshot of the present state is stored."""
        part = self.state.turn.answer.newest
        self._noted_part = self._stored_part = part
        self._noted_chars = self._stored_chars = len(part.transcript)

    def take_words(self) -> str:
        """Return the words of the answer that no snapshot, and no earlier call of this method, has stored."""
        part = self.state.turn.answer.newest
        words = part.transcript[self._noted_chars :] if part is self._noted_part else ""
        self._noted_chars += len(words)
        return words

    def may_drop_audio(self) -> bool:
        """Whether only the newest audio of the microphone matters, because the user does not speak."""
        state = self.state
        microphone = state.microphone
        if microphone is None or microphone.is_speech or state.lifecycle is not Lifecycle.READY:
            return False
        return not state.user_turns.owed

    def _outruns_snapshot(self) -> bool:
        """Whether the caller gets audio whose words the last snapshot may lack.

        A cut answer continues after its heard words, which are estimated from its audio and its text so far.
        """
        part = self.state.turn.answer.newest
        stored_chars = self._stored_chars if part is self._stored_part else 0
        is_behind = stored_chars < part.received_s * CHARACTERS_PER_S + STEP_CHARS
        return is_behind and len(part.transcript) >= stored_chars + STEP_CHARS

    def _note(self, decoded: object, generation: int | None) -> None:
        # Read events of every generation, because the tokens of an abandoned upstream are charged, too.
        if type(decoded) in METERED and generation is not None:
            self.context.report_usage(decoded, generation)
        note = transitions.ACTIVITY.get(type(decoded))
        if note is not None:
            note(self.state.limited, self.context.now_s)

    def read_late(self, message: messages.UpstreamTextReceived) -> messages.LateReport | None:
        """Return the usage in an event that came after its upstream, or the whole session, was closed.

        The `response.done` of the cancelled response is the last report. Return None for an event that reports no
        usage.
        """
        # Most late messages are audio: only one that may report usage is decoded.
        if USAGE_FIELD not in message.text:
            return None
        decoded = _decode_upstream_text(self.context, message)
        if type(decoded) not in METERED:
            return None
        usage = self.context.read_usage(decoded, message.generation)
        return messages.LateReport(usage, is_last=isinstance(decoded, openai.ResponseDone))

    def correct_playback(self, left_s: float, now_s: float) -> None:
        """Correct the estimated playback: the client reports that the caller has not heard the last `left_s` of audio.

        The correction is no input, because no table has a row for it. No command follows from it at once.
        """
        self.context.state.playback.correct(left_s, now_s)

    def withhold(self, now_s: float, *, is_present: bool) -> list[messages.Command]:
        """Withhold the rest of the agent's present answer, or of all earlier ones, because a guard has blocked it.

        This is no input, because it follows from an input of the guard: no table has a row for it.
        """
        self.context.now_s = now_s
        delivery.withhold(self.context, is_present=is_present)
        self._settle()
        self._mark()
        return self.context.take_commands()

    def held_bytes(self) -> int:
        """Return the bytes of the early inputs, and of the audio and messages that wait for the playback."""
        return self.state.early.held_bytes + self.state.playback.held_bytes

    def take(self, decoded: object) -> None:
        """Look a decoded input up in LIFECYCLE and, in READY, in RESPONSE or USER_TURN."""
        kind, rows = type(decoded), self._rows
        row = rows.get(kind)
        if row is None:
            transitions.ON_UNEXPECTED(self.context, decoded)
            return
        self._follow(row, decoded)
        if kind in _LOOKED_UP_TWICE and rows is transitions.LIFECYCLE[Lifecycle.READY]:
            if kind in transitions.RESPONSE_INPUTS:
                self._take_for_response(decoded)
            else:
                self._take_for_user_turn(decoded)

    def _take_for_response(self, decoded: object) -> None:
        row = transitions.RESPONSE[self.state.turn.response].get(type(decoded))
        # The handler in LIFECYCLE may have ended the session.
        if row is not None and self.state.lifecycle is not Lifecycle.ENDED:
            self._follow(row, decoded)

    def _take_for_user_turn(self, decoded: object) -> None:
        turns, kind = self.state.user_turns, type(decoded)
        is_about_owed = kind in transitions.USER_TURN[UserTurnState.AWAITING_ANSWER]
        for turn in turns.about(decoded) if is_about_owed else (turns.current,):
            turns.subject = turn
            row = transitions.USER_TURN[turn.phase].get(kind)
            if row is not None and not self.context.has_ended:
                self._follow(row, decoded)

    def _take_signals(self) -> None:
        while self.context.signals:
            signal = self.context.signals.pop(0)
            if type(signal) in transitions.STANDBY_SIGNALS:
                self._take_for_standby(signal)
            else:
                self._take_for_user_turn(signal)

    def _take_for_standby(self, decoded: object) -> None:
        row = transitions.STANDBY[self.state.standby_state].get(type(decoded))
        if row is None:
            self.state.ignored += 1
        else:
            self._follow(row, decoded)

    def _follow(self, row: Row[Any], decoded: object) -> None:
        chosen = row.handler(self.context, decoded)  # type: ignore[arg-type] # the table's key is the input's type
        state = row.next_state if chosen is None else row.chosen(chosen)
        # Most rows keep their state, for example the rows of audio, many times a second.
        if state is not row.state or self.context.has_ended:
            self._enter(state)
        if self.context.signals:
            self._take_signals()

    def _settle(self) -> None:
        """Apply the joint rules, each once and in order, because the effect of a rule may satisfy a later one."""
        for name in self.state.pending.take_rules():
            self.context.log(logging.DEBUG, f"a response request has ended by the rule {name}")
        for rule in transitions.JOINT:
            if rule.holds(self.context):
                chosen = rule.handler(self.context)
                self._enter(rule.next_state if chosen is None else rule.chosen(chosen))  # type: ignore[arg-type]
                self._take_signals()

    def _enter(self, state: Lifecycle | ResponseState | StandbyState | UserTurnState | None) -> None:
        """Enter a state in the table to which it belongs. If the handler has ended the session, enter ENDED."""
        if isinstance(state, ResponseState):
            self.state.turn.response = state
        elif isinstance(state, StandbyState):
            self.state.standby_state = state
        elif isinstance(state, UserTurnState):
            self._enter_phase(state)
        elif state not in (None, self.state.lifecycle) and not self.context.has_ended:
            self._enter_lifecycle(state)
        if self.context.has_ended and self.state.lifecycle is not transitions.ON_END:
            self._enter_lifecycle(transitions.ON_END)

    def _enter_phase(self, phase: UserTurnState) -> None:
        turns, deadlines = self.state.user_turns, transitions.USER_TURN_DEADLINES
        before, turns.subject.phase = turns.subject.phase, phase
        if before is not phase:
            turns.move_subject()
            self._replace_deadlines(deadlines[before], deadlines[phase])

    def _replace_deadlines(self, before: Iterable[Wait], after: tuple[Wait, ...]) -> None:
        # FIRST_EVENT is also the deadline of the active response, and of every other turn that is owed an answer.
        is_shared = self.state.turn.response is not ResponseState.NONE
        over = [wait for wait in before if wait not in after]
        if is_shared or self.state.user_turns.owed:
            over = [wait for wait in over if wait is not Wait.FIRST_EVENT]
        self.context.stop_waiting(*over)
        if after and not (is_shared and after[0] is Wait.FIRST_EVENT):
            self.context.wait(after[0])

    def _enter_lifecycle(self, lifecycle: Lifecycle) -> None:
        before, self.state.lifecycle = self.state.lifecycle, lifecycle
        self._rows = transitions.LIFECYCLE[lifecycle]
        self.context.log(logging.DEBUG, f"{before.name} -> {lifecycle.name}")
        if lifecycle is Lifecycle.READY:
            # Take the early inputs now, so that they precede every later input. The handler's signals, such as a
            # repeated commit, come first.
            self._take_signals()
            for early in self.state.early.take():
                self.take(early if self.context.overrides is None else permission.judge_again(self.context, early))

    def _restart_silence_deadline(self) -> None:
        # Any event shows that the upstream is alive. Audio brings many events, so the length is not looked up in a
        # table.
        context = self.context
        if self.state.turn.response is ResponseState.ACTIVE and self.state.lifecycle is Lifecycle.READY:
            context.wait_for(Wait.NEXT_EVENT, context.options.deadlines.next_event_s)

    def enter_restored(self) -> None:
        """Continue with the present state of the context, which a snapshot or a new context has brought."""
        self.state = self.context.state
        self._rows = transitions.LIFECYCLE[self.state.lifecycle]

    def describe(self) -> Facts:
        """Return a few facts about the session, for operators and tests."""
        state = self.state
        return {
            "profile": self.context.profile.name,
            "lifecycle": state.lifecycle.value,
            "response": state.turn.response.value,
            "user_turn": state.user_turns.current.phase.value,
            "outstanding_calls": list(state.calls.outstanding),
            "late_answers": state.calls.late,
            "ignored": state.ignored,
            "over_bounds": state.over_bounds,
            "early_dropped_bytes": state.early.dropped_bytes,
            "interrupted_bytes": state.interrupted_bytes + state.playback.dropped_bytes,
            "owed": {
                "responses": len(state.pending),
                "answers_to_speech": len(state.user_turns.owed),
                "transcripts": len(state.transcripts),
                "acknowledgements": len(state.upstream.items) + state.upstream.pending_updates,
                "updates": len(state.updates),
                "function_calls": len(state.calls.outstanding),
            },
            "buffers": {
                "early_bytes": state.early.held_bytes,
                "unplayed_bytes": state.playback.held_bytes,
                "requests_bytes": state.pending.size_bytes,
                "ledger_bytes": state.ledger.size_bytes,
            },
            "position": state.upstream.position,
            "generation": state.upstream.generation,
            "rollovers": state.rollovers,
            "ledger_entries": len(state.ledger),
            "ledger_dropped": state.ledger.dropped,
            "speech_forgotten_bytes": state.ledger.forgotten_bytes
            + (state.microphone.forgotten_bytes if state.microphone is not None else 0),
        }


def _decode_client_text(context: Context, message: messages.ClientTextReceived) -> object:
    if context.policy is not None:
        return permission.decode(context, message.text)
    context.client_text = message.text
    decoded = deepgram_codec.decode(message.text, is_sparse=context.profile.sparse_settings)
    if not isinstance(decoded, deepgram_codec.Foreign) or not context.profile.openai_events:
        return decoded
    if decoded.type not in openai.FORWARDED:
        return decoded
    return inputs.passthrough_of(decoded.type, decoded.text, decoded.fields)


def _decode_upstream_text(context: Context, message: messages.UpstreamTextReceived) -> object:
    decoded = openai_codec.decode(message.text)
    if isinstance(decoded, openai_codec.Partial):
        # An unreadable field must not lose an acknowledgement: the rest of the event counts.
        context.log_unknown(decoded.type, decoded.problem)
        decoded = decoded.event
    if not isinstance(decoded, openai.Error):
        return decoded
    event = errors.explained(decoded)
    return event if context.policy is None else permission.masked(context, event)


_DECODERS: Final[dict[type, Callable[[Context, Any], object]]] = {
    messages.ClientTextReceived: _decode_client_text,
    messages.UpstreamTextReceived: _decode_upstream_text,
    messages.UpstreamBinaryReceived: lambda _context, _message: openai_codec.Malformed("a binary message"),
}
"""Decoders of the inputs that carry a frame. Every other input is looked up as it is."""
