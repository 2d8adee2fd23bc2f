"""The memory of one session that outlives its process: its last record, the rest of a write, and what was read since.

Only the session's process writes this memory, and no other process reads it before that process is dead. Then the
adopting process notes one fact there (`claim`). Each part is written before the effect that it describes: a record
before the bytes of its step, a write before `send`. The read itself puts received bytes into the memory (`recv_into`),
and the kernel knows how much was read. A change becomes valid with one word of 8 bytes, which is written as a whole or
not at all.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.connections.arena import AREA_HEAD_BYTES, TRANSFER_BYTES

if TYPE_CHECKING:
    from actors.connections.arena import Arena
    from actors.connections.transfer import Transfer

MAX_RECORD_BYTES: Final = 8 * 1024 * 1024
"""The size of the largest record: a minute of speech, and the conversation, with events that wait for an upstream."""

LEAST_RECORD_BYTES: Final = 640
"""The size of the smallest block for a record. A freed block of a common size fits the next session."""

FIRST_JOURNAL_BYTES: Final = 640
"""The size of the first block of the journal: a session without a microphone reads little between two records.

The head of a session has another size. A head stays as long as its session, and no page around it becomes free.
"""
JOURNAL_BYTES: Final = 2 * 1024
"""The size of a block of the journal: 60 ms of audio from a microphone of 16 kHz.

While its user is silent, a session has a single block.
"""
KEPT_BYTES: Final = 1024
"""The least audio without speech that is kept if a read ends within a frame.

If reads end with a frame, no such audio is kept: the newest block is overwritten when it is full.
"""
LEAST_ROOM_BYTES: Final = 256
"""The least room for a read."""
LONG_JOURNAL_BYTES: Final = 16 * 1024
"""The size of the longest block of a journal that a flood fills, or from which nothing may be dropped.

Each such block has twice the size of the block before, up to this size.
"""
MOST_JOURNAL_BYTES: Final = 256 * 1024
"""The size of the journal from which on the session has to store another record."""

NOTES_BYTES: Final = 160
"""The room for words after a record."""

# The words of the head of a session.
(
    _SERIAL,
    _VALID,
    _WRITTEN,
    _READ,
    _STEP,
    _REST_AT,
    _REST_PLACE,
    _REST_LENGTH,
    _JOURNAL,
    _CLAIMED,
) = range(10)
_SLOTS: Final = 10
"""The index of the first word of the two records.

Each record has its place in memory, its length, the bytes of notes after it, and the place in the stream where its
journal begins.
"""
_SLOT_WORDS: Final = 4
_BLOCKS: Final = _SLOTS + 2 * _SLOT_WORDS
"""The index of the first word of the journal's blocks.

