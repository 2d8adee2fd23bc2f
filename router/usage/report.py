"""The sums of a usage log: tokens and cost by day, principal and model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import orjson

from router.usage.prices import PriceTable, shipped
from router.usage.tokens import Measured, TokenKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NO_PRINCIPAL = "-"

MAX_NAMED = 5
"""The most torn lines of a file that are listed, because a file of another kind may have millions of them."""


class Key(NamedTuple):
    """The group of a sum."""

    day: str
    """The date of the session's end, in UTC. So the sums of a day are final when the day is over."""
    principal: str | None
    model: str


class Sum(msgspec.Struct):
    """The sum of one group."""

    tokens: dict[TokenKind, int]
    cost_usd: float = 0.0


class Added(NamedTuple):
    """The counts of added and torn lines of one file."""

    whole: int
    """The number of lines that were added."""
    torn: list[int]
    """The numbers of the lines that were left out."""

    @property
    def is_foreign(self) -> bool:
        """Whether the file is no usage log: it has lines, but none of them is whole."""
        return bool(self.torn) and not self.whole

    def problems(self) -> list[str]:
        """Return a sentence for each of the first torn lines, and one for the rest."""
        end = "a whole line of a usage log and is left out"
        sentences = [f"line {number} is not {end}" for number in self.torn[:MAX_NAMED]]
        rest = len(self.torn) - MAX_NAMED
        return [*sentences, f"{rest} further lines are left out for the same reason"] if rest > 0 else sentences


class Sums:
    """The sums of the lines that were added."""

    def __init__(self, prices: PriceTable | None = None) -> None:
        self._prices = prices or shipped()
        self._sums: dict[Key, Sum] = {}

    def add_lines(self, lines: Iterable[bytes]) -> Added:
        """Add the lines of a file, but leave out torn lines."""
        whole, torn = 0, []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                self._add(orjson.loads(line))
                whole += 1
            except (ValueError, TypeError, KeyError, AttributeError):
                torn.append(number)
        return Added(whole, torn)

    def _add(self, line: dict[str, Any]) -> None:
        day = str(line.get("ended_at") or line["started_at"])[:10]
        principal = line.get("principal")
        if not isinstance(principal, str | None) or not all(isinstance(it["model"], str) for it in line["usage"]):
            raise TypeError
        by_model: dict[str, dict[TokenKind, int]] = {}
        for entry in line["usage"]:
            kind = TokenKind(entry["modality"], entry["direction"], bool(entry["cached"]))
            tokens = by_model.setdefault(entry["model"], {})
            tokens[kind] = tokens.get(kind, 0) + int(entry["tokens"])
        costs = self._costs(line, by_model)
        for model in {**by_model, **costs}:
            group = self._sums.setdefault(Key(day, principal, model), Sum({}))
            group.cost_usd += costs.get(model, 0.0)
            for kind, count in by_model.get(model, {}).items():
                group.tokens[kind] = group.tokens.get(kind, 0) + count

    def _costs(self, line: Mapping[str, Any], by_model: dict[str, dict[TokenKind, int]]) -> dict[str, float]:
        """Return the cost of each model.

        If a line has only the cost of all models, divide that cost in proportion to the present prices of the tokens.
        """
        costs, total_usd = line.get("costs"), float(line.get("cost_usd") or 0.0)
        if isinstance(costs, dict):
            return {str(model): float(cost_usd) for model, cost_usd in costs.items()}
        shares = {
            model: price.cost_usd(Measured(tokens)) if (price := self._prices.find(model)) else 0.0
            for model, tokens in by_model.items()
        }
        if not any(shares.values()):
            shares = {model: float(sum(tokens.values())) for model, tokens in by_model.items()}
        whole = math.fsum(shares.values())
        return {model: total_usd * share / whole for model, share in shares.items()} if whole else {}

    def as_json(self) -> str:
        """Return a JSON list with an object for each group."""
        rows = [
            {
                "day": key.day,
                "principal": key.principal,
                "model": key.model,
                "usage": [
                    {"model": key.model, **kind._asdict(), "tokens": count} for kind, count in group.tokens.items()
                ],
                "cost_usd": round(group.cost_usd, 10),
            }
            for key, group in self._sorted()
        ]
        return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()

    def as_text(self) -> str:
        """Return a table with a line for each group, and with the sum of all groups."""
        rows = [_HEAD, *(_row(key, group) for key, group in self._sorted())]
        total_usd = math.fsum(group.cost_usd for group in self._sums.values())
        rows.append(("total", "", "", "", "", "", f"{total_usd:.4f}"))
        widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if at < _LEFT else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def _sorted(self) -> list[tuple[Key, Sum]]:
        return sorted(self._sums.items(), key=lambda it: (it[0].day, it[0].principal or "", it[0].model))


_HEAD = ("day", "principal", "model", "input", "cached input", "output", "dollars")
_LEFT = 3
"""The number of columns that are texts and aligned to the left; the others are numbers."""


def _row(key: Key, group: Sum) -> tuple[str, ...]:
    read = sum(count for kind, count in group.tokens.items() if kind.direction == "input")
    cached = sum(count for kind, count in group.tokens.items() if kind.cached)
    written = sum(count for kind, count in group.tokens.items() if kind.direction == "output")
    principal = key.principal or NO_PRINCIPAL
    return (key.day, principal, key.model, str(read), str(cached), str(written), f"{group.cost_usd:.4f}")
