"""Memory that sessions have used is returned to the system after their end."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from actors import allocator
from actors.allocator import CALM_BYTES, CALM_S, CALM_SHARE, INTERVAL_S, WORTH_BYTES, Allocator, Heap


class CountedHeap:
    """A heap with as much free as the test says."""

    def __init__(self):
        self.free, self.trims = 0, 0
        self.on_trim = lambda: None

    def free_bytes(self):
        return self.free

    def trim(self):
        self.trims += 1
        self.on_trim()


@pytest.fixture
def heap(monkeypatch):
    heap = CountedHeap()
    monkeypatch.setattr(Heap, "of_this_system", lambda: heap)
    return heap


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now_s=100.0)
    readers = SimpleNamespace(monotonic=lambda: clock.now_s, thread_time=lambda: clock.now_s)
    monkeypatch.setattr(allocator, "time", readers)
    return clock


@pytest.fixture
def trimmed(heap, clock):
    """An allocator of a heap so large that only much freed memory is worth the next trim."""

    def take_a_while():
        clock.now_s += 100 * CALM_SHARE

    it = Allocator()
    heap.free, heap.on_trim = 2 * WORTH_BYTES, take_a_while
    it.look()
    assert heap.trims == 1
    heap.trims = 0
    clock.now_s += INTERVAL_S
    return it


def test_a_heap_is_trimmed_once_sessions_have_ended_and_much_was_freed(heap, trimmed):
    heap.free += 2 * WORTH_BYTES
    trimmed.look()
    assert heap.trims == 0
    trimmed.note_end()
    trimmed.look()
    assert heap.trims == 1


def test_a_heap_with_little_freed_is_left_alone_at_first(heap, trimmed):
    heap.free += WORTH_BYTES
    trimmed.note_end()
    trimmed.look()
    assert heap.trims == 0


def test_what_was_used_again_and_freed_counts_although_no_more_is_free_than_before(heap, clock, trimmed):
    heap.free = 10 * WORTH_BYTES
    trimmed.note_end()
    trimmed.look()
    clock.now_s += 1
    heap.free = 2 * WORTH_BYTES  # sessions use it
    trimmed.look()
    clock.now_s += 1
    heap.free = 10 * WORTH_BYTES
    trimmed.note_end()
    trimmed.look()
    assert heap.trims == 1
    clock.now_s += INTERVAL_S - 2
    trimmed.look()
    assert heap.trims == 2


def test_memory_that_is_freed_a_while_after_the_end_is_returned_too(heap, clock, trimmed):
    trimmed.note_end()
    heap.free += 2 * WORTH_BYTES
    trimmed.look()
    heap.free += 2 * WORTH_BYTES
    clock.now_s += INTERVAL_S
    trimmed.look()
    assert heap.trims == 2


def test_memory_that_a_burst_left_is_returned_while_sessions_go_on(heap, clock):
    it = Allocator()
    heap.free = 2 * CALM_BYTES
    it.look()
    assert heap.trims == 1
    for _ in range(int(CALM_S)):
        heap.free += CALM_BYTES
        clock.now_s += 0.9
        it.look()
    assert heap.trims == 1
    clock.now_s += 1
    it.look()
    assert heap.trims == 2


def test_a_heap_that_did_not_change_is_not_trimmed_again(heap, clock):
    it = Allocator()
    heap.free = 2 * CALM_BYTES
    for _ in range(10):
        it.look()
        clock.now_s += CALM_S
    assert heap.trims == 1


def test_the_memory_for_the_next_burst_stays(heap):
    heap.free = CALM_BYTES
    Allocator().look()
    assert heap.trims == 0


def test_trims_of_a_large_heap_take_a_small_part_of_the_time(heap, clock):
    it = Allocator()

    def take_a_while():
        clock.now_s += 20 * CALM_SHARE

    heap.on_trim, began_s = take_a_while, clock.now_s
    for number in range(1000):
        heap.free = (2 + number % 2) * CALM_BYTES
        it.look()
        clock.now_s += 1
    assert 20 * CALM_SHARE * (heap.trims - 1) <= (clock.now_s - began_s) * CALM_SHARE


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


COUNT_ARENAS = """
import ctypes, sys, tempfile, threading
from actors.allocator import share_one_arena
share_one_arena()
go = threading.Event()
kept = []
threads = [threading.Thread(target=lambda: (kept.append(bytearray(50_000)), go.wait())) for _ in range(6)]
for thread in threads:
    thread.start()
library = ctypes.CDLL(None)
library.fdopen.restype = ctypes.c_void_p
with tempfile.TemporaryFile() as file:
    stream = ctypes.c_void_p(library.fdopen(file.fileno(), b"w"))
    library.malloc_info(0, stream)
    library.fflush(stream)
    file.seek(0)
    print(file.read().count(b"<heap nr="))
go.set()
"""


@pytest.mark.slow
def test_the_threads_of_a_server_share_one_arena(monkeypatch):
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    shared = subprocess.run([sys.executable, "-c", COUNT_ARENAS], check=True, timeout=30, capture_output=True)
    assert int(shared.stdout) == 1


@pytest.mark.slow
def test_the_number_of_arenas_that_an_operator_sets_holds(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    more = subprocess.run([sys.executable, "-c", COUNT_ARENAS], check=True, timeout=30, capture_output=True)
    assert int(more.stdout) > 1
