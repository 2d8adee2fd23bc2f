"""Memory that sessions have used is returned to the system after their end."""

import sys
from types import SimpleNamespace

import psutil
import pytest

from actors import allocator
from actors.allocator import AFTER_END_S, INTERVAL_S, WORTH_BYTES, Allocator, Heap


class CountedHeap:
    """A heap with as much free as the test says."""

    def __init__(self):
        self.free, self.trims = WORTH_BYTES, 0

    def free_bytes(self):
        return self.free

    def trim(self):
        self.trims += 1


@pytest.fixture
def heap(monkeypatch):
    heap = CountedHeap()
    monkeypatch.setattr(Heap, "of_this_system", lambda: heap)
    return heap


def test_a_heap_is_trimmed_once_sessions_have_ended_and_much_was_freed(heap):
    it = Allocator()
    heap.free += 2 * WORTH_BYTES
    it.look()
    assert heap.trims == 0
    it.note_end()
    it.look()
    assert heap.trims == 1


def test_a_heap_with_little_freed_is_left_alone(heap):
    it = Allocator()
    heap.free += WORTH_BYTES
    it.note_end()
    it.look()
    assert heap.trims == 0


def test_what_was_used_again_and_freed_counts_although_no_more_is_free_than_before(heap, monkeypatch):
    it, now_s = Allocator(), [100.0]
    monkeypatch.setattr(allocator, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    heap.free = 10 * WORTH_BYTES
    it.note_end()
    it.look()
    heap.free = 2 * WORTH_BYTES  # sessions use it
    it.look()
    heap.free = 10 * WORTH_BYTES
    it.note_end()
    it.look()
    assert heap.trims == 1
    now_s[0] += INTERVAL_S
    it.look()
    assert heap.trims == 2


def test_memory_that_is_freed_a_while_after_the_end_is_returned_too(heap, monkeypatch):
    it, now_s = Allocator(), [100.0]
    monkeypatch.setattr(allocator, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    it.note_end()
    heap.free += 2 * WORTH_BYTES
    it.look()
    heap.free += 2 * WORTH_BYTES
    now_s[0] += INTERVAL_S
    it.look()
    assert heap.trims == 2
    heap.free += 2 * WORTH_BYTES
    now_s[0] += AFTER_END_S
    it.look()
    assert heap.trims == 2


def test_trimming_returns_the_memory_below_a_piece_that_is_in_use():
    heap, process = Heap.of_this_system(), psutil.Process()
    pieces = [bytearray(4096) for _ in range(20_000)]
    last = bytearray(4096)  # at the end of the heap: glibc alone returns nothing below it
    full_bytes = process.memory_info().rss
    del pieces
    assert heap.free_bytes() > 40_000_000
    heap.trim()
    assert full_bytes - process.memory_info().rss > 40_000_000
    assert last


def test_another_system_has_no_such_heap(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert Heap.of_this_system() is None
    Allocator().look()
