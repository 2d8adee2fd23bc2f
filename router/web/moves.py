"""Sessions that move from a worker that is replaced to a worker of the newer version.

Each worker listens on a Unix socket in the folder of the workers, which only this user can enter. A connection carries
one session, in two steps. The announcement lets the newer worker dial the session's next upstream, while the older one
serves the client. Then the session itself follows: its value, the unread and unsent bytes of its client's stream, and
the client's socket. Each step has an answer. If no worker takes the session over, the client gets close code 1012.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import random
import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from actors.connections.close_codes import CloseCode
from actors.connections.frames import close_frame
from actors.connections.kept import KeptConnection
from actors.messages import ClientAdopted
from actors.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from actors.connections.base import Connection, ConnectionLimits
    from actors.lifecycle import Announcement, Departure

logger = logging.getLogger(__name__)

SUFFIX: Final = ".moves-2"
"""The end of a socket's name. Its number is the version of the messages.

A worker sends only to sockets whose number is its own.
"""

ANSWER_S: Final = 5.0
"""The longest time in seconds in which a worker takes a session over."""

DIALLED_S: Final = 15.0
"""The seconds for which a worker keeps an upstream that it has dialled in advance."""

LAST_WORD_S: Final = 1.0
"""The longest time in seconds in which the close frame of a session leaves if no worker takes the session over."""

THREADS: Final = 4
"""The number of threads of a worker that move sessions, and of threads that take sessions over."""

LOOK_S: Final = 1.0
"""The seconds between two checks for dialled upstreams whose session has not come in time."""

DEAF_S: Final = 0.5
"""The seconds in which a worker without a descriptor accepts no session."""

MAX_BYTES: Final = 16 * 1024 * 1024

GOING_AWAY: Final = "SERVER_GOING_AWAY"

_LENGTH_BYTES: Final = 8
_TAKEN: Final = b"y"
_DIALLED: Final = b"d"


class Ahead(Protocol):
    """An upstream that was dialled in advance."""

    def close(self) -> None:
        """Close the upstream, unless a session uses it."""


class Router(Protocol):
    """The part of a router that takes sessions over."""

    @property
    def value_layout(self) -> str:
        """The name of the form in which this version reads the sessions of other processes."""

    def dial_ahead(self, facts: bytes, route: str) -> Any:
        """Dial the next upstream of an announced session, and return it; None if that is not possible.

        `route` is the model that the session dials. The call blocks.
        """

    def adopt(self, data: bytes, connection: Connection, adopted: ClientAdopted, *, ahead: Any = None) -> str:
        """Continue a session that another process carried, and return its id."""

    def limits_of_value(self, data: bytes) -> ConnectionLimits:
        """Return the connection limits of a client whose session another process stored as `data`."""


class Announced(msgspec.Struct, array_like=True, tag="announced"):
    """The announcement of a session that moves soon."""

    facts: bytes
    route: str


class Parcel(msgspec.Struct, array_like=True, tag="session"):
    """A session on its way to another worker. Its client's socket travels beside this message."""

    value: bytes
    unread: bytes
    unsent: bytes


_decoder: Final = msgspec.msgpack.Decoder(Announced | Parcel)


class _Parked:
    """A connection over which an announced session will come, with the upstream that was dialled for it."""

    def __init__(self, channel: socket.socket, ahead: Ahead | None) -> None:
        self.channel = channel
        self.ahead = ahead
        self.until_s = time.monotonic() + DIALLED_S

    def close(self) -> None:
        self.channel.close()
        if self.ahead is not None:
            self.ahead.close()


