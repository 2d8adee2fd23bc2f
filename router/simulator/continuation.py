"""Going on with an answer that was cut off: what was asked for, and what is left to say. Pure.

A router that replaces an upstream in mid-answer gives the new one the history, with the words that were delivered as
an assistant's message, and asks it to go on from there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from router.simulator.history import Context, Entry, Output, Said, Say
from router.simulator.words import unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable

_ASKED: Final = re.compile(
    r"\s*(?:your\s+)?last\s+answer\s+was\s+cut\s+off\s+after\s+(?:(?:these|the)\s+words:?|its\s+beginning\.?)\s*(?P<words>.*)"
    r"go\s+on\s+from\s+(?:exactly\s+)?there\b[^.]*\.?",
    re.IGNORECASE | re.DOTALL,
)


class Cut(msgspec.Struct, frozen=True):
    """An answer that was cut off."""

    context: Context
    """What it was the answer to: without it, and without the instruction to go on."""
    delivered: tuple[str, ...]
    """What was said of it, the likeliest first: as history has it, and as the instruction has it."""


def cut_in(context: Context) -> Cut | None:
    """The answer that the instructions ask to go on with; None where they do not."""
    asked = _ASKED.search(context.instructions)
    if asked is None:
        return None
    words = unquoted(asked.group("words").strip())
    before = context.instructions[: asked.start()] + context.instructions[asked.end() :]
    entries, parts = _without_end(context)
    # An answer may have been cut more than once: history has all of it, the instruction may have its end alone. Of a
    # part that was truncated history has no words: those of the instruction follow then.
    known = " ".join(parts)
    both = f"{known} {words}" if known and words and not known.endswith(words) else ""
    delivered = tuple(text for text in (both, known, words) if text) or ("",)
    return Cut(msgspec.structs.replace(context, instructions=before, entries=entries), delivered)


def _without_end(context: Context) -> tuple[tuple[Entry, ...], list[str]]:
    entries = list(context.entries)
    parts: list[str] = []
    while entries and isinstance(last := entries[-1], Said) and last.role == "assistant":
        parts.insert(0, last.text)
        entries.pop()
    return tuple(entries), parts


def rest_of(cut: Cut, answers: Iterable[list[Output]]) -> list[Output]:
    """What is left of the answer, which is the first of `answers` that begins with what was delivered.

    Nothing, where all of it was delivered; and something short, where none of them is the one.
    """
    candidates = list(answers)
    for delivered in cut.delivered:
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
        if not left or not left.strip():
            rest.append(output)
        elif isinstance(output, Say):
            text, left = _after(output.text, left)
            if left is None:
                return None
            rest += [Say(text)] if text.strip() else []
    return rest if left is not None and not left.strip() else None


def _after(text: str, delivered: str) -> tuple[str, str | None]:
    """What of `text` follows `delivered`, and what of that is not in `text`: None where they differ.

    White space does not count: a transcript's deltas may have been joined in another way.
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
