"""The notifications for an embedding application: each turn when it is over, and the tokens that each response used.

They are taken where the client's messages leave and the upstream's events arrive. They change nothing in the session.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from router.deepgram import messages as deepgram
from router.openai import events as openai


class Said(msgspec.Struct, frozen=True):
    """One text of a turn, as the client received it."""

    role: Literal["user", "assistant"]
    content: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The texts since the previous turn, in the order in which the client received them."""

    said: tuple[Said, ...]
    functions: tuple[str, ...] = ()
    """The names of the called functions."""
    is_whole: bool = True
    """False for the texts so far where the session ended in the middle of a turn."""

    def text(self, role: Literal["user", "assistant"]) -> str:
        """Return the texts of one side, joined by spaces."""
        return " ".join(said.content for said in self.said if said.role == role)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that the upstream counted for one response or one transcription."""

    kind: Literal["response", "transcription"]
    id: str | None
    """The id of the response, or of the transcribed item."""
    model: str
    """The requested model."""
    status: str | None = None
    """The status of a response. A cancelled one uses tokens, too."""
    details: dict[str, Any]
    """The upstream's own object: `total_tokens`, `input_tokens`, `output_tokens`, and their parts."""

    @property
    def input_tokens(self) -> int:
        """The tokens that the model read."""
        return _number(self.details.get("input_tokens"))

    @property
    def output_tokens(self) -> int:
        """The tokens that the model generated."""
        return _number(self.details.get("output_tokens"))

    @property
    def total_tokens(self) -> int:
        """The sum of both."""
        return _number(self.details.get("total_tokens")) or self.input_tokens + self.output_tokens


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


USAGE_EVENTS: Final = (openai.ResponseDone, openai.InputAudioTranscriptionCompleted)
"""The events that may carry usage."""


def usage_of(event: openai.ResponseDone | openai.InputAudioTranscriptionCompleted, model: str) -> Usage | None:
    """Return the usage that an event carries, or None."""
    if isinstance(event, openai.ResponseDone):
        # xAI has the usage beside the response, not in it (upstream 12.1).
        details, status = event.response.usage or event.usage, event.response.status
        kind: Literal["response", "transcription"] = "response"
        identity = event.response.id
    else:
        details, status, kind, identity = event.usage, None, "transcription", event.item_id
    # A cancelled or failed response may have null here (upstream 5.4).
    if not isinstance(details, dict):
        return None
    return Usage(kind=kind, id=identity, model=model, status=status, details=details)


class TurnLog:
    """A collector of turns from the messages to the client."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._functions: list[str] = []

    def note(self, message: deepgram.ServerMessage) -> Turn | None:
        """Record a message. Return the turn that it ends, if any."""
        # Not `isinstance`: a CallText only shows a call to the React component, and its function is recorded below.
        if type(message) is deepgram.ConversationText:
            self._said.append(Said(message.role, message.content))
        elif isinstance(message, deepgram.FunctionCallRequest):
            self._functions += (function.name for function in message.functions)
        elif isinstance(message, deepgram.AgentAudioDone):
            return self.take()
        return None

    def take(self, *, is_whole: bool = True) -> Turn | None:
        """Remove and return the texts so far as a turn, or None where there are none."""
        said, self._said = tuple(self._said), []
        functions, self._functions = tuple(self._functions), []
        return Turn(said=said, functions=functions, is_whole=is_whole) if said or functions else None
