"""A session that outlives its process. If a step needs a record, the record is stored before the effects of that step.

The record holds the value of the session, the bytes that its client lacks, and the client's messages that the session
has not handled. When this process is dead, another one reads the record and the shelf around it.
"""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.connections.arena import MAX_DICTIONARIES
from actors.connections.frames import FrameParser, messages_end
from actors.connections.shelf import ShelfError, rest_of

# The names are imported directly, because the machine checks each message of a session.
from actors.messages import ClientBinaryReceived, ClientTextReceived, SendToClient, StartWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors import messages
    from actors.connections.arena import Arena
    from actors.connections.kept import KeptConnection
    from actors.connections.shelf import Shelf
    from actors.machine import Carried, Machine

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024


LEVEL: Final = 1
"""The level of compression of records. A higher level takes more time, and saves a few bytes."""

MOST_COMPRESSED_BYTES: Final = 64 * 1024
"""The size of the largest record that is compressed.

A larger one is mostly audio, which compression hardly shortens. A minute of it would stop the dispatcher for 0.2 s.
"""

EARLY_RECORDS: Final = 2
"""The number of a session's records that may become dictionaries: those after the handshake, and with the Settings.

Later records have audio, which no other record has.
"""

MOST_DICTIONARY_BYTES: Final = 16 * 1024
"""The size of the largest dictionary: the facts of a session, and a long prompt."""

WELL: Final = 6
"""A dictionary suits a record if it shortens the record to a sixth, or to less."""

_SMALL_WBITS: Final = 13
_SMALL_MEMORY: Final = 6
_SMALL_BYTES: Final = (1 << _SMALL_WBITS) - 262
"""The bytes that zlib compresses as a whole in a window of `_SMALL_WBITS`.

For such a window zlib takes 64 kB of memory, which is written before each use, and 268 kB for its usual one.
"""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The facts about one session that its process stores."""

    value: bytes
    """The value of the session (`Carried.snapshot`)."""
    begins_at: int
    """The place in the stream to the client at which `unwritten` begins."""
    unwritten: bytes
    """All bytes for the client that were not written, including those of the present step."""
    pending: list[tuple[bool, bytes]]
    """The client's messages that were read but not handled. Each has a flag that says whether it is a text."""


_HAS_DICTIONARY: Final = 0x20
_HEAD_BYTES: Final = 6
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Record)


def pack(record: Record, dictionary: bytes = b"") -> bytes:
    """Encode a record in its stored form. The arena has to have `dictionary`."""
    return _compressed(_ENCODER.encode(record), dictionary)


def pack_early(record: Record, dictionary: bytes, arena: Arena) -> tuple[bytes, bytes]:
    """Encode one of the first records of a session. Return it with the dictionary for the session's next records.

    If no dictionary of the arena suits the record, the record becomes another one.
    """
    data = _ENCODER.encode(record)
    packed = _compressed(data, dictionary)
    if len(packed) * WELL <= len(data):
        return packed, dictionary
    others = [(_compressed(data, it), it) for it in arena.dictionaries if it is not dictionary]
    packed, dictionary = min([(packed, dictionary), *others], key=lambda it: len(it[0]))
    if (
        len(packed) * WELL > len(data)
        and len(data) <= MOST_DICTIONARY_BYTES
        and len(arena.dictionaries) < MAX_DICTIONARIES
        and arena.add_dictionary(data)
    ):
        return _compressed(data, data), data
    return packed, dictionary


def _compressed(data: bytes, dictionary: bytes) -> bytes:
    if len(data) > MOST_COMPRESSED_BYTES:
        return zlib.compress(data, 0)
    is_small = len(dictionary) + len(data) <= _SMALL_BYTES
    form = (
        (zlib.DEFLATED, _SMALL_WBITS, _SMALL_MEMORY)
        if is_small
        else (zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)
    )
    # zlib takes no empty dictionary.
    choice = (zlib.Z_DEFAULT_STRATEGY, dictionary) if dictionary else ()
    compressor = zlib.compressobj(LEVEL, *form, *choice)
    return compressor.compress(data) + compressor.flush()


def unpack(data: bytes, dictionaries: Iterable[bytes] = ()) -> Record:
    """Decode a stored record. `dictionaries` are those of its arena.

    Raises:
        ShelfError: the record is damaged.
    """
    try:
        return _DECODER.decode(_decompressed(data, dictionaries))
    except (msgspec.MsgspecError, zlib.error) as error:
        raise ShelfError(f"the record is damaged: {error}") from error


