"""The answer of a response as it grows: the rules give texts and calls at once, a model piece by piece. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.simulator import usage
from router.simulator.history import Call, Output, Say

if TYPE_CHECKING:
    from collections.abc import Iterable


class Text:
    """A text that may still grow."""

    def __init__(self, text: str = "", *, is_complete: bool = False) -> None:
        self.text = text
        self.is_complete = is_complete


class Answer:
    """The texts and calls of an answer so far."""

    def __init__(self) -> None:
        self.outputs: list[Text | Call] = []
        self.is_complete = False
        self.is_cut = False
        """Whether `max_output_tokens` ended the answer."""

    def give(self, outputs: Iterable[Output], *, is_cut: bool = False) -> None:
        """Set the complete answer, and end it. `is_cut` says that a token limit shortened it."""
        self.outputs = [Text(it.text, is_complete=True) if isinstance(it, Say) else it for it in outputs]
        self.is_complete, self.is_cut = True, is_cut

    def add_text(self, delta: str) -> None:
        """Append words to the text in progress, or begin a new text."""
        last = self.outputs[-1] if self.outputs else None
        if isinstance(last, Text) and not last.is_complete:
            last.text += delta
        elif delta.strip():  # a model may begin with a line break before its calls
            self.outputs.append(Text(delta.lstrip()))

    def add_call(self, call: Call) -> None:
        """Add a function call, and complete the text before it."""
        self._complete_text()
        self.outputs.append(call)

    def end(self, *, is_cut: bool = False) -> None:
        """End the answer, and complete its last text. `is_cut` says that a token limit shortened the answer."""
        self._complete_text()
        self.is_complete, self.is_cut = True, is_cut

    def _complete_text(self) -> None:
        last = self.outputs[-1] if self.outputs else None
        if isinstance(last, Text):
            last.is_complete = True


class Tokens:
    """The tokens of a text, one after the other.

    The last token waits until the text is complete, because it may still grow.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._at = 0

    def next(self) -> str | None:
        """Return the next token, or None if the text has no complete token left at the moment."""
        token = usage.token_at(self._text.text, self._at)
        end = self._at + len(token)
        if not token or (end == len(self._text.text) and not self._text.is_complete):
            return None
        self._at = end
        return token

    @property
    def is_over(self) -> bool:
        """Whether the text is complete and all its tokens were returned."""
        return self._text.is_complete and self._at == len(self._text.text)
