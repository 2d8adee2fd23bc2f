"""The order in which a plain `pytest` hands tests to its processes: a scheduler of pytest-xdist.

Long tests come first, one by one, so that no process still has some when the others have none. Slow tests come next.
Both mostly wait. Fast tests never wait. So one process, the *filler*, runs half of them beside the
slow tests, and the other half fills the cores while the last slow tests run. Quiet tests come next. At the end the
process that is the last to run its quiet tests runs all tests that are alone, so that no process waits for it.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScheduling

from tests.support.processes.side_by_side import ALONE, FAST, LONG, QUIET, SLOW

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest
    from xdist.workermanage import WorkerController

ORDER = (LONG + SLOW + FAST + QUIET + ALONE).index
MOST_SLOW = 12
"""Tests of one file that one process gets together, because they share the fixtures of their module.

While many slow tests are left, a process gets more. Each process that gets a part of a file starts its browser anew.
"""
MOST_FAST = 150
FEWEST_FOR_A_FILLER = 4
"""The least number of processes of which one is the filler."""
FILLED_LATER = 0.5
"""The share of the fast tests that fills the cores at the end of the slow tests."""
FEWEST_AHEAD = {LONG: 2, SLOW: 2, FAST: 20, QUIET: 2, ALONE: 2}
"""A process that has fewer tests left gets more. It runs a test only when it knows the next one."""


class Scheduling(LoadScheduling):
    """Hands out the tests kind by kind."""

    def __init__(self, config: pytest.Config, kinds: Path) -> None:
        super().__init__(config)
        self._path = kinds
        self._kinds = ""
        self._filler: WorkerController | None = None

    def schedule(self) -> None:
        """Order the tests and hand out the first ones; later calls serve processes that joined."""
        if self.collection is not None or not self._check_nodes_have_same_collection():
            super().schedule()
            return
        self.collection = next(iter(self.node2collection.values()))
        self._kinds = self._path.read_text(encoding="ascii")
        self.pending[:] = sorted(range(len(self.collection)), key=self._order_of)
        if len(self.pending) < 2 * len(self.nodes):
            for index, node in zip(range(len(self.pending)), self.nodes * 2, strict=False):
                self.node2pending[node].append(self.pending[index])
                node.send_runtest_some([self.pending[index]])
            self.pending.clear()
        if len(self.nodes) >= FEWEST_FOR_A_FILLER:
            self._filler = self.nodes[-1]
        for node in self.nodes:
            self.check_schedule(node)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        """Hand out more tests to a process that has few left, or let it end."""
        del duration
        while self.pending and not node.shutting_down:
            start = self._next_start(node)
            kind = self._kinds[self.pending[start]]
            if len(self.node2pending[node]) >= FEWEST_AHEAD[kind]:
                return
            if kind == ALONE and any(not other.shutting_down for other in self.nodes if other is not node):
                node.shutdown()  # a test that is alone would wait for the quiet tests of the others, and they for it
                return
            tests = self.pending[start : start + self._next_count(start)]
            del self.pending[start : start + len(tests)]
            self.node2pending[node] += tests
            node.send_runtest_some(tests)
        if not self.pending and not node.shutting_down:
            node.shutdown()

    def _next_start(self, node: WorkerController) -> int:
        """Return the place of the next test for a process, in the list of pending tests."""
        if node is not self._filler or self._kinds[self.pending[0]] not in LONG + SLOW:
            return 0
        fast, behind = (bisect.bisect_left(self.pending, ORDER(kind), key=self._order_of) for kind in FAST + QUIET)
        return fast if behind - fast > FILLED_LATER * self._kinds.count(FAST) else 0

    def _order_of(self, index: int) -> int:
        return ORDER(self._kinds[index])

    def _next_count(self, start: int) -> int:
        """Return how many of the pending tests, from this place on, go to one process together."""
        kind = self._kinds[self.pending[start]]
        ahead = sum(1 for _ in self._ahead(kind, start))
        if kind == SLOW:
            left = bisect.bisect_right(self.pending, ORDER(SLOW), key=self._order_of)
            return min(ahead, max(MOST_SLOW, left // (6 * len(self.nodes))))
        if kind == FAST:
            return min(ahead, MOST_FAST, max(2, ahead // (4 * len(self.nodes))))
        return 1 if kind in LONG + QUIET else ahead

    def _ahead(self, kind: str, start: int) -> Iterable[int]:
        """Yield the pending tests of this kind from this place on; of slow tests those of one file."""
        assert self.collection
        file = self._file_of(self.pending[start])
        for index in self.pending[start:]:
            if self._kinds[index] != kind or (kind == SLOW and self._file_of(index) != file):
                return
            yield index

    def _file_of(self, index: int) -> str:
        assert self.collection
        return self.collection[index].partition("::")[0]
