"""The sentences of a text that still grows."""

from __future__ import annotations

import re
from typing import Final

_END: Final = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”）]*|\n")  # noqa: RUF001 - full-width marks
_LAST_END: Final = re.compile(r"[.!?…]+[\"'”’)\]]*$")  # noqa: RUF001 - a closing quote

_NO_END: Final = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|no|nr|approx|etc|e\.g|i\.e|a\.m|p\.m|u\.s)|\b[a-z]|(?:^|\s)\d{1,3})\.$",
    re.IGNORECASE,
)
"""Text with a full stop that ends no sentence: titles, abbreviations, initials, the number of an item in a list."""


def sentences_of(text: str, start: int = 0, *, is_final: bool = False) -> tuple[list[str], int]:
    """Return the complete sentences of `text` from `start` on, trimmed, and where the next one begins.

    A full stop at the very end may still become a decimal point: it completes a sentence only where the text
    `is_final`.
    """
    found = []
    at = start
    for match in _END.finditer(text, start):
        if _is_end(text, at, match.end()):
            found.append(text[at : match.end()].strip())
            at = match.end()
    if is_final and text[at:].strip():
        found.append(text[at:].strip())
        at = len(text)
    return [sentence for sentence in found if sentence], at


def ends_here(text: str, start: int) -> bool:
    """Whether `text` from `start` on looks like a whole sentence, although more may follow."""
    return _LAST_END.search(text, start) is not None and _is_end(text, start, len(text))


def _is_end(text: str, start: int, end: int) -> bool:
    return _NO_END.search(text[start:end].rstrip()) is None
