"""The two machines of a call as one interface, each with the facts that the other needs to continue the call. Pure."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from actors import messages as engine
from actors.restart import Loss, LossKind
from router.fronts.deepgram_agent.closing import to_client
from router.fronts.deepgram_agent.conversation import Conversation
from router.fronts.deepgram_agent.fields import Fields, read, text_of, write
from router.fronts.deepgram_agent.machine import CallSoFar, DeepgramRelay
from router.fronts.deepgram_agent.value import MovableRelay
from router.fronts.deepgram_agent.waiting import Waiting
from router.session import reports
from router.session.handlers.adoption import RECOVERED
from router.session.handlers.settings import welcome
from router.session.state.limited import BY_CODE
from router.session.state.states import Lifecycle, ResponseState
from router.translation import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from actors.machine import Machine, Marks
    from router.session.machine import Session
    from router.session.options import SessionOptions

CALL_TEXT: Final = "Function call: "
"""The beginning of a text that shows a function call to the React component. The agent does not say this text."""

NO_SETTINGS: Final = Loss(kind=LossKind.REFUSED, cause="no Settings for this backend", is_fatal=True)
"""The loss of an upstream that cannot continue a call, because the client configured it with OpenAI's own events."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a call's machine, and the functions that put further machines around each backend's machine."""

    session: Session
    options: SessionOptions
    around_session: Callable[[Session], Machine]
    """The function that returns the machine to run in place of the session; a layer around it would be added here."""
    around_relay: Callable[[DeepgramRelay], Machine]
    """The function that returns a relay with its layers, such as the policy."""
    judged: Callable[[str], str | None]
    """The function that returns a client's message as the policy lets it pass; None if the policy denies it."""
    as_sent: Callable[[Fields], Fields]
    """The function that makes the Settings for Deepgram from the client's."""
    deepgram_position: int
    """The position of Deepgram among the upstreams of the call."""
    begins_relayed: bool
    """Whether the route is one of Deepgram's."""


class Side(Protocol):
    """The machine of one backend, the session or the relay, while that backend serves the call."""

    def take(self, message: engine.Input, now_s: float) -> Iterator[engine.Command]:
        """Take an input, and return the commands that follow."""

    def leave(self, now_s: float) -> tuple[list[engine.Command], CallSoFar] | None:
        """Return this side's last commands and the call for the other side, or None if the call cannot continue."""

    def continue_call(self, call: CallSoFar, opened: engine.UpstreamOpened) -> Iterator[engine.Command]:
        """Continue a call, which the other side has served so far, at the upstream that was opened."""

    @property
    def machine(self) -> Machine:
        """The machine with its layers."""

    @property
    def held_bytes(self) -> int:
        """The bytes that this side keeps in addition to those of its machine."""

    # Another process.

    @property
    def marks(self) -> Marks:
        """The signs of the machine that the call has to be stored. For its audio see `may_drop_audio`."""

    @property
    def can_move(self) -> bool:
        """Whether a move to another process at this moment interrupts no turn and no request."""

    def may_drop_audio(self) -> bool:
        """Whether only the newest audio of the microphone matters, because the user does not speak."""

    def shortened(self) -> AbstractContextManager[None]:
        """Return a context within which this side lacks older audio of a silent user."""


class RelaySide:
    """The machine of Deepgram's backend: the relay, with the policy around it."""

    held_bytes = 0

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._relay = MovableRelay(parts.session)
        self._is_converting = False
        """Whether the upstream gets Settings that are made from the client's, because a session served the call."""
        self.machine = parts.around_relay(self._relay)

    def take(self, message: engine.Input, now_s: float) -> Iterator[engine.Command]:
        """Take an input, and return the commands that follow."""
        yield from self.machine.handle(message, now_s)

    def leave(self, _now_s: float) -> tuple[list[engine.Command], CallSoFar] | None:
        """Return no commands, and the call for the session. The relay has recorded the loss of its upstream already."""
        return [], self._relay.call

    def continue_call(self, call: CallSoFar, opened: engine.UpstreamOpened) -> Iterator[engine.Command]:
        """Continue a call, which the session has served so far, at Deepgram."""
        self._is_converting = True
        yield from self._relay.take_over(call, opened.generation, self._parts.as_sent)
        yield from self.machine.handle(opened, call.now_s)

    # Another process.

    @property
    def marks(self) -> Marks:
        """The signs of the relay."""
        return self._relay.marks

    @property
    def can_move(self) -> bool:
        """Whether the relay is between two turns."""
        return self._relay.can_move

    def may_drop_audio(self) -> bool:
        """Whether the user does not speak."""
        return self._relay.marks.may_drop_audio()

    def shortened(self) -> AbstractContextManager[None]:
        """Return a context within which the relay lacks older audio of a silent user."""
        return self._relay.shortened()

    def restore(self, *, is_converting: bool) -> None:
        """Complete a side whose relay has its memory from another process."""
        self._is_converting = is_converting
        if is_converting:
            self._relay.convert_settings(self._parts.as_sent)


