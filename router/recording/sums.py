"""A client's sums of the day. No input carries them, so a recording notes them and a replay returns them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Sums: TypeAlias = tuple[int, float, int]
"""The tokens, dollars and answers of the agent that all sessions of a client have used today."""


class WatchedSums:
    """A wrapper of the function `SessionOptions.spend_today` that notes its results.

    It runs on the dispatcher's thread.
    """

    def __init__(self, spend_today: Callable[[int, float, int], Sums]) -> None:
        self._spend_today = spend_today
        self._noted: list[Sums] = []

    def __call__(self, tokens: int, cost_usd: float, turns: int) -> Sums:
        """Add a use to the client's sums, and return the new sums."""
        sums = self._spend_today(tokens, cost_usd, turns)
        self._noted.append(sums)
        return sums

    def take(self) -> list[Sums]:
        """Return the results since the last call of `take`, and forget them."""
        noted, self._noted = self._noted, []
        return noted


class ReplayedSums:
    """The function `SessionOptions.spend_today` in a replay. It returns the recorded results."""

    def __init__(self) -> None:
        self._given: deque[Sums] = deque()
        self._last: Sums = (0, 0.0, 0)

    def give(self, sums: Iterable[Sums]) -> None:
        """Set the results that the next step gets."""
        self._given = deque(sums)

    def __call__(self, tokens: int, cost_usd: float, turns: int) -> Sums:
        """Return the next recorded sums.

        If no recorded sums are left, return the last sums plus this use.
        """
        had = self._last
        added = (had[0] + tokens, had[1] + cost_usd, had[2] + turns)
        self._last = self._given.popleft() if self._given else added
        return self._last