Each block has its place in memory, and its place in the stream. `_JOURNAL` has the number of the first block, and how
many blocks there are.
"""
MAX_BLOCKS: Final = 22
HEAD_BYTES: Final = 8 * (_BLOCKS + 2 * MAX_BLOCKS)

_COUNT_BITS: Final = 32

_PACK_WRITE: Final = struct.Struct("@QQQ").pack_into


class ShelfError(ValueError):
    """The memory of a dead process is damaged, or not enough to continue the session.

    The session is lost, and its stream ends without an `Error`.
    """


class GoneError(ShelfError):
    """The session had ended in its process, and the keeper had not been notified yet."""


class Rest(NamedTuple):
    """The facts that a dead process left."""

    record: bytes
    notes: bytes
    """The words after the record."""
    journal: bytes
    """The bytes that were read after the record. Whole messages of audio at their beginning may be missing."""
    write_at: int
    """The place in the stream to the client at which `write` begins."""
    write: bytes
    """The last write, which may have left in part."""
    died_in_step: bool
    """Whether the process died while this session handled an input."""


class Block:
    """A block of the journal."""

    __slots__ = ("at", "is_aligned", "place", "size", "word")

    def __init__(self, at: int, size: int, place: int, *, is_aligned: bool) -> None:
        self.at = at
        self.size = size
        self.place = place
        self.is_aligned = is_aligned
        """Whether the block begins with a frame."""
        self.word = 0
        """The word of the memory that has `place`."""


class Shelf:
    """The memory of one session of this process. Only the session's dispatcher uses it."""

    __slots__ = (
        "_blocks",
        "_first",
        "_is_overwritten",
        "_notes_at",
        "_read_before",
        "_record",
        "_size",
        "_valid",
        "arena",
        "asks_for_record",
        "at",
        "end",
        "fill",
        "limit",
        "memory",
        "newest_bytes",
        "rest",
        "serial",
        "step",
        "transfer",
        "view",
        "words",
        "write_at",
        "written",
    )

    def __init__(self, arena: Arena, written: int, read: int) -> None:
        self.arena = arena
        self.view = arena.view
        """The memory, in which `fill` and `end` are the room for the next read."""
        self.memory = arena.memory
        """The same memory as `view`: a slice of it costs less than a slice of a view."""
        self.fill = self.end = 0
        self.limit = -1
        """If `fill` exceeds `limit`, the room is too small for another read of `newest_bytes`."""
        self.newest_bytes = 0
        """The size of the newest read. A client's frames have one size, and nearly every read brings one of them."""
        self.words = words = arena.words
        self.write_at = 0
        """The place of the data in the area of the session's thread; 0 before the first write."""
        self.at, self._size = arena.allocate(HEAD_BYTES)
        """The place of the head, by which another process finds the session."""
        head = self.at // 8
        for number in range(HEAD_BYTES // 8):
            words[head + number] = 0
        self.serial = words[head + _SERIAL] = arena.new_serial()
        words[head + _WRITTEN], words[head + _READ] = written, read
        self.step = 8 * (head + _STEP)
        """The place of a byte that is 1 while the session handles an input.

        If the process dies in that time, the session may be the cause.
        """
        self.written = 0
        """The bytes written to the client since the shelf was made."""
        self.asks_for_record = False
        """Whether the journal is long."""
        self._record = (0, 0)
        """The block of the valid record."""
        self._valid = 0
        self._notes_at = 0
        """The place behind the notes of the valid record."""
        self.rest: tuple[int, int] | None = None
        """The block with the rest of a write that the socket took in part."""
        self._blocks: list[Block] = []
        self.transfer: Transfer | None = None
        """The reads of the socket, if the connection has set them."""
        self._is_overwritten = False
        """Whether `Transfer.receive` reads into the only block, so that `settle` has to note these reads."""
        self._first = 0
        self._read_before = 0

    def close(self) -> None:
        """Release the memory."""
        arena = self.arena
        arena.words[self.at // 8 + _SERIAL] = 0
        for at, size in (self._record, *((it.at, it.size) for it in self._blocks), self.rest or (0, 0)):
            if size:
                arena.release(at, size)
        arena.release(self.at, self._size)

    @property
    def journal_bytes(self) -> int:
        """The size of the journal's blocks."""
        return sum(it.size for it in self._blocks)

    @property
    def has_many_blocks(self) -> bool:
        """Whether the journal has more than one block."""
        return len(self._blocks) > 1

    # Reads.

    @property
    def read(self) -> int:
        """The bytes read from the client since the shelf was made."""
        if not self._blocks:
            return self._read_before
        self._settle()
        last = self._blocks[-1]
        return last.place + self.fill - last.at

    def may_overwrite(self) -> bool:
        """Return whether `Transfer.receive` may read from now on, until a method adds or removes a block.

        The caller has checked that the user is silent, and that the last read ended with a frame. Nearly every read is
        of this kind. Writing one word drops the bytes that were read before, and the read overwrites them.
        """
        blocks, transfer = self._blocks, self.transfer
        if self._is_overwritten and blocks[0].size == JOURNAL_BYTES:
            return True
        self.settle()
        if transfer is None or len(blocks) != 1 or not self._has_right_size(blocks[0]):
            return False
        block = blocks[0]
        transfer.begin(block.at, block.size, 8 * block.word, self.fill - block.at)
        self._is_overwritten = True
        return True

    def _has_right_size(self, block: Block) -> bool:
        # A block from speech or from a flood, which is longer than needed, is replaced.
        return block.size == JOURNAL_BYTES or JOURNAL_BYTES < block.size < 4 * self.newest_bytes

    def settle(self) -> None:
        """Note the reads of `Transfer.receive`. The next reads follow them."""
        self._settle()
        self._is_overwritten = False

    def _settle(self) -> None:
        if self._is_overwritten and self.transfer is not None:
            (block,) = self._blocks
            block.place, block.is_aligned = self.words[block.word], True
            self.newest_bytes = self.transfer.count
            self.fill = block.at + self.newest_bytes

    def make_room(self, unfinished: bytes | None, *, may_drop: bool) -> None:
        """Make room in the journal for the next read.

        Args:
            unfinished: the bytes of the last frame, which is not whole; None within a message of several frames.
            may_drop: whether all messages after the record are audio that may be dropped.

        Raises:
            ArenaFullError: no memory is left.
        """
        self.settle()
        blocks, place = self._blocks, self.read
        # A block begins with a frame, if the blocks before it may be dropped later.
        begin = unfinished if may_drop and unfinished is not None else b""
        is_aligned = begin == unfinished
        if may_drop and len(begin) < JOURNAL_BYTES // 2 and (recycled := self._drop(place)) is not None:
            recycled.place, recycled.is_aligned = place - len(begin), is_aligned
            self._begin(recycled, begin)
            return
        if len(blocks) == MAX_BLOCKS - 1:
            self._compact()
            return
        if not blocks:
            least = FIRST_JOURNAL_BYTES
        else:
            # If a read filled a whole block, more bytes wait.
            is_flood = self.fill == self.end and blocks[-1].size > FIRST_JOURNAL_BYTES
            # A short lag needs only some frames more. Blocks of 16 kB took 32 kB of each session then.
            longer = min(max(2 * blocks[-1].size, JOURNAL_BYTES), LONG_JOURNAL_BYTES)
            least = longer if is_flood or not may_drop else JOURNAL_BYTES
        at, size = self.arena.allocate(max(least, 2 * len(begin)))
        self._begin(Block(at, size, place - len(begin), is_aligned=is_aligned), begin)
        self.asks_for_record = place - blocks[0].place > MOST_JOURNAL_BYTES

    def begin_anew(self) -> bool:
        """Make room for the next read: drop all blocks but the last one, and its content.

        Return whether that was possible. The caller has checked that the user is silent, and that the last read ended
        with a frame. Writing one word drops the content, and the next read overwrites it.
        """
        self.settle()
        blocks = self._blocks
        if not blocks or not self._has_right_size(blocks[-1]):
            return False
        block = blocks[-1]
        at = block.at
        block.place += self.fill - at
        block.is_aligned = True
        if len(blocks) == 1:
            self.words[block.word] = block.place
        else:
            self._keep_last(block)
        self.fill = at
        self.limit = self.end - max(self.newest_bytes, LEAST_ROOM_BYTES)
        return True

    def _keep_last(self, block: Block) -> None:
        """Drop all blocks except the last one, and store its new position in the stream."""
        others = self._blocks[:-1]
        # One entry is free. The word written after it makes the block the only one, at its new place: the block may
        # begin within a frame as long as it is at its old place.
        number = (self._first + len(self._blocks)) % MAX_BLOCKS
        self._write_entry(block, number)
        self.words[self.at // 8 + _JOURNAL] = number << _COUNT_BITS | 1
        self._first, self._blocks[:] = number, [block]
        for other in others:
            self.arena.release(other.at, other.size)

    def _write_entry(self, block: Block, number: int) -> None:
        entry = self.at // 8 + _BLOCKS + number % MAX_BLOCKS * 2
        block.word = entry + 1
        self.words[entry], self.words[entry + 1] = block.at, block.place

    def note_read(self, data: bytes) -> None:
        """Note bytes that the session's former process has read. Call this before any other method."""
        at, size = self.arena.allocate(max(FIRST_JOURNAL_BYTES, 2 * len(data)))
        self._begin(Block(at, size, 0, is_aligned=True), data)

    def _begin(self, block: Block, data: bytes) -> None:
        """Begin a block with bytes that were read."""
        fill = block.at
        if data:
            fill += len(data)
            self.view[block.at : fill] = data
        self._append(block, fill)

    def _append(self, block: Block, fill: int) -> None:
        at, size = block.at, block.size
        words, head, count = self.words, self.at // 8, len(self._blocks)
        self._write_entry(block, self._first + count)
        self._blocks.append(block)
        words[head + _JOURNAL] = self._first << _COUNT_BITS | count + 1
        self.fill = fill
        self.end = end = at + size
        self.limit = end - min(max(self.newest_bytes, LEAST_ROOM_BYTES), size // 2)

    def _drop(self, place: int) -> Block | None:
        """Drop the first blocks that are not needed any more. Return a dropped block that can be used again, or None.

        The blocks that stay hold at least `KEPT_BYTES` before `place`, a position in the stream from the client. They
        begin with a frame.
        """
        blocks, found = self._blocks, None
        while len(blocks) > 1 and blocks[1].is_aligned and place - blocks[1].place >= KEPT_BYTES:
            if found is None and blocks[0].size == JOURNAL_BYTES:
                found = self._take_first()
            else:
                self._remove_first()
        return found

    def _take_first(self) -> Block:
        block = self._blocks.pop(0)
        self._first = (self._first + 1) % MAX_BLOCKS
        self.words[self.at // 8 + _JOURNAL] = self._first << _COUNT_BITS | len(self._blocks)
        return block

    def _remove_first(self) -> None:
        block = self._take_first()
        self.arena.release(block.at, block.size)

    def _compact(self) -> None:
        """Copy all blocks into a single one, because the table of the blocks is full.

        This happens if a message is so long that its end has not been read: until then no record shortens the journal.
        """
        blocks, read = list(self._blocks), self.read
        place = blocks[0].place
        at, size = self.arena.allocate(2 * (read - place))
        for block, end in zip(blocks, [*(it.place for it in blocks[1:]), read], strict=True):
            count = end - block.place
            self.view[at + block.place - place : at + end - place] = self.view[block.at : block.at + count]
        self._blocks.clear()
        # One entry is free. The word written after it makes the new block the only one.
        self._first = (self._first + len(blocks)) % MAX_BLOCKS
        self._append(Block(at, size, place, is_aligned=blocks[0].is_aligned), at + read - place)
        for block in blocks:
            self.arena.release(block.at, block.size)

    # Writes.

    def note_write(self, data: bytes | memoryview) -> None:
        """Note a write before it is made."""
        size = len(data)
        if size > TRANSFER_BYTES:
            self._note_long(data)
            return
        if not self.write_at:
            self.write_at = self.arena.area().data_at
        memory, at = self.memory, self.write_at
        self.words[(at - AREA_HEAD_BYTES) // 8 + 2] = 0
        memory[at : at + size] = data
        # The number of the session comes last, and makes the rest valid.
        _PACK_WRITE(memory, at - AREA_HEAD_BYTES, self.written, size, self.serial)

    def note_written(self, data: bytes | memoryview, count: int) -> None:
        """Note how much of a write was made. The rest is kept until it is written."""
        self.written += count
        if count < len(data):
            if self.rest is None:
                self._keep(data[count:])
        elif self.rest is not None and self.written >= self._rest_end:
            self._forget_rest()

    def _note_long(self, data: bytes | memoryview) -> None:
        if self.rest is None or self.written + len(data) > self._rest_end:
            if self.rest is not None:
                self._forget_rest()
            self._keep(data)

    @property
    def _rest_end(self) -> int:
        return self.words[self.at // 8 + _REST_PLACE] + self.words[self.at // 8 + _REST_LENGTH]

    def _keep(self, data: bytes | memoryview) -> None:
        words, head = self.words, self.at // 8
        self.rest = at, _ = self.arena.allocate(len(data))
        self.view[at : at + len(data)] = data
        words[head + _REST_PLACE], words[head + _REST_LENGTH] = self.written, len(data)
        words[head + _REST_AT] = at

    def _forget_rest(self) -> None:
        rest, self.rest = self.rest, None
        self.words[self.at // 8 + _REST_AT] = 0
        if rest is not None:
            self.arena.release(*rest)

    # Records.

    def store(self, record: bytes, journal_from: int, notes_bytes: int = NOTES_BYTES) -> bool:
        """Store a record with room for notes behind it. Return False if the record is too long.

        The journal of the record begins at the position `journal_from` of the stream from the client.
        """
        if len(record) > MAX_RECORD_BYTES:
            return False
        slot = 1 if self._valid == 1 else 0
        words, head = self.words, self.at // 8
        at, size = self.arena.allocate(max(LEAST_RECORD_BYTES, len(record) + notes_bytes))
        end = at + len(record)
        self.view[at:end] = record
        word = head + _SLOTS + slot * _SLOT_WORDS
        words[word], words[word + 1], words[word + 2], words[word + 3] = at, len(record), journal_from, 0
        words[head + _VALID] = self._valid = slot + 1
        self._notes_at = end
        before, self._record = self._record, (at, size)
        if before[1]:
            self.arena.release(*before)
        self._shorten(journal_from)
        return True

    def _shorten(self, journal_from: int) -> None:
        self.settle()
        blocks = self._blocks
        while len(blocks) > 1 and blocks[1].place <= journal_from:
            self._remove_first()
        self.asks_for_record = False
        if len(blocks) == 1 and journal_from == self.read:
            # No byte of the last block is needed any more.
            self._read_before = journal_from
            block = self._take_first()
            if block.size <= JOURNAL_BYTES:
                block.place, block.is_aligned = journal_from, True
                self._append(block, block.at)
            else:
                self.arena.release(block.at, block.size)
                self.fill = self.end = 0
                self.limit = -1

    def note_words(self, text: bytes) -> bool:
        """Add words of the agent's answer to the notes behind the record. Return whether there was room."""
        at = self._notes_at
        end = at + len(text)
        if end > sum(self._record):
            return False
        self.memory[at:end] = text
        self._notes_at = end
        self.words[self.at // 8 + _SLOTS + (self._valid - 1) * _SLOT_WORDS + 3] += end - at
        return True


def rest_of(arena: Arena, at: int, serial: int, written: int, read: int) -> tuple[Rest, int]:
    """Return the facts that a dead process left, and the bytes written to the client since the shelf was made.

    Args:
        arena: the memory of that process.
        at: the offset of the session's shelf in the arena.
        serial: the number of the session, because the shelf of another session may be at this offset by now.
        written: the position in the stream to the client now, as the kernel counts it.
        read: the position in the stream from the client, as the kernel counts it.

    Raises:
        GoneError: the session had ended.
        ShelfError: there is no record, or bytes were read that the memory does not have.
    """
    words, head = arena.words, at // 8
    valid = words[head + _VALID]
    if words[head + _SERIAL] != serial:
        raise GoneError("the session had ended before its process")
    if valid not in (1, 2):
        raise ShelfError("the session has no record")
    claimed = words[head + _CLAIMED]
    if claimed and read >= claimed:
        raise ShelfError(f"another process has read {read - claimed + 1} bytes that the memory does not have")
    slot = head + _SLOTS + (valid - 1) * _SLOT_WORDS
    record_at, length, journal_from, notes = words[slot : slot + _SLOT_WORDS]
    behind = record_at + length
    written -= words[head + _WRITTEN]
    journal = _journal(arena, head, journal_from, read - words[head + _READ])
    place, write = _last_write(arena, head, serial, written)
    rest = Rest(
        record=bytes(arena.view[record_at:behind]),
        notes=bytes(arena.view[behind : behind + notes]),
        journal=journal,
        write_at=place,
        write=write,
        died_in_step=bool(words[head + _STEP]),
    )
    return rest, written


def claim(arena: Arena, at: int, read: int) -> None:
    """Note that another process is about to read the client's stream from the position `read` on.

    That process stores the bytes that it reads in another memory. If it dies without a record of its own, `rest_of`
    raises `ShelfError`. Otherwise `rest_of` would return stale bytes after this journal in their place.
    """
    arena.words[at // 8 + _CLAIMED] = read + 1


def _journal(arena: Arena, head: int, journal_from: int, read: int) -> bytes:
    words = arena.words
    first, count = divmod(words[head + _JOURNAL], 1 << _COUNT_BITS)
    entries = [head + _BLOCKS + (first + number) % MAX_BLOCKS * 2 for number in range(count)]
    parts, reached = [], read
    for entry in reversed(entries):
        block_at, place = words[entry], words[entry + 1]
        # A block may begin with bytes that the block before has, too.
        begin = max(place, journal_from)
        if begin < reached:
            parts.append(bytes(arena.view[block_at + begin - place : block_at + reached - place]))
            reached = begin
    if read < journal_from or (not entries and read > journal_from):
        raise ShelfError(f"{read - journal_from} bytes were read that the memory does not have")
    return b"".join(reversed(parts))


def _last_write(arena: Arena, head: int, serial: int, written: int) -> tuple[int, bytes]:
    words = arena.words
    found = (0, b"")
    rest_at, rest_place, rest_length = words[head + _REST_AT : head + _REST_LENGTH + 1]
    if rest_at and rest_place <= written <= rest_place + rest_length:
        found = rest_place, bytes(arena.view[rest_at : rest_at + rest_length])
    for area in arena.areas():
        place, length, of_serial = words[area.word : area.word + 3]
        if of_serial == serial and place <= written <= place + length and place >= found[0]:
            found = place, bytes(arena.view[area.data_at : area.data_at + length])
    return found
