"""The usage of one session: tokens and seconds by model, and their cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from router.usage.tokens import Direction, Measured, TokenKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.usage.prices import PriceTable


class Entry(msgspec.Struct, frozen=True):
    """One row of a usage log's `usage`."""

    model: str
    modality: str
    direction: str
    cached: bool
    tokens: int


class Totals:
    """The sums of one session."""

    __slots__ = ("_seconds", "_tokens")

    def __init__(self) -> None:
        self._tokens: dict[str, dict[TokenKind, int]] = {}
        self._seconds: dict[str, float] = {}

    def add(self, model: str, measured: Measured) -> None:
        """Add the usage of one response or transcription."""
        tokens = self._tokens.setdefault(model, {})
        for kind, count in measured.tokens.items():
            tokens[kind] = tokens.get(kind, 0) + count
        self._seconds[model] = self._seconds.get(model, 0.0) + measured.seconds

    def by_model(self) -> Iterator[tuple[str, Measured]]:
        """Yield each model with its sums."""
        for model, tokens in self._tokens.items():
            yield model, Measured(dict(tokens), self._seconds[model])

    def count(self, direction: Direction) -> int:
        """Return the number of tokens of all models in one direction, including cached tokens."""
        return sum(
            count for tokens in self._tokens.values() for kind, count in tokens.items() if kind.direction == direction
        )

    def costs_usd(self, prices: PriceTable) -> dict[str, float]:
        """Return the cost of each model in dollars. A price that is unknown counts as 0."""
        found = {model: prices.find(model) for model in self._tokens}
        return {
            model: price.cost_usd(measured) if (price := found[model]) is not None else 0.0
            for model, measured in self.by_model()
        }

    def cost_usd(self, prices: PriceTable) -> float:
        """Return the cost of all models together, in dollars."""
        return math.fsum(self.costs_usd(prices).values())

    def entries(self) -> list[Entry]:
        """Return the tokens as the rows of a usage log."""
        return [
            Entry(model, kind.modality, kind.direction, kind.cached, count)
            for model, tokens in self._tokens.items()
            for kind, count in tokens.items()
        ]

    def seconds(self) -> dict[str, Any]:
        """Return the seconds of transcribed audio, by model, for models that are charged by duration."""
        return {model: seconds for model, seconds in self._seconds.items() if seconds}
