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
from router.session.state.states import Lifecycle, ResponseState, StandbyState

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.messages import Facts
    from router.session.options import SessionOptions
    from router.session.profile import Profile
    from router.session.state.session import State
    from router.session.tables import Row


class Session:
    """One conversation. `handle` is the whole interface to the actors: an input and the time in, commands out."""

    def __init__(self, session_id: str, profile: Profile, options: SessionOptions) -> None:
        self.context = Context(session_id, profile, options)
        self._rows = transitions.LIFECYCLE[self.state.lifecycle]

    @property
    def state(self) -> State:
        """The session's memory."""
        return self.context.state

    def handle(self, message: messages.Input, now_s: float) -> list[messages.Command]:
        """Take an input, and return the commands that follow from it, in order.

        An input of another generation is counted and ignored, because an abandoned upstream may still have frames on
        their way.
        """
        context, state = self.context, self.state
        context.now_s = now_s
        decode = _DECODERS.get(type(message))
        decoded = message if decode is None else decode(context, message)
        # For every generation, because the tokens of an abandoned upstream are charged, too.
        context.report_usage(decoded)
        # Inputs of the client, of timers and of work have no generation.
        generation = getattr(message, "generation", None)
        if generation is None or generation == state.upstream.generation:
            self.take(decoded)
        elif state.standby is not None and generation == state.standby.generation:
            self._take_for_standby(decoded)
        else:
            state.ignored += 1
        if type(message) is messages.UpstreamTextReceived:
            self._restart_silence_deadline()
        if type(decoded) not in transitions.NEVER_SETTLES:
            self._settle()
        return context.take_commands()

    def take(self, decoded: object) -> None:
        """Look a decoded input up in LIFECYCLE and, in READY, in RESPONSE."""
        kind, before = type(decoded), self.state.lifecycle
        row = self._rows.get(kind)
        if row is None:
            transitions.ON_UNEXPECTED(self.context, decoded)
            return
        self._follow(row, decoded)
        if kind in transitions.RESPONSE_INPUTS and before is Lifecycle.READY:
            self._take_for_response(decoded)

    def _take_for_response(self, decoded: object) -> None:
        row = transitions.RESPONSE[self.state.turn.response].get(type(decoded))
        # The handler in LIFECYCLE may have ended the session.
        if row is not None and self.state.lifecycle is not Lifecycle.ENDED:
            self._follow(row, decoded)

    def _take_for_standby(self, decoded: object) -> None:
        row = transitions.STANDBY[self.state.standby_state].get(type(decoded))
        if row is None:
            self.state.ignored += 1
        else:
            self._follow(row, decoded)

    def _follow(self, row: Row[Any], decoded: object) -> None:
        chosen = row.handler(self.context, decoded)  # type: ignore[arg-type] # the table's key is the input's type
        state = row.next_state if chosen is None else row.chosen(chosen)
        # Most rows stay in their state: frames of audio do, many times a second.
        if state is not row.state or self.context.has_ended:
            self._enter(state)
        while self.context.signals:
            self._take_for_standby(self.context.signals.pop(0))

    def _settle(self) -> None:
        """Apply the joint rules, once each and in order: each may make a later one hold."""
        for rule in transitions.JOINT:
            if rule.holds(self.context):
                chosen = rule.handler(self.context)
                self._enter(rule.next_state if chosen is None else rule.chosen(chosen))  # type: ignore[arg-type]

    def _enter(self, state: Lifecycle | ResponseState | StandbyState | None) -> None:
        """Enter a state of the table that it belongs to, or the end where the handler has ended the session."""
        if isinstance(state, ResponseState):
            self.state.turn.response = state
        elif isinstance(state, StandbyState):
            self.state.standby_state = state
        elif state not in (None, self.state.lifecycle) and not self.context.has_ended:
            self._enter_lifecycle(state)
        if self.context.has_ended and self.state.lifecycle is not transitions.ON_END:
            self._enter_lifecycle(transitions.ON_END)

    def _enter_lifecycle(self, lifecycle: Lifecycle) -> None:
        before, self.state.lifecycle = self.state.lifecycle, lifecycle
        self._rows = transitions.LIFECYCLE[lifecycle]
        self.context.log(logging.DEBUG, f"{before.name} -> {lifecycle.name}")
        if lifecycle is Lifecycle.READY:
            # Now, so that they precede every later input.
            for early in self.state.early.take():
                self.take(early)

    def _restart_silence_deadline(self) -> None:
        # Any event shows that the upstream is alive. Without response.created the first output counts as its start.
        turn = self.state.turn
        is_answering = turn.response is ResponseState.ACTIVE or (
            turn.response is ResponseState.REQUESTED and turn.has_started_speaking
        )
        if is_answering and self.state.lifecycle is Lifecycle.READY:
            self.context.wait(Wait.NEXT_EVENT)

    def describe(self) -> Facts:
        """Return a few facts about the session, for operators and tests."""
        state = self.state
        return {
            "profile": self.context.profile.name,
            "lifecycle": state.lifecycle.value,
            "response": state.turn.response.value,
            "outstanding_calls": list(state.calls.outstanding),
            "late_answers": state.calls.late,
            "ignored": state.ignored,
            "early_dropped_bytes": state.early.dropped_bytes,
            "interrupted_bytes": state.interrupted_bytes + state.playback.dropped_bytes,
            "generation": state.upstream.generation,
            "rollovers": state.rollovers,
            "ledger_entries": len(state.ledger),
            "ledger_dropped": state.ledger.dropped,
            "speech_forgotten_bytes": state.ledger.forgotten_bytes
            + (state.microphone.forgotten_bytes if state.microphone is not None else 0),
        }


def _decode_client_text(context: Context, message: messages.ClientTextReceived) -> object:
    context.client_text = message.text
    decoded = deepgram_codec.decode(message.text)
    if not isinstance(decoded, deepgram_codec.Foreign) or not context.profile.openai_events:
        return decoded
    if decoded.type not in openai.FORWARDED:
        return decoded
    return inputs.passthrough_of(decoded.type, decoded.text, decoded.fields)


def _decode_upstream_text(context: Context, message: messages.UpstreamTextReceived) -> object:
    decoded = openai_codec.decode(message.text)
    if not isinstance(decoded, openai_codec.Partial):
        return decoded
    # One unreadable field is no reason to lose an acknowledgement: the rest of the event counts.
    context.log_unknown(decoded.type, decoded.problem)
    return decoded.event


_DECODERS: Final[dict[type, Callable[[Context, Any], object]]] = {
    messages.ClientTextReceived: _decode_client_text,
    messages.ClientBinaryReceived: lambda _context, message: inputs.MicrophoneAudio(message.data),
    messages.UpstreamTextReceived: _decode_upstream_text,
    messages.UpstreamBinaryReceived: lambda _context, _message: openai_codec.Malformed("a binary message"),
}
"""Decoders of the inputs that carry a frame. Every other input is looked up as it is."""
