"""STAY: what a handler returns to keep the state that its row would leave."""

from __future__ import annotations

import enum
from typing import Final, Literal


class _Stay(enum.Enum):
    STAY = enum.auto()


STAY: Final = _Stay.STAY
Stay = Literal[_Stay.STAY]
