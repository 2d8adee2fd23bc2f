"""The machine: decodes an input, looks it up in the tables, and settles what follows.

`Session` is the engine's `Machine`. Its handlers stand in the modules of this room; they change `state` and say
what is to be done through the methods of the section "What handlers say".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from actors import messages
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.openai import codec as openai_codec
from router.openai import events as openai
from router.session import inputs, reports, transitions
from router.session.deadlines import Wait, length_s, rollover_in_s
from router.session.state.session import State
from router.session.state.states import Lifecycle, ResponseState, StandbyState
from router.session.work import PREPARATIONS, WorkKind, work_key
from router.translation import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.restart import Loss
    from router.session.options import SessionOptions
    from router.session.profile import Profile
    from router.session.state.upstream import UpstreamLink
    from router.translation.errors import ClosingError

_MOST_UNKNOWN: Final = 100
"""An upstream may have invented any number of types; a log has seen enough of them by then."""


class Session:
    """One conversation. `handle` is the whole surface: an input and the time in, commands out."""

    def __init__(self, session_id: str, profile: Profile, options: SessionOptions) -> None:
        self.profile = profile
        self.options = options
        self.state = State(session_id, options)
        self._rows = transitions.LIFECYCLE[self.state.lifecycle]
        self._commands: list[messages.Command] = []
        self.now_s = 0.0
        """When the input came, on the dispatcher's clock."""
        self.client_text = ""
        """What the client sent last, as it is."""
        self._turn_log = reports.TurnLog() if options.is_reported else None

    def handle(self, message: messages.Input, now_s: float) -> list[messages.Command]:
        """Take an input; the commands that follow from it, in order."""
        self.now_s = now_s
        decode = _DECODERS.get(type(message))
        decoded = message if decode is None else decode(self, message)
        if self._turn_log is not None and type(decoded) in reports.COSTLY:
            self._report(reports.usage_of(decoded, self.state.route))
        generation = getattr(message, "generation", None)
        if generation is None or generation == self.state.upstream.generation:
            self.take(decoded)
        elif self.state.standby is not None and generation == self.state.standby.generation:
            self._take_for_spare(decoded)
        else:
            self.state.ignored += 1  # of an upstream that was given up, or followed by the next, meanwhile
        if type(message) is messages.UpstreamTextReceived:
            self._keep_waiting()
        if type(decoded) not in transitions.SETTLE_NOTHING:
            self._settle()
        commands, self._commands = self._commands, []
        return commands

    def describe(self) -> dict[str, Any]:
        """A few facts, for people and tests."""
        state = self.state
        return {
            "profile": self.profile.name,
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

    def take(self, decoded: Any) -> None:
        """Look a decoded input up, and do what its rows say."""
        kind = type(decoded)
        row = self._rows.get(kind)
        if row is None:
            transitions.on_unexpected(self, decoded)
            return
        handler, next_state = row
        if handler(self, decoded) is not transitions.KEEP and next_state is not self.state.lifecycle:
            self.enter(next_state)
        if kind in transitions.RESPONSE_INPUTS and self.state.lifecycle is Lifecycle.READY:
            self._take_for_response(kind, decoded)

    def _take_for_response(self, kind: type, decoded: Any) -> None:
        row = transitions.RESPONSE[self.state.turn.response].get(kind)
        if row is None:
            return
        handler, next_state = row
        if handler(self, decoded) is not transitions.KEEP:
            self.state.turn.response = next_state

    def _take_for_spare(self, decoded: Any) -> None:
        row = transitions.STANDBY[self.state.standby_state].get(type(decoded))
        if row is None:
            self.state.ignored += 1
            return
        handler, next_state = row
        overruled = handler(self, decoded)
        if self.state.standby is not None:
            self.state.standby_state = overruled if isinstance(overruled, StandbyState) else next_state

    def enter(self, lifecycle: Lifecycle) -> None:
        """Be in another state. For the tables and their joint rules."""
        before = self.state.lifecycle
        if before in (lifecycle, Lifecycle.ENDED):  # a deadline's handler may have ended what its row would keep
            return
        self.state.lifecycle = lifecycle
        self._rows = transitions.LIFECYCLE[lifecycle]
        self.log(logging.DEBUG, f"{before.name} -> {lifecycle.name}")
        if lifecycle is Lifecycle.READY:
            for kept in self.state.early.take():
                self.take(kept)

    def _settle(self) -> None:
        """The joint rules: what follows when several things have come together, in whatever order."""
        for holds, handler in transitions.JOINT:
            if holds(self):
                handler(self)

    def _keep_waiting(self) -> None:
        turn = self.state.turn
        is_answering = turn.response is ResponseState.ACTIVE or (
            turn.response is ResponseState.REQUESTED and turn.has_started_speaking
        )
        if is_answering and self.state.lifecycle is Lifecycle.READY:
            self.wait(Wait.SILENCE)

    def _decode_client_text(self, message: messages.ClientTextReceived) -> Any:
        self.client_text = message.text
        decoded = deepgram_codec.decode(message.text)
        if not isinstance(decoded, deepgram_codec.Foreign) or not self._is_forwarded(decoded):
            return decoded
        if decoded.type == "conversation.item.create":
            item = decoded.fields.get("item")
            return inputs.PassthroughItemCreate(decoded.text, item if isinstance(item, dict) else {})
        return inputs.PASSTHROUGH.get(decoded.type, inputs.PassthroughEvent)(decoded.text)

    def _decode_upstream_text(self, message: messages.UpstreamTextReceived) -> Any:
        decoded = openai_codec.decode(message.text)
        if not isinstance(decoded, openai_codec.Partial):
            return decoded
        self.log_unknown(decoded.type, decoded.problem)
        return decoded.event

    def _is_forwarded(self, foreign: deepgram_codec.Foreign) -> bool:
        return self.profile.openai_events and foreign.type in openai.FORWARDED

    # What handlers say.

    def to_client(self, *said: deepgram.ServerMessage) -> None:
        """Send messages to the client. A ConversationText is followed by its History, where that is wanted."""
        for message in said:
            self._commands.append(messages.SendToClient(deepgram_codec.encode(message)))
            if self._turn_log is not None:
                self._report(self._turn_log.note(message))
            if type(message) is deepgram.ConversationText:
                self.to_history(text.history_of(message))

    def _report(self, news: reports.Turn | reports.Usage | None) -> None:
        if news is not None:
            self._commands.append(messages.Notify(news))

    def to_history(self, *said: deepgram.HistoryText | deepgram.HistoryCalls) -> None:
        """Send messages to a client that wants them for a later session's context."""
        if self.tells_history:
            self.to_client(*said)

    @property
    def tells_history(self) -> bool:
        """Whether the client wants it."""
        given = self.state.settings
        flag = given.flags.history if isinstance(given, deepgram.Settings) else None
        return self.profile.history if flag is None else flag

    def to_component(self, *said: deepgram.ServerMessage) -> None:
        """Send messages that only the React component knows."""
        if self.profile.component_messages:
            self.to_client(*said)

    def send_audio(self, pcm: bytes) -> None:
        """Send audio to the client."""
        self._commands.append(messages.SendToClient(pcm))

    def probe_client(self) -> None:
        """Ask whether the client reads what it is sent."""
        self._commands.append(messages.ProbeClient())

    def to_upstream(self, event: openai.ClientEvent, link: UpstreamLink | None = None) -> None:
        """Send an event to the upstream in use, or to another line."""
        generation = (link or self.state.upstream).generation
        self._commands.append(messages.SendToUpstream(openai_codec.encode(event), generation))

    def forward(self, *frames: str | bytes, link: UpstreamLink | None = None) -> None:
        """Send frames to the upstream that are encoded already."""
        generation = (link or self.state.upstream).generation
        for frame in frames:
            self._commands.append(messages.SendToUpstream(frame, generation))

    def open_upstream(self, generation: int, model: str, *, delay_s: float = 0.0, is_standby: bool = False) -> None:
        """Have an upstream dialled."""
        self._commands.append(messages.OpenUpstream(generation, model, delay_s, is_standby))

    def close_upstream(self, generation: int) -> None:
        """Have done with an upstream: nothing more is heard of it."""
        self._commands.append(messages.CloseUpstream(generation))

    def abandon(self, loss: Loss) -> None:
        """Give the upstream in use up as lost; what is done about it is told by UpstreamLost."""
        self._commands.append(messages.AbandonUpstream(self.state.upstream.generation, loss))

    def reset_restart_budget(self) -> None:
        """Let the restarts before this turn's end count no more."""
        self._commands.append(messages.ResetRestartBudget())

    def wait(self, wait: Wait) -> None:
        """Start a deadline, or start it again."""
        self.wait_for(wait, length_s(wait, self.options.deadlines))

    def wait_for(self, wait: Wait, delay_s: float) -> None:
        """Start a timer of any length."""
        self._commands.append(messages.StartTimer(wait.value, delay_s))

    def schedule_rollover(self) -> None:
        """Start the timer of the next rollover, by what the upstream in use said of its end."""
        link = self.state.upstream
        self.wait_for(Wait.ROLLOVER, rollover_in_s(link.expires_at, link.opened_at, self.options.deadlines))

    def start_work(self, kind: WorkKind, name: str, work: Any, timeout_s: float) -> None:
        """Have work done off the dispatcher; `transitions.WORK` says who takes what comes of it."""
        key, is_preparation = work_key(kind, name), kind in PREPARATIONS
        self._commands.append(messages.StartWork(key, work, timeout_s, is_preparation))

    def cancel_work(self, kind: WorkKind, name: str) -> None:
        """Hear nothing more of work, which may be done already."""
        self._commands.append(messages.CancelWork(work_key(kind, name)))

    def stop_waiting(self, *waits: Wait) -> None:
        """Drop deadlines."""
        for wait in waits:
            self._commands.append(messages.CancelTimer(wait.value))

    def end(self, closing_error: ClosingError) -> None:
        """Say the last word and end the session."""
        self.to_client(closing_error.error)
        self.end_silently(closing_error.close_code, closing_error.close_reason)

    def end_silently(self, code: int = 1000, reason: str = "", linger_s: float = 0.0) -> None:
        """End the session of a client that has been told why, or is gone; see `EndSession`."""
        if self._turn_log is not None:
            self._report(self._turn_log.take(is_whole=False))
        self._commands.append(messages.EndSession(code, reason, linger_s))
        self.state.standby = None  # it ends with the others, and is configured no more
        self.enter(Lifecycle.ENDED)

    def log(self, level: int, text: str) -> None:
        """Write a log line."""
        self._commands.append(messages.Log(level, self.options.redact(text)))

    def log_unknown(self, kind: str, problem: str) -> None:
        """Write a log line about something of the upstream's that nobody knows, once for each kind of it."""
        unknown = self.state.unknown
        if kind in unknown or len(unknown) >= _MOST_UNKNOWN:
            return
        unknown.add(kind)
        self.log(logging.WARNING, f"the upstream sent {kind[:80]}, passed over: {problem}")


_DECODERS: Final[dict[type, Callable[[Session, Any], Any]]] = {
    messages.ClientTextReceived: Session._decode_client_text,  # noqa: SLF001 - the table of this class
    messages.ClientBinaryReceived: lambda _session, message: inputs.Microphone(message.data),
    messages.UpstreamTextReceived: Session._decode_upstream_text,  # noqa: SLF001
    messages.UpstreamBinaryReceived: lambda _session, _message: openai_codec.Malformed("a binary message"),
}
"""What carries a frame is decoded; everything else is an input as it is."""
