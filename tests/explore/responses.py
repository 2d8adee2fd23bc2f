"""The responses of the model of an upstream: their kinds, their steps, and what they have said so far."""

from collections.abc import Iterable
from typing import Any

MESSAGE_STEPS = ("item", "words", "audio", "text", "item done", "done")
CALL_STEPS = ("call item", "call", "done")
BOTH_STEPS = ("item", "words", "text", "item done", "call item", "call", "done")
SECOND = "+"
"""The suffix of the steps of a response's second message."""
STEPS = {
    "message": MESSAGE_STEPS,
    "call": CALL_STEPS,
    "both": BOTH_STEPS,
    "words first": ("words", "audio", "text", "item done", "done"),
    "audio first": ("audio", "words", "text", "item done", "done"),
    "call first": ("call", "done"),
    "text only": ("text", "item done", "done"),
    "done only": ("item", "audio", "item done", "done"),
    "item only": ("item done", "done"),
    "two": ("item", "words", "audio", "text", "item done", "item+", "words+", "audio+", "text+", "item done+", "done"),
    # The second message begins before the end of the first one.
    "overlap": (
        *("item", "words", "audio", "item+", "words+", "audio", "text", "item done"),
        *("audio+", "text+", "item done+", "done"),
    ),
    "long call": ("item", "words", "long audio", "text", "item done", "call item", "call", "done"),
    # A response outside the conversation that the client requested: it adds no item.
    "written": ("item", "written", "written text", "done"),
    "overlap done": ("item", "audio", "item+", "audio+", "item done", "item done+", "done"),
}
"""The events of a response in their order, by its kind. Some servers announce no items."""
SECOND_NUMBER = 50
"""The number of a response's second message, counted from that of the response."""
LONG = "long call"
"""A message that plays for longer than the client may take to answer a call, and a call behind it."""
WHOLE = ("done only", "item only")
"""The kinds of responses whose text comes only in `conversation.item.done`."""
LAST = {**dict.fromkeys(WHOLE, "item done"), "call first": "call", "written": "written text"}
"""The last event of a response without `response.created`, by its kind, if the whole text is not the last event."""
UNANNOUNCED = ("message", "call", "words first", "audio first", "call first", "text only", *WHOLE)
"""The kinds of requested responses that a server without `response.created` begins."""
OWN_UNANNOUNCED = ("message", "words first", "audio first", "call first", "text only", "item only")
"""The kinds of answers to speech that such a server may begin while no request is on its way."""


class Response:
    """A response that the upstream generates, step by step."""

    def __init__(
        self, number: int, kind: str, metadata: Any, answers: frozenset[str], *, is_outside: bool, is_brief: bool
    ) -> None:
        self.number = number
        self.kind = kind
        self.is_brief = is_brief
        """The response has no response.created. If it is a message, the end of its text is its last event."""
        self.metadata = metadata
        self.answers = answers
        """The questions that the conversation contained when the response began."""
        self.is_outside = is_outside
        self.is_of_client = kind == "written"
        """The client requested the response outside the conversation itself."""
        self.at = 0
        """The index of its next step."""
        self.is_cancelled = False
        self.is_own = False
        """The response answers speech, and was not requested."""

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of the response's kind."""
        if self.is_brief and self.kind == "call first":
            return STEPS[self.kind][:-1]
        if not self.is_brief or self.is_call:
            return STEPS[self.kind]
        # Its whole text is its end.
        if self.kind == "written":
            return STEPS[self.kind][:-1]
        return STEPS[self.kind][:-1] if self.kind in WHOLE else STEPS[self.kind][:-2]

    @property
    def is_call(self) -> bool:
        """Whether the response calls the function and says nothing."""
        return self.kind in ("call", "call first")

    @property
    def calls(self) -> bool:
        """Whether the response calls the function."""
        return self.is_call or self.kind in ("both", LONG)

    @property
    def trails(self) -> bool:
        """Whether words or audio of the response may follow after its cancellation (upstream 7.4)."""
        return self.is_cancelled and self.steps[self.at].removesuffix(SECOND) in ("words", "audio")

    @property
    def has_called(self) -> bool:
        """Whether the response has called the function."""
        return "call" in self.steps[: self.at]

    @property
    def has_said(self) -> bool:
        """Whether the response has sent the whole text of the newest message that it has begun."""
        return self.said_texts[-1:] == self.begun_texts[-1:] != ()

    @property
    def text(self) -> str:
        """The text of the response's first message. No other message has this text."""
        return f"Answer {self.number}!"

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of all messages of the response."""
        has_two = any(step.endswith(SECOND) for step in STEPS[self.kind])
        return (self.text, f"Answer {self.number + SECOND_NUMBER}!") if has_two else (self.text,)

    @property
    def begun_texts(self) -> tuple[str, ...]:
        """The texts of the messages that the response has begun."""
        return self._texts_of(self.steps[: self.at])

    @property
    def said_texts(self) -> tuple[str, ...]:
        """The texts that the response has sent whole."""
        return self._texts_of(it for it in self.steps[: self.at] if it.removesuffix(SECOND) in ("text", "item done"))

    @property
    def spoken_texts(self) -> tuple[str, ...]:
        """The texts of the messages of which the response has sent audio."""
        return self._texts_of(it for it in self.steps[: self.at] if it.removesuffix(SECOND) in ("audio", "long audio"))

    def _texts_of(self, steps: Iterable[str]) -> tuple[str, ...]:
        numbers = {step.endswith(SECOND) for step in steps}
        return tuple(self.texts[it] for it in sorted(numbers))