def _decompressed(data: bytes, dictionaries: Iterable[bytes]) -> bytes:
    # The second byte tells whether there is a dictionary, whose Adler-32 follows (RFC 1950).
    if len(data) < _HEAD_BYTES or not data[1] & _HAS_DICTIONARY:
        return zlib.decompress(data)
    number = int.from_bytes(data[2:_HEAD_BYTES], "big")
    found = [it for it in dictionaries if zlib.adler32(it) == number]
    if not found:
        raise ShelfError("the dictionary of the record is missing")
    decompressor = zlib.decompressobj(zdict=found[0])
    record = decompressor.decompress(data)
    if not decompressor.eof:
        raise ShelfError("the record is damaged: its end is missing")
    return record


class Custody(Protocol):
    """The channel to the keeper. Methods may be called from any thread."""

    arena: Arena
    """The memory of this process that the keeper can also read."""

    def hold(self, session_id: str, connection: KeptConnection, shelf: Shelf) -> None:
        """Hand a duplicate of a session's socket, and the place of the session's memory, to the keeper."""

    def drop(self, session_id: str) -> None:
        """Let the keeper forget a session."""

    @property
    def is_kept(self) -> bool:
        """Whether the keeper gives the sessions of this process to others if this process dies now."""

    def end_process(self) -> None:
        """End this process at once."""


class Recovered(msgspec.Struct, frozen=True):
    """A session in the state in which its dead process left it."""

    value: bytes
    words: str
    """The words of the agent's answer that the value lacks."""
    journal: list[str | bytes]
    """The client's messages that came after the value was stored."""
    sent_bytes: int
    """The number of audio bytes that were sent to the client after the value was stored."""
    unread: bytes
    unsent: bytes
    died_in_step: bool
    """Whether the process died while this session handled an input."""