class Arrivals:
    """The listener of one worker for sessions that move to it. Its thread is a daemon, and ends with the process.

    Args:
        folder: the folder of the workers.
        age: the age of this worker.
        router: the router of this worker.
        dials: the number of upstreams that may be dialled at a time.
    """

    def __init__(self, folder: Path, age: int, router: Router, dials: int = THREADS) -> None:
        self._router = router
        self._pool = ThreadPoolExecutor(THREADS, "moves")
        self._dials = Pool("moves-dial", dials)  # its threads are daemons: a dial may take long
        path = folder / f"{age}-{os.getpid()}-{router.value_layout}{SUFFIX}"
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self._wakes, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._dialled: list[_Parked] = []
        """The connections whose dial has ended. The thread of the listener takes them."""
        self._is_closing = False
        self._deaf_until_s = 0.0
        """The time until which no session is accepted, because this process has no descriptor left; 0 otherwise."""
        self._thread = threading.Thread(target=self._listen, name="moves-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no session over any more. A second call does nothing."""
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        self._thread.join()
        self._dials.close()
        self._pool.shutdown(wait=True)
        with self._lock:
            dialled, self._dialled = self._dialled, []
        for parked in dialled:
            parked.close()
        self._wake.close()

    def _listen(self) -> None:
        with self._selector, self._wakes, self._listener:
            while not self._is_closing:
                for key, _ in self._selector.select(LOOK_S):
                    self._look_at(key)
                self._expire()
            for parked in self._parked():
                parked.close()

    def _look_at(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._listener:
            self._accept()
        elif key.fileobj is self._wakes:
            self._wakes.recv(4096)
            with self._lock:
                dialled, self._dialled = self._dialled, []
            for parked in dialled:
                self._selector.register(parked.channel, selectors.EVENT_READ, parked)
        else:
            self._selector.unregister(key.fileobj)
            self._pool.submit(self._receive, key.data.channel, key.data.ahead)

    def _accept(self) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError as error:
            logger.error("no session can be taken over for %g s: %s", DEAF_S, error)  # noqa: TRY400 - no bug
            # Stop listening, because the waiting worker would wake this thread again and again.
            self._selector.unregister(self._listener)
            self._deaf_until_s = time.monotonic() + DEAF_S
        else:
            self._pool.submit(self._receive, channel, None)

    def _parked(self) -> list[_Parked]:
        return [key.data for key in self._selector.get_map().values() if key.data is not None]

    def _expire(self) -> None:
        now_s = time.monotonic()
        if 0 < self._deaf_until_s < now_s:
            self._deaf_until_s = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)
        for parked in self._parked():
            if now_s > parked.until_s:
                self._selector.unregister(parked.channel)
                parked.close()

    def _receive(self, channel: socket.socket, ahead: Ahead | None) -> None:
        try:
            channel.settimeout(ANSWER_S)
            message = receive(channel)
            if isinstance(message, Announced):
                dial = functools.partial(self._router.dial_ahead, message.facts, message.route)
                self._dials.submit(dial, functools.partial(self._park, channel))
                return
            take_over(self._router, *message, ahead)
        except Exception as error:  # noqa: BLE001 - the sender keeps the session, whatever the reason
            if ahead is None or not isinstance(error, ConnectionError):  # only the client may have gone meanwhile
                logger.warning("a session is not taken over: %s", error)
            _Parked(channel, ahead).close()
        else:
            with channel, contextlib.suppress(OSError):
                channel.sendall(_TAKEN)

    def _park(self, channel: socket.socket, result: Ahead | BaseException | None) -> None:
        if isinstance(result, BaseException):
            logger.info("no upstream is dialled in advance: %s", result)
            result = None
        parked = _Parked(channel, result)
        try:
            channel.sendall(_DIALLED)
        except OSError:  # the sender has sent the session to another worker
            parked.close()
            return
        with self._lock:
            is_late = self._is_closing
            if not is_late:
                self._dialled.append(parked)
        if is_late:
            parked.close()
        with contextlib.suppress(OSError):
            self._wake.send(b"x")


class Departures:
    """The moves of sessions out of a worker that is replaced.

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
        self._lock = threading.Lock()
        self._announced: dict[str, socket.socket] = {}
        """The connections over which the announced sessions will leave, by the sessions' ids."""
        self._answers = selectors.DefaultSelector()
        self._wakes, self._wake = socket.socketpair()
        self._answers.register(self._wakes, selectors.EVENT_READ)
        self._waiting: list[tuple[socket.socket, Callable[[], None]]] = []
        """The connections whose answer the thread awaits, each with the function to call then."""
        self._is_closing = False
        self._thread = threading.Thread(target=self._await_answers, name="departures-answers", daemon=True)
        self._thread.start()
        self.moved = 0
        """The number of sessions that another worker continues."""
        self.lost = 0
        """The number of sessions that no worker continues."""

    @property
    def targets(self) -> list[Path]:
        """The sockets of newer workers that can read the sessions of this version, in no particular order."""
        wanted = f"{self._router.value_layout}{SUFFIX}"
        try:
            return [path for path in self._folder.glob(f"*{SUFFIX}") if self._is_target(path.name, wanted)]
        except OSError as error:  # no free descriptor
            logger.error("newer workers cannot be found: %s", error)  # noqa: TRY400 - no bug
            return []

    def _is_target(self, name: str, wanted: str) -> bool:
        age, pid, layout = name.split("-", 2)
        return int(age) >= self._least_age and int(pid) != os.getpid() and layout == wanted

    def announce(self, announcement: Announcement) -> None:
        """Let another worker dial the next upstream of a session. A dispatcher calls this; a thread does the work."""
        self._pool.submit(self._announce, announcement)

    def deliver(self, departure: Departure) -> None:
        """Move a session, on a thread. A dispatcher calls this."""
        self._pool.submit(self._move, departure)

    def close(self) -> None:
        """Wait for the sessions that are on their way."""
        self._pool.shutdown(wait=True)
        self._is_closing = True
        self._wake.send(b"x")
        self._thread.join()
        self._wake.close()
        for channel in self._announced.values():
            channel.close()

    def _announce(self, announcement: Announcement) -> None:
        channel = self._sent(Announced(announcement.facts, announcement.route))
        if channel is None:
            announcement.on_ready()
            return
        # The thread gets a duplicate, because the session may leave, and close the channel, before the answer comes.
        try:
            answers = channel.dup()
        except OSError as error:
            logger.warning("no upstream is dialled in advance: %s", error)
            channel.close()
            announcement.on_ready()
            return
        with self._lock:
            former = self._announced.pop(announcement.session_id, None)
            self._announced[announcement.session_id] = channel
            self._waiting.append((answers, announcement.on_ready))
        if former is not None:
            former.close()
        self._wake.send(b"x")

    def _sent(self, announced: Announced) -> socket.socket | None:
        """Send an announcement to any newer worker. Return the connection, or None if no worker takes it."""
        targets = self.targets
        random.shuffle(targets)
        for target in targets:
            with contextlib.ExitStack() as undo:
                try:
                    channel = undo.enter_context(socket.socket(socket.AF_UNIX))
                    channel.settimeout(ANSWER_S)
                    channel.connect(str(target))
                    send(channel, announced)
                except OSError as error:
                    logger.warning("a worker dials no upstream in advance: %s", error)
                else:
                    undo.pop_all()
                    return channel
        return None

    def _await_answers(self) -> None:
        with self._answers, self._wakes:
            while not self._is_closing:
                for key, _ in self._answers.select():
                    if key.data is not None:
                        # The answer itself is read before the session is sent.
                        self._forget(key)
                        key.data()
                        continue
                    self._wakes.recv(4096)
                    with self._lock:
                        waiting, self._waiting = self._waiting, []
                    for channel, on_ready in waiting:
                        self._answers.register(channel, selectors.EVENT_READ, on_ready)
            for key in list(self._answers.get_map().values()):
                if key.data is not None:
                    self._forget(key)
        for channel, _ in self._waiting:
            channel.close()

    def _forget(self, key: selectors.SelectorKey) -> None:
        self._answers.unregister(key.fileobj)
        if isinstance(key.fileobj, socket.socket):
            key.fileobj.close()

    def _move(self, departure: Departure) -> None:
        stream = departure.stream
        parcel = Parcel(departure.value, stream.unread, stream.unsent)
        with self._lock:
            announced = self._announced.pop(departure.session_id, None)
        with socket.socket(fileno=stream.descriptor) as sock:
            if announced is not None and _ask_again(announced, parcel, sock):
                self.moved += 1
                return
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


def _ask_again(announced: socket.socket, parcel: Parcel, sock: socket.socket) -> bool:
    """Send a session to the worker to which it was announced. Return whether the worker continues it."""
    with announced:
        try:
            # If the worker has not dialled yet, it would be slow to read the session.
            announced.setblocking(False)
            if announced.recv(1) != _DIALLED:
                return False
            announced.settimeout(ANSWER_S)
            send(announced, parcel, sock)
            return announced.recv(1) == _TAKEN
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                logger.warning("a worker does not take an announced session over: %s", error)
            return False


def send(channel: socket.socket, message: Announced | Parcel, sock: socket.socket | None = None) -> None:
    """Send an announcement, or a session and its client's socket."""
    data = msgspec.msgpack.encode(message)
    descriptors = [sock.fileno()] if sock is not None else []
    socket.send_fds(channel, [len(data).to_bytes(_LENGTH_BYTES, "big")], descriptors)
    channel.sendall(data)


def receive(channel: socket.socket) -> Announced | tuple[Parcel, socket.socket]:
    """Receive an announcement, or a session and its client's socket.

    Raises:
        OSError: the sender is gone.
        ValueError: the message is neither.
    """
    head, descriptors, _, _ = socket.recv_fds(channel, _LENGTH_BYTES, 1)
    if not head:
        raise ConnectionError("the sender is gone")
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(fileno=descriptors[0])) if descriptors else None
        message = _decoder.decode(_read(channel, int.from_bytes(head, "big")))
        if isinstance(message, Announced):
            return message
        if sock is None:
            raise ValueError("no socket came with it")
        undo.pop_all()
    return message, sock


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


def take_over(router: Router, parcel: Parcel, sock: socket.socket, ahead: Ahead | None = None) -> None:
    """Continue a session in this process. If `ahead` is given, the session owns it afterwards.

    On a failure, close only this process's copy of the client's socket. The stream stays open, because the sender of
    the session has a copy, too.
    """
    try:
        limits = router.limits_of_value(parcel.value)
    except Exception:
        sock.close()
        raise
    connection = KeptConnection.continued(sock, parcel.unread, parcel.unsent, limits)
    try:
        router.adopt(parcel.value, connection, ClientAdopted(is_planned=True), ahead=ahead)
    except BaseException:
        connection.abort()
        raise
