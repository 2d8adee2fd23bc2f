"""The relay of a session between a client and Deepgram's Voice Agent, which replaces a lost upstream.

Most frames pass as they are in both directions, unknown ones included. The relay drops the messages of a restored
upstream that the client has already: `Welcome`, `SettingsApplied`, `History` of the context, and the text of a question
that is asked again.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import messages as engine
from actors.restart import Decision, Loss, LossKind
from router import closes
from router.deepgram import messages as deepgram
from router.fronts.deepgram_agent import endings
from router.fronts.deepgram_agent.agent_audio import bytes_per_s
from router.fronts.deepgram_agent.closing import SETTINGS_TIMER, Closing, to_client
from router.fronts.deepgram_agent.conversation import ACTIVE, ACTIVE_AGENT, Awaited, Conversation
from router.fronts.deepgram_agent.fields import Fields, read, text_of, write
from router.fronts.deepgram_agent.reporting import Reporter
from router.fronts.deepgram_agent.waiting import AUDIO_DROPPED, Waiting
from router.fronts.relay_marks import RelayMarks
from router.session.deadlines import ADOPTION_S, SPEECH_S
from router.session.handlers.adoption import RECOVERED
from router.session.handlers.refusals import UNPARSABLE
from router.session.state.limited import Limited  # noqa: TC001 - msgspec resolves the annotation

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from router.session.machine import Session
    from router.session.options import SessionOptions

Commands = Iterator[engine.Command]

ROUTE: Final = "deepgram"
"""The route of the upstreams that a relay requests."""

STEP_TIMER: Final = "deepgram.step"
"""The wait for the upstream's `Welcome`, then for its `SettingsApplied`, and for the close after its `Error`."""
TURN_TIMER: Final = "deepgram.turn"
"""The wait for the message that the upstream owes next (`Conversation.awaited`)."""
ADOPTION_TIMER: Final = "deepgram.adoption"
"""The wait until this process has shown that the session does not kill it."""
MAX_CAUSE_CHARS: Final = 100

RESTARTED: Final = deepgram.Warning(
    description="the connection to the upstream was lost and is restored; the conversation continues",
    code="UPSTREAM_RESTARTED",
)


class CallSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a call that another backend needs to continue it."""

    conversation: Conversation
    waiting: Waiting
    """The client's frames that no upstream has got."""
    limited: Limited
    """The amounts of the call that count towards its limits, and the warnings that the client got."""
    is_welcomed: bool
    """Whether the client has got a `Welcome`."""
    is_applied: bool
    """Whether the client has got `SettingsApplied`."""
    now_s: float


class Stage(enum.Enum):
    """The progress of the upstream in use, from its dial to the Settings that it applied."""

    DIALLING = "dialling"
    """The upstream has sent no `Welcome` yet."""
    WELCOMED = "welcomed"
    """The upstream has sent its `Welcome`, and the client has sent no Settings yet."""
    CONFIGURING = "configuring"
    """The upstream was sent Settings, and has not applied them yet."""
    READY = "ready"


