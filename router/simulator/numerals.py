"""Numbers in words, as they are spoken and as they are recognized. Pure."""

from __future__ import annotations

import re
from typing import Final

_SMALL: Final[list[str]] = re.findall(
    r"\w+",
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
    """,
)
_TENS: Final[list[str]] = re.findall(r"\w+", "zero ten twenty thirty forty fifty sixty seventy eighty ninety")
_MAX_WORDS: Final = 1_000_000
_ORDINALS: Final = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"}
_ORDINALS_ALSO: Final = {"nine": "ninth", "twelve": "twelfth"}
_UNITS: Final = {word: number for number, word in enumerate(_SMALL)}
_TENS_BY_WORD: Final = {word: number * 10 for number, word in enumerate(_TENS) if number > 1}
_WORDS: Final = "|".join([*_TENS_BY_WORD, *reversed(_SMALL), "hundred"])
NUMBER: Final = rf"(?:\d+|(?:(?:a |one )?hundred|(?:{_WORDS}))(?:[ -](?:and )?(?:{_WORDS}))*)"
"""A pattern of a whole number up to a few hundred, in digits or in words."""


def in_words(number: int) -> str:
    """Return a number between -999,999 and 999,999 in words; any other in digits."""
    if number < 0:
        return f"minus {in_words(-number)}"
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if size <= number < _MAX_WORDS:
            rest = number % size
            return f"{in_words(number // size)} {name}" + (f" and {in_words(rest)}" if rest else "")
    if number >= len(_SMALL):
        tens, rest = _TENS[number // 10] if number < 100 else str(number), number % 10  # noqa: PLR2004
        return f"{tens}-{_SMALL[rest]}" if rest and number < 100 else tens  # noqa: PLR2004
    return _SMALL[number]


def ordinal(number: int) -> str:
    """Return `first` for 1, and so on, up to 99."""
    head, dash, last = in_words(number).rpartition("-")
    known = {**_ORDINALS, **_ORDINALS_ALSO}
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head}{dash}{known.get(last, regular)}"


def number_of(words: str) -> int:
    """Return the number that a text means. The text has to match `NUMBER`."""
    if words.isdigit():
        return int(words)
    total = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word == "hundred":
            total = max(total, 1) * 100
        else:
            total += _UNITS.get(word, 0) + _TENS_BY_WORD.get(word, 0)
    return total
