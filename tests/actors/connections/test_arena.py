"""The memory of a process that outlives it."""

import itertools
import os
import sys
import threading
import zlib

import pytest

from actors.connections import arena as module
from actors.connections.arena import CLASSES, GIVEN_BACK_BYTES, MAX_DICTIONARIES, WORTH_BYTES, Arena, ArenaFullError
from actors.connections.shelf import FIRST_JOURNAL_BYTES, HEAD_BYTES, LONG_JOURNAL_BYTES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def arena():
    arena = Arena()
    yield arena
    arena.close()


def pages_of(arena):
    """Return the bytes of memory that are in use."""
    return os.fstat(arena.descriptor).st_blocks * 512


def test_a_block_has_at_least_the_size_that_was_asked_for(arena):
    for size in (1, 256, 257, 5000, 70_000):
        at, taken = arena.allocate(size)
        assert size <= taken <= max(256, 1.25 * size + 64)
        assert at % 8 == 0


def test_blocks_do_not_overlap_and_a_free_one_is_used_again(arena):
    blocks = [arena.allocate(3000) for _ in range(10)]
    places = sorted(at for at, _ in blocks)
    assert all(after - before >= 3072 for before, after in itertools.pairwise(places))
    arena.release(*blocks[3])
    assert arena.allocate(2900) == blocks[3]
    assert arena.used_bytes == 10 * 3072


def test_a_large_block_gives_its_pages_back(arena):
    at, size = arena.allocate(GIVEN_BACK_BYTES * 8)
    arena.view[at : at + size] = bytes([1]) * size
    used = pages_of(arena)
    arena.release(at, size)
    assert pages_of(arena) <= used - size + 2 * 4096


def test_the_journals_of_a_burst_give_their_pages_back(arena):
    arena.allocate(100)
    blocks = [arena.allocate(LONG_JOURNAL_BYTES) for _ in range(50)]
    for at, size in blocks:
        arena.view[at : at + size] = bytes([1]) * size
    used = pages_of(arena)
    for block in blocks:
        arena.release(*block)
    assert pages_of(arena) == used - 50 * LONG_JOURNAL_BYTES


def write_all(arena, blocks):
    for at, size in blocks:
        arena.view[at : at + size] = bytes([1]) * size


def test_released_blocks_between_those_in_use_give_their_pages_back(arena):
    kept, short = [], []
    for _ in range(200):
        kept.append(arena.allocate(HEAD_BYTES))
        short += arena.allocate(FIRST_JOURNAL_BYTES), arena.allocate(1280)
    write_all(arena, kept)
    used = pages_of(arena)
    write_all(arena, short)
    for block in short:
        arena.release(*block)
    arena.look()
    assert pages_of(arena) == used
    assert {bytes(arena.view[at : at + size]) for at, size in kept} == {bytes([1]) * 512}


def test_the_pages_of_a_block_in_use_stay(arena):
    blocks = [arena.allocate(3072) for _ in range(100)]
    write_all(arena, blocks)
    kept = blocks[::7]
    for block in blocks:
        if block not in kept:
            arena.release(*block)
    arena.look()
    assert {bytes(arena.view[at : at + size]) for at, size in kept} == {bytes([1]) * 3072}
    assert sorted(arena.allocate(3072) for _ in range(100 - len(kept))) == sorted(set(blocks) - set(kept))


def test_few_released_blocks_keep_their_pages_for_the_next_use(arena):
    blocks = [arena.allocate(1024) for _ in range(WORTH_BYTES // 1024)]
    write_all(arena, blocks)
    used = pages_of(arena)
    for block in blocks[1:]:
        arena.release(*block)
    arena.look()
    assert pages_of(arena) == used
    arena.release(*blocks[0])
    arena.look()
    assert pages_of(arena) == used - WORTH_BYTES


def test_the_first_free_block_in_memory_is_used_first(arena):
    blocks = [arena.allocate(1024) for _ in range(40)]
    for number in (30, 2, 17, 9):
        arena.release(*blocks[number])
    assert [arena.allocate(1024) for _ in range(4)] == [blocks[number] for number in (2, 9, 17, 30)]


def test_memory_that_nobody_has_written_costs_nothing(arena):
    for _ in range(1000):
        arena.allocate(64 * 1024)
    assert pages_of(arena) < 64 * 1024


def test_another_process_finds_what_was_written(arena):
    at, _ = arena.allocate(100)
    arena.view[at : at + 5] = b"words"
    other = Arena(os.dup(arena.descriptor))
    assert bytes(other.view[at : at + 5]) == b"words"
    other.close()


def test_each_thread_has_an_area_of_its_own(arena):
    found = [arena.area()]
    thread = threading.Thread(target=lambda: found.append(arena.area()))
    thread.start()
    thread.join()
    assert arena.area() is found[0]
    assert arena.areas() == found


def test_another_process_finds_the_dictionaries(arena):
    assert arena.dictionaries == ()
    assert arena.add_dictionary(b"first")
    assert arena.add_dictionary(b"the second")
    other = Arena(os.dup(arena.descriptor))
    assert other.dictionaries == arena.dictionaries == (b"first", b"the second")
    other.close()


def test_no_dictionary_is_stored_beyond_their_number(arena):
    for number in range(MAX_DICTIONARIES):
        assert arena.add_dictionary(b"%d" % number)
    used = arena.used_bytes
    assert not arena.add_dictionary(b"one more")
    assert (len(arena.dictionaries), arena.used_bytes) == (MAX_DICTIONARIES, used)


def test_no_dictionary_is_stored_that_has_the_checksum_of_another_one(arena):
    # One more, two less, one more: both sums of an Adler-32 stay.
    assert zlib.adler32(b"abcd") == zlib.adler32(b"b`dd")
    assert arena.add_dictionary(b"abcd")
    used = arena.used_bytes
    assert not arena.add_dictionary(b"b`dd")
    assert (arena.dictionaries, arena.used_bytes) == ((b"abcd",), used)


def test_without_room_no_dictionary_is_stored(arena, monkeypatch):
    monkeypatch.setattr(module, "SIZE", 8192)
    assert not arena.add_dictionary(b"words")
    assert arena.dictionaries == ()


def test_too_much_is_an_error(arena, monkeypatch):
    with pytest.raises(ArenaFullError, match="too many"):
        arena.allocate(CLASSES[-1] + 1)
    monkeypatch.setattr(module, "SIZE", 8192)
    with pytest.raises(ArenaFullError, match="full"):
        arena.allocate(4097)
    monkeypatch.setattr(module, "MAX_AREAS", 0)
    with pytest.raises(ArenaFullError, match="threads"):
        arena.area()


def test_numbers_of_sessions_are_never_used_again(arena):
    assert len({arena.new_serial() for _ in range(5)}) == 5
