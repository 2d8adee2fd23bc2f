"""The order in which a plain `pytest` hands tests to its processes: a scheduler of pytest-xdist.

Slow tests come first and mostly wait. Fast tests follow: they never wait, and fill the cores while the last slow tests
run. Quiet tests come next, and at the end one process runs all tests that are alone, so that no process waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScheduling

from tests.support.processes.side_by_side import ALONE, FAST, QUIET, SLOW

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest
    from xdist.workermanage import WorkerController

MOST_SLOW = 12
"""Tests of one file that one process gets together, because they share the fixtures of their module."""
MOST_FAST = 150
FEWEST_AHEAD = {SLOW: 2, FAST: 20, QUIET: 2, ALONE: 2}
"""A process that has fewer tests left gets more. It runs a test only when it knows the next one."""


class Scheduling(LoadScheduling):
    """Hands out the tests kind by kind."""

    def __init__(self, config: pytest.Config, kinds: Path) -> None:
        super().__init__(config)
        self._path = kinds
        self._kinds = ""

    def schedule(self) -> None:
        """Order the tests and hand out the first ones; later calls serve processes that joined."""
        if self.collection is not None or not self._check_nodes_have_same_collection():
            super().schedule()
            return
        self.collection = next(iter(self.node2collection.values()))
        self._kinds = self._path.read_text(encoding="ascii")
        order = (SLOW + FAST + QUIET + ALONE).index
        self.pending[:] = sorted(range(len(self.collection)), key=lambda index: order(self._kinds[index]))
        if len(self.pending) < 2 * len(self.nodes):
            for index, node in zip(range(len(self.pending)), self.nodes * 2, strict=False):
                self.node2pending[node].append(self.pending[index])
                node.send_runtest_some([self.pending[index]])
            self.pending.clear()
        for node in self.nodes:
            self.check_schedule(node)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        """Hand out more tests to a process that has few left, or let it end."""
        del duration
        while self.pending and not node.shutting_down:
            if len(self.node2pending[node]) >= FEWEST_AHEAD[self._kinds[self.pending[0]]]:
                return
            self._send_tests(node, self._next_count())
        if not self.pending and not node.shutting_down:
            node.shutdown()

    def _next_count(self) -> int:
        """Return how many of the pending tests go to one process together."""
        kind = self._kinds[self.pending[0]]
        ahead = sum(1 for _ in self._ahead(kind))
        if kind == SLOW:
            return min(ahead, MOST_SLOW)
        if kind == FAST:
            return min(ahead, MOST_FAST, max(2, ahead // (4 * len(self.nodes))))
        return 1 if kind == QUIET else ahead

    def _ahead(self, kind: str) -> Iterable[int]:
        """Yield the pending tests of this kind that come next; of slow tests those of one file."""
        assert self.collection
        file = self._file_of(self.pending[0])
        for index in self.pending:
            if self._kinds[index] != kind or (kind == SLOW and self._file_of(index) != file):
                return
            yield index

    def _file_of(self, index: int) -> str:
        assert self.collection
        return self.collection[index].partition("::")[0]
