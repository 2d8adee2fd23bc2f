"""One session of Deepgram's Voice Agent as a pure machine: frames and timers in, commands out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.simulator.commands import (
    CancelTimer,
    Close,
    Command,
    Hang,
    Pause,
    Reset,
    Send,
    SendBinary,
    SendRaw,
    StartTimer,
)
from router.simulator.deepgram.answers import answer_to, function_for, sentences_of
from router.simulator.deepgram.hearing import Heard, Hearing
from router.simulator.deepgram.message_shapes import problem_of
from router.simulator.faults import Fault, FaultAction, FaultPlan, FaultPoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.simulator.config import SimulatorConfig

ANSWER_TIMER: Final = "response:answer"
"""The timer of an answer's next step. Timers with this prefix wait while the peer does not read."""
EXPIRY_TIMER: Final = "expiry"
NO_CODE: Final = 1005
"""The code of an empty close frame, with which the service closes after a fatal `Error`."""

_UPDATED: Final = {
    "UpdatePrompt": "PromptUpdated",
    "UpdateThink": "ThinkUpdated",
    "UpdateSpeak": "SpeakUpdated",
    "UpdateListen": "ListenUpdated",
}
Step = tuple[str, Any]
"""A step of an answer: its kind, and its content."""


class DeepgramSession:
    """A session from the opening of its socket to its end. Every method returns the commands to perform, in order."""

    def __init__(
        self,
        config: SimulatorConfig,
        plan: FaultPlan,
        transcripts: Callable[[], str | None],
        *,
        number: int,
        observe: Callable[[dict[str, Any]], None],
    ) -> None:
        self._config = config
        self._plan = plan
        self._transcripts = transcripts
        self._number = number
        self._observe = observe
        self._commands: list[Command] = []
        self._is_ended = False
        self._settings: dict[str, Any] | None = None
        self._hearing = Hearing("linear16", 24000)
        self._audio_bytes_per_s = 48000
        self._steps: deque[Step] = deque()
        self._user_texts: list[str] = []
        self._calls = 0
        self._outstanding: str | None = None
        """The id of the function call whose output the session awaits, or None."""

    # Inputs.

    def open(self, _refusal: object = None) -> list[Command]:
        """Begin the session: send `Welcome`, and start the timer of the session's lifetime."""
        if self._pass(FaultPoint.CONNECT):
            self._send("Welcome", request_id=f"sim-{self._number}")
            self._commands.append(StartTimer(EXPIRY_TIMER, self._config.session_seconds))
            self._pass(FaultPoint.SESSION_CREATED)
        return self._take()

    def receive(self, text: str) -> list[Command]:
        """Handle a text frame."""
        if self._is_ended:
            return []
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if isinstance(message, dict):
            self._observe(message)
        problem = problem_of(message)
        if problem is not None:
            self._fail("UNPARSABLE_CLIENT_MESSAGE", problem)
        elif message["type"] == "Settings":
            self._apply(message)
        elif self._settings is None:
            self._fail("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", "the first message must be Settings")
        else:
            self._handle(message)
        return self._take()

    def receive_binary(self, data: bytes) -> list[Command]:
        """Handle microphone audio."""
        if self._is_ended or self._settings is None or not self._pass(FaultPoint.AUDIO_APPEND):
            return self._take()
        heard = self._hearing.take(data)
        if heard is Heard.BEGUN:
            self._interrupt()
        elif heard is Heard.ENDED:
            self._end_turn()
        return self._take()

    def fire(self, timer: str) -> list[Command]:
        """Handle a timer that is due."""
        if self._is_ended:
            return []
        if timer == ANSWER_TIMER:
            self._continue()
        elif timer == EXPIRY_TIMER:
            self._fail("MAXIMUM_SESSION_LENGTH_REACHED", "the session has reached its maximum length")
        return self._take()

    # Messages.

    def _apply(self, settings: dict[str, Any]) -> None:
        if self._settings is not None:
            self._fail("SETTINGS_ALREADY_APPLIED", "Settings were sent already")
            return
        if not self._pass(FaultPoint.SESSION_UPDATE):
            return
        self._settings = settings
        heard = settings["audio"].get("input") or {}
        spoken = settings["audio"].get("output") or {}
        self._hearing = Hearing(heard.get("encoding", "linear16"), int(heard.get("sample_rate", 24000)))
        is_linear = spoken.get("encoding", "linear16") == "linear16"
        rate = int(spoken.get("sample_rate") or (24000 if is_linear else 8000))
        self._audio_bytes_per_s = rate * (2 if is_linear else 1)
        context = settings["agent"].get("context") or {}
        self._user_texts = [it["content"] for it in context.get("messages") or () if it.get("role") == "user"]
        self._send("SettingsApplied")
        if self._pass(FaultPoint.SESSION_UPDATED) and settings["agent"].get("greeting"):
            self._say(settings["agent"]["greeting"])

    def _handle(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in _UPDATED:
            self._update(message)
            self._send(_UPDATED[kind])
        elif kind == "InjectUserMessage":
            if self._pass(FaultPoint.ITEM_CREATE):
                self._ask(message["content"])
        elif kind == "InjectAgentMessage":
            if self._steps:
                self._send("InjectionRefused", message="the agent speaks")
            else:
                self._say(message["message"])
        elif kind == "FunctionCallResponse":
            self._take_output(message)
        elif kind == "ForceEndTurn" and self._hearing.is_speech:
            self._hearing.end()
            self._end_turn()

    def _update(self, message: dict[str, Any]) -> None:
        assert self._settings is not None  # noqa: S101 - checked before
        agent = self._settings["agent"]
        for part in ("think", "speak", "listen"):
            if part in message:
                agent = {**agent, part: message[part]}
        self._settings = {**self._settings, "agent": agent}

    # Turns.

    def _end_turn(self) -> None:
        text = self._transcripts() or f"({self._hearing.speech_s:.1f} s of speech)"
        if self._pass(FaultPoint.SPEECH_STOPPED):
            self._ask(text)

    def _ask(self, text: str) -> None:
        self._steps.clear()
        self._text("user", text)
        if not self._pass(FaultPoint.ITEM_ACKED):
            return
        before, self._user_texts = self._user_texts, [*self._user_texts, text]
        function = function_for(text, self._functions())
        if function is not None:
            self._call(function)
        else:
            self._say(answer_to(text, before))

    def _functions(self) -> list[dict[str, Any]]:
        think = (self._settings or {}).get("agent", {}).get("think") or {}
        first = think[0] if isinstance(think, list) else think
        return list(first.get("functions") or ())

    def _call(self, function: dict[str, Any]) -> None:
        self._calls += 1
        self._outstanding = f"call_{self._number}_{self._calls}"
        called = {"id": self._outstanding, "name": function["name"], "arguments": "{}"}
        self._send("FunctionCallRequest", functions=[{**called, "client_side": "endpoint" not in function}])
        self._pass(FaultPoint.FUNCTION_CALL)

    def _take_output(self, message: dict[str, Any]) -> None:
        if message.get("id") != self._outstanding or not self._pass(FaultPoint.FUNCTION_OUTPUT):
            return  # a late output is ignored
        record = {"id": self._outstanding, "name": message["name"], "client_side": True, "arguments": "{}"}
        self._outstanding = None
        self._send("History", function_calls=[{**record, "response": message["content"]}])
        self._say(f"Here is what I found: {message['content']}")

    def _say(self, text: str) -> None:
        for sentence in sentences_of(text):
            self._steps.append(("text", sentence))
            duration_ms = len(sentence) * self._config.ms_per_character
            for at in range(0, duration_ms, self._config.chunk_ms):
                self._steps.append(("audio", min(self._config.chunk_ms, duration_ms - at)))
        self._steps.append(("end", None))
        self._commands.append(StartTimer(ANSWER_TIMER, self._config.response_delay_s))

    def _continue(self) -> None:
        """Perform the next steps of the answer, up to the next piece of audio or the end."""
        while self._steps and not self._is_ended:
            kind, content = self._steps.popleft()
            if kind == "text":
                self._text("assistant", content)
                self._pass(FaultPoint.MID_TEXT)
            elif kind == "audio":
                self._commands.append(SendBinary(self._sound(content)))
                pace = self._config.pace
                self._commands.append(StartTimer(ANSWER_TIMER, content / 1000 / pace if pace else 0.0))
                self._pass(FaultPoint.MID_AUDIO)
                return
            elif self._pass(FaultPoint.BEFORE_RESPONSE_DONE):
                self._send("AgentAudioDone")
                self._pass(FaultPoint.BETWEEN_TURNS)

    def _interrupt(self) -> None:
        was_speaking = bool(self._steps)
        self._steps.clear()
        self._commands.append(CancelTimer(ANSWER_TIMER))
        self._outstanding = None
        self._send("UserStartedSpeaking")
        if was_speaking:
            self._send("AgentAudioDone")
        self._pass(FaultPoint.SPEECH_STARTED)

    def _text(self, role: str, content: str) -> None:
        self._send("ConversationText", role=role, content=content)
        flags = (self._settings or {}).get("flags") or {}
        if flags.get("history", True):
            self._send("History", role=role, content=content)

    def _sound(self, duration_ms: int) -> bytes:
        size_bytes = self._audio_bytes_per_s * duration_ms // 1000 & ~1
        return (b"\x00\x10\x00\xf0" * (size_bytes // 4 + 1))[:size_bytes]

    # Commands.

    def _send(self, kind: str, **fields: Any) -> None:
        if not self._is_ended:
            self._commands.append(Send({"type": kind, **fields}))

    def _fail(self, code: str, description: str) -> None:
        self._send("Error", code=code, description=description)
        self._end(Close(NO_CODE, ""))

    def _end(self, command: Command) -> None:
        self._commands.append(command)
        self._is_ended = True

    def _take(self) -> list[Command]:
        commands, self._commands = self._commands, []
        return commands

    def _pass(self, point: FaultPoint) -> bool:
        """Pass a fault point, and inject the fault that is due there. Return whether the caller may continue."""
        fault = self._plan.take(point, self._number) if not self._is_ended else None
        if fault is None:
            return not self._is_ended
        self._inject(fault)
        return not self._is_ended and fault.action is not FaultAction.SWALLOW

    def _inject(self, fault: Fault) -> None:
        if fault.delay_s:
            self._commands.append(Pause(fault.delay_s))
        match fault.action:
            case FaultAction.CLOSE:
                if fault.error_code is not None:
                    self._send("Error", code=fault.error_code, description=fault.message)
                self._end(Close(fault.code, fault.reason))
            case FaultAction.RESET:
                self._end(Reset())
            case FaultAction.HANG:
                self._end(Hang())
            case FaultAction.MALFORMED:
                self._commands.append(SendRaw(fault.text))
            case FaultAction.ERROR:
                self._fail(fault.error_code or "INTERNAL_SERVER_ERROR", fault.message)