class SessionSide:
    """The machine of OpenAI's backend: the session.

    A `SessionSide` also records the conversation in the form that a relay needs. So `RelaySide` can continue the call.
    """

    def __init__(self, parts: Parts) -> None:
        bounds = parts.options.bounds
        self._parts = parts
        self._session = parts.session
        self.machine = parts.around_session(parts.session)
        self._conversation = Conversation(bounds.early_messages)
        self._waiting = Waiting(bounds.early_messages, bounds.early_bytes)
        self._is_applied = False
        """Whether the client has got `SettingsApplied`."""
        self._is_settling = False
        """Whether the session was given the Settings of a call of the other side, and has not applied them yet."""
        self._is_served = False
        """Whether an upstream serves the session."""
        self._was_heard = False
        """Whether the user spoke, or waited for an answer to speech, when the upstream was lost."""
        self._is_passthrough = False
        """Whether the client has configured the session with an event of OpenAI's."""
        self._shows_call = False
        """Whether the client's last message was a function call, so that a text that shows it follows."""

    @property
    def held_bytes(self) -> int:
        """The size of the frames and of the conversation that a relay would need."""
        return self._conversation.size_bytes + self._waiting.size_bytes

    def take(self, message: engine.Input, now_s: float) -> Iterator[engine.Command]:
        """Take an input, and return the commands that follow."""
        match message:
            case engine.ClientTextReceived(text):
                if self._is_late(text):
                    return
            case engine.ClientBinaryReceived(data):
                self._conversation.speech.add(data)
                if data and not self._is_served and not self._conversation.speech.is_on:
                    self._waiting.keep_audio(data)
            case engine.UpstreamLost() if self._is_served:
                self._note_loss(message)
            case engine.ClientAdopted():
                yield from self._note_adoption(message)
        yield from self._sent(self.machine.handle(message, now_s))

    # From the client.

    def _is_late(self, text: str) -> bool:
        """Whether a message of the client's answers a function call of a lost upstream. Record any other message."""
        judged = self._parts.judged(text)
        fields = read(judged) if judged is not None else ""
        if isinstance(fields, str):
            return False  # the session answers it
        kind, memory = text_of(fields, "type"), self._conversation.memory
        if kind == "FunctionCallResponse" and memory.is_late(fields):
            return True
        if kind == "session.update" and memory.settings is None:
            self._is_passthrough = True
        elif kind == "Settings":
            if not self._is_applied and not self._is_passthrough:
                memory.settings = fields
        elif kind.startswith("Update"):
            memory.update(fields)
            self._conversation.send(fields)
        elif self._is_taken(kind):
            self._conversation.send(_with_content(fields))
        return False

    def _is_taken(self, kind: str) -> bool:
        """Whether the session takes a message of this type now, instead of answering it with an error."""
        is_early = self._conversation.memory.settings is None and not self._session.context.profile.early_inputs_wait
        has_room = self._conversation.injected.has_room or not kind.startswith("Inject")
        return has_room and not is_early

    def _note_loss(self, lost: engine.UpstreamLost) -> None:
        state = self._session.state
        if lost.generation != state.upstream.generation:
            return  # the standby
        self._was_heard, self._is_served = self._is_heard(), False

    def _is_heard(self) -> bool:
        """Whether the user speaks, or waits for an answer to speech. Otherwise the newest speech is a noise."""
        turns, transcripts = self._session.state.user_turns, self._session.state.transcripts
        is_reported = turns.has_floor or bool(turns.owed) or transcripts.are_awaited
        return is_reported or self._conversation.is_speech_repeated

    # Another process.

    def _note_adoption(self, adopted: engine.ClientAdopted) -> Iterator[engine.Command]:
        """Record the loss of the upstream, and the audio that the other process sent after the record."""
        state = self._session.state
        if adopted.sent_bytes and state.turn.response is not ResponseState.NONE:
            self._conversation.take_audio()
        if self._is_served:
            self._was_heard, self._is_served = self._is_heard(), False
            # The start of speech is reported late, so Deepgram, too, would hear the newest audio of a silent user.
            for audio in self._conversation.speech.recent():
                self._waiting.keep_audio(audio)
        if self._is_settling and not adopted.is_planned and not self._session.context.has_ended:
            # The session sends no such warning before its upstream has applied the Settings.
            yield to_client(RECOVERED)

    @property
    def marks(self) -> Marks:
        """The signs of the session."""
        return self._session

    @property
    def can_move(self) -> bool:
        """Whether the session is between two turns."""
        return self._session.can_move

    def may_drop_audio(self) -> bool:
        """Whether the user does not speak, and no words of earlier speech are awaited."""
        return self._session.may_drop_audio() and not self._is_heard()

    @contextlib.contextmanager
    def shortened(self) -> Iterator[None]:
        """Keep only the newest audio of a silent user, or of a noise, while the context lasts."""
        speech = self._conversation.speech
        is_noise = speech.is_on and self._is_served and not self._is_heard()
        speech.is_on = speech.is_on and not is_noise
        try:
            with speech.shortened():
                yield
        finally:
            speech.is_on = speech.is_on or is_noise

    # To the client.

    def _sent(self, commands: Any) -> Iterator[engine.Command]:
        for command in commands:
            if isinstance(command, engine.SendToClient):
                if not self._passes(command.frame):
                    continue
            elif isinstance(command, engine.Notify) and isinstance(command.notification, reports.UpstreamTookOver):
                self._is_served = True
                self._waiting.take()
            yield command

    def _passes(self, frame: str | bytes) -> bool:
        """Record a frame that the session sends. Return whether the client gets the frame."""
        if isinstance(frame, bytes):
            self._conversation.take_audio()
            return True
        fields = read(frame)
        if isinstance(fields, str):
            return True
        is_call_text = self._shows_call and text_of(fields, "content").startswith(CALL_TEXT)
        match text_of(fields, "type"):
            case "SettingsApplied":
                was_applied, self._is_applied, self._is_settling = self._is_applied, True, False
                return not was_applied
            case "Warning":
                return not self._is_settling or text_of(fields, "code") in BY_CODE
            case "ConversationText" if is_call_text:
                pass
            case "UserStartedSpeaking" if not self._session.state.user_turns.has_floor:
                pass  # a typed text stops the agent, too, and no speech begins
            case kind:
                self._shows_call = kind == "FunctionCallRequest"
                return self._conversation.take(fields)
        return True

    # From one side to the other.

    def leave(self, now_s: float) -> tuple[list[engine.Command], CallSoFar] | None:
        """Return the session's last commands and the call for a relay, or None for a client of OpenAI's events."""
        conversation, state = self._conversation, self._session.state
        if self._is_passthrough:
            return None
        if not self._was_heard:
            # This is a noise, and no upstream would answer its audio.
            conversation.speech.end()
        texts, frames = conversation.lose()
        self._waiting.put_back(texts)
        call = CallSoFar(
            conversation=conversation,
            waiting=self._waiting,
            limited=state.limited,
            is_welcomed=True,
            is_applied=self._is_applied,
            now_s=now_s,
        )
        # The relay needs nothing of the session's memory, which would be part of each record.
        self._session.forget()
        return [engine.SendToClient(frame) for frame in frames], call

    def continue_call(self, call: CallSoFar, opened: engine.UpstreamOpened) -> Iterator[engine.Command]:
        """Continue a call, which a relay has served so far, at one of OpenAI's upstreams."""
        self._conversation, self._waiting, self._is_applied = call.conversation, call.waiting, call.is_applied
        waiting = self._waiting.take()
        if not call.is_welcomed:
            yield engine.SendToClient(welcome(self._session.state.session_id))
        yield from self._session.begin_at(opened.generation, call.limited, call.now_s)
        yield from self._sent(self.machine.handle(opened, call.now_s))
        memory = self._conversation.memory
        if memory.settings is not None:
            settings = memory.restored_settings(has_greeted=call.is_applied)
            self._is_settling = call.is_applied
            yield from self._taken_settings(write(settings), call.now_s)
        is_begun = call.is_applied or memory.question is not None
        if is_begun and not self._session.context.has_ended:
            for acknowledgement in self._conversation.injected.acknowledgements():
                yield engine.SendToClient(acknowledgement)
            for again in self._conversation.resume():
                yield from self._sent(self.machine.handle(_received(again), call.now_s))
        for frame in waiting:
            yield from self.take(_received(frame), call.now_s)

    def _taken_settings(self, text: str, now_s: float) -> Iterator[engine.Command]:
        commands = list(self.machine.handle(engine.ClientTextReceived(text), now_s))
        refusal = next((it for it in map(_error_of, commands) if it is not None), None)
        if refusal is None or self._session.state.lifecycle is not Lifecycle.AWAITING_SETTINGS:
            yield from self._sent(commands)
            return
        # The client has SettingsApplied already, and would send no other Settings.
        description = f"the call cannot continue at another backend: {text_of(refusal, 'description')}"
        self._session.context.end(errors.final_error(text_of(refusal, "code"), description))
        yield from self._session.context.take_commands()


def _error_of(command: engine.Command) -> Fields | None:
    if not isinstance(command, engine.SendToClient) or not isinstance(command.frame, str):
        return None
    fields = read(command.frame)
    return fields if isinstance(fields, dict) and fields.get("type") == "Error" else None


def _received(frame: str | bytes) -> engine.Input:
    return engine.ClientTextReceived(frame) if isinstance(frame, str) else engine.ClientBinaryReceived(frame)


def _with_content(fields: Fields) -> Fields:
    """Return a `FunctionCallResponse` with its output in `content`, also if it came as `result` or `error`."""
    if text_of(fields, "type") != "FunctionCallResponse" or isinstance(fields.get("content"), str):
        return fields
    output = next((fields[name] for name in ("content", "result", "error") if fields.get(name) is not None), "")
    return {**fields, "content": output if isinstance(output, str) else write({"result": output})}


def is_restart_warning(frame: str | bytes) -> bool:
    """Whether a frame is the warning of a lost upstream."""
    return isinstance(frame, str) and '"UPSTREAM_RESTARTED"' in frame and '"Warning"' in frame
