"""The interface of a session to its handlers: the state, messages to either side, waits, work, the end, log lines.

Each method appends commands to the list that `Session.handle` returns. Nothing here waits, or touches a socket.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors import messages
from actors.connections.close_codes import CloseCode
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.openai import codec as openai_codec
from router.session import reports
from router.session.deadlines import Wait, length_s, rollover_in_s
from router.session.state.session import State
from router.session.work import PREPARATIONS, WorkKind, work_key
from router.translation import text

if TYPE_CHECKING:
    from actors.restart import Loss
    from router.openai import events as openai
    from router.session import inputs
    from router.session.options import SessionOptions
    from router.session.profile import Profile
    from router.session.state.upstream import UpstreamLink
    from router.session.work import Work
    from router.translation.errors import FinalError

MAX_UNKNOWN_TYPES: Final = 100
"""Unknown event types that are logged in one session: an upstream may invent any number of them."""


class Context:
    """One session as its handlers see it."""

    def __init__(self, session_id: str, profile: Profile, options: SessionOptions) -> None:
        self.profile = profile
        self.options = options
        self.state = State(session_id, options)
        self.now_s = 0.0
        """The arrival of the current input, on the dispatcher's clock."""
        self.client_text = ""
        """The client's last text frame, undecoded."""
        self.has_ended = False
        """The session's end has been commanded."""
        self.signals: list[inputs.Signal] = []
        """The signals of the current handler, for the machine to look up."""
        self._commands: list[messages.Command] = []
        self._turn_log = reports.TurnLog() if options.is_reported else None

    def take_commands(self) -> list[messages.Command]:
        """Remove and return the commands so far, in order."""
        commands, self._commands = self._commands, []
        return commands

    def signal(self, signal: inputs.Signal) -> None:
        """Queue a signal. The machine looks it up in STANDBY as soon as the handler returns."""
        # A call of the machine from here would need a reference to it, and a cycle keeps ended sessions in memory.
        self.signals.append(signal)

    # To the client.

    def to_client(self, *sent: deepgram.ServerMessage) -> None:
        """Send messages to the client. A History follows each ConversationText where the client wants one."""
        for message in sent:
            self._commands.append(messages.SendToClient(deepgram_codec.encode(message)))
            if self._turn_log is not None:
                self._notify(self._turn_log.note(message))
            # Not `isinstance`: a CallText only shows a call, which has a History of its own when it is answered.
            if type(message) is deepgram.ConversationText:
                self.to_history(text.history_of(message))

    def to_history(self, *sent: deepgram.HistoryText | deepgram.HistoryCalls) -> None:
        """Send History messages to a client that wants them. It may send them back as the next session's context."""
        if self.sends_history:
            self.to_client(*sent)

    @property
    def sends_history(self) -> bool:
        """Whether the client wants History messages."""
        settings = self.state.deepgram_settings
        flag = settings.flags.history if settings is not None else None
        return self.profile.history if flag is None else flag

    def to_component(self, *sent: deepgram.ServerMessage) -> None:
        """Send messages that the React component alone knows."""
        if self.profile.component_messages:
            self.to_client(*sent)

    def emit_audio(self, audio: bytes) -> None:
        """Send audio, which is in the client's format already."""
        self._commands.append(messages.SendToClient(audio))

    def probe_client(self) -> None:
        """Ping the client behind the sent frames. Its answer arrives as `ClientCaughtUp`."""
        self._commands.append(messages.ProbeClient())

    # To the upstream.

    def to_upstream(self, event: openai.ClientEvent, link: UpstreamLink | None = None) -> None:
        """Send an event to the upstream in use, or to `link`."""
        generation = (link or self.state.upstream).generation
        self._commands.append(messages.SendToUpstream(openai_codec.encode(event), generation))

    def forward(self, *frames: str | bytes, link: UpstreamLink | None = None) -> None:
        """Send encoded frames to the upstream in use, or to `link`."""
        generation = (link or self.state.upstream).generation
        for frame in frames:
            self._commands.append(messages.SendToUpstream(frame, generation))

    def open_upstream(self, generation: int, model: str, *, delay_s: float = 0.0, is_standby: bool = False) -> None:
        """Dial an upstream. `UpstreamOpened` or `UpstreamLost` follows."""
        self._commands.append(messages.OpenUpstream(generation, model, delay_s, is_standby))

    def close_upstream(self, generation: int) -> None:
        """Close an upstream. No input of this generation follows."""
        self._commands.append(messages.CloseUpstream(generation))

    def abandon(self, loss: Loss) -> None:
        """Report the upstream in use as lost. `UpstreamLost` follows, with the supervisor's decision about it."""
        self._commands.append(messages.AbandonUpstream(self.state.upstream.generation, loss))

    def reset_restart_budget(self) -> None:
        """Restore the full number of restarts, because a turn was completed."""
        self._commands.append(messages.ResetRestartBudget())

    # Time and work.

    def wait(self, wait: Wait) -> None:
        """Start a deadline. One that runs already starts again."""
        self.wait_for(wait, length_s(wait, self.options.deadlines))

    def wait_for(self, wait: Wait, delay_s: float) -> None:
        """Start a timer of any length. One that runs already starts again."""
        self._commands.append(messages.StartTimer(wait.value, delay_s))

    def schedule_rollover(self) -> None:
        """Start the timer of the next rollover, from the end that the upstream in use announced."""
        link = self.state.upstream
        self.wait_for(Wait.ROLLOVER, rollover_in_s(link.expires_at, link.opened_at, self.options.deadlines))

    def stop_waiting(self, *waits: Wait) -> None:
        """Cancel deadlines."""
        for wait in waits:
            self._commands.append(messages.CancelTimer(wait.value))

    def start_work(self, kind: WorkKind, name: str, work: Work, timeout_s: float) -> None:
        """Run work on a thread of a pool. The handler that `transitions.WORK` names takes its `WorkDone`."""
        key, is_preparation = work_key(kind, name), kind in PREPARATIONS
        self._commands.append(messages.StartWork(key, work, timeout_s, is_preparation))

    def cancel_work(self, kind: WorkKind, name: str) -> None:
        """Cancel work. No `WorkDone` follows, even where the work is done already."""
        self._commands.append(messages.CancelWork(work_key(kind, name)))

    # The end.

    def end(self, closing: FinalError) -> None:
        """Send the last error, and end the session."""
        self.to_client(closing.error)
        self.end_silently(closing.close_code, closing.close_reason)

    def end_silently(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", linger_s: float = 0.0) -> None:
        """End the session of a client that knows the reason or is gone. See `EndSession` for `linger_s`."""
        if self._turn_log is not None:
            self._notify(self._turn_log.take(is_whole=False))
        self._commands.append(messages.EndSession(code, reason, linger_s))
        # The standby upstream ends with the other connections. A joint rule must not configure it any more.
        self.state.standby = None
        self.has_ended = True

    # Notifications and log lines.

    def report_usage(self, decoded: object) -> None:
        """Notify the embedding application of the tokens that an upstream event counts."""
        if self._turn_log is not None and isinstance(decoded, reports.USAGE_EVENTS):
            self._notify(reports.usage_of(decoded, self.state.model))

    def _notify(self, notification: reports.Turn | reports.Usage | None) -> None:
        if notification is not None:
            self._commands.append(messages.Notify(notification))

    def log(self, level: int, line: str) -> None:
        """Write a log line, with credentials redacted."""
        self._commands.append(messages.Log(level, self.options.redact(line)))

    def log_unknown(self, kind: str, problem: str) -> None:
        """Write a log line about an upstream event of an unknown type or shape, once for each type."""
        unknown = self.state.unknown_types
        if kind in unknown or len(unknown) >= MAX_UNKNOWN_TYPES:
            return
        unknown.add(kind)
        self.log(logging.WARNING, f"the upstream sent {kind[:80]}, ignored: {problem}")
