"""The conversation of a relayed session: the turn in progress, and the messages that an upstream repeats. Pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from router.fronts.deepgram_agent.fields import objects_of, text_of, write
from router.fronts.deepgram_agent.injected import ACKNOWLEDGED, Injected
from router.fronts.deepgram_agent.memory import Memory
from router.fronts.deepgram_agent.user_audio import Speech
from router.translation import functions

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.fronts.deepgram_agent.fields import Fields


ACTIVE: Final = frozenset(
    {
        "Settings",
        "InjectUserMessage",
        "InjectAgentMessage",
        "FunctionCallResponse",
        "UserStartedSpeaking",
    }
)
"""Messages that end a silence: the client's texts and requests, and reports of speech. KeepAlive ends none."""

ACTIVE_AGENT: Final = frozenset(
    {"ConversationText", "AgentThinking", "FunctionCallRequest", "AgentStartedSpeaking", "AgentAudioDone"}
)
"""Messages of the upstream about the agent. A `ConversationText` may also have the user's words."""


class Awaited(enum.Enum):
    """The message that the conversation needs next.

    A member's value names the deadline of the message, and the cause of the loss when the deadline expires.
    """

    ANSWER = "first_event"
    """The first sign of an answer to a text or to the output of a function."""
    OUTPUT = "next_event"
    """The next message of an answer that has begun, or its end."""
    FUNCTION = "tool_answer"
    """The output of a function, which the client or Deepgram runs."""
    SPEECH = "speech"
    """The text of the user's speech."""


