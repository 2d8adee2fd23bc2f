"""A worker's channel to the keeper: the worker hands sockets and memory over, and gets the sessions of dead workers."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from actors.connections.arena import Arena
from actors.connections.handover import HandshakeRefused
from actors.connections.kept import KeptConnection, counted
from actors.connections.shelf import GoneError, claim
from actors.messages import ClientAdopted
from router.keeping import Recovered, recovered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.connections.base import Connection, ConnectionLimits
    from actors.connections.shelf import Shelf

logger = logging.getLogger(__name__)

MAX_PACKET: Final = 1024
ARENA: Final = b"m"
HOLD: Final = b"h"
DROP: Final = b"d"
ADOPT: Final = b"a"
PASS: Final = b"p"
LOSE: Final = b"l"
"""The first byte of a packet is its kind.

A worker sends its memory with `ARENA`, a session in that memory with `HOLD`, and the end of a session with `DROP`. The
keeper sends a session that the worker has to continue with `ADOPT`, and a session that it has to end with `LOSE`. A
worker that leaves the session to another worker answers with `PASS`.
"""

LAST_WORD_S: Final = 2.0
"""The longest time in seconds in which the client of a lost session reads its last messages and closes."""

FLUSH_S: Final = 1.0
"""The longest time in seconds in which a process that ends flushes its log."""

PAUSE_S: Final = 0.25
"""A worker without a free descriptor waits this many seconds, before the keeper asks it again."""

_RECEIVE_BYTES: Final = 64 * 1024

BOTH: Final = 2
"""The descriptors of a session: the client's socket, and the memory."""


def name_of(arbiter: int) -> str:
    """Return the name of a keeper's socket.

    It contains the arbiter's id, because two main processes may have a keeper each.
    """
    return f"keeper-{arbiter}"


class ExhaustedError(Exception):
    """A failure because this worker has no free descriptor for a session."""


class Place(NamedTuple):
    """The place of a session in the memory of its worker."""

    at: int
    serial: int


class Router(Protocol):
    """The part of a router that continues the sessions of dead workers."""

    def adopt(
        self, data: bytes, connection: Connection, adopted: ClientAdopted, *, journal: Iterable[str | bytes]
    ) -> str:
        """Continue a session that another process carried, and return its id."""

    def count_adoption(self, data: bytes, *, is_suspect: bool) -> bytes:
        """Return the stored session of a dead worker with one more adoption counted in it.

        `is_suspect` says that the worker died while the session handled an input.
        """

    def give_up(self, data: bytes, connection: Connection) -> None:
        """Close the connection of a client whose session no process continues, with an `Error`. Count the session."""

    def count_lost(self) -> None:
        """Count a session that no process continues."""

    def count_unkept(self) -> None:
        """Count a session that continues in this process, but that would be lost if this process died."""

    def limits_of_value(self, data: bytes) -> ConnectionLimits:
        """Return the connection limits of a client whose session another process stored as `data`."""


