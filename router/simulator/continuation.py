"""The instruction to continue an interrupted answer, and the rest of that answer. Pure.

A router that replaces an upstream in the middle of an answer sends the history to the new upstream. The history ends
with the delivered words as an assistant's message, and the instructions ask to continue after them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from router.simulator.history import Context, Entry, Message, Output, Say
from router.simulator.words import unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable

_INSTRUCTION: Final = re.compile(
    r"\s*(?:your\s+)?last\s+answer\s+was\s+cut\s+off\s+after\s+(?:(?:these|the)\s+words:?|its\s+beginning\.?)\s*(?P<words>.*)"
    r"go\s+on\s+from\s+(?:exactly\s+)?there\b[^.]*\.?",
    re.IGNORECASE | re.DOTALL,
)


class InterruptedAnswer(msgspec.Struct, frozen=True):
    """An interrupted answer. The instructions request its rest."""

    context: Context
    """The context before the answer: it has neither the answer nor the instruction to continue."""
    delivered: tuple[str, ...]
    """The candidates for the delivered words, the most likely first.

    The history and the instruction may disagree about these words.
    """


def interrupted_answer(context: Context) -> InterruptedAnswer | None:
    """Return the answer that the instructions ask to continue, or None if the instructions do not ask."""
    instruction = _INSTRUCTION.search(context.instructions)
    if instruction is None:
        return None
    words = unquoted(instruction.group("words").strip())
    before = context.instructions[: instruction.start()] + context.instructions[instruction.end() :]
    entries, parts = _without_end(context)
    # If an answer was interrupted more than once, the history has all delivered words, and the instruction may have
    # only the last of them. A truncated part has no words in the history, so the words of the instruction follow it.
    known = " ".join(parts)
    both = f"{known} {words}" if known and words and not known.endswith(words) else ""
    delivered = tuple(text for text in (both, known, words) if text) or ("",)
    return InterruptedAnswer(msgspec.structs.replace(context, instructions=before, entries=entries), delivered)


def _without_end(context: Context) -> tuple[tuple[Entry, ...], list[str]]:
    # The words of truncated audio are an estimate, so the words in the router's instruction replace them.
    entries = [it for it in context.entries if not (isinstance(it, Message) and it.is_truncated)]
    parts: list[str] = []
    while entries and isinstance(last := entries[-1], Message) and last.role == "assistant":
        parts.insert(0, last.text)
        entries.pop()
    return tuple(entries), parts


def rest_of(interrupted: InterruptedAnswer, answers: Iterable[list[Output]]) -> list[Output]:
    """Find the first of `answers` that begins with the delivered words, and return the part after those words.

    The part is empty if the whole answer was delivered. If no answer begins with those words, return a short sentence.
    """
    candidates = list(answers)
    for delivered in interrupted.delivered:
        for outputs in candidates:
            rest = _rest(outputs, delivered)
            if rest is not None:
                return rest
    return [Say(NOTHING_TO_ADD)]


NOTHING_TO_ADD: Final = "And that is all there is to say."


def _rest(outputs: list[Output], delivered: str) -> list[Output] | None:
    left: str | None = delivered
    rest: list[Output] = []
    for output in outputs:
        # A call within the delivered words was already made, so the rest does not repeat it.
        if not left or not left.strip():
            rest.append(output)
        elif isinstance(output, Say):
            text, left = _after(output.text, left)
            if left is None:
                return None
            rest += [Say(text)] if text.strip() else []
    return rest if left is not None and not left.strip() else None


def _after(text: str, delivered: str) -> tuple[str, str | None]:
    """Compare two texts, of which one has to begin with the other.

    Return the part of `text` that follows `delivered`, and the part of `delivered` that follows `text`. The second part
    is None if the texts differ.

    White space does not count, because a transcript's deltas may have been joined in another way.
    """
    at = 0
    for index, character in enumerate(delivered):
        if character.isspace():
            continue
        at = _skip_space(text, at)
        if at == len(text):
            return "", delivered[index:]
        if text[at] != character:
            return "", None
        at += 1
    rest = text[at:]
    return (rest.lstrip() if delivered[-1:].isspace() else rest), ""


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
