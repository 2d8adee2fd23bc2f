"""The canary's side of a call: it waits for the messages of a step, within the time of that step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from actors.connections.blocking import HungUp
from router.command.voice_client import OUTPUT_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.command.voice_client import VoiceClient

Frame = dict[str, Any] | bytes
"""A decoded message, or a piece of the agent's audio."""


def is_text_of(role: str, frame: Frame) -> bool:
    """Whether a frame is a `ConversationText` of the role `user` or `assistant`."""
    return isinstance(frame, dict) and (frame.get("type"), frame.get("role")) == ("ConversationText", role)


def is_reply(frame: Frame) -> bool:
    """Whether a frame is a text of the agent, but not the line that shows a function call."""
    return is_text_of("assistant", frame) and not frame["content"].startswith("Function call: ")  # type: ignore[call-overload]


class StepFailed(Exception):  # noqa: N818 - an outcome of the canary
    """The failure of a step: a sentence, and the code of the `Error` that caused it, or an empty text."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class Conversation:
    """A call that keeps the frames of the step in progress."""

    def __init__(self, client: VoiceClient, timeout_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self.now_s = now_s
        self._timeout_s = timeout_s
        self._deadline_s = 0.0
        self._frames: list[Frame] = []

    def begin_step(self) -> None:
        """Start the deadline of the next step, and drop the frames of the previous step."""
        self._deadline_s = self.now_s() + self._timeout_s
        self.begin_turn()

    def begin_turn(self) -> None:
        """Drop the kept frames, because they belong to an earlier turn."""
        self._frames = []

    def ask(self, text: str) -> None:
        """Send a text message of the user."""
        self.client.send("InjectUserMessage", content=text)

    def wait_for(self, expected: str, *, is_it: Callable[[Frame], bool] | None = None) -> Frame:
        """Return the next frame of the type `expected`. With `is_it`, return the next frame that `is_it` accepts.

        Raises:
            StepFailed: the frame did not come in time, an `Error` came, or the call ended.
        """
        while True:
            frame = self.receive(expected)
            if is_it(frame) if is_it else isinstance(frame, dict) and frame.get("type") == expected:
                return frame

    def receive(self, expected: str) -> Frame:
        """Receive the next frame, keep it, and return it. Raises as `wait_for` does."""
        try:
            frame = self.client.receive(self.left_s)
        except TimeoutError:
            raise StepFailed(f"no {expected} came within {self._timeout_s:g} s") from None
        except HungUp as end:
            reason = f", {end.reason}" if end.reason else ""
            raise StepFailed(f"the call ended ({end.code}{reason}) before {expected}") from None
        if isinstance(frame, dict) and frame.get("type") == "Error":
            raise StepFailed(str(frame.get("description")), str(frame.get("code")))
        self._frames.append(frame)
        return frame

    @property
    def left_s(self) -> float:
        """The seconds that are left for the step; never negative."""
        return max(0.0, self._deadline_s - self.now_s())

    # The frames of the step so far.

    @property
    def reply(self) -> str:
        """The agent's words in the kept frames."""
        return " ".join(frame["content"] for frame in self._frames if is_reply(frame) and isinstance(frame, dict))

    @property
    def is_answered(self) -> bool:
        """Whether the agent has ended a turn in which it said words."""
        has_words = False
        for frame in self._frames:
            has_words |= is_reply(frame)
            if has_words and isinstance(frame, dict) and frame.get("type") == "AgentDone":
                return True
        return False

    @property
    def audio_s(self) -> float:
        """The duration, in seconds, of the agent's audio in the kept frames."""
        return sum(len(frame) for frame in self._frames if isinstance(frame, bytes)) / (2 * OUTPUT_RATE)

    @property
    def is_silent(self) -> bool:
        """Whether the kept frames have no audio, or every sample of their audio is zero."""
        return not any(any(frame) for frame in self._frames if isinstance(frame, bytes))
