"""The bounds of a JSON text, checked before the text is parsed.

A parser makes an object for every value, and 1 MB of empty lists takes 45 ms and 30 MB. This module counts brackets and
commas in the text, at the speed of C. The first count may be too high, because strings contain such characters, too. If
it exceeds a bound, the text is counted again without its strings.
"""

from __future__ import annotations

from itertools import accumulate, count
from operator import sub
from typing import Any, Final

MAX_VALUES: Final = 50_000
"""The most values of a message: lists, objects and their members. Settings with 128 functions have some 10,000."""

MAX_DEPTH: Final = 200
"""The most levels of nesting.

`orjson` reads more levels, but writes only 254, and a message may have to be written again.
"""

MAX_RECOUNT_CHARS: Final = 1024 * 1024
"""The longest text that is counted again without its strings. That takes up to 30 ms."""

MAX_WIDE_CHARS: Final = 2 * 1024 * 1024
"""The most characters of all strings that have a character beyond ASCII, or an escape of one.

The other strings of a longer text are audio or an image in base64. One character beyond ASCII makes a string up to four
times as large.
"""

MAX_WIDE_TEXT_CHARS: Final = 6 * 1024 * 1024
"""The longest text with a character beyond ASCII: an image of 4.5 MB with words beside it.

The character makes the whole text larger, and its parse slower. An escape does not.
"""

MAX_ESCAPES: Final = 500_000
"""The most backslashes in such a longer text. PHP escapes the slashes of base64: one character in 64."""

MAX_LONG_VALUES: Final = 5_000
"""The most values of such a longer text, and commas and brackets in its strings, because no strings are taken out."""

_MAX_SEARCHES: Final = 4096
"""The most searches for a sign in a long text. A search for a rare sign is faster than a count, and for a common one
slower."""

_PIECE_CHARS: Final = 64 * 1024
"""The characters that are copied at once to see whether they are ASCII."""

_TOO_MANY: Final = f"has more than {MAX_VALUES} values"
_TOO_MANY_FOR_LENGTH: Final = f"has more than {MAX_WIDE_CHARS} characters and {MAX_LONG_VALUES} values"
_TOO_WIDE: Final = f"has more than {MAX_WIDE_CHARS} characters in strings that are not ASCII"
_TOO_LARGE: Final = f"has more than {MAX_WIDE_TEXT_CHARS} characters, and some beyond ASCII"
_TOO_MANY_ESCAPES: Final = f"has more than {MAX_ESCAPES} escapes"
_TOO_DEEP: Final = "is nested too deeply"

_OPEN, _CLOSE = b"[{", b"]}"
_STEPS: Final = bytes.maketrans(_OPEN + _CLOSE, b"\2\2\0\0")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(_OPEN + _CLOSE))


def exceeded_bound(text: str) -> str | None:
    """Return the bound that a JSON text exceeds, as the rest of a sentence about the message, or None."""
    if len(text) <= MAX_DEPTH:
        return None
    if len(text) > MAX_WIDE_CHARS:
        return _exceeded_by_long(text)
    brackets = _count(text, "[") + _count(text, "{")
    has_too_many = brackets + _count(text, ",") > MAX_VALUES
    if not has_too_many and brackets <= MAX_DEPTH:
        return None
    if len(text) > MAX_RECOUNT_CHARS:
        # Such a long text is never written again. So its depth matters only to the parser, which has its own bound.
        return _TOO_MANY if has_too_many else None
    outside = _without_strings(text)
    # Every member needs a comma, except the first one of each list and object.
    if has_too_many and outside.count("[") + outside.count("{") + outside.count(",") > MAX_VALUES:
        return _TOO_MANY
    return _TOO_DEEP if _depth(outside) > MAX_DEPTH else None


def _exceeded_by_long(text: str) -> str | None:
    if not text.isascii() and len(text) > MAX_WIDE_TEXT_CHARS:
        return _TOO_LARGE
    if sum(_count(text, sign) for sign in "[{,") > MAX_LONG_VALUES:
        return _TOO_MANY_FOR_LENGTH
    escapes = _count(text, "\\")
    if escapes > MAX_ESCAPES:
        return _TOO_MANY_ESCAPES
    is_plain = not escapes and text.isascii()
    return _TOO_WIDE if not is_plain and _is_wide(text) else None


def _is_wide(text: str) -> bool:
    """Whether the strings that are not plain ASCII have too many characters, or there are too many quotes to tell."""
    wide_chars = start = at = 0
    for _ in range(_MAX_SEARCHES):
        end = text.find('"', at)
        if end > 0 and text[end - 1] == "\\":
            at = end + 1  # the quote may belong to the string
            continue
        end = len(text) if end < 0 else end
        if not _is_plain(text, start, end):
            wide_chars += end - start
        if wide_chars > MAX_WIDE_CHARS or end == len(text):
            return wide_chars > MAX_WIDE_CHARS
        start = at = end + 1
    return True


def _is_plain(text: str, start: int, end: int) -> bool:
    # The search for two characters takes ten times as long as the one for the first of them.
    if text.find("\\", start, end) >= 0 and text.find("\\u", start, end) >= 0:
        return False
    # A copy of a whole string of 6 MB would take four times as long as these.
    pieces = range(start, end, _PIECE_CHARS)
    return text.isascii() or all(text[at : min(at + _PIECE_CHARS, end)].isascii() for at in pieces)


def _count(text: str, sign: str) -> int:
    """Return how often a sign is in a text. Audio of 16 MB, which has few of them, takes a tenth of the usual time."""
    if len(text) <= MAX_RECOUNT_CHARS:
        return text.count(sign)
    place = -1
    for found in range(_MAX_SEARCHES):
        place = text.find(sign, place + 1)
        if place < 0:
            return found
    return _MAX_SEARCHES + text.count(sign, place + 1)


def is_too_deep(value: Any) -> bool:
    """Whether a parsed text has more than `MAX_DEPTH` levels. `exceeded_bound` does not count those of a long text."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def has_more_values(value: Any, most: int) -> bool:
    """Whether a parsed text has more than `most` lists, objects and members. The count ends there."""
    left = [value]
    count = 0
    while left and count <= most:
        inner = left.pop()
        members = list(inner.values()) if isinstance(inner, dict) else inner
        count += 1 + len(members)
        left += [each for each in members if isinstance(each, dict | list)]
    return count > most


def _without_strings(text: str) -> str:
    """Return a JSON text without its strings. This takes half the time of a pattern that matches each string."""
    # Outside of strings there is no backslash: a parser stops at the first one, so it reads nothing behind it.
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    return "".join(text.split('"')[::2])


def _depth(outside: str) -> int:
    """Return the deepest level of nesting in a JSON text whose strings were removed."""
    # A step is 2 for an opening bracket and 0 for a closing one; the number of steps is subtracted from their sum.
    steps = outside.encode(errors="replace").translate(_STEPS, _NO_BRACKETS)
    return max(map(sub, accumulate(steps), count(1)), default=0)