class Custody:
    """The channel of one worker. `hold` and `drop` may be called from any thread."""

    def __init__(self, path: str, router: Router) -> None:
        self._router = router
        self.arena = Arena()
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.connect(path)
        self._orders: queue.SimpleQueue[tuple[bytes, tuple[int, ...]] | None] = queue.SimpleQueue()
        self._orders.put((ARENA, (os.dup(self.arena.descriptor),)))
        self._pool = ThreadPoolExecutor(8, "adoption")
        self._is_ending = threading.Event()
        self._is_gone = False
        """Whether the keeper has closed the channel."""
        targets = (self._send_orders, self._receive)
        self._threads = [threading.Thread(target=it, name="custody", daemon=True) for it in targets]
        for thread in self._threads:
            thread.start()

    def hold(self, session_id: str, connection: KeptConnection, shelf: Shelf) -> None:
        """Hand a duplicate of a session's socket, and the place of the session's memory, to the keeper."""
        try:
            descriptor = os.dup(connection.duplicate())
        except OSError as error:
            logger.warning("session %s does not outlive this process: %s", session_id, error)
            self._router.count_unkept()
            return
        self._orders.put((HOLD + f"{session_id} {shelf.at} {shelf.serial}".encode(), (descriptor,)))

    def drop(self, session_id: str) -> None:
        """Let the keeper forget a session."""
        self._orders.put((DROP + session_id.encode(), ()))

    @property
    def is_kept(self) -> bool:
        """Whether the keeper gives the sessions of this process to others if this process dies now.

        A process that drains may be the last one, so its sessions count as not kept.
        """
        return not (self._is_gone or self._is_ending.is_set())

    def end_process(self) -> None:
        """End this process at once, without a signal that it could handle."""
        # A stalled thread may hold the lock of a log handler for good.
        flushing = threading.Thread(target=logging.shutdown, name="log-flush", daemon=True)
        try:
            flushing.start()
            flushing.join(FLUSH_S)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        """Adopt no session any more. Wait for the adoptions in progress."""
        self._is_ending.set()
        self._pool.shutdown(wait=True)

    def end(self) -> None:
        """Send the orders that wait, and close the channel."""
        self._orders.put(None)
        self._threads[0].join()
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._threads[1].join()
        self._channel.close()

    def _send_orders(self) -> None:
        while (order := self._orders.get()) is not None:
            packet, descriptors = order
            with contextlib.suppress(OSError):
                socket.send_fds(self._channel, [packet], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)

    def _receive(self) -> None:
        while True:
            try:
                packet, descriptors, _, _ = socket.recv_fds(self._channel, MAX_PACKET, 2)
            except OSError:
                packet = b""
            if not packet:
                self._is_gone = True
                return
            handle = self._lose if packet[:1] == LOSE else self._adopt
            session_id, at, serial = packet[1:].decode().split()
            if len(descriptors) != BOTH:
                logger.error("session %s is left to another worker: this one has no descriptor left", session_id)
                # Wait, because a keeper without another worker asks this one again at once.
                self._is_ending.wait(PAUSE_S)
                self._refuse(session_id, descriptors)
                continue
            try:
                self._pool.submit(handle, session_id, Place(int(at), int(serial)), *descriptors)
            except RuntimeError:  # this worker is ending, and another one can adopt the session
                self._refuse(session_id, descriptors)

    def _refuse(self, session_id: str, descriptors: list[int]) -> None:
        self._pass_on(session_id)
        for descriptor in descriptors:
            os.close(descriptor)

    def _pass_on(self, session_id: str) -> None:
        self._orders.put((PASS + session_id.encode(), ()))

    def _adopt(self, session_id: str, place: Place, sock_fd: int, arena_fd: int) -> None:
        with socket.socket(fileno=sock_fd) as sock:
            found = None
            try:
                with _mapped(arena_fd) as arena:
                    written, read = counted(sock)
                    found = recovered(arena, *place, written, read)
                    claim(arena, place.at, read)
                self._continue(sock, found)
                logger.info("session %s was taken over from a dead worker", session_id)
            except GoneError:
                logger.info("session %s had ended before its worker died", session_id)
                self.drop(session_id)
            except HandshakeRefused:  # meanwhile this worker has begun to end
                self._pass_on(session_id)
            except ExhaustedError as error:
                logger.error("session %s is left to another worker: %s", session_id, error)  # noqa: TRY400 - no bug
                self._is_ending.wait(PAUSE_S)
                self._pass_on(session_id)
            except Exception:
                logger.exception("session %s ends: it cannot be continued", session_id)
                self._end(session_id, sock, found)

    def _lose(self, session_id: str, place: Place, sock_fd: int, arena_fd: int) -> None:
        """End a session that has killed several workers.

        Do not read the stored session as an adoption does, because that may kill this worker, too.
        """
        with socket.socket(fileno=sock_fd) as sock:
            found = None
            with contextlib.suppress(OSError, ValueError, ExhaustedError), _mapped(arena_fd) as arena:
                found = recovered(arena, *place, *counted(sock))
            self._end(session_id, sock, found)

    def _end(self, session_id: str, sock: socket.socket, found: Recovered | None) -> None:
        """End a session with an `Error` if the bytes that its client has got are known.

        If they are not known (`found` is None), only end the stream.
        """
        own = None
        with contextlib.suppress(OSError):  # without a free descriptor only the stream ends
            own = sock.dup() if found is not None else None
        if found is not None and own is not None:
            self._router.give_up(found.value, KeptConnection.continued(own, b"", found.unsent))
        else:
            self._router.count_lost()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            # Closing a socket with unread input resets it, and the client would not receive its last messages.
            sock.settimeout(LAST_WORD_S)
            until_s = time.monotonic() + LAST_WORD_S
            while sock.recv(_RECEIVE_BYTES) and time.monotonic() < until_s:
                pass
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        self.drop(session_id)

    def _continue(self, sock: socket.socket, found: Recovered) -> None:
        value = self._router.count_adoption(found.value, is_suspect=found.died_in_step)
        limits = self._router.limits_of_value(found.value)
        try:
            ours = sock.dup()
        except OSError as error:
            raise ExhaustedError(str(error)) from error
        connection = KeptConnection.continued(ours, found.unread, found.unsent, limits)
        adopted = ClientAdopted(is_planned=False, sent_bytes=found.sent_bytes, words=found.words)
        self._router.adopt(value, connection, adopted, journal=found.journal)


@contextlib.contextmanager
def _mapped(descriptor: int) -> Iterator[Arena]:
    """Map the memory of a dead worker.

    Raises:
        ExhaustedError: no descriptor is left.
    """
    try:
        arena = Arena(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise ExhaustedError(str(error)) from error
    with contextlib.closing(arena):
        yield arena
