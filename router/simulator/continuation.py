"""The rest of an answer that was interrupted: the instruction that asks for it, and its text. Pure.

A router that replaces an upstream in the middle of an answer gives the new one the history. The delivered words are an
assistant's message there, and the instructions ask to continue after them.
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
    """An answer whose rest is asked for."""

    context: Context
    """The context that it answered: without the answer, and without the instruction to continue."""
    delivered: tuple[str, ...]
    """The words that may have been delivered, the likeliest first: of the history, and of the instruction."""


def interrupted_answer(context: Context) -> InterruptedAnswer | None:
    """Return the answer that the instructions ask to continue, or None where they ask for none."""
    instruction = _INSTRUCTION.search(context.instructions)
    if instruction is None:
        return None
    words = unquoted(instruction.group("words").strip())
    before = context.instructions[: instruction.start()] + context.instructions[instruction.end() :]
    entries, parts = _without_end(context)
    # An answer may have been interrupted more than once: then the history has all of it, and the instruction may have
    # its end alone. A truncated part has no words in the history: those of the instruction follow it.
    known = " ".join(parts)
    both = f"{known} {words}" if known and words and not known.endswith(words) else ""
    delivered = tuple(text for text in (both, known, words) if text) or ("",)
    return InterruptedAnswer(msgspec.structs.replace(context, instructions=before, entries=entries), delivered)


def _without_end(context: Context) -> tuple[tuple[Entry, ...], list[str]]:
    entries = list(context.entries)
    parts: list[str] = []
    while entries and isinstance(last := entries[-1], Message) and last.role == "assistant":
        parts.insert(0, last.text)
        entries.pop()
    return tuple(entries), parts


def rest_of(interrupted: InterruptedAnswer, answers: Iterable[list[Output]]) -> list[Output]:
    """Return the rest of the answer: of the first of `answers` that begins with the delivered words.

    The rest is empty where all was delivered, and a short sentence where no answer begins with those words.
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
        # A call within the delivered words was made already: it is no part of the rest.
        if not left or not left.strip():
            rest.append(output)
        elif isinstance(output, Say):
            text, left = _after(output.text, left)
            if left is None:
                return None
            rest += [Say(text)] if text.strip() else []
    return rest if left is not None and not left.strip() else None


def _after(text: str, delivered: str) -> tuple[str, str | None]:
    """Return the part of `text` after `delivered`, and the part of `delivered` after `text`: None where they differ.

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
