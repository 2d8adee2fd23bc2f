"""The sentences of a text that still grows.

The time of a `sentences_of` call grows only with the new text. Earlier text was already searched, and a call looks for
an abbreviation only in the last word. One call returns at most `MAX_SENTENCES`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_SENTENCES: Final = 64
"""The most sentences that one event completes. The next event completes further ones.

The last event sends the rest as one text, because 1 MB of short sentences would be 250,000 messages.
"""

_MAX_CANDIDATES: Final = 1024
"""The most marks that one call examines. A list of initials has thousands of marks that end no sentence."""

_MAX_SEARCHED: Final = 256 * 1024
"""The most characters that one call searches. Each costs some 30 ns."""

_CLOSERS: Final = "\"'”’)]"  # noqa: RUF001 - a closing quote
_MAX_CLOSERS: Final = 64
"""The most quotes and brackets after a mark. After more of them the mark ends no sentence."""

_END: Final = re.compile(
    # White space after a mark, or after characters that may close after the mark; a full-width mark; a line break.
    r"(?<=[.!?…\"'”’)\]])(?=\s)|[。！？]+[」』”）]*|\n"  # noqa: RUF001 - full-width marks
)
_LAST_END: Final = re.compile(r"[.!?…][\"'”’)\]]*$")  # noqa: RUF001 - a closing quote

_NO_END: Final = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|no|nr|approx|etc|e\.g|i\.e|a\.m|p\.m|u\.s)|\b[a-z]|(?:^|\s)\d{1,3})\.$",
    re.IGNORECASE,
)
"""Text with a full stop that ends no sentence: titles, abbreviations, initials, the number of an item in a list."""

_LAST_WORD_CHARS: Final = 16
"""A number of characters that exceeds the longest abbreviation together with the character before it."""


class Split(NamedTuple):
    """The complete sentences of a text."""

    sentences: list[str]
    end: int
    """The index at which the next sentence begins."""
    searched: int
    """The index up to which the text was searched. The next call begins there."""


def sentences_of(text: str, start: int = 0, searched: int = 0, *, is_final: bool = False) -> Split:
    """Return the complete sentences of `text` from `start` on, trimmed. The search begins at `searched`.

    `start` and `searched` are offsets; the returned `Split` has their values for the next call. A full stop at the very
    end may still become a decimal point, so it completes a sentence only if `is_final` is true.
    """
    found: list[str] = []
    at = start
    searched = max(start, searched)
    stop = min(len(text), searched + _MAX_SEARCHED)
    for count, match in enumerate(_END.finditer(text, searched, stop), 1):
        # White space after the match is not part of it, so the next call examines that white space again.
        searched = match.end()
        if _is_marked(text, at, match) and _is_end(text, at, match.end()):
            found.append(text[at : match.end()].strip())
            at = match.end()
        if len(found) == MAX_SENTENCES or count == _MAX_CANDIDATES:
            break
    else:
        searched = stop
    if is_final and text[at:].strip():
        found.append(text[at:].strip())
        at = searched = len(text)
    return Split([sentence for sentence in found if sentence], at, searched)


def ends_here(text: str, start: int) -> bool:
    """Whether `text` from `start` on looks like a whole sentence, although more may follow."""
    tail = text[max(start, len(text) - _MAX_CLOSERS) :]
    return _LAST_END.search(tail) is not None and _is_end(text, start, len(text))


def _is_marked(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a match ends a sentence: it is a mark itself, or only closing characters lie between it and a mark."""
    if match[0]:
        return True
    before = text[max(start, match.start() - _MAX_CLOSERS) : match.start()].rstrip(_CLOSERS)
    return before[-1:] in (".", "!", "?", "…")


def _is_end(text: str, start: int, end: int) -> bool:
    tail = text[max(start, end - _MAX_CLOSERS) : end].rstrip()
    return _NO_END.search(tail[-_LAST_WORD_CHARS:]) is None
