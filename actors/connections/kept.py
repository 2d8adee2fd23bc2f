"""The connection of a client whose session outlives the process: each byte is accounted for in a `Shelf`.

It is only for plain TCP on Linux, whose kernel counts the bytes of both directions.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import logging
import socket
import struct
import termios
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, Self

from actors.connections import frames
from actors.connections.arena import TRANSFER_BYTES
from actors.connections.client import ClientConnection
from actors.connections.protocol import RECEIVE_BYTES
from actors.connections.shelf import JOURNAL_BYTES, MOST_JOURNAL_BYTES, Shelf
from actors.connections.transfer import new_transfer
from actors.footprint import STEP_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.connections.arena import Arena
    from actors.connections.base import ConnectionLimits, Detached
    from actors.connections.transfer import Transfer

logger = logging.getLogger(__name__)

_SIOCOUTQ: Final = termios.TIOCOUTQ
_SIOCINQ: Final = termios.FIONREAD
_COUNTS: Final = struct.Struct("<QQ")
_COUNTS_AT: Final = 120
"""The place of `tcpi_bytes_acked` and `tcpi_bytes_received` in the kernel's `tcp_info`."""


LOOKS: Final = 10_000
"""The most readings of the counts of a socket. Two equal ones in a row are exact."""


def counted(sock: socket.socket) -> tuple[int, int]:
    """Return the bytes that were written to a TCP socket, and those that were read from it, as the kernel counts them.

    Raises:
        OSError: the socket is not TCP, the kernel does not count, or the counts do not rest.
    """
    before = None
    for _ in range(LOOKS):
        # The peer sends and acknowledges meanwhile. The queues are valid if the counts before and after them are equal.
        queued = _queued(sock, _SIOCOUTQ), _queued(sock, _SIOCINQ)
        counts = _counts(sock)
        if (queued, counts) == before:
            return counts[0] + queued[0], counts[1] - queued[1]
        before = queued, counts
    raise OSError("the counts of a connection do not rest")


def _counts(sock: socket.socket) -> tuple[int, int]:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _COUNTS_AT + _COUNTS.size:
        raise OSError("the kernel does not count the bytes of a connection")
    acknowledged, received = _COUNTS.unpack_from(info, _COUNTS_AT)
    return acknowledged, received


def _queued(sock: socket.socket, request: int) -> int:
    size = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), request, size)
    return size[0]


# A call of a method by its class costs a quarter of one by `super()`.
_send_text: Final = ClientConnection.send_text
_send_binary: Final = ClientConnection.send_binary
_transmit: Final = ClientConnection.transmit
_read_once: Final = ClientConnection._read_once  # noqa: SLF001 - of the base class


class Unhandled:
    """The client's messages that were read and that the session has not handled, in order."""

    __slots__ = ("newest", "others", "texts")

    def __init__(self) -> None:
        self.newest: frames.Event | None = None
        """The message of the newest read. Nearly every read brings a single one, which is handled at once.

        It may be an event that no session takes, which the next read forgets.
        """
        self.others: list[str | bytes] = []
        """The messages behind `newest`."""
        self.texts = 0
        """The number of text messages that the session has handled since the record."""

    def note_read(self, events: list[frames.Event]) -> None:
        """Note the messages of a read."""
        if len(events) == 1 and self.newest is None and not self.others:
            self.newest = events[0]
        else:
            self.others += _messages(events)

    def forget_unless_message(self) -> None:
        """Forget the newest event if no session takes it. A client may send nothing else."""
        if self.newest is not None and not _messages([self.newest]):
            self.newest = None

    def take_binary(self, size: int) -> None:
        """Remove the binary messages, or parts of them, whose bytes the session has handled: `size` bytes in all."""
        waiting = self._line_up()
        while size > 0 and waiting and isinstance(first := waiting[0], bytes):
            waiting[:1] = [first[size:]] if len(first) > size else []
            size -= len(first)

    def take_text(self) -> None:
        """Remove the oldest message if it is a text, because the session has handled it."""
        waiting = self._line_up()
        if waiting and isinstance(waiting[0], str):
            del waiting[0]

    def messages(self) -> list[str | bytes]:
        """Return all messages that the session has not handled."""
        newest = () if self.newest is None else _messages([self.newest])
        return [*newest, *self.others]

    def _line_up(self) -> list[str | bytes]:
        if self.newest is not None:
            self.others[:0] = _messages([self.newest])
            self.newest = None
        return self.others


