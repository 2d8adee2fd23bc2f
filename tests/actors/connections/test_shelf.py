"""The memory of one session that outlives its process."""

import os
import sys

import pytest

from actors.connections.arena import TRANSFER_BYTES, Arena
from actors.connections.shelf import (
    FIRST_JOURNAL_BYTES,
    JOURNAL_BYTES,
    KEPT_BYTES,
    LONG_JOURNAL_BYTES,
    MAX_BLOCKS,
    MAX_RECORD_BYTES,
    MOST_JOURNAL_BYTES,
    GoneError,
    Shelf,
    ShelfError,
    claim,
    rest_of,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

FRAME_BYTES = 600


@pytest.fixture
def arena():
    arena = Arena()
    yield arena
    arena.close()


@pytest.fixture
def shelf(arena):
    shelf = Shelf(arena, 100, 50)
    yield shelf
    shelf.close()


def read_into(shelf, data, *, may_drop=False, unfinished=b""):
    """Read as a connection does, into the room that is left. With `may_drop` the data is one frame."""
    whole = data
    begin = shelf.read
    while data:
        if shelf.fill > shelf.limit:
            half = whole[: shelf.read - begin]
            shelf.make_room(unfinished + half if may_drop else None, may_drop=may_drop)
        count = min(len(data), shelf.end - shelf.fill)
        shelf.view[shelf.fill : shelf.fill + count] = data[:count]
        shelf.fill += count
        data = data[count:]


def rest(arena, shelf, written, read):
    """Return what another process finds."""
    other = Arena(os.dup(arena.descriptor))
    try:
        return rest_of(other, shelf.at, shelf.serial, 100 + written, 50 + read)[0]
    finally:
        other.close()


def test_the_last_record_counts_and_the_journal_begins_behind_it(arena, shelf):
    read_into(shelf, b"before")
    assert shelf.store(b"first", 6)
    read_into(shelf, b"behind")
    found = rest(arena, shelf, 0, 12)
    assert (found.record, found.journal) == (b"first", b"behind")
    assert shelf.store(b"the second", 12)
    found = rest(arena, shelf, 0, 12)
    assert (found.record, found.journal) == (b"the second", b"")
    assert shelf.store(b"the third", 12)
    assert rest(arena, shelf, 0, 12).record == b"the third"


def test_bytes_that_were_read_as_the_process_died_are_in_the_journal(arena, shelf):
    shelf.store(b"record", 0)
    shelf.make_room(b"", may_drop=True)
    shelf.view[shelf.fill : shelf.fill + 4] = b"late"  # the read was made, and not noted any more
    assert rest(arena, shelf, 0, 4).journal == b"late"


def test_a_journal_of_several_blocks_is_whole(arena, shelf):
    shelf.store(b"record", 0)
    data = os.urandom(100_000)
    read_into(shelf, data)
    assert rest(arena, shelf, 0, len(data)).journal == data
    assert shelf.store(b"record", 60_000)
    assert rest(arena, shelf, 0, len(data)).journal == data[60_000:]


def test_a_journal_that_nothing_may_be_dropped_from_grows_and_asks_for_a_record(arena, shelf):
    shelf.store(b"record", 0)
    data = os.urandom(16 * 1024 * (MAX_BLOCKS + 20))
    read_into(shelf, data[:MOST_JOURNAL_BYTES])
    assert not shelf.asks_for_record
    read_into(shelf, data[MOST_JOURNAL_BYTES:])
    assert shelf.asks_for_record
    assert rest(arena, shelf, 0, len(data)).journal == data
    assert shelf.store(b"record", len(data))
    assert not shelf.asks_for_record
    read_into(shelf, b"more")
    assert rest(arena, shelf, 0, len(data) + 4).journal == b"more"


def test_audio_that_may_be_dropped_takes_little_memory_and_begins_with_a_frame(arena, shelf):
    shelf.store(b"record", 0)
    before = arena.used_bytes
    sent = b""
    for number in range(200):
        frame = bytes([number]) * FRAME_BYTES
        read_into(shelf, frame, may_drop=True)
        sent += frame
        journal = rest(arena, shelf, 0, len(sent)).journal
        assert sent.endswith(journal)
        assert len(journal) % FRAME_BYTES == 0
        assert len(journal) >= min(len(sent), KEPT_BYTES)
    assert arena.used_bytes - before <= 3 * JOURNAL_BYTES


def test_audio_of_a_silent_user_takes_one_block_which_is_overwritten(arena, shelf):
    shelf.store(b"record", 0)
    read_into(shelf, bytes(FIRST_JOURNAL_BYTES))
    assert not shelf.begin_anew()  # the first block is small
    read_into(shelf, bytes(FRAME_BYTES), may_drop=True)
    before, sent = arena.used_bytes, FIRST_JOURNAL_BYTES + FRAME_BYTES
    for number in range(100):
        shelf.newest_bytes = FRAME_BYTES
        if shelf.fill > shelf.limit:
            assert shelf.begin_anew()
            assert rest(arena, shelf, 0, sent).journal == b""
        shelf.view[shelf.fill : shelf.fill + FRAME_BYTES] = bytes([number]) * FRAME_BYTES
        # The process may die here, before it has noted the read.
        assert rest(arena, shelf, 0, sent + FRAME_BYTES).journal.endswith(bytes([number]) * FRAME_BYTES)
        shelf.fill += FRAME_BYTES
        sent += FRAME_BYTES
    assert arena.used_bytes < before
    assert len(rest(arena, shelf, 0, sent).journal) % FRAME_BYTES == 0


class Watched:
    """The words of a memory. Each write is followed by a look of another process."""

    def __init__(self, words, look):
        self._words = words
        self._look = look

    def __getitem__(self, at):
        return self._words[at]

    def __setitem__(self, at, value):
        self._words[at] = value
        self._look()


@pytest.mark.parametrize("blocks", [2, 3, MAX_BLOCKS - 1])
def test_a_process_that_dies_as_the_journal_begins_anew_leaves_the_old_or_the_new_one(arena, shelf, blocks):
    shelf.store(b"record", 0)
    written = b""
    for number in range(blocks):
        # The blocks begin within a frame, because the frame before was cut.
        shelf.make_room(None, may_drop=True)
        data = bytes([number]) * FIRST_JOURNAL_BYTES
        shelf.view[shelf.fill : shelf.fill + len(data)] = data
        shelf.fill += len(data)
        written += data
    found = []
    words = shelf.words
    shelf.words = Watched(words, lambda: found.append(rest(arena, shelf, 0, len(written)).journal))
    assert shelf.begin_anew()
    shelf.words = words
    assert found
    assert set(found) <= {written, b""}
    assert found[-1] == b""
    shelf.view[shelf.fill : shelf.fill + 4] = b"next"
    assert rest(arena, shelf, 0, len(written) + 4).journal == b"next"


def test_a_long_block_is_used_again_only_where_the_frames_need_it(arena, shelf):
    shelf.store(b"record", 0)
    read_into(shelf, bytes(FIRST_JOURNAL_BYTES + 2 * JOURNAL_BYTES), may_drop=False)
    shelf.newest_bytes = JOURNAL_BYTES
    assert shelf.begin_anew()
    long = arena.used_bytes
    shelf.newest_bytes = FRAME_BYTES
    assert not shelf.begin_anew()
    shelf.make_room(b"", may_drop=True)
    assert shelf.begin_anew()
    assert arena.used_bytes < long


def test_each_block_from_which_nothing_may_be_dropped_is_twice_as_long_as_the_one_before(shelf):
    shelf.store(b"record", 0)
    sizes = []
    while sizes[-2:] != [LONG_JOURNAL_BYTES] * 2:
        before = shelf.journal_bytes
        shelf.make_room(None, may_drop=False)
        sizes.append(shelf.journal_bytes - before)
        shelf.fill = shelf.end
    assert sizes == [FIRST_JOURNAL_BYTES, 2048, 4096, 8192, LONG_JOURNAL_BYTES, LONG_JOURNAL_BYTES]


def test_a_block_that_begins_anew_always_has_room_for_a_read(shelf):
    shelf.store(b"record", 0)
    read_into(shelf, bytes(FIRST_JOURNAL_BYTES))
    read_into(shelf, bytes(FRAME_BYTES), may_drop=True)
    for size in (1, 10, JOURNAL_BYTES // 2):
        shelf.newest_bytes = size
        assert shelf.begin_anew()
        assert shelf.limit < shelf.end


class Reads:
    """The reads of a socket into one block, without a socket; see `Transfer`."""

    def __init__(self, shelf):
        self._shelf = shelf
        self.count = 0

    def begin(self, at, _size, word_at, count):
        self._at, self._word, self.count = at, word_at // 8, count

    def read(self, data):
        self._shelf.words[self._word] += self.count
        self._shelf.view[self._at : self._at + len(data)] = data
        self.count = len(data)


def test_reads_that_overwrite_each_other_are_counted_whenever_another_method_looks(arena, shelf):
    shelf.transfer = reads = Reads(shelf)
    assert not shelf.may_overwrite()
    shelf.store(b"record", 0)
    read_into(shelf, bytes(FIRST_JOURNAL_BYTES))
    assert not shelf.may_overwrite()  # the first block is small
    read_into(shelf, bytes(FRAME_BYTES), may_drop=True)
    assert not shelf.may_overwrite()  # there are two blocks
    assert shelf.begin_anew()
    sent = shelf.read
    for number in range(1, 40):
        assert shelf.may_overwrite()
        reads.read(bytes([number]) * FRAME_BYTES)
        sent += FRAME_BYTES
        if number % 3 == 0:
            assert shelf.read == sent
        if number % 4 == 0:
            shelf.settle()
            read_into(shelf, b"slow")
            sent += 4
        if number % 5 == 0:
            assert rest(arena, shelf, 0, sent).journal.startswith(bytes([number]) * FRAME_BYTES)
        if number % 6 == 0:
            assert shelf.store(b"record", shelf.read)
        if number % 7 == 0:
            shelf.make_room(b"", may_drop=False)
            assert not shelf.may_overwrite()
            assert shelf.begin_anew() or not shelf.make_room(b"", may_drop=True)
            shelf.begin_anew()
    assert rest(arena, shelf, 0, sent).record == b"record"


def test_half_a_frame_at_the_end_of_a_block_is_at_the_begin_of_the_next(arena, shelf):
    shelf.store(b"record", 0)
    data = b""
    for number in range(50):
        half = bytes([number]) * 300
        shelf.make_room(data[-300:], may_drop=True)
        read_into(shelf, half)
        data += half
    journal = rest(arena, shelf, 0, len(data)).journal
    assert data.endswith(journal)
    assert len(journal) < len(data)


def test_what_another_process_has_read_comes_first(arena, shelf):
    shelf.note_read(b"half")
    shelf.store(b"record", 0)
    read_into(shelf, b" a message")
    assert rest(arena, shelf, 0, 14).journal == b"half a message"


def test_the_last_write_is_found_by_the_place_that_the_kernel_counts(arena, shelf):
    shelf.store(b"record", 0)
    shelf.note_write(b"first")
    shelf.note_written(b"first", 5)
    assert rest(arena, shelf, 5, 0)[3:5] == (0, b"first")
    shelf.note_write(b"second")
    assert rest(arena, shelf, 5, 0)[3:5] == (5, b"second")
    assert rest(arena, shelf, 8, 0)[3:5] == (5, b"second")
    assert rest(arena, shelf, 99, 0)[3:5] == (0, b"")


def test_the_rest_of_a_write_outlives_the_writes_of_other_sessions(arena, shelf):
    shelf.store(b"record", 0)
    shelf.note_write(b"a long frame")
    shelf.note_written(b"a long frame", 2)
    other = Shelf(arena, 0, 0)
    for _ in range(2):
        other.note_write(b"another")
        other.note_written(b"another", 7)
    assert rest(arena, shelf, 2, 0)[3:5] == (2, b"long frame")
    shelf.note_write(b"long frame")
    shelf.note_written(b"long frame", 4)
    assert rest(arena, shelf, 6, 0)[3:5] in ((2, b"long frame"), (6, b" frame"))
    shelf.note_write(b" frame")
    shelf.note_written(b" frame", 6)
    assert shelf.rest is None
    other.close()


def test_a_write_that_is_longer_than_an_area_is_kept_until_it_is_written(arena, shelf):
    data = os.urandom(3 * TRANSFER_BYTES)
    shelf.store(b"record", 0)
    shelf.note_write(data)
    assert rest(arena, shelf, 70_000, 0)[3:5] == (0, data)
    shelf.note_written(data, 100_000)
    shelf.note_write(data[100_000:])
    assert rest(arena, shelf, 100_000, 0)[3:5] == (0, data)
    shelf.note_written(data[100_000:], len(data) - 100_000)
    assert shelf.rest is None


def test_words_follow_their_record_as_long_as_there_is_room(arena, shelf):
    assert not shelf.note_words(b"none")
    shelf.store(b"record", 0)
    assert shelf.note_words(b"once upon")
    assert shelf.note_words(b" a time")
    assert rest(arena, shelf, 0, 0).notes == b"once upon a time"
    assert not shelf.note_words(bytes(10_000))
    shelf.store(b"next", 0)
    assert rest(arena, shelf, 0, 0).notes == b""


def test_a_process_that_died_within_a_step_is_known(arena, shelf):
    shelf.store(b"record", 0)
    shelf.memory[shelf.step] = 1
    assert rest(arena, shelf, 0, 0).died_in_step
    shelf.memory[shelf.step] = 0
    assert not rest(arena, shelf, 0, 0).died_in_step


def test_a_record_that_is_too_long_leaves_the_one_before(arena, shelf):
    shelf.store(b"record", 0)
    assert not shelf.store(bytes(MAX_RECORD_BYTES + 1), 0)
    assert rest(arena, shelf, 0, 0).record == b"record"


def test_without_a_record_or_with_unknown_bytes_nothing_is_found(arena, shelf):
    with pytest.raises(ShelfError, match="no record"):
        rest(arena, shelf, 0, 0)
    shelf.store(b"record", 0)
    with pytest.raises(ShelfError, match="1 bytes were read that the memory does not have"):
        rest(arena, shelf, 0, 1)


def test_bytes_that_an_adopting_process_has_read_are_not_taken_from_the_memory(arena, shelf):
    shelf.store(b"record", 0)
    read_into(shelf, b"words")
    claim(arena, shelf.at, 50 + len(b"words"))
    assert rest(arena, shelf, 0, 5).journal == b"words"
    with pytest.raises(ShelfError, match="another process has read 1 bytes"):
        rest(arena, shelf, 0, 6)


def test_the_place_of_a_session_that_is_gone_may_be_that_of_another(arena):
    gone = Shelf(arena, 100, 50)
    gone.store(b"gone", 0)
    at = gone.at
    gone.close()
    other = Shelf(arena, 0, 0)
    other.store(b"other", 0)
    assert other.at == at
    with pytest.raises(GoneError, match="had ended"):
        rest(arena, gone, 0, 0)
    other.close()


def test_the_size_of_the_journal_is_that_of_its_blocks_until_a_record_replaces_them(arena, shelf):
    shelf.store(b"record", 0)
    before, used_before = shelf.journal_bytes, arena.used_bytes
    read_into(shelf, bytes(50_000))
    assert shelf.journal_bytes >= 50_000
    assert shelf.journal_bytes - before == arena.used_bytes - used_before
    shelf.store(b"record", 50_000)
    assert shelf.journal_bytes < 50_000


def test_a_session_that_ends_leaves_no_block(arena):
    before = arena.used_bytes
    shelf = Shelf(arena, 0, 0)
    shelf.store(b"record", 0)
    read_into(shelf, bytes(50_000))
    shelf.note_write(b"frame")
    shelf.note_written(b"frame", 1)
    shelf.store(b"record", 20_000)
    shelf.close()
    assert arena.used_bytes == before
