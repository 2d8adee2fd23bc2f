"""Sessions that move from a worker that is replaced to a worker of the newer version.

Each worker listens on a Unix socket in the folder of the workers, which only this user can enter. A connection carries
one session: its value, the bytes of its client's stream that are on the way, and the client's socket itself. The answer
says whether the session was taken over. Where no worker takes it over, the client gets close code 1012.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.connections.close_codes import CloseCode
from actors.connections.frames import close_frame
from actors.connections.kept import KeptConnection
from actors.messages import ClientAdopted

if TYPE_CHECKING:
    from pathlib import Path

    from actors.connections.base import Connection, ConnectionLimits
    from actors.lifecycle import Departure

logger = logging.getLogger(__name__)

SUFFIX: Final = ".moves"

ANSWER_S: Final = 5.0
"""The longest time in seconds in which a worker takes a session over."""

LAST_WORD_S: Final = 1.0
"""The longest time in seconds for the close frame of a session that no worker takes over."""

THREADS: Final = 4
"""The threads that move sessions in a worker, and those that take them over."""

MAX_BYTES: Final = 16 * 1024 * 1024

GOING_AWAY: Final = "SERVER_GOING_AWAY"

_LENGTH_BYTES: Final = 8
_TAKEN: Final = b"y"


class Router(Protocol):
    """The part of a router that takes sessions over."""

    @property
    def value_layout(self) -> str:
        """The form of the values of sessions that this version reads."""

    def adopt(self, data: bytes, connection: Connection, adopted: ClientAdopted) -> str:
        """Continue a session that another process carried, and return its id."""

    def limits_of_value(self, data: bytes) -> ConnectionLimits:
        """Return the limits of the client's connection of such a session."""


class Parcel(msgspec.Struct, array_like=True):
    """A session on its way, apart from its client's socket."""

    value: bytes
    unread: bytes
    unsent: bytes


_decoder: Final = msgspec.msgpack.Decoder(Parcel)


class Arrivals:
    """The listener of one worker. Its threads are daemons, and end with the process."""

    def __init__(self, folder: Path, age: int, router: Router) -> None:
        self._router = router
        self._pool = ThreadPoolExecutor(THREADS, "moves")
        path = folder / f"{age}-{os.getpid()}-{router.value_layout}{SUFFIX}"
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self._thread = threading.Thread(target=self._accept, name="moves-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no session over any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # a second call finds it closed
        self._thread.join()
        self._listener.close()
        self._pool.shutdown(wait=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # closed
            while True:
                asking, _ = self._listener.accept()
                self._pool.submit(self._receive, asking)

    def _receive(self, asking: socket.socket) -> None:
        with asking:
            try:
                asking.settimeout(ANSWER_S)
                parcel, sock = receive(asking)
                take_over(self._router, parcel, sock)
            except Exception as error:  # noqa: BLE001 - the sender keeps the session, whatever the reason
                logger.warning("a session is not taken over: %s", error)
            else:
                with contextlib.suppress(OSError):
                    asking.sendall(_TAKEN)


class Departures:
    """The way out of one worker that is replaced.

    Args:
        folder: the folder of the workers.
        least_age: the age of the oldest worker of the newer version.
        router: the router of this worker.
    """

    def __init__(self, folder: Path, least_age: int, router: Router) -> None:
        self._folder = folder
        self._least_age = least_age
        self._router = router
        self._pool = ThreadPoolExecutor(THREADS, "departures")
        self.moved = 0
        """The number of sessions that another worker continues."""
        self.lost = 0
        """The number of sessions that no worker continues."""

    @property
    def targets(self) -> list[Path]:
        """The sockets of the workers of the newer version that read the values of this one; the fittest are unknown."""
        wanted = f"{self._router.value_layout}{SUFFIX}"
        return [path for path in self._folder.glob(f"*{SUFFIX}") if self._is_target(path.name, wanted)]

    def _is_target(self, name: str, wanted: str) -> bool:
        age, pid, layout = name.split("-", 2)
        return int(age) >= self._least_age and int(pid) != os.getpid() and layout == wanted

    def deliver(self, departure: Departure) -> None:
        """Move a session, on a thread. Called on a dispatcher."""
        self._pool.submit(self._move, departure)

    def close(self) -> None:
        """Wait for the sessions that are on their way."""
        self._pool.shutdown(wait=True)

    def _move(self, departure: Departure) -> None:
        stream = departure.stream
        parcel = Parcel(departure.value, stream.unread, stream.unsent)
        with socket.socket(fileno=stream.descriptor) as sock:
            targets = self.targets
            random.shuffle(targets)
            for target in targets:
                if _ask(target, parcel, sock):
                    self.moved += 1
                    return
            logger.error("session %s ends: no worker takes it over", departure.session_id)
            self.lost += 1
            sock.settimeout(LAST_WORD_S)
            with contextlib.suppress(OSError):
                sock.sendall(parcel.unsent + close_frame(CloseCode.SERVICE_RESTART, GOING_AWAY, mask=False))


def _ask(target: Path, parcel: Parcel, sock: socket.socket) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(ANSWER_S)
            asking.connect(str(target))
            send(asking, parcel, sock)
            return asking.recv(1) == _TAKEN
    except OSError as error:
        logger.warning("a worker does not take a session over: %s", error)
        return False


def send(channel: socket.socket, parcel: Parcel, sock: socket.socket) -> None:
    """Send a session and its client's socket."""
    data = msgspec.msgpack.encode(parcel)
    socket.send_fds(channel, [len(data).to_bytes(_LENGTH_BYTES, "big")], [sock.fileno()])
    channel.sendall(data)


def receive(channel: socket.socket) -> tuple[Parcel, socket.socket]:
    """Receive a session and its client's socket.

    Raises:
        OSError: the sender is gone.
        ValueError: the message is no session.
    """
    head, descriptors, _, _ = socket.recv_fds(channel, _LENGTH_BYTES, 1)
    if len(descriptors) != 1:
        raise ValueError("no socket came with it")
    sock = socket.socket(fileno=descriptors[0])
    try:
        return _decoder.decode(_read(channel, int.from_bytes(head, "big"))), sock
    except BaseException:
        sock.close()
        raise


def _read(channel: socket.socket, length: int) -> bytearray:
    if length > MAX_BYTES:
        raise ValueError(f"{length} bytes are too many")
    data = bytearray()
    while len(data) < length:
        part = channel.recv(min(65536, length - len(data)))
        if not part:
            raise ConnectionError("the sender is gone")
        data += part
    return data


def take_over(router: Router, parcel: Parcel, sock: socket.socket) -> None:
    """Continue a session in this process. Close the socket here where that fails, which leaves the stream open."""
    try:
        limits = router.limits_of_value(parcel.value)
    except Exception:
        sock.close()
        raise
    connection = KeptConnection.continued(sock, parcel.unread, parcel.unsent, limits)
    try:
        router.adopt(parcel.value, connection, ClientAdopted(is_planned=True))
    except BaseException:
        connection.abort()
        raise