class DeepgramRelay:
    """The machine of one relayed session."""

    def __init__(self, options: SessionOptions, session: Session | None = None) -> None:
        self._session = session
        """The session that the relay replaces, and that counts the adoptions; None if there is no such session."""
        self.marks = RelayMarks(self._may_drop_audio)
        """The object whose attributes show when the memory has to be stored."""
        self._deadlines = options.deadlines
        self._redact = options.redact
        self._now_s = 0.0
        self._reporter = Reporter(options)
        self._closing = Closing(options, self._reporter, self._is_in_turn, self._speak)
        self._conversation = Conversation(options.bounds.early_messages)
        self._waiting = Waiting(options.bounds.early_messages, options.bounds.early_bytes)
        self._as_sent: Callable[[Fields], Fields] = dict
        """The function that makes the Settings for an upstream from the remembered ones."""
        self._generation = 0
        self._position = 0
        self._stage = Stage.DIALLING
        self._settings_text = ""
        self._bytes_per_s = dict.fromkeys(("input", "output"), 0.0)
        self._is_welcomed = False
        """Whether the client has got a `Welcome`."""
        self._is_applied = False
        """Whether the client has got `SettingsApplied`."""
        self._error: Fields | None = None
        """The `Error` that the upstream in use sent, and whose close is awaited; None if there is none."""

    # The interface of a machine.

    def handle(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        """Take an input, and return the commands that follow."""
        self._now_s = now_s
        generation = getattr(message, "generation", self._generation)
        take = _TAKES.get(type(message))
        is_over = self._closing.has_ended and type(message) is not engine.ClientAdopted
        if is_over or take is None or generation != self._generation:
            return []
        commands = list(take(self, message))
        if self._conversation.is_renewed:
            self._conversation.is_renewed = False
            commands.append(self._turn_timer(self._conversation.awaited))
        commands += self._closing.settle(now_s)
        if type(message) is not engine.UpstreamBinaryReceived:
            self.marks.note(commands)
        return commands

    def held_bytes(self) -> int:
        """Return the bytes that are kept for an upstream."""
        return self._waiting.size_bytes + self._conversation.size_bytes

    def describe(self) -> engine.Facts:
        """Return a few facts about the session."""
        # The text for a session without Settings is that of `Session.describe`. `router.access.pending` bounds the wait
        # for Settings by this text.
        stage = "ended" if self._closing.has_ended else self._stage.value
        return {
            "profile": "deepgram",
            "lifecycle": stage if self.has_settings else "awaiting Settings",
            "generation": self._generation,
            "dropped_bytes": self._waiting.dropped_bytes,
        }

    # Another process.

    @property
    def can_move(self) -> bool:
        """Whether a move at this moment interrupts no turn and no request."""
        is_waiting = self._waiting.size_bytes > 0 or self._conversation.is_owed or self._error is not None
        is_open = self._stage in (Stage.WELCOMED, Stage.READY)
        return is_open and not (is_waiting or self._is_in_turn() or self._closing.has_ended)

    @property
    def is_applied(self) -> bool:
        """Whether the client has got `SettingsApplied`."""
        return self._is_applied

    def shortened(self) -> AbstractContextManager[None]:
        """Return a context within which the memory lacks older audio of a silent user."""
        return self._conversation.speech.shortened()

    def _may_drop_audio(self) -> bool:
        return self._stage is Stage.READY and not self._conversation.speech.is_on

    def _adopt(self, adopted: engine.ClientAdopted) -> Commands:
        """Restore the session with another upstream. The upstream of the other process is lost."""
        if self._closing.has_ended:
            yield from self._closing.end_again()
            return
        if adopted.is_new_client and self._is_welcomed and self._session is not None:
            yield to_client(deepgram.Welcome(request_id=self._session.state.session_id))
        yield from self._closing.adopt(self._now_s, has_settings=self.has_settings)
        # Outside of an answer the bytes are pongs, because a record is stored when an answer begins.
        if adopted.sent_bytes and self._conversation.is_answering:
            self._note_audio(adopted.sent_bytes)
        error, self._error = self._error, None
        if error is not None and self._is_for_client(error):
            yield from self._end_refused(error)
            return
        yield from self._await_acquittal()
        if self._is_applied and not adopted.is_planned:
            yield to_client(RECOVERED)
        elif self._is_applied and self._is_in_turn():
            yield to_client(RESTARTED)
        # The start of speech is reported late, so the next upstream hears the newest audio of a silent user again.
        recent = self._conversation.speech.recent() if self._stage is Stage.READY else []
        yield from self._lose_turn()
        for audio in recent:
            self._waiting.keep_audio(audio)
        yield from self._dial()

    def _await_acquittal(self) -> Commands:
        if self._session is not None and self._session.state.adoptions:
            yield engine.StartTimer(ADOPTION_TIMER, ADOPTION_S)

    def _acquit(self) -> Commands:
        """Set the count of adoptions to 0, because this process still lives."""
        if self._session is not None and self._session.state.adoptions:
            self._session.state.adoptions = 0
            self.marks.record_due += 1
        yield from ()

    # The other backend (router.fronts.failover).

    def take_over(self, call: CallSoFar, generation: int, as_sent: Callable[[Fields], Fields]) -> Commands:
        """Continue a call of another backend at an upstream of this generation, which is about to be opened.

        `as_sent` makes the Settings for the upstream from the client's Settings.
        """
        self._conversation, self._waiting = call.conversation, call.waiting
        self.convert_settings(as_sent)
        self._generation, self._now_s = generation, call.now_s
        self._is_welcomed, self._is_applied = True, call.is_applied
        settings = self._conversation.memory.settings
        yield from self._closing.resume(call.limited, self._now_s, has_settings=settings is not None)
        yield from self._await_acquittal()
        if settings is not None:
            sent = as_sent(settings)
            self._settings_text = write(sent)
            self._bytes_per_s = {side: bytes_per_s(sent, side) for side in self._bytes_per_s}
        question = self._conversation.memory.question
        if question is not None:
            # The client has seen the question, and does not get its repetition.
            asked = {"type": "ConversationText", "role": "user", "content": question}
            yield from self._reporter.take(asked, self._now_s)

    def convert_settings(self, as_sent: Callable[[Fields], Fields]) -> None:
        """Let each later upstream get the Settings that `as_sent` makes from the client's."""
        self._as_sent = as_sent

    @property
    def call(self) -> CallSoFar:
        """The facts about the call, for a session that continues it."""
        return CallSoFar(
            conversation=self._conversation,
            waiting=self._waiting,
            limited=self._closing.limits.limited,
            is_welcomed=self._is_welcomed,
            is_applied=self._is_applied,
            now_s=self._now_s,
        )

    @property
    def has_settings(self) -> bool:
        """Whether the client has sent its Settings."""
        return self._conversation.memory.settings is not None

    def _turn_timer(self, awaited: Awaited | None) -> engine.Command:
        if awaited is None:
            return engine.CancelTimer(TURN_TIMER)
        # The only sign for the end of speech is its text.
        length_s = SPEECH_S if awaited is Awaited.SPEECH else getattr(self._deadlines, f"{awaited.value}_s")
        return engine.StartTimer(TURN_TIMER, length_s)

    def _is_in_turn(self) -> bool:
        return self.has_settings and (self._conversation.is_in_turn or self._waiting.texts > 0)

    # From the client.

    def _open(self, _opened: engine.ClientOpened) -> Commands:
        yield from self._closing.begin(self._now_s)
        yield from self._dial()

    def _dial(self, delay_s: float = 0.0) -> Commands:
        self._generation += 1
        self._stage = Stage.DIALLING
        yield engine.OpenUpstream(self._generation, ROUTE, delay_s)

    def _client_text(self, received: engine.ClientTextReceived) -> Commands:
        fields = read(received.text)
        if isinstance(fields, str):
            # The upstream would end the session. The relay does not end it for one bad message.
            yield to_client(deepgram.Error(description=self._redact(fields), code=UNPARSABLE))
            return
        kind = text_of(fields, "type")
        self._note_activity(kind, fields)
        if kind == "Settings" and not self.has_settings:
            yield from self._take_settings(fields, received.text)
        elif kind.startswith("Update"):
            self._conversation.memory.update(fields)
            yield from self._pass_on(fields, received.text)
        elif kind != "FunctionCallResponse" or not self._conversation.memory.is_late(fields):
            yield from self._pass_on(fields, received.text)

    def _take_settings(self, settings: Fields, text: str) -> Commands:
        self._conversation.memory.settings, self._settings_text = settings, text
        sent = settings
        if self._as_sent is not dict:
            sent = self._as_sent(settings)
            self._settings_text = write(sent)
        self._bytes_per_s = {side: bytes_per_s(sent, side) for side in self._bytes_per_s}
        yield engine.CancelTimer(SETTINGS_TIMER)
        yield from self._reporter.take_settings(settings)
        if self._stage is Stage.WELCOMED:
            yield from self._configure()

    def _pass_on(self, fields: Fields, text: str) -> Commands:
        kind = text_of(fields, "type")
        if self._stage is Stage.WELCOMED:  # the upstream judges a first message that is no Settings
            yield self._to_upstream(text)
        elif self._stage is Stage.READY and (not kind.startswith("Inject") or self._conversation.injected.has_room):
            self._conversation.send(fields)
            yield self._to_upstream(text)
        elif self._stage is Stage.READY or (kind != "KeepAlive" and not self._waiting.keep_text(text)):
            description = "the message is dropped: too many messages wait for the upstream"
            yield to_client(deepgram.Error(description=description, code="TOO_MANY_EARLY_MESSAGES"))

    def _client_binary(self, received: engine.ClientBinaryReceived) -> Commands:
        speech = self._conversation.speech
        speech.add(received.data)
        self._reporter.hear(self._duration_s(len(received.data), "input"))
        if self._stage is Stage.READY:
            yield self._to_upstream(received.data)
            return
        # Speech that is under way is heard again from its start.
        if received.data and not speech.is_on and self._waiting.keep_audio(received.data):
            yield engine.Log(logging.WARNING, AUDIO_DROPPED)

    def _duration_s(self, size_bytes: int, side: str) -> float:
        # Before Settings the format is unknown.
        return size_bytes / self._bytes_per_s[side] if self._bytes_per_s[side] else 0.0

    def _client_closed(self, _closed: engine.ClientClosed) -> Commands:
        yield from self._closing.end()

    def _overflowed(self, overflowed: engine.ClientOverflowed) -> Commands:
        yield from self._closing.overflow(overflowed)

    def _drain(self, drain: engine.DrainBegan) -> Commands:
        yield from self._closing.drain(drain, self._now_s)

    def _end_requested(self, _requested: engine.EndRequested) -> Commands:
        yield from self._closing.fail(endings.ENDED_BY_OPERATOR)

    def _note_activity(self, kind: str, fields: Fields) -> None:
        if kind in ACTIVE or kind in ACTIVE_AGENT:
            is_agent = kind in ACTIVE_AGENT and fields.get("role") != "user"
            self._closing.limits.mark_active(self._now_s, is_agent=is_agent)

    def _speak(self, text: str) -> Commands:
        """Let the agent say a configured text, unless no upstream serves, or a turn is in progress."""
        if self._stage is Stage.READY and self._error is None and not self._is_in_turn():
            fields = {"type": "InjectAgentMessage", "message": text}
            self._conversation.injected.add_own(fields)
            self.marks.record_due += 1
            yield self._to_upstream(write(fields))

    # The upstream's steps.

    def _opened(self, opened: engine.UpstreamOpened) -> Commands:
        self._position = opened.position
        yield engine.StartTimer(STEP_TIMER, self._deadlines.session_created_s)

    def _upstream_text(self, received: engine.UpstreamTextReceived) -> Commands:
        fields = read(received.text)
        if isinstance(fields, str):
            yield engine.Log(logging.WARNING, f"a frame of the upstream is no message: {fields}")
            malformed = Loss(kind=LossKind.MALFORMED, cause=fields[:MAX_CAUSE_CHARS])
            yield engine.AbandonUpstream(self._generation, malformed)
            return
        kind = text_of(fields, "type")
        self._note_activity(kind, fields)
        step = _STEPS.get(kind)
        if step is not None:
            yield from step(self, fields, received.text)
        elif self._conversation.take(fields) and not (kind == "History" and self._stage is not Stage.READY):
            # A session that begins with a context may repeat it before the session is ready.
            yield engine.SendToClient(received.text if kind in _CONTENT else self._redact(received.text))
            yield from self._reporter.take(fields, self._now_s)

    def _welcome(self, _fields: Fields, text: str) -> Commands:
        yield engine.CancelTimer(STEP_TIMER)
        self._stage = Stage.WELCOMED
        if not self._is_welcomed:
            self._is_welcomed = True
            yield engine.SendToClient(text)
        if self.has_settings:
            yield from self._configure()

    def _configure(self) -> Commands:
        self._stage = Stage.CONFIGURING
        # The client's Settings are sent unchanged until an upstream has applied them. The client of a session may have
        # asked before.
        text, memory = self._settings_text, self._conversation.memory
        if self._is_applied or memory.has_messages:
            text = write(self._as_sent(memory.restored_settings(has_greeted=self._is_applied)))
        yield self._to_upstream(text)
        yield engine.StartTimer(STEP_TIMER, self._deadlines.session_updated_s)

    def _applied(self, _fields: Fields, text: str) -> Commands:
        yield engine.CancelTimer(STEP_TIMER)
        self._stage = Stage.READY
        yield from self._reporter.take_over(self._generation, self._position)
        if self._is_applied:
            for frame in self._conversation.injected.acknowledgements():
                yield engine.SendToClient(frame)
            yield from self._resume()
        else:
            self._is_applied = True
            yield engine.SendToClient(text)
            if self._conversation.memory.question is not None:
                yield from self._resume()
        for waiting in self._waiting.take():
            if isinstance(waiting, str):
                fields = read(waiting)
                assert isinstance(fields, dict)  # noqa: S101 - it was read before
                self._conversation.send(fields)
            yield self._to_upstream(waiting)

    def _resume(self) -> Commands:
        dropped_bytes = self._conversation.speech.dropped_bytes
        if dropped_bytes:
            yield engine.Log(logging.WARNING, f"the beginning of long speech is lost: {dropped_bytes} bytes")
        for again in self._conversation.resume():
            yield self._to_upstream(again)

    def _start_speech(self, fields: Fields, text: str) -> Commands:
        # No AgentAudioDone has to follow an answer that the user interrupts. It counts as an answer nevertheless.
        is_cut = self._conversation.is_answering and self._conversation.memory.question is not None
        if self._conversation.take(fields):
            if is_cut:
                self._closing.limits.add_turn()
            self._closing.limits.mark_interrupted(self._now_s)
            self._closing.limits.playback.stop()
            yield engine.SendToClient(text)

    def _end_turn(self, fields: Fields, text: str) -> Commands:
        if self._conversation.memory.question is not None:
            self._closing.limits.add_turn()
        self._conversation.take(fields)
        yield from self._acquit()
        yield engine.ResetRestartBudget()
        yield engine.SendToClient(text)
        yield from self._reporter.take(fields, self._now_s)

    def _upstream_error(self, fields: Fields, text: str) -> Commands:
        # Every Error of Deepgram's is fatal, and its close follows. Another session may still begin, but not with
        # Settings that were never applied.
        self._error = fields
        line = f"the upstream sent an error: {text_of(fields, 'code')}: {text_of(fields, 'description')}"
        yield engine.Log(logging.WARNING, self._redact(line))
        yield engine.StartTimer(STEP_TIMER, self._deadlines.close_s)
        if self._is_for_client(fields):
            yield engine.SendToClient(self._redact(text))

    def _is_for_client(self, error: Fields) -> bool:
        return not self._is_applied or text_of(error, "code") in endings.CLIENT_ERRORS

    def _upstream_binary(self, received: engine.UpstreamBinaryReceived) -> Commands:
        if not self._conversation.is_answering:
            self.marks.record_due += 1
        self._note_audio(len(received.data))
        yield engine.SendToClient(received.data)

    def _note_audio(self, size_bytes: int) -> None:
        """Note audio of the agent that the client gets."""
        self._conversation.take_audio()
        duration_s = self._duration_s(size_bytes, "output")
        self._reporter.take_audio(duration_s, self._now_s)
        self._closing.limits.playback.play(duration_s, self._now_s)

    # The loss of an upstream.

    def _lost(self, lost: engine.UpstreamLost) -> Commands:
        yield engine.CancelTimer(STEP_TIMER)
        error, self._error = self._error, None
        if error is not None and self._is_for_client(error):
            yield from self._end_refused(error)
            return
        if lost.verdict.decision is Decision.TEAR_DOWN:
            yield from self._closing.fail(endings.of_loss(lost.loss, error, self._redact))
            return
        if self._is_applied:
            yield to_client(RESTARTED)
        yield from self._lose_turn()
        yield from self._dial(lost.verdict.delay_s)

    def _lose_turn(self) -> Commands:
        texts, frames = self._conversation.lose()
        self._waiting.put_back(texts)
        yield from map(engine.SendToClient, frames)

    def _end_refused(self, error: Fields) -> Commands:
        """End a session whose client has got the upstream's `Error` already."""
        reason = self._redact(text_of(error, "code"))[:MAX_CAUSE_CHARS]
        yield from self._closing.end(closes.SETTINGS_REFUSED.code, reason)

    # Time.

    def _fired(self, fired: engine.TimerFired) -> Commands:
        if self._closing.is_own(fired):
            yield from self._closing.fire(fired, self._now_s)
        else:
            yield from _TIMERS[fired.name](self)

    def _step_missed(self) -> Commands:
        step = "session_created" if self._stage is Stage.DIALLING else "session_updated"
        yield from self._abandon(step if self._error is None else "close")

    def _turn_missed(self) -> Commands:
        awaited = self._conversation.awaited
        if self._stage is not Stage.READY or awaited is None or self._conversation.is_only_noise():
            return
        if awaited is Awaited.FUNCTION and self._conversation.memory.calls:
            problem = f"timed out after {self._deadlines.tool_answer_s:g} s"
            for output in self._conversation.failed_calls(problem):
                yield self._to_upstream(output)
        else:
            yield from self._abandon(awaited.value)

    def _abandon(self, cause: str) -> Commands:
        yield engine.Log(logging.WARNING, f"the upstream missed the deadline {cause}")
        yield engine.AbandonUpstream(self._generation, Loss(kind=LossKind.SILENT, cause=cause))

    def _to_upstream(self, frame: str | bytes) -> engine.Command:
        return engine.SendToUpstream(frame, self._generation, is_binary=isinstance(frame, bytes))


_CONTENT: Final = frozenset({"ConversationText", "History", "FunctionCallRequest"})
"""Messages with words of the conversation. The relay does not search these messages for credentials."""

_TAKES: Final[dict[type, Callable[[Any, Any], Commands]]] = {
    engine.ClientOpened: DeepgramRelay._open,  # noqa: SLF001 - the tables of this class
    engine.ClientAdopted: DeepgramRelay._adopt,  # noqa: SLF001
    engine.ClientTextReceived: DeepgramRelay._client_text,  # noqa: SLF001
    engine.ClientBinaryReceived: DeepgramRelay._client_binary,  # noqa: SLF001
    engine.ClientOverflowed: DeepgramRelay._overflowed,  # noqa: SLF001
    engine.ClientClosed: DeepgramRelay._client_closed,  # noqa: SLF001
    engine.UpstreamOpened: DeepgramRelay._opened,  # noqa: SLF001
    engine.UpstreamTextReceived: DeepgramRelay._upstream_text,  # noqa: SLF001
    engine.UpstreamBinaryReceived: DeepgramRelay._upstream_binary,  # noqa: SLF001
    engine.UpstreamLost: DeepgramRelay._lost,  # noqa: SLF001
    engine.TimerFired: DeepgramRelay._fired,  # noqa: SLF001
    engine.DrainBegan: DeepgramRelay._drain,  # noqa: SLF001
    engine.EndRequested: DeepgramRelay._end_requested,  # noqa: SLF001
}
"""The inputs that the relay takes, and the handler of each. Other inputs change nothing."""

_STEPS: Final[dict[str, Callable[[DeepgramRelay, Fields, str], Commands]]] = {
    "Welcome": DeepgramRelay._welcome,  # noqa: SLF001
    "SettingsApplied": DeepgramRelay._applied,  # noqa: SLF001
    "UserStartedSpeaking": DeepgramRelay._start_speech,  # noqa: SLF001
    "AgentAudioDone": DeepgramRelay._end_turn,  # noqa: SLF001
    "Error": DeepgramRelay._upstream_error,  # noqa: SLF001
}
"""The upstream's messages that the relay itself handles. The conversation takes all others, unknown ones included."""

_TIMERS: Final[dict[str, Callable[[DeepgramRelay], Commands]]] = {
    STEP_TIMER: DeepgramRelay._step_missed,  # noqa: SLF001
    TURN_TIMER: DeepgramRelay._turn_missed,  # noqa: SLF001
    ADOPTION_TIMER: DeepgramRelay._acquit,  # noqa: SLF001
}
"""The handlers of the relay's own timers. `Closing` has the other timers."""
