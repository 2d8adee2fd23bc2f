"""The tokens in an upstream's usage object, by modality, direction and cache state.

An upstream includes cached tokens in the input tokens, so they are subtracted to get the uncached ones (upstream 11.3).
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

Modality = Literal["text", "audio", "image"]
Direction = Literal["input", "output"]

MODALITIES: Final[tuple[Modality, ...]] = ("text", "audio", "image")


class TokenKind(NamedTuple):
    """A kind of token that has a separate price."""

    modality: Modality
    direction: Direction
    cached: bool = False


class Measured(msgspec.Struct, frozen=True):
    """The content of one usage object."""

    tokens: dict[TokenKind, int]
    """The number of tokens of each kind. A kind with 0 tokens is absent."""
    seconds: float = 0.0
    """The seconds of transcribed audio, for models that are charged by duration."""


def measure(details: Any) -> Measured:
    """Return the tokens and seconds of a usage object, which may have any shape. A missing part counts as zero."""
    if not isinstance(details, dict):
        return Measured({})
    if details.get("type") == "duration":
        return Measured({}, _number(details.get("seconds")))
    read = _by_modality(details.get("input_token_details"), _whole(details.get("input_tokens")))
    cached = _cached(details.get("input_token_details"), read)
    written = _by_modality(details.get("output_token_details"), _whole(details.get("output_tokens")))
    tokens: dict[TokenKind, int] = {}
    for modality in MODALITIES:
        tokens[TokenKind(modality, "input")] = read[modality] - cached[modality]
        tokens[TokenKind(modality, "input", cached=True)] = cached[modality]
        tokens[TokenKind(modality, "output")] = written[modality]
    return Measured({kind: count for kind, count in tokens.items() if count})


def _by_modality(parts: Any, total: int) -> dict[Modality, int]:
    """Return the tokens of each modality. Tokens that the details do not mention count as text."""
    counts = _parts(parts)
    counts["text"] += max(0, total - sum(counts.values()))
    return counts


def _cached(parts: Any, read: dict[Modality, int]) -> dict[Modality, int]:
    """Return the cached tokens of each modality, at most the modality's input tokens."""
    if not isinstance(parts, dict):
        return dict.fromkeys(MODALITIES, 0)
    counts = _parts(parts.get("cached_tokens_details"))
    cached = {modality: min(counts[modality], read[modality]) for modality in MODALITIES}
    # A service may give only the sum. A cache holds the beginning of a prompt, which is text.
    rest = _whole(parts.get("cached_tokens")) - sum(counts.values())
    for modality in MODALITIES:
        more = min(max(0, rest), read[modality] - cached[modality])
        cached[modality] += more
        rest -= more
    return cached


def _parts(parts: Any) -> dict[Modality, int]:
    found = parts if isinstance(parts, dict) else {}
    return {modality: _whole(found.get(f"{modality}_tokens")) for modality in MODALITIES}


def _whole(value: Any) -> int:
    return int(_number(value))


def _number(value: Any) -> float:
    """Return a number of the usage object. A text, a boolean, a negative or implausible number is 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 < value < _IMPLAUSIBLE else 0


_IMPLAUSIBLE: Final = 1e12
"""Numbers from this one on count as zero. They are errors of the upstream, and would spoil every sum."""
