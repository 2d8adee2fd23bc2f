"""The claims that the steps check: the required content of a transcript, a reply or a count. Pure.

Each function returns a sentence about the broken claim, or an empty text if the claim holds.
"""

from __future__ import annotations

import re
from typing import Final

from router.simulator.numerals import in_words

_MEASURED: Final = re.compile(r"\(speech, ([\d.]+) seconds\)")
"""The transcript from a simulator without the extra `voice`. It gives only the duration of the speech."""

_RECOGNIZED: Final = 2 / 3
"""The fraction of the spoken words that a transcript must contain, because a recognizer may get small words wrong."""

_TOLERANCE_S: Final = 1.5
"""The tolerance, in seconds, of a measured duration, because a detector counts some silence as speech."""


def transcript_fault(transcript: str, spoken: str, spoken_s: float) -> str:
    """Check that a transcript has two thirds of the spoken words. Return the fault as text; empty if there is none.

    A simulator without speech recognition sends the duration of the speech instead, which has to fit `spoken_s`.
    """
    measured = _MEASURED.fullmatch(transcript.strip())
    if measured:
        is_right = abs(float(measured[1]) - spoken_s) <= _TOLERANCE_S
        return "" if is_right else f"the speech of {spoken_s:.1f} s was heard as {transcript}"
    words, found = _words(spoken), set(_words(transcript))
    if sum(word in found for word in words) >= _RECOGNIZED * len(words):
        return ""
    return f'"{spoken}" was said, and transcribed as "{transcript}"'


def call_fault(name: str, arguments: object, *, function: str, city: str) -> str:
    """Check that `function` was called with `city`. Return the fault as text; empty if there is none."""
    if name != function:
        return f"the function {name} was called in place of {function}"
    found = arguments.get("city") if isinstance(arguments, dict) else None
    return (
        "" if isinstance(found, str) and city.casefold() in found.casefold() else f"the city is not {city}: {arguments}"
    )


def forecast_fault(reply: str, forecast: str) -> str:
    """Check that a reply has the numbers of a forecast. Return the fault as text; empty if there is none.

    The words of the forecast are not checked, because a model may guess them.
    """
    numbers = [int(digits) for digits in re.findall(r"\d+", forecast)]
    if all(_has_number(reply, number) for number in numbers):
        return ""
    return f'the reply does not follow from the answer of the function, "{forecast}": "{reply}"'


def count_fault(reply: str, last: int) -> str:
    """Check that a reply has every number from one to `last`. Return the fault as text; empty if there is none."""
    lacking = [str(number) for number in range(1, last + 1) if not _has_number(reply, number)]
    return f"the answer is not whole: it lacks {', '.join(lacking)}" if lacking else ""


def _has_number(text: str, number: int) -> bool:
    plain = f" {' '.join(_words(text))} "
    return f" {number} " in plain or f" {' '.join(_words(in_words(number)))} " in plain


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.casefold())
