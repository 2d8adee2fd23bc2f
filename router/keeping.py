"""A session that outlives its process: its record is stored before the effects of each step that calls for one.

The record holds the value of the session, the bytes that its client lacks, and the client's messages that it has not
handled. Another process reads the record, and the shelf around it, once this process is dead.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors import messages
from actors.connections.frames import FrameParser, messages_end
from actors.connections.shelf import RING_BYTES, ShelfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.connections.kept import KeptConnection
    from actors.connections.shelf import Shelf
    from actors.machine import Carried, Machine

logger = logging.getLogger(__name__)

LOW_BYTES: Final = RING_BYTES // 2
"""The free bytes of the journal below which a record is stored, although no step calls for one."""

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The facts about one session that its process stores."""

    value: bytes
    """The value of the session (`Carried.snapshot`)."""
    begins_at: int
    """The place in the stream to the client at which `unwritten` begins."""
    unwritten: bytes
    """All bytes for the client that were not written, those of the step among them."""
    pending: list[tuple[bool, bytes]]
    """The client's messages that were read, and not handled, each with whether it is a text."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Record)


class Custody(Protocol):
    """The way of sessions to the keeper. From any thread."""

    def hold(self, session_id: str, connection: KeptConnection, shelf: Shelf) -> None:
        """Hand duplicates of a session's socket and memory to the keeper."""

    def drop(self, session_id: str) -> None:
        """Let the keeper forget a session."""


class Recovered(msgspec.Struct, frozen=True):
    """A session as its dead process left it."""

    value: bytes
    journal: list[str | bytes]
    """The client's messages behind the value."""
    sent_bytes: int
    """The bytes of audio that the client was sent behind the value."""
    unread: bytes
    unsent: bytes


class ShelvedMachine:
    """The machine of a session, whose records it stores. On the session's dispatcher."""

    def __init__(
        self, machine: Machine, carried: Carried, connection: KeptConnection, hold: Callable[[], None]
    ) -> None:
        self._hold: Callable[[], None] | None = hold
        self._machine = machine
        self._carried = carried
        self._connection = connection
        self._stored = -1
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input, and store a record before its effects where the session calls for one."""
        connection = self._connection
        if type(message) is messages.ClientTextReceived:
            if connection.delivered:
                connection.delivered.popleft()
        elif type(message) is messages.ClientBinaryReceived:
            _take(connection, len(message.data))
        commands = list(self._machine.handle(message, now_s))
        sent = [it.frame for it in commands if type(it) is messages.SendToClient]
        shelf = connection.shelf
        if shelf is not None and (self._carried.snapshot_due != self._stored or shelf.free_bytes < LOW_BYTES):
            self._store(shelf, sent)
        connection.emitted += sent
        return commands

    def _store(self, shelf: Shelf, sent: list[str | bytes]) -> None:
        connection = self._connection
        journal_from, unwritten = connection.journal_from, connection.unwritten(sent)
        if journal_from is None or unwritten is None:
            return
        try:
            value = self._carried.snapshot()
        except ValueError:
            logger.warning("a session cannot be kept", exc_info=True)
            return
        pending = [(isinstance(it, str), it.encode() if isinstance(it, str) else it) for it in connection.pending]
        record = Record(value, shelf.written, unwritten, pending)
        if shelf.store(_ENCODER.encode(record), journal_from):
            self._stored = self._carried.snapshot_due
            if self._hold is not None:
                # Only now: until then the keeper has the memory of the process before.
                self._hold()
                self._hold = None


def _take(connection: KeptConnection, size: int) -> None:
    delivered = connection.delivered
    while size > 0 and delivered and isinstance(delivered[0], bytes):
        first = delivered.popleft()
        if len(first) > size:
            delivered.appendleft(first[size:])
        size -= len(first)


def recovered(shelf: Shelf, written: int, read: int) -> Recovered:
    """Return a session as its dead process left it. `written` and `read` are what the kernel counts now.

    Raises:
        ShelfError: the facts do not suffice.
    """
    rest, written = shelf.rest(written, read)
    try:
        record = _DECODER.decode(rest.record)
    except msgspec.MsgspecError as error:
        raise ShelfError(f"the record is damaged: {error}") from error
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
    return Recovered(record.value, journal, sent_bytes, unread, unsent)