class Conversation:
    """The conversation of one session. Its methods follow the messages of the client and of the upstream."""

    def __init__(self, max_texts: int) -> None:
        self.memory = Memory()
        self.speech = Speech()
        self.injected = Injected(max_texts)
        self.awaited: Awaited | None = None
        self.is_renewed = False
        """Whether the relay has to start the wait for `awaited` again, or to end the wait if `awaited` is None."""
        self._is_answering = False
        """Whether the agent speaks, which lasts from its first text or audio to `AgentAudioDone`."""
        self._asked_again = ""
        """The question that a restored upstream was asked again, or empty. The client has its text already."""
        self._repeats: set[str] = set()
        """The types of the messages by which the upstream still has to repeat the question, in any order."""
        self._is_speech_repeated = False
        """Whether a restored upstream hears speech again whose start the client knows already."""
        self._is_noise = False
        """Whether one upstream made no turn of the present speech. If a second makes none, the speech is a noise."""

    @property
    def is_in_turn(self) -> bool:
        """Whether the user speaks, a question is open, or the agent answers."""
        is_open = self.memory.question is not None or self.injected.has_question or self.injected.has_own
        return self._is_answering or is_open or self.speech.is_on

    @property
    def is_answering(self) -> bool:
        """Whether the agent speaks."""
        return self._is_answering

    @property
    def is_speech_repeated(self) -> bool:
        """Whether a restored upstream hears speech again, and has not reported its start yet."""
        return self._is_speech_repeated

    @property
    def is_owed(self) -> bool:
        """Whether the upstream owes a message, or the client owes the output of a function."""
        return self.awaited is not None or self.injected.is_waiting or bool(self.memory.calls)

    @property
    def size_bytes(self) -> int:
        """The size of the speech and texts that are kept for another upstream."""
        return self.speech.size_bytes + self.injected.size_chars

    def _await(self, awaited: Awaited | None) -> None:
        self.awaited, self.is_renewed = awaited, True

    # From the client: messages that the upstream in use is sent.

    def send(self, fields: Fields) -> None:
        """Record a message of the client's that is sent to the upstream in use."""
        kind = text_of(fields, "type")
        if kind in ("InjectUserMessage", "InjectAgentMessage"):
            self.injected.add(fields)
            if self.awaited is None and kind == "InjectUserMessage":
                self._await(Awaited.ANSWER)
        elif kind in ACKNOWLEDGED:
            self.injected.change(kind)
        elif kind == "FunctionCallResponse":
            self.memory.called(fields)
            if self.awaited is Awaited.FUNCTION and not self.memory.calls:
                self._await(Awaited.ANSWER)

    # From the upstream.

    def take(self, fields: Fields) -> bool:
        """Record a message of the upstream in use. Return whether the client gets the message."""
        take = _TAKES.get(text_of(fields, "type"))
        return True if take is None else take(self, fields)

    def take_audio(self) -> None:
        """Record that audio of the agent came, which begins or continues an answer."""
        self._answer()

    def _answer(self) -> None:
        self._is_answering = True
        if not self.speech.is_on:
            self._await(Awaited.OUTPUT)

    def _text(self, fields: Fields) -> bool:
        content = text_of(fields, "content")
        if fields.get("role") != "user":
            self._asked_again = ""  # without `flags.history` no History has ended it
            self.injected.speak(content)
            self.memory.agent_said(content)
            self._answer()
            return True
        if self._is_repeat("ConversationText", content):
            return False
        self._asked_again = ""
        self.injected.repeat(content, is_spoken=self.speech.is_on)
        self.speech.end()
        self._is_answering = self._is_noise = False
        self.memory.user_said(content)
        self._await(Awaited.ANSWER)
        return True

    def _history(self, fields: Fields) -> bool:
        return fields.get("role") != "user" or not self._is_repeat("History", text_of(fields, "content"))

    def _is_repeat(self, kind: str, content: str) -> bool:
        if not self._asked_again or kind not in self._repeats or content.strip() != self._asked_again.strip():
            return False
        self._repeats.remove(kind)
        return True

    def _start_speech(self, _fields: Fields) -> bool:
        self.speech.begin()
        self._await(Awaited.SPEECH)
        if self._is_speech_repeated:
            self._is_speech_repeated = False
            return False
        # The answer is cut off, and not requested again.
        self.memory.end_answer()
        self.injected.end_own()
        self._is_answering = False
        return True

    def _call(self, fields: Fields) -> bool:
        for function in objects_of(fields, "functions"):
            if function.get("client_side") is True:
                self.memory.call(function)
        self._await(Awaited.FUNCTION)
        return True

    def _cancel_calls(self, fields: Fields) -> bool:
        for function in objects_of(fields, "functions"):
            self.memory.calls.pop(text_of(function, "id"), None)
        if self.awaited is Awaited.FUNCTION and not self.memory.calls:
            self._await(Awaited.ANSWER)
        return True

    def _think(self, _fields: Fields) -> bool:
        if self.awaited in (Awaited.ANSWER, Awaited.OUTPUT):
            self._await(self.awaited)
        return True

    def _end_answer(self, _fields: Fields) -> bool:
        self.memory.end_answer()
        self.injected.end_own()
        self._is_answering = False
        rest = Awaited.ANSWER if self.injected.has_question else None
        self._await(Awaited.SPEECH if self.speech.is_on else rest)
        return True

    def _refuse(self, _fields: Fields) -> bool:
        return self.injected.refuse()

    def _acknowledge(self, fields: Fields) -> bool:
        self.injected.acknowledge(text_of(fields, "type"))
        return True

    # Deadlines, and another upstream.

    def is_only_noise(self) -> bool:
        """Whether the present speech is a noise, because two upstreams made no text of it. If so, end the speech.

        The relay calls this once for each upstream that made no text. The first call returns False, because the first
        upstream may only have hung.
        """
        if self.awaited is not Awaited.SPEECH:
            return False
        if not self._is_noise:
            self._is_noise = True
            return False
        self.speech.end()
        self._is_noise = False
        self._await(None)
        return True

    def failed_calls(self, problem: str) -> list[str]:
        """Return an output with an error, as a frame, for each function that the client did not run in time.

        The functions count as answered from now on.
        """
        outputs = []
        for identity, function in tuple(self.memory.calls.items()):
            output = functions.failed_output(text_of(function, "name"), problem)
            answer = {"type": "FunctionCallResponse", "id": identity, "name": function.get("name"), "content": output}
            self.send(answer)
            outputs.append(write(answer))
        return outputs

    def lose(self) -> tuple[list[str], list[str]]:
        """Record the loss of the upstream.

        Return the texts that the upstream has not taken, and frames for the client. The frames cancel the functions
        that the client now runs in vain. They also end an answer without a question, such as a greeting, because it is
        not spoken again.
        """
        frames = []
        cancelled = [{"id": identity, "name": text_of(it, "name")} for identity, it in self.memory.calls.items()]
        if cancelled:
            # No request would wait for the client's outputs, because the question is asked again.
            frames.append(write({"type": "FunctionCallCancelled", "functions": cancelled}))
        if self._is_answering and self.memory.question is None:
            frames.append(write({"type": "AgentAudioDone"}))
        self.memory.drop_answer()
        self._is_answering = self._is_speech_repeated = False
        self._asked_again = ""
        self._await(None)
        return self.injected.take(), frames

    def resume(self) -> list[str | bytes]:
        """Return the frames that continue the turn in progress with another upstream."""
        speech = self.speech.again()
        if speech:
            self._is_speech_repeated = True
            self._await(Awaited.SPEECH)
            return [*speech]
        if self.memory.question is None:
            return []
        self._asked_again, self._repeats = self.memory.question, {"ConversationText", "History"}
        self._await(Awaited.ANSWER)
        return [write({"type": "InjectUserMessage", "content": self._asked_again})]


_TAKES: Final[dict[str, Callable[[Conversation, Fields], bool]]] = {
    "ConversationText": Conversation._text,  # noqa: SLF001 - the table of this class
    "History": Conversation._history,  # noqa: SLF001
    "UserStartedSpeaking": Conversation._start_speech,  # noqa: SLF001
    "AgentThinking": Conversation._think,  # noqa: SLF001
    "AgentStartedSpeaking": Conversation._think,  # noqa: SLF001
    "LatencyReport": Conversation._think,  # noqa: SLF001
    "FunctionCallRequest": Conversation._call,  # noqa: SLF001
    "FunctionCallResponse": Conversation._think,  # noqa: SLF001
    "FunctionCallCancelled": Conversation._cancel_calls,  # noqa: SLF001
    "AgentAudioDone": Conversation._end_answer,  # noqa: SLF001
    "InjectionRefused": Conversation._refuse,  # noqa: SLF001
    **dict.fromkeys(ACKNOWLEDGED.values(), Conversation._acknowledge),  # noqa: SLF001
}
"""The upstream's messages that change the conversation, and the handler of each. Any other passes to the client."""
