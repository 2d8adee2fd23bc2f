"""The words of a sentence that count when it is compared with another sentence. Pure."""

from __future__ import annotations

import re
from typing import Final

_STOP_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
    a about above after again all also am an and any anything are as ask at be because been before being below but by
    call can could current did do does done for from function get gets give gives go got had has have having he help
    her here hers him his how i if in into is it its just know let like look looks made make makes may me might more
    most my no not now of off on once one only or our out over own please return returns say says see set she should
    so some somebody something such tell than thank thanks that the their them then there these they thing this those
    to too tool tools up us use used user uses using very want was we were what when where which while who whom whose
    why will with would yes you your
        """,
    )
)
_WORD: Final = re.compile(r"[^\W_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def all_words(text: str) -> list[str]:
    """Return every word in lower case; `getWeather` and `get_weather` have two."""
    return _WORD.findall(_CAMEL.sub(" ", text).lower())


def key_words(text: str) -> set[str]:
    """Return the stems of the words that carry meaning."""
    return {stem(word) for word in all_words(text) if word not in _STOP_WORDS and len(word) > 1}


def is_stop_word(word: str) -> bool:
    """Whether a word carries no meaning of its own."""
    return word.lower() in _STOP_WORDS


def stem(word: str) -> str:
    """Return the stem of a word: `order` for `orders` and `ordered`.

    The rule is crude. That is enough, because it is applied to both texts of a comparison.
    """
    # Remove a final e, so that `prices` and `price` have one stem.
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:  # noqa: PLR2004 - what is left must be a word
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word  # noqa: PLR2004


_QUOTES: Final = {'"': '"', "'": "'", "\u201c": "\u201d", "\u00ab": "\u00bb"}


def unquoted(text: str) -> str:
    """Return the text between the first quotation mark and the last closing one. Return an unquoted text unchanged."""
    closing = _QUOTES.get(text[:1])
    if closing is None:
        return text
    end = text.rfind(closing)
    return text[1:end] if end > 0 else text[1:]
