"""The interface of a session to its handlers: the state, messages to either side, waits, work, the end, log lines.

Most methods append commands to the list that `Session.handle` returns. Nothing here waits, or touches a socket.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import messages
from router import closes
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.logs.limits import LineLimiter, counted, kind_of, shortened
from router.openai import codec as openai_codec
from router.openai import events as openai
from router.session import reports
from router.session.deadlines import Wait, length_s, rollover_in_s
from router.session.state.meter import UsageMeter
from router.session.state.session import State
from router.session.state.states import ResponseState
from router.session.work import PREPARATIONS, WorkKind, work_key
from router.translation import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.restart import Loss
    from router.session import inputs
    from router.session.options import SessionOptions
    from router.session.profile import Profile
    from router.session.state.upstream import UpstreamLink
    from router.session.work import Work
    from router.translation.errors import FinalError

REPORT_S: Final = 0.5
"""The time in which the upstream may report the usage of a response that the session's end cancelled.

A round trip takes 0.1 s. This time and the close handshake fit into the time that a drain leaves (`router.runtime`).
"""

MAX_UNKNOWN_TYPES: Final = 100
"""The number of unknown event types that one session logs at most. An upstream may invent any number of them."""


class Context:
    """One session as its handlers see it."""

    __slots__ = (
        "_commands",
        "_lines",
        "_stopwatch",
        "_turn_log",
        "client_text",
        "ending",
        "has_ended",
        "meter",
        "now_s",
        "options",
        "overrides",
        "policy",
        "profile",
        "sent_texts",
        "signals",
        "state",
        "timers",
        "voice",
    )

    def __init__(self, session_id: str, profile: Profile, options: SessionOptions) -> None:
        self.profile = profile
        self.options = options
        self.state = State(session_id, options)
        self.now_s = 0.0
        """The arrival of the current input, on the dispatcher's clock."""
        self.client_text = ""
        """The client's last text frame, undecoded. Under a policy it has the form in which the policy let it pass."""
        self.policy = options.policy
        """The policy for the client's messages, with the changes of the hook `configure` for this session.

        If it is None, all messages are allowed.
        """
        self.overrides: Mapping[str, Any] | None = None
        """The overrides of the hook `configure`. The session applies them to every later update, too."""
        self.voice: str | None = None
        """The upstream's name for the voice that the overrides set in Settings."""
        self.timers: dict[str, float] = {}
        """The time at which each running timer is due, by the timer's name. The engine keeps the timers themselves."""
        self.sent_texts = 0
        """The number of text messages that were sent to the client. Interim transcripts do not count."""
        self.has_ended = False
        """Whether a handler has commanded the session's end."""
        self.ending: tuple[int, str, float] | None = None
        """The close code, the reason and the time to read of a session that has ended."""
        self.signals: list[inputs.Signal] = []
        """The signals of the current handler, for the machine to look up."""
        self._commands: list[messages.Command] = []
        self._lines = LineLimiter()
        self._turn_log = reports.TurnLog() if options.is_reported else None
        self._stopwatch = reports.Stopwatch() if options.is_observed else None
        is_limited = bool(options.limits.max_tokens or options.limits.max_cost_usd or options.spend_today)
        self.meter = UsageMeter(options) if options.is_reported or options.is_observed or is_limited else None
        """The reader of usage; None if nothing needs usage.

        The relay of `/v1/realtime` uses this reader, too, because the session's `read_late` reads the late events of a
        relay.
        """

    def take_commands(self) -> list[messages.Command]:
        """Remove and return the commands so far, in order."""
        commands, self._commands = self._commands, []
        return commands

    def signal(self, signal: inputs.Signal) -> None:
        """Queue a signal. The machine looks it up in the signal's own table as soon as the handler returns."""
        # A call of the machine from here would need a reference to it, and a cycle keeps ended sessions in memory.
        self.signals.append(signal)

    # To the client.

    def to_client(self, *sent: deepgram.ServerMessage) -> None:
        """Send messages to the client. A History follows each ConversationText if the client wants History messages."""
        for message in sent:
            if isinstance(message, deepgram.ConversationText) and self._send_in_parts(message):
                continue
            if isinstance(message, deepgram.Error | deepgram.Warning):
                # The description may repeat a field of the client's message, or of the upstream's configuration.
                description = message.description if self.policy is None else self.policy.text(message.description)
                message = msgspec.structs.replace(message, description=shortened(description))  # noqa: PLW2901
            frame = deepgram_codec.encode(message)
            if isinstance(message, deepgram.HistoryCalls) and len(frame.encode()) > text.MAX_TEXT_BYTES:
                self.count_excess(f"the History of a call is left out: it has {len(frame)} characters")
                continue
            self._commands.append(messages.SendToClient(frame))
            # Interim words do not count, because the client replaces them by the next ones: they may get lost.
            self.sent_texts += not (isinstance(message, deepgram.Transcript) and not message.is_final)
            if self._turn_log is not None:
                self._notify(self._turn_log.note(message))
            if self._stopwatch is not None:
                self._observe_client(message, self._stopwatch)
            # Not `isinstance`: a CallText only shows a call, which has a History of its own when it is answered.
            if type(message) is deepgram.ConversationText:
                self.to_history(text.history_of(message))

    def _send_in_parts(self, message: deepgram.ConversationText) -> bool:
        """Send a text in parts, if it is too long for one message.

        Return whether the text was sent: if one message can hold it, nothing is sent.
        """
        parts = text.parts_of(message.content)
        if len(parts) > 1:
            self.to_client(*(msgspec.structs.replace(message, content=part) for part in parts))
        return len(parts) > 1

    def to_history(self, *sent: deepgram.HistoryText | deepgram.HistoryCalls) -> None:
        """Send History messages to a client that wants them.

        The client may send them back as the context of its next session.
        """
        if self.sends_history:
            self.to_client(*sent)

    @property
    def sends_history(self) -> bool:
        """Whether the client wants History messages."""
        flag = self.state.plan.history
        return self.profile.history if flag is None else flag

    @property
    def tells_whole(self) -> bool:
        """Whether a continued answer is sent with its whole text, because the client may show only the newest text."""
        chosen = self.state.plan.agent.continued_text or self.options.continued_text
        return self.profile.component_messages and chosen == "whole"

    def to_component(self, *sent: deepgram.ServerMessage) -> None:
        """Send messages that the React component alone knows, if the client is the component."""
        if self.profile.component_messages:
            self.to_client(*sent)

    def emit_audio(self, audio: bytes) -> None:
        """Send audio, which is in the client's format already."""
        self._commands.append(messages.SendToClient(audio))

    def probe_client(self) -> None:
        """Ping the client after the frames sent so far. The client's pong arrives as `ClientCaughtUp`."""
        self._commands.append(messages.ProbeClient())

    # To the upstream.

    def enforced(self, session: dict[str, Any], *, opens: bool = False) -> dict[str, Any]:
        """Return the `session` of an update with the values that the policy forces.

        `opens` is true for the update that configures a new session: it gets every forced value. Any other update gets
        the forced values of its own fields alone.
        """
        return session if self.policy is None else self.policy.enforced(session, opens=opens)

    def to_upstream(self, event: openai.ClientEvent, link: UpstreamLink | None = None) -> None:
        """Send an event to the upstream in use, or to `link`."""
        generation = (link or self.state.upstream).generation
        self._commands.append(messages.SendToUpstream(openai_codec.encode(event), generation))
        if self._stopwatch is not None and isinstance(event, openai.ConversationItemCreate):
            item = event.item
            if isinstance(item, openai.FunctionCallOutputItem):
                self._notify(self._stopwatch.answer(item.call_id, self.now_s))

    def forward(self, frame: str | bytes, link: UpstreamLink | None = None) -> None:
        """Send an encoded frame to the upstream in use, or to `link`."""
        self._commands.append(messages.SendToUpstream(frame, (link or self.state.upstream).generation))

    def forward_all(self, frames: list[bytes]) -> None:
        """Send encoded frames to the upstream in use."""
        generation = self.state.upstream.generation
        for frame in frames:
            self._commands.append(messages.SendToUpstream(frame, generation))

    def open_upstream(self, generation: int, model: str, *, delay_s: float = 0.0, is_standby: bool = False) -> None:
        """Dial an upstream after `delay_s`. `UpstreamOpened` or `UpstreamLost` follows.

        With `is_standby` the upstream in use stays in use.
        """
        self._commands.append(messages.OpenUpstream(generation, model, delay_s, is_standby))

    def close_upstream(self, generation: int) -> None:
        """Close an upstream. No input of its generation follows."""
        self._commands.append(messages.CloseUpstream(generation))

    def abandon(self, loss: Loss) -> None:
        """Report the upstream in use as lost. `UpstreamLost` follows, with the verdict of the restart policy."""
        self._commands.append(messages.AbandonUpstream(self.state.upstream.generation, loss))

    def reset_restart_budget(self) -> None:
        """Restore the restart budget, because a turn was completed.

        Also set the count of adoptions to 0, because a session that completes a turn is not the cause of its process's
        death.
        """
        self.state.adoptions = 0
        self._commands.append(messages.ResetRestartBudget())

    # Time and work.

    def wait(self, wait: Wait) -> None:
        """Start the deadline of a wait. If the deadline of this wait runs already, it starts again."""
        self.wait_for(wait, length_s(wait, self.options.deadlines))

    def wait_for(self, wait: Wait, delay_s: float) -> None:
        """Start the timer of a wait with a length of `delay_s`.

        If the timer of this wait runs already, it starts again.
        """
        name: str = wait._value_  # `value` is a property, and costs ten times as much
        self.timers[name] = self.now_s + delay_s
        self._commands.append(messages.StartTimer(name, delay_s))

    def restart_timer(self, name: str, delay_s: float) -> None:
        """Start again a timer that ran in another process.

        The time in `timers` at which the timer is due stays the same.
        """
        self._commands.append(messages.StartTimer(name, delay_s))

    def schedule_rollover(self) -> None:
        """Start the timer of the next rollover.

        Its length depends on when the session at the upstream in use will expire.
        """
        link, deadlines = self.state.upstream, self.options.deadlines
        in_s = rollover_in_s(link.expires_at, link.opened_at, deadlines)
        if link.is_created:
            # Do not replace at once an upstream that was created long ago: its successor may have failed just now.
            in_s = max(min(in_s, deadlines.rollover_interval_s), in_s - (self.now_s - link.created_s))
        self.wait_for(Wait.ROLLOVER, in_s)

    def stop_waiting(self, *waits: Wait) -> None:
        """Cancel the deadlines of these waits."""
        for wait in waits:
            self.timers.pop(wait.value, None)
            self._commands.append(messages.CancelTimer(wait.value))

    def start_work(self, kind: WorkKind, name: str, work: Work, timeout_s: float) -> None:
        """Run work on a thread of a pool. `kind` and `name` together identify the work.

        Its `WorkDone` goes to the handler that `transitions.WORK` names.
        """
        key, is_preparation = work_key(kind, name), kind in PREPARATIONS
        self._commands.append(messages.StartWork(key, work, timeout_s, is_preparation))

    def cancel_work(self, kind: WorkKind, name: str) -> None:
        """Cancel work. No `WorkDone` follows, even if the work is done already."""
        self._commands.append(messages.CancelWork(work_key(kind, name)))

    # The end.

    def end(self, closing: FinalError) -> None:
        """Send the client its last `Error`, and end the session with the close frame that `closing` names."""
        self.report(reports.SessionFailed(closing.error.code, closing.error.description))
        self.to_client(closing.error)
        self.end_silently(closing.close_code, closing.close_reason)

    def end_silently(self, code: int = closes.HUNG_UP.code, reason: str = "", linger_s: float = 0.0) -> None:
        """End the session of a client that knows the reason or is gone. See `EndSession` for `linger_s`."""
        if self._turn_log is not None:
            self._notify(self._turn_log.take(is_whole=False))
        if self.options.is_observed:
            self._report_audio()
        for kind, missed in self._lines.missed():
            self._log(logging.WARNING, counted(f"{kind}…", missed))
        # The response in progress was cancelled, and its tokens are charged.
        report_s = REPORT_S if self.state.turn.response is not ResponseState.NONE else 0.0
        self._commands.append(messages.EndSession(code, reason, linger_s, report_s))
        # The standby upstream ends with the other connections. A joint rule must not configure it any more.
        self.state.standby = None
        self.has_ended, self.ending = True, (int(code), reason, linger_s)

    def end_again(self) -> None:
        """End a session that had ended in another process, in the same way. Its client has the last frames."""
        if self.ending is not None:
            self._commands.append(messages.EndSession(*self.ending))

    # Notifications and log lines.

    def read_usage(self, event: object, generation: int) -> reports.Usage | None:
        """Return the usage that an upstream event reports.

        Each response and each transcript counts once. Return None if the event reports no usage, if its usage was
        counted before, or if nothing in the session needs usage.
        """
        return self.meter.read(event, generation, self.state.model) if self.meter is not None else None

    def report_usage(self, event: object, generation: int) -> None:
        """Add the usage that an upstream event reports to the session's spending.

        Notify the application and the observer.
        """
        usage = self.read_usage(event, generation)
        if usage is not None:
            self.state.limited.spending.add(usage)
            if self.options.is_reported or self.options.is_observed:
                self._notify(usage)

    def mark_question(self, at_s: float) -> None:
        """Record `at_s` as the end of the user's turn and the beginning of the agent's.

        Later calls in the same turn do nothing.
        """
        if self.state.latency.mark("asked_s", at_s):
            self.report(reports.TurnBegan(max(0.0, self.now_s - at_s)))

    def report_tags(self, tags: list[str] | None) -> None:
        """Notify the application and the observer of the tags of the client's Settings."""
        tagged = reports.tagged(tags)
        if tagged is not None and (self.options.is_reported or self.options.is_observed):
            self._notify(tagged)

    def report(self, fact: reports.Fact) -> None:
        """Notify the observer of a fact, if there is an observer."""
        if self.options.is_observed:
            self._notify(fact)

    def _observe_client(self, message: deepgram.ServerMessage, stopwatch: reports.Stopwatch) -> None:
        if isinstance(message, deepgram.AgentAudioDone):
            self._notify(reports.TurnEnded())
            self._report_audio()
        elif isinstance(message, deepgram.LatencyReport):
            self._notify(
                reports.TurnLatency(first_audio_s=message.total_latency, first_text_s=message.ttt_token_latency)
            )
        elif isinstance(message, deepgram.FunctionCallRequest):
            for function in message.functions:
                stopwatch.request(function.id, self.now_s, function.name if function.client_side else None)

    def _report_audio(self) -> None:
        # Report once in a turn. For each frame only a count is increased.
        state = self.state
        source = state.microphone.source if state.microphone is not None else None
        received_s = 0.0 if source is None else source.duration_ms(state.microphone_bytes) / 1000
        carried = reports.AudioCarried(received_s=received_s, sent_s=state.playback.sent_s)
        state.microphone_bytes, state.playback.sent_s = 0, 0.0
        if carried.received_s or carried.sent_s:
            self._notify(carried)

    def _notify(self, notification: reports.Turn | reports.Fact | None) -> None:
        if notification is not None:
            self._commands.append(messages.Notify(notification))

    def log(self, level: int, line: str) -> None:
        """Write a log line, with credentials redacted.

        The rate of similar lines above DEBUG is limited, because a peer may cause any number of them.
        """
        missed = self._lines.take(kind_of(line), self.now_s) if level > logging.DEBUG else 0
        if missed is not None:
            self._log(level, counted(shortened(line), missed))

    def _log(self, level: int, line: str) -> None:
        self._commands.append(messages.Log(level, self.options.redact(line)))

    def count_excess(self, line: str) -> None:
        """Count a message, or a part of a message, that exceeds a bound, and write a log line about the excess."""
        self.state.over_bounds += 1
        self.log(logging.WARNING, line)

    def log_unknown(self, kind: str, problem: str) -> None:
        """Log an upstream event of an unknown type or shape, once for each of the first `MAX_UNKNOWN_TYPES` types."""
        unknown = self.state.unknown_types
        if kind in unknown or len(unknown) >= MAX_UNKNOWN_TYPES:
            return
        self.state.unknown_types = unknown | {kind}
        self.log(logging.WARNING, f"the upstream sent {kind[:80]}, ignored: {problem}")