def _messages(events: Iterable[frames.Event]) -> list[str | bytes]:
    """Return the messages among events. A control frame is none, and audio without a byte changes no session."""
    return [it for it in events if isinstance(it, str) or (isinstance(it, bytes) and it)]


class Custodian(Protocol):
    """The functions by which the keeper forgets one session."""

    def drop(self) -> None:
        """Let the keeper forget the session, because another thread ends its connection. No process may continue it."""

    def unkeep(self) -> None:
        """Let the keeper forget the session, because no memory is left. The session continues in this process."""


class KeptConnection(ClientConnection):
    """A client's connection. From `keep` on, each of its bytes is noted in a shelf."""

    __slots__ = (
        "_is_bare",
        "_transfer",
        "before",
        "custodian",
        "due",
        "emitted",
        "is_silent",
        "may_drop",
        "may_overwrite",
        "shelf",
        "store",
        "unhandled",
    )

    def __init__(
        self, sock: socket.socket, *, subprotocol: str | None, limits: ConnectionLimits, is_lent: bool = False
    ) -> None:
        super().__init__(sock, subprotocol=subprotocol, limits=limits, is_lent=is_lent)
        self.shelf: Shelf | None = None
        self.emitted: list[str | bytes] = []
        """The frames that the session has sent and that have not reached this connection."""
        self.unhandled = Unhandled()
        self.due: Callable[[bytes | memoryview], None] | None = None
        """The function that stores a record before the next bytes are written. Its argument is these bytes."""
        self.store: Callable[[], object] = bool
        """The function that stores a record if the journal is long and no step of the session has stored one.

        It is set when the session has its first record.
        """
        self.may_drop: Callable[[], bool] = bool
        """Whether the session needs only the newest audio."""
        self.may_overwrite = False
        """Whether the next read may overwrite the one before, if the session has handled its message.

        The session sets this to False with each input that is not audio of the microphone.
        """
        self.is_silent: bool | None = None
        """The answer of `may_drop`; None if it has to be called again, because an input may have changed its answer."""
        self.custodian: Custodian | None = None
        self.before = b""
        """The bytes of an unfinished message that another process has read."""
        self._transfer: Transfer | None = None
        self._is_bare = False
        """Whether another thread ends the connection. That thread writes without noting it in the shelf."""

    @classmethod
    def continued(
        cls, sock: socket.socket, unread: bytes, unsent: bytes, limits: ConnectionLimits | None = None
    ) -> Self:
        """Return the connection that continues a stream; see `ClientConnection.continued`."""
        connection = super().continued(sock, unread, unsent, limits)
        connection.before = unread
        return connection

    def keep(self, arena: Arena) -> Shelf:
        """Note all bytes from now on in a shelf, and return the shelf. Call this before `open`.

        Raises:
            OSError: the kernel does not count.
            ArenaFullError: no memory is left.
        """
        written, read = counted(self._sock)
        unfinished = self.before or self._parser.unfinished_frame or b""
        # The half of a message that another process has read comes first.
        self.shelf = shelf = Shelf(arena, written, read - len(unfinished))
        shelf.transfer = self._transfer = new_transfer(arena, self._sock.fileno(), shelf.serial)
        if unfinished:
            shelf.note_read(unfinished)
        return shelf

    # The memory that all peers hold together.

    @property
    def held_bytes(self) -> int:
        """The same as for any connection, and the journal, which has an unfinished message once more; see `Sharer`."""
        held_bytes = super().held_bytes
        return held_bytes if self.shelf is None else held_bytes + self.shelf.journal_bytes

    def give_way(self) -> None:
        """Drop the journal, too, because the session ends; see `Sharer`."""
        self._leave_shelf()
        super().give_way()

    def duplicate(self) -> int:
        """Return a duplicate of the socket's descriptor."""
        return socket.socket.fileno(self._sock)

    def send_text(self, text: str | bytes) -> None:
        """Send one text message; see `Connection.send_text`."""
        if self.emitted:
            self.emitted.pop(0)
        _send_text(self, text)

    def send_binary(self, data: bytes) -> None:
        """Send one binary message; see `Connection.send_binary`."""
        if self.emitted:
            self.emitted.pop(0)
        _send_binary(self, data)

    def transmit(self, data: bytes | memoryview, /) -> int:
        """Write some of `data`; see `WriterOwner.transmit`."""
        shelf, transfer = self.shelf, self._transfer
        if shelf is None or transfer is None or self._is_bare:
            return _transmit(self, data)
        size_bytes = len(data)
        if self.due is not None or shelf.rest is not None or not shelf.write_at or size_bytes > TRANSFER_BYTES:
            return self._transmit_with_record(shelf, data)
        taken_bytes = transfer.send(data, shelf.write_at, shelf.written)
        if taken_bytes == size_bytes:
            shelf.written += taken_bytes
        else:
            self._note_part(shelf, data, taken_bytes)
        return taken_bytes

    def _transmit_with_record(self, shelf: Shelf, data: bytes | memoryview) -> int:
        """Write some of `data`, after the record that is due, or with the rest of an earlier write."""
        try:
            if self.due is not None:
                self.due(data)
                if self.shelf is None:  # the record has no room, so the session is not kept any more
                    return _transmit(self, data)
            shelf.note_write(data)
        except MemoryError as error:
            self.stop_keeping(error)
            return _transmit(self, data)
        taken_bytes = _transmit(self, data)
        self._note_part(shelf, data, taken_bytes)
        return taken_bytes

    def _note_part(self, shelf: Shelf, data: bytes | memoryview, taken_bytes: int) -> None:
        try:
            shelf.note_written(data, taken_bytes)
        except MemoryError as error:
            self.stop_keeping(error)

    def abort_from_outside(self, last_text: str | None = None) -> None:
        """Send a last text, and shut the stream; see `Connection.abort_from_outside`."""
        self._is_bare = True
        if self.shelf is not None and self.custodian is not None:
            self.custodian.drop()
        super().abort_from_outside(last_text)

    def _read_once(self) -> int:
        """Read once and deliver, as the base class does, and note what was read."""
        transfer, unhandled = self._transfer, self.unhandled
        if transfer is None:
            return _read_once(self)
        is_behind = not self.may_overwrite or unhandled.newest is not None
        try:
            data = self._read_behind(transfer) if is_behind else transfer.receive()
        except OSError as error:
            logger.debug("%s: read failed: %s", self, error, extra=self.log_fields)
            data = b""
        if data is None:
            return 0
        if not data:
            self.abort()
            return 0
        shelf = self.shelf
        if shelf is not None:
            # A read that filled its block has not emptied the stream. A lag of more than a block would never end then.
            is_full = len(data) >= JOURNAL_BYTES or (is_behind and shelf.fill == shelf.end)
            self._short_read_bytes = 0 if is_full else RECEIVE_BYTES - 1
        self._alive_s = monotonic()
        if self._is_pinged:
            self._show_life()
        self._events = events = self._feed(data)
        if self.may_overwrite and len(events) == 1 and not self._parser.is_cut:
            unhandled.newest = events[0]
        else:
            self._note_events(events)
        self._deliver()
        return len(data)

    def _read_behind(self, transfer: Transfer) -> bytes | None:
        """Read behind the bytes that the journal has to keep.

        If it has to keep none, overwrite its bytes from now on.
        """
        shelf = self.shelf
        if shelf is None:
            return self._receive()
        if self.is_silent is None:
            self.is_silent = self.may_drop()
        # A message that waits for the session may be a text, and must not be dropped.
        unhandled = self.unhandled
        if unhandled.newest is not None:
            unhandled.forget_unless_message()
        may_drop = self.is_silent and unhandled.newest is None and not (unhandled.others or unhandled.texts)
        may_begin_anew = may_drop and self._parser.is_between_messages
        self.may_overwrite = may_begin_anew and shelf.may_overwrite()
        if self.may_overwrite:
            return transfer.receive()
        shelf.settle()
        # After a lag the blocks that it needed are released at once.
        is_due = shelf.fill > shelf.limit or (may_begin_anew and shelf.has_many_blocks)
        if is_due and not self._make_room(shelf, may_drop=may_drop):
            return self._receive()
        data = transfer.receive_at(shelf.fill, shelf.end)
        if data is not None:
            shelf.newest_bytes = len(data)
            shelf.fill += len(data)
        return data

    def _note_events(self, events: list[frames.Event]) -> None:
        self.may_overwrite = False
        self.unhandled.note_read(events)
        if self._parser.held_bytes >= STEP_BYTES or (self._share is not None and self._share.holding.held_bytes):
            self._note_share()

    def _make_room(self, shelf: Shelf, *, may_drop: bool) -> bool:
        if may_drop and self._parser.is_between_messages and shelf.begin_anew():
            return True
        # The journal keeps an unfinished message, so behind a long one a record would not shorten the journal.
        if shelf.asks_for_record and self._parser.held_bytes < MOST_JOURNAL_BYTES // 2:
            self.store()
            if self.shelf is None:
                return False
            if shelf.fill <= shelf.limit:
                return True
        try:
            shelf.make_room(self._parser.unfinished_frame, may_drop=may_drop)
        except MemoryError as error:
            self.stop_keeping(error)
            return False
        return True

    def stop_keeping(self, error: MemoryError) -> None:
        """Release the shelf, because the arena has no more room. The session continues, but ends with its process."""
        logger.warning("%s: the session does not outlive this process any more: %s", self, error, extra=self.log_fields)
        self._leave_shelf()
        if self.custodian is not None:
            self.custodian.unkeep()

    @property
    def outlives_process(self) -> bool:
        """Whether the keeper has the session; see `Connection.outlives_process`."""
        return self.shelf is not None and self.store is not bool and not self._is_bare

    def detach(self) -> Detached | None:
        """Hand the stream over to another process; see `Connection.detach`."""
        detached = super().detach()
        if detached is not None:
            self._leave_shelf()
        return detached

    def _release(self) -> None:
        if self.shelf is not None:
            # The keeper's duplicate would keep the stream open.
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._leave_shelf()
        super()._release()

    def _leave_shelf(self) -> None:
        shelf, self.shelf, self.due, self._transfer, self.store = self.shelf, None, None, None, bool
        if shelf is not None:
            shelf.close()
            self._short_read_bytes = RECEIVE_BYTES - 1

    # For the record.

    @property
    def journal_from(self) -> int | None:
        """The position in the stream after the last whole frame; None within a message of several frames."""
        unfinished = self._parser.unfinished_frame
        return None if unfinished is None or self.shelf is None else self.shelf.read - len(unfinished)

    def unwritten(self, current: bytes | memoryview) -> bytes | None:
        """Return all bytes for the client that are not written; None if some are lost.

        `current` are the bytes that are about to be written. If the writer has unsent bytes, they contain `current`.
        Otherwise `current` is added to the result.
        """
        unsent = self._writer.unsent
        if unsent is None:
            return None
        units = [unsent or bytes(current)]
        for frame in self.emitted:
            most = self._limits.max_frame_bytes
            if isinstance(frame, str):
                units += frames.text_frames(frame, mask=False, max_frame_bytes=most)
            else:
                units += frames.binary_frames(frame, mask=False, max_frame_bytes=most)
        return b"".join(units)
