"""The memory of one session that outlives its process."""

import os
import sys

import pytest

from actors.connections.shelf import RECORD_BYTES, RING_BYTES, WRITE_BYTES, Shelf, ShelfError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def shelf():
    shelf = Shelf()
    shelf.begin(100, 50)
    yield shelf
    shelf.close()


def read_into(shelf, data):
    """Read as a connection does, perhaps in two parts at the end of the ring."""
    while data:
        room = shelf.room(len(data))
        room[:] = data[: len(room)]
        shelf.note_read(len(room))
        data = data[len(room) :]


def rest(shelf, written, read):
    """Return what another process finds."""
    other = Shelf(os.dup(shelf.descriptor))
    try:
        return other.rest(100 + written, 50 + read)[0]
    finally:
        other.close()


def test_the_last_record_counts_and_the_journal_begins_behind_it(shelf):
    read_into(shelf, b"before")
    assert shelf.store(b"first", 6)
    read_into(shelf, b"behind")
    found = rest(shelf, 0, 12)
    assert (found.record, found.journal) == (b"first", b"behind")
    assert shelf.store(b"the second", 12)
    found = rest(shelf, 0, 12)
    assert (found.record, found.journal) == (b"the second", b"")


def test_bytes_that_were_read_as_the_process_died_are_in_the_journal(shelf):
    shelf.store(b"record", 0)
    shelf.room(4)[:] = b"late"  # the read was made, and not noted any more
    assert rest(shelf, 0, 4).journal == b"late"


def test_the_journal_runs_around_the_end_of_the_ring(shelf):
    shelf.store(b"record", 0)
    read_into(shelf, bytes(RING_BYTES - 3))
    shelf.store(b"record", RING_BYTES - 3)
    read_into(shelf, b"abcdef")
    assert rest(shelf, 0, RING_BYTES + 3).journal == b"abcdef"


def test_a_full_ring_takes_no_more_until_the_next_record(shelf):
    shelf.store(b"record", 0)
    read_into(shelf, bytes(RING_BYTES))
    assert not shelf.room(1)
    assert len(rest(shelf, 0, RING_BYTES).journal) == RING_BYTES
    shelf.store(b"record", RING_BYTES)
    assert shelf.free_bytes == RING_BYTES


def test_the_last_write_is_found_by_the_place_that_the_kernel_counts(shelf):
    shelf.store(b"record", 0)
    shelf.note_write(b"first")
    shelf.written += 5
    shelf.note_write(b"second")
    assert rest(shelf, 5, 0)[2:] == (5, b"second")
    assert rest(shelf, 8, 0)[2:] == (5, b"second")
    assert rest(shelf, 3, 0)[2:] == (0, b"first")
    assert rest(shelf, 99, 0)[2:] == (0, b"")


def test_a_long_write_is_cut_to_the_memory(shelf):
    assert len(shelf.note_write(bytes(WRITE_BYTES + 1))) == WRITE_BYTES


def test_a_record_that_is_too_long_leaves_the_one_before(shelf):
    shelf.store(b"record", 0)
    assert not shelf.store(bytes(RECORD_BYTES + 1), 0)
    assert rest(shelf, 0, 0).record == b"record"


def test_without_a_record_or_with_unknown_bytes_nothing_is_found(shelf):
    with pytest.raises(ShelfError, match="no record"):
        rest(shelf, 0, 0)
    shelf.store(b"record", 0)
    with pytest.raises(ShelfError, match="bytes were read behind the record"):
        rest(shelf, 0, RING_BYTES + 1)