class ShelvedMachine:
    """The machine of a session, which stores the session's records. It runs on the session's dispatcher.

    A record is stored before the first bytes of its step are written, so that the steps of one turn share a record. A
    step without bytes for the client, or a step that starts a function, stores its record at once.
    """

    __slots__ = (
        "_carried",
        "_connection",
        "_dictionary",
        "_early",
        "_hold",
        "_machine",
        "_marks",
        "_seen",
        "_unhandled",
        "_words",
    )

    def __init__(
        self, machine: Machine, carried: Carried, connection: KeptConnection, hold: Callable[[], None]
    ) -> None:
        self._hold: Callable[[], None] | None = hold
        self._machine = machine
        self._carried = carried
        self._marks = carried.marks
        self._connection = connection
        self._unhandled = connection.unhandled
        self._seen = self._words = -1
        self._dictionary = b""
        """The dictionary of the session's records."""
        self._early = EARLY_RECORDS
        """The number of records from now on that may become dictionaries."""
        connection.may_drop = self._marks.may_drop_audio

    def held_bytes(self) -> int:
        """Return the bytes that the machine keeps; see `Machine.held_bytes`."""
        return self._machine.held_bytes()

    def describe(self) -> messages.Facts:
        """Return a few facts about the session; see `Machine.describe`."""
        return self._machine.describe()

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input. If the session needs a record, store it before the effects of the input."""
        connection, unhandled = self._connection, self._unhandled
        if type(message) is ClientBinaryReceived:
            # Most inputs are frames of the microphone, which send nothing to the client.
            if unhandled.newest is message.data:
                unhandled.newest = None
            else:
                connection.may_overwrite = False
                unhandled.take_binary(len(message.data))
            commands = self._machine.handle(message, now_s)
            marks = self._marks
            return commands if marks.record_due == self._seen else self._note(commands, None)
        shelf, marks, words = connection.shelf, self._marks, None
        if type(message) is not ClientTextReceived:
            words = marks.words_due
        elif unhandled.newest is message.text:
            unhandled.newest = None
        else:
            connection.may_overwrite = False
            unhandled.take_text()
        if shelf is None:
            return self._machine.handle(message, now_s)
        memory, step = shelf.memory, shelf.step
        memory[step] = 1
        commands = self._machine.handle(message, now_s)
        memory[step] = 0
        if (
            words is None
            and marks.was_audio
            and marks.is_exact
            and not shelf.asks_for_record
            and marks.record_due == self._seen
            and type(commands) is list
        ):
            # Nearly every text of OpenAI's clients is a frame of the microphone, which sends the client nothing.
            return commands
        if words is None and not marks.was_audio:
            unhandled.texts += 1
        return self._note(commands, words)

    def _note(self, commands: Iterable[messages.Command], words: int | None) -> Iterable[messages.Command]:
        """Note the frames for the client among the commands of a step, and store what the step calls for.

        `words` is the value of `Marks.words_due` before the step, or None after a message of the client.
        """
        connection, marks, shelf = self._connection, self._marks, self._connection.shelf
        if shelf is None:
            return commands
        if type(commands) is not list:
            commands = list(commands)
        for command in commands:
            if type(command) is SendToClient:
                connection.emitted.append(command.frame)
        # A message that was answered must not stay in the journal, because another process would answer it again.
        is_answer = words is None and any(type(it) is SendToClient for it in commands)
        is_due = is_answer or marks.record_due != self._seen
        if is_due or words is None or marks.words_due == words or not marks.is_exact:
            # Otherwise the words are the whole effect of the step, so the user is as silent as before.
            connection.is_silent, connection.may_overwrite = None, False
        # Most of these inputs are audio of the agent.
        if is_due:
            self._call_for_record(commands)
        elif marks.words_due != self._words:
            self._words = marks.words_due
            if not shelf.note_words(marks.take_words().encode()):
                self._store()
        elif shelf.asks_for_record:
            self._store()
        return commands

    def _call_for_record(self, commands: Iterable[messages.Command]) -> None:
        """Store a record before the bytes of a step are written, or at once if no such bytes are on their way.

        The first record is stored at once, because only it lets the keeper forget the memory of the process before.
        """
        self._seen = self._marks.record_due
        self._connection.due = self._store
        kinds = [type(it) for it in commands]
        starts_function = any(isinstance(it, StartWork) and not it.is_preparation for it in commands)
        if starts_function or SendToClient not in kinds or self._hold is not None:
            self._store()

    def _store(self, current: bytes | memoryview = b"") -> None:
        connection = self._connection
        shelf = connection.shelf
        if shelf is None:
            return
        journal_from, unwritten = connection.journal_from, connection.unwritten(current)
        # Within a message of several frames no record is possible, so the next write tries again.
        connection.due = self._store if journal_from is None else None
        if journal_from is None or unwritten is None:
            return
        try:
            value = self._carried.snapshot(is_brief=True)
        except ValueError:
            logger.warning("a session cannot be kept", exc_info=True)
            return
        waiting = self._unhandled.messages()
        pending = [(isinstance(it, str), it.encode() if isinstance(it, str) else it) for it in waiting]
        facts = Record(value, shelf.written, unwritten, pending)
        if self._early:
            self._early -= 1
            record, self._dictionary = pack_early(facts, self._dictionary, shelf.arena)
        else:
            record = pack(facts, self._dictionary)
        connection.may_overwrite = False  # the journal begins anew
        try:
            is_stored = shelf.store(record, journal_from, self._marks.words_bytes)
        except MemoryError as error:
            connection.stop_keeping(error)
            return
        if not is_stored:
            # With the record before, another process would repeat what the client has got since.
            connection.stop_keeping(MemoryError(f"its record has {len(record)} bytes"))
            return
        self._unhandled.texts = 0
        self._marks.note_stored()
        self._words = self._marks.words_due
        if self._hold is not None:
            # Hold the session only now, because until then the keeper has the memory of the previous process.
            self._hold()
            self._hold = None
            connection.store = self._store


def recovered(arena: Arena, at: int, serial: int, written: int, read: int) -> Recovered:
    """Return a session in the state in which its dead process left it.

    `written` and `read` are the present places in the streams to and from the client, as the kernel counts them.

    Raises:
        ShelfError: the stored facts are not enough to continue the session.
    """
    rest, written = rest_of(arena, at, serial, written, read)
    record = unpack(rest.record, arena.dictionaries)
    # A message of several frames that was half read is read again as a whole.
    whole = messages_end(rest.journal)
    unread = rest.journal[whole:]
    events = FrameParser(is_server=True, max_message_bytes=MAX_MESSAGE_BYTES).feed(rest.journal[:whole])
    end = record.begins_at + len(record.unwritten)
    tail = rest.write[written - rest.write_at :]
    if written < record.begins_at:
        raise ShelfError("bytes to the client are in no record")
    if written < end:
        unsent, sent_bytes = record.unwritten[written - record.begins_at :], 0
    else:
        unsent, sent_bytes = tail, written + len(tail) - end
    pending = [str(data, "utf-8") if is_text else data for is_text, data in record.pending]
    journal = [*pending, *(it for it in events if isinstance(it, str | bytes))]
    words = rest.notes.decode(errors="replace")
    return Recovered(record.value, words, journal, sent_bytes, unread, unsent, rest.died_in_step)
