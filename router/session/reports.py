"""What an embedding application is told of a session: a turn when it is over, and what each response has cost.

Seen where the client's messages leave and the upstream's events come in; it changes nothing.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from router.deepgram import messages as deepgram
from router.openai import events as openai


class Said(msgspec.Struct, frozen=True):
    """What was said, as the client was told."""

    role: Literal["user", "assistant"]
    content: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What was said since the turn before it, in the order in which the client was told."""

    said: tuple[Said, ...]
    functions: tuple[str, ...] = ()
    """The names of the functions that were called."""
    is_whole: bool = True
    """False for what had been said when the call ended in the middle of a turn."""

    def text(self, role: Literal["user", "assistant"]) -> str:
        """What one of the two said, joined by spaces."""
        return " ".join(said.content for said in self.said if said.role == role)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the upstream says that something has cost."""

    kind: Literal["response", "transcription"]
    id: str | None
    """Of the response, or of the item that was transcribed."""
    model: str
    """That was asked for."""
    status: str | None = None
    """Of a response: a cancelled one costs, too."""
    details: dict[str, Any]
    """The upstream's own object: `total_tokens`, `input_tokens`, `output_tokens`, and what they are made of."""

    @property
    def input_tokens(self) -> int:
        """What was read."""
        return _number(self.details.get("input_tokens"))

    @property
    def output_tokens(self) -> int:
        """What was written or said."""
        return _number(self.details.get("output_tokens"))

    @property
    def total_tokens(self) -> int:
        """Both."""
        return _number(self.details.get("total_tokens")) or self.input_tokens + self.output_tokens


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


COSTLY: Final = frozenset({openai.ResponseDone, openai.InputAudioTranscriptionCompleted})
"""Events that may say what something has cost."""


def usage_of(event: Any, model: str) -> Usage | None:
    """What one of the costly events says of that, if it does."""
    if isinstance(event, openai.ResponseDone):
        details, status = event.response.usage or event.usage, event.response.status
        kind: Literal["response", "transcription"] = "response"
        identity = event.response.id
    else:
        details, status, kind, identity = event.usage, None, "transcription", event.item_id
    if not isinstance(details, dict):
        return None
    return Usage(kind=kind, id=identity, model=model, status=status, details=details)


class TurnLog:
    """Collects a turn from the messages to the client."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._functions: list[str] = []

    def note(self, message: deepgram.ServerMessage) -> Turn | None:
        """Take notice of a message; the turn, where it ends one."""
        if type(message) is deepgram.ConversationText:  # not CallText, which shows a call to the component
            self._said.append(Said(message.role, message.content))
        elif isinstance(message, deepgram.FunctionCallRequest):
            self._functions += (function.name for function in message.functions)
        elif isinstance(message, deepgram.AgentAudioDone):
            return self.take()
        return None

    def take(self, *, is_whole: bool = True) -> Turn | None:
        """What there is, as a turn; None where nothing was said."""
        said, self._said = tuple(self._said), []
        functions, self._functions = tuple(self._functions), []
        return Turn(said=said, functions=functions, is_whole=is_whole) if said or functions else None
