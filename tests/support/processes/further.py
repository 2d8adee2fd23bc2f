"""Cases that `.ci/run` runs and a plain `pytest` leaves out, because it runs a cheaper case of the same rule."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def further(*values: Any) -> Any:
    """Return a case of a parametrized test that only `pytest -m exhaustive` and `.ci/run` select."""
    return pytest.param(*values, marks=pytest.mark.exhaustive)


def first_and_further(cases: Mapping[str, Any]) -> list[Any]:
    """Return the values of named cases: the first for every run, the others as further cases."""
    first, *others = cases.values()
    return [first, *map(further, others)]


def examples(whole: int) -> int:
    """Return the number of examples of a property: `whole` in `.ci/run`, which sets CI, and a quarter elsewhere."""
    return whole if is_whole() else whole // 4


def third(values: Sequence[Any], number: int) -> Sequence[Any]:
    """Return each third value, from that of this number on, and in `.ci/run` all values."""
    return values if is_whole() else values[number % 3 :: 3]


def is_whole() -> bool:
    """Whether this is a run of `.ci/run`, which sets CI."""
    return bool(os.environ.get("CI"))
