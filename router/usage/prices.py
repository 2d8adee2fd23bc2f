"""The prices of models: a table that ships with the package (`prices.toml`), and the overrides of the configuration."""

from __future__ import annotations

import functools
import math
import re
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.usage.tokens import Measured, TokenKind

MILLION: Final = 1_000_000
MINUTE_S: Final = 60.0

_SNAPSHOT: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_PROVIDER: Final = re.compile(r"^(?:azure|openai)/")
"""Prefixes that some gateways put before a model's name."""


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The prices of one model, in dollars for a million tokens. A price of None is unknown, and costs nothing.

    Cached input without a separate price costs as much as other input, because a discount is never assumed.
    """

    text_input: float | None = None
    text_input_cached: float | None = None
    text_output: float | None = None
    audio_input: float | None = None
    audio_input_cached: float | None = None
    audio_output: float | None = None
    image_input: float | None = None
    image_input_cached: float | None = None
    audio_minute: float | None = None
    """Dollars for a minute of transcribed audio."""
    same_as: str | None = None
    """The model whose prices apply, if the table's key is the name of a deployment."""

    def of(self, kind: TokenKind) -> float | None:
        """Return the price of a million tokens of a kind, or None if it is unknown."""
        name = f"{kind.modality}_{kind.direction}"
        found: float | None = getattr(self, f"{name}_cached", None) if kind.cached else None
        return found if found is not None else getattr(self, name, None)

    def lacks(self, measured: Measured) -> bool:
        """Whether the price of any part of this usage is unknown."""
        is_missing = any(count and self.of(kind) is None for kind, count in measured.tokens.items())
        return is_missing or bool(measured.seconds and self.audio_minute is None)

    def cost_usd(self, measured: Measured) -> float:
        """Return the cost of the tokens and seconds in dollars. A part without a price costs nothing."""
        tokens_usd = math.fsum(count * (self.of(kind) or 0.0) for kind, count in measured.tokens.items()) / MILLION
        return tokens_usd + measured.seconds / MINUTE_S * (self.audio_minute or 0.0)


FIELDS: Final = tuple(name for name in Price.__struct_fields__ if name != "same_as")


class PriceTable:
    """The prices of all known models."""

    def __init__(self, models: Mapping[str, Price]) -> None:
        self._models = models

    @property
    def models(self) -> Mapping[str, Price]:
        """The prices by model."""
        return self._models

    def over(self, overrides: Mapping[str, Price]) -> PriceTable:
        """Return a table in which each price of `overrides` replaces the same price of the same model."""
        models = dict(self._models)
        # Prices with `same_as` come last, because they may refer to a model of the same table.
        for name, price in sorted(overrides.items(), key=lambda it: it[1].same_as is not None):
            base = PriceTable(models).find(price.same_as or name) or Price()
            given = {field: value for field in FIELDS if (value := getattr(price, field)) is not None}
            models[name] = msgspec.structs.replace(base, **given)
        return PriceTable(models)

    def find(self, model: str) -> Price | None:
        """Return the prices of a model. For a dated snapshot, return those of its model.

        The value None stands for an unknown model.
        """
        plain = _PROVIDER.sub("", model)
        names = (model, plain, _SNAPSHOT.sub("", plain))
        return next((self._models[name] for name in names if name in self._models), None)


def parse(text: str) -> PriceTable:
    """Return the table of a file in the format of `prices.toml`."""
    models: dict[str, Price] = {}
    for name, written in tomllib.loads(text)["models"].items():
        names = written.pop("names", [])
        price = msgspec.convert(written, Price)
        models.update(dict.fromkeys((name, *names), price))
    return PriceTable(models)


@functools.cache
def shipped() -> PriceTable:
    """Return the table that ships with the package."""
    return parse(resources.files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))


def overrides(written: Any) -> dict[str, Price]:
    """Return the prices in the table `[prices]` of a configuration, which has a table for each model.

    Raises:
        ValueError: a key is unknown, or a number is no price.
    """
    if not isinstance(written, dict):
        raise ValueError('must be tables of prices: [prices."MODEL"]')  # noqa: TRY004 - a parser raises ValueError alone
    found = {str(model): _override(model, table) for model, table in written.items()}
    for model, price in found.items():
        if price == Price():
            raise ValueError(f"has no price for {model}: the keys are {', '.join(FIELDS)}, same_as")
        named = found.get(price.same_as) if price.same_as is not None else None
        if price.same_as is not None and (named or shipped().find(price.same_as)) is None:
            raise ValueError(f"has no prices of {price.same_as}, which same_as names (for {model})")
        if named is not None and named.same_as is not None:
            raise ValueError(f"names {price.same_as} with same_as, which has a same_as itself (for {model})")
    return found


def _override(model: str, table: Any) -> Price:
    if isinstance(table, Price):
        return table
    if not isinstance(table, dict):
        raise ValueError(f'must be tables of prices: [prices."{model}"]')  # noqa: TRY004
    for key, value in table.items():
        if key == "same_as" and isinstance(value, str):
            continue
        if key not in FIELDS:
            raise ValueError(f"has an unknown key {key} (for {model}): the keys are {', '.join(FIELDS)}, same_as")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"must have a price of 0 or more for {key}, not {value!r} (for {model})")
    return Price(**table)
