"""A rate in the form that an operator writes, such as `5/minute`. Pure."""

from __future__ import annotations

import re
import reprlib
from typing import Any, Final

_RATE: Final = re.compile(r"(\d{1,7}) ?(?:/|per) ?(?:(\d{1,5}) ?)?(second|minute|hour|day)s?")
_PERIODS_S: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def rate(written: Any) -> str:
    """Parse a rate such as `5/minute`, `100 per hour` or `10/5 minutes`; an empty text for none."""
    if written == "":
        return ""
    if not isinstance(written, str) or not _RATE.fullmatch(written.strip()) or not rate_of(written)[0]:
        raise ValueError(f"must be a rate such as 5/minute, not {reprlib.repr(written)}")
    return written.strip()


def rate_of(written: str) -> tuple[int, float]:
    """Return the count and the period in seconds of a rate, which `rate` has checked."""
    found = _RATE.fullmatch(written.strip())
    assert found is not None  # noqa: S101 - for the type checker
    return int(found[1]), float(int(found[2] or 1) * _PERIODS_S[found[3]])
