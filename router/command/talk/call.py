"""One call: it takes events of the router, the keyboard and the clock, and returns messages and lines.

All methods run on the thread that calls `handle`. Other threads put events into the queue of
`router.command.talk.main`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.command.voice_client import OUTPUT_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.command.talk.screen import Screen
    from router.command.talk.sound import Sound
    from router.command.voice_client import VoiceClient
    from router.command.waves import Recorder

CALL_TEXT: Final = "Function call: "
"""The prefix of the `ConversationText` in which the route `/openai` repeats a function call."""

STATES: Final = {
    "SettingsApplied": "",
    "UserStartedSpeaking": "you are speaking …",
    "UtteranceEnd": "the agent is thinking …",
    "AgentThinking": "the agent is thinking …",
    "AgentStartedSpeaking": "the agent is speaking …",
    "AgentAudioDone": "",
}
"""The state that the screen shows after a message, by the message's type."""


class Call:
    """One call of `switchboard talk`: the facts that the screen shows, and the questions that have no answer yet."""

    def __init__(self, client: VoiceClient, screen: Screen, *, recorder: Recorder | None, shows_typed: bool) -> None:
        self._client = client
        self._screen = screen
        self.sound: Sound | None = None
        """The loudspeaker that plays the agent's voice, or None."""
        self._recorder = recorder
        self._shows_typed = shows_typed
        """Whether to print typed messages. A terminal already shows them, but a pipe does not."""
        self._typed: list[str] = []
        """Typed messages that the router has not sent back yet."""
        self._audio_bytes = 0
        self._has_output = False
        self._is_cut = False
        """Whether the user interrupted the answer, so that its audio was not spoken to the end."""
        self._awaits_greeting = False
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "SettingsApplied": self._be_ready,
            "ConversationText": self._show_text,
            "UserStartedSpeaking": self._fall_silent,
            "FunctionCallRequest": self._show_calls,
            "Warning": self._show_warning,
            "InjectionRefused": self._show_refusal,
            "Error": self._show_error,
            "AgentAudioDone": self._end_turn,
            "LatencyReport": self._show_times,
        }
        self.is_ready = False
        self.open_questions = 0
        """The number of questions without an answer."""
        self.awaits_times = False
        """Whether the `LatencyReport` of an answer is still to come."""
        self.has_failed = False

    def type(self, text: str) -> None:
        """Send a message of the user."""
        self._typed.append(text)
        self.expect_answer()
        self._client.send("InjectUserMessage", content=text)
        self._screen.state("the agent is thinking …")

    def expect_answer(self) -> None:
        """Count a question as open."""
        self.open_questions += 1

    def expect_greeting(self) -> None:
        """Count the greeting as an open question, because it ends like an answer."""
        self._awaits_greeting = True
        self.expect_answer()

    @property
    def has_silent_greeting(self) -> bool:
        """Whether the greeting has come only as text, without audio.

        The route `/openai` may send no end of such a greeting.
        """
        return self._awaits_greeting and self._has_output and not self._audio_bytes

    def handle(self, frame: dict[str, Any] | bytes) -> None:
        """Handle a message or a piece of audio from the router."""
        if isinstance(frame, bytes):
            self._take_audio(frame)
            return
        kind = frame["type"]
        if kind in self._handlers:
            self._handlers[kind](frame)
        if kind in STATES:
            self._screen.state(STATES[kind])

    # One function for each message.

    def _take_audio(self, samples: bytes) -> None:
        self._has_output = True
        self._audio_bytes += len(samples)
        if self._recorder is not None:
            self._recorder.add(samples)
        if self.sound is not None:
            self.sound.play(samples)
        self._screen.state("the agent is speaking …")

    def _be_ready(self, _message: dict[str, Any]) -> None:
        self.is_ready = True
        if not self._shows_typed:
            how = "type a line, or speak" if self.sound is not None else "type a line"
            self._screen.note(f"ready: {how}; Ctrl-D ends the call")

    def _show_text(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["role"] == "user":
            was_typed = content in self._typed
            if was_typed:
                self._typed.remove(content)
            if self._shows_typed or not was_typed:
                self._screen.say("you", content)
        elif not content.startswith(CALL_TEXT):
            self._has_output = True
            self._screen.say("agent", content)

    def _fall_silent(self, _message: dict[str, Any]) -> None:
        self._is_cut = self._audio_bytes > 0
        if self.sound is not None:
            self.sound.fall_silent()

    def _show_calls(self, message: dict[str, Any]) -> None:
        for function in message["functions"]:
            self._screen.say("call", f"{function['name']}({function['arguments']})")
            if function.get("client_side"):
                content = '{"error": "this client has no functions"}'
                self._client.send("FunctionCallResponse", id=function["id"], name=function["name"], content=content)

    def _show_warning(self, message: dict[str, Any]) -> None:
        self._screen.say("warning", f"{message['description']} ({message['code']})")

    def _show_refusal(self, message: dict[str, Any]) -> None:
        # The router refuses at once, and in order. So the refused message is the oldest one that has not come back.
        text = self._typed.pop(0) if self._typed else ""
        self.has_failed |= self._shows_typed  # at a terminal the user sees the refusal, and may ask again
        self.open_questions = max(0, self.open_questions - 1)
        reason = message.get("message") or message.get("description") or "no reason was given"
        self._screen.say("error", f"not sent: {text}: {reason}" if text else f"not sent: {reason}")

    def _show_error(self, message: dict[str, Any]) -> None:
        self.has_failed = True
        self._screen.say("error", f"{message['description']} ({message['code']})")

    def _end_turn(self, _message: dict[str, Any]) -> None:
        # An interrupted turn ends, too. The answer to the interruption begins after that end.
        if self._has_output and self.open_questions:
            self.open_questions -= 1
        self.awaits_times = self._has_output
        self._has_output = self._awaits_greeting = False

    def _show_times(self, message: dict[str, Any]) -> None:
        self._screen.times(message, self._audio_bytes / (2 * OUTPUT_RATE), is_cut=self._is_cut)
        self._audio_bytes, self._is_cut = 0, False
        self.awaits_times = False
