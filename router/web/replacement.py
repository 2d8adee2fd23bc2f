"""A main process that replaces another, over a socket that only their user can open: a deploy of another version.

The process that serves hands on its listeners and its shared memory. It continues until the workers of the replacement
serve. Then it retires its own workers: their sessions move, and the process ends with its last worker. A replacement
that does not serve in time changes nothing. See docs/decisions/0054-take-over.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from router.admin.peers import MOST_PATH_BYTES, is_own, socket_folder
from router.web.handoff import MAX_PACKET_BYTES, Handoff

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

SERVE_S: Final = 60.0
"""The longest time in seconds from the offer until the workers of the replacement serve."""

ANSWER_S: Final = 10.0
"""The longest wait in seconds of a replacement for an answer. The other main process checks its socket every second."""

MOST_DESCRIPTORS: Final = 64

_CREDENTIALS: Final = struct.Struct("3i")


class ReplacementError(Exception):
    """The main process was not replaced. The text has the reason."""


class Offer(msgspec.Struct, kw_only=True, tag="offer"):
    """The description of a running server, for the process that replaces it.

    The message carries the descriptors of the listener, of the admin listener, and of each area of shared memory.

    The two processes may run different versions of this module: unknown fields are ignored, and a new field needs a
    default.
    """

    pid: int
    slots: int
    peers: str
    has_admin: bool
    areas: list[tuple[str, int]]
    """The name and the size of each area of the shared memory."""
    age: int
    """The number of workers that were started so far."""


class Served(msgspec.Struct, kw_only=True, tag="served"):
    """The report that the workers of the replacement serve."""

    least_age: int
    """The age of the oldest worker of the replacement."""


class Released(msgspec.Struct, kw_only=True, tag="released"):
    """The report that the replaced main process has closed its listeners, and that its sessions move."""


_decoder: Final = msgspec.json.Decoder(Offer | Served | Released)


def path_of(host: str, port: int) -> Path:
    """Return the path of the socket of the server on an address."""
    folder = Path(socket_folder()) / f"switchboard-{os.geteuid()}"
    path = folder / f"{host.replace(':', '_')}-{port}.sock"
    if len(os.fsencode(path)) <= MOST_PATH_BYTES:
        return path
    return folder / f"{hashlib.sha256(host.encode()).hexdigest()[:16]}-{port}.sock"


class Replaceable:
    """The socket on which the serving main process waits for a main process that replaces it.

    Only the arbiter's thread may call its methods. No method blocks.

    Args:
        path: the path of the socket.
        offer: returns the `Offer` that describes this server, and the descriptors in the order that `Offer` names.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, path: Path, offer: Callable[[], tuple[Offer, list[int]]]) -> None:
        self._path = path
        self._offer = offer
        self._channel: socket.socket | None = None
        self._until_s = 0.0
        _own_folder(path.parent)
        _clear(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(str(path))
            path.chmod(0o600)
            self._listener.listen(1)
        except OSError:
            self._listener.close()
            raise
        self._listener.setblocking(False)

    @property
    def is_asked(self) -> bool:
        """Whether another main process has asked to replace this one, and has not failed since."""
        return self._channel is not None

    def advance(self) -> Served | None:
        """Take the next step of a replacement, if it is due. Return `Served` when the replacement serves, else None."""
        if self._channel is None:
            self._accept()
            return None
        try:
            message = _receive(self._channel)
        except BlockingIOError:
            if time.monotonic() > self._until_s:
                self._fail(f"its workers did not serve within {SERVE_S:g} s")
            return None
        except (OSError, msgspec.DecodeError) as error:
            self._fail(str(error))
            return None
        if not isinstance(message, Served):
            self._fail("it ended")
            return None
        return message

    def release(self) -> None:
        """Remove the socket, so that the replacement can use its path, and send the replacement `Released`."""
        self._close_listener()
        if self._channel is not None:
            with contextlib.suppress(OSError):
                _send(self._channel, Released())

    def forget(self) -> None:
        """Close the socket in the child of a fork."""
        self._listener.close()
        if self._channel is not None:
            self._channel.close()

    def close(self) -> None:
        """Remove the socket. A second call does nothing."""
        self._close_listener()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _close_listener(self) -> None:
        if self._listener.fileno() >= 0:
            with contextlib.suppress(OSError):  # a read-only disk must not end the server
                self._path.unlink()
            self._listener.close()

    def _accept(self) -> None:
        while self._channel is None and self._listener.fileno() >= 0:
            try:
                channel, _ = self._listener.accept()
            except OSError:  # no process asks
                return
            channel.setblocking(False)
            try:
                self._answer(channel)
            except OSError as error:
                logger.warning("no other main process takes over: %s", error)
                channel.close()

    def _answer(self, channel: socket.socket) -> None:
        """Send the `Offer` of this server to a process that asks.

        Raises:
            OSError: the process is gone, or runs as another user.
        """
        if not _is_of_owner(channel):
            raise PermissionError(0, "a process of another user asked")
        offer, descriptors = self._offer()
        socket.send_fds(channel, [msgspec.json.encode(offer)], descriptors)
        logger.info("another main process takes over: the workers here serve until its own do")
        self._channel, self._until_s = channel, time.monotonic() + SERVE_S

    def _fail(self, reason: str) -> None:
        logger.error("no other main process takes over, and the workers here go on: %s", reason)
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class Predecessor:
    """The main process that the present process replaces."""

    def __init__(self, channel: socket.socket, offer: Offer, descriptors: list[int]) -> None:
        self._channel = channel
        self._until_s = time.monotonic() + SERVE_S
        self.pid = offer.pid
        self.age = offer.age
        """The number of workers that the other process has started. The workers here get higher numbers."""
        listener, *others = descriptors
        admin = others.pop(0) if offer.has_admin else None
        self.handoff = Handoff(
            arbiter=os.getpid(),
            listener=listener,
            admin=admin,
            stderr=2,
            slots=offer.slots,
            peers=offer.peers,
            areas={name: (number, size) for (name, size), number in zip(offer.areas, others, strict=True)},
        )

    def check(self) -> None:
        """Check that the main process that is to be replaced still waits for the workers of this process.

        Raises:
            ReplacementError: that main process is gone, or the workers of this process start too late.
        """
        self._channel.setblocking(False)
        try:
            message = _receive(self._channel)
        except BlockingIOError:
            if time.monotonic() > self._until_s:
                raise ReplacementError(f"no worker served within {SERVE_S:g} s") from None
            return
        except (OSError, msgspec.DecodeError) as error:
            raise ReplacementError(f"the process {self.pid} is lost: {error}") from error
        raise ReplacementError(f"the process {self.pid} has ended" if message is None else "the answer is unknown")

    def take(self, least_age: int) -> None:
        """Report that the workers of this process serve, and wait until the replaced process lets its sessions move.

        The call blocks.

        Raises:
            ReplacementError: the replaced process does not answer.
        """
        self._channel.settimeout(ANSWER_S)
        try:
            _send(self._channel, Served(least_age=least_age))
            message = _receive(self._channel)
        except (OSError, msgspec.DecodeError) as error:
            raise ReplacementError(f"the process {self.pid} does not answer: {error}") from error
        finally:
            self._channel.close()
        if not isinstance(message, Released):
            raise ReplacementError(f"the process {self.pid} does not let go")

    def forget(self) -> None:
        """Close the channel in the child of a fork."""
        self._channel.close()


def find(path: Path) -> Predecessor | None:
    """Ask the main process that listens on a socket for its offer. Return None if no process listens. The call blocks.

    Raises:
        ReplacementError: the process belongs to another user, or does not answer.
    """
    with contextlib.ExitStack() as undo:
        channel = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        try:
            _own_folder(path.parent)
            channel.settimeout(ANSWER_S)
            channel.connect(str(path))
            found = _asked(channel, path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ReplacementError(f"{path}: {error}") from error
        undo.pop_all()
        return found


def _asked(channel: socket.socket, path: Path) -> Predecessor:
    if not _is_of_owner(channel):
        raise ReplacementError(f"{path} is the socket of another user")
    packet, descriptors, _, _ = socket.recv_fds(channel, MAX_PACKET_BYTES, MOST_DESCRIPTORS)
    offer = _decoder.decode(packet) if packet else None
    if not isinstance(offer, Offer) or len(descriptors) != 1 + offer.has_admin + len(offer.areas):
        raise ReplacementError(f"{path}: the server makes no offer")
    return Predecessor(channel, offer, descriptors)


def _own_folder(folder: Path) -> None:
    """Make the folder of the sockets, and check that no other user can enter it.

    Raises:
        OSError: another user can enter it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if not is_own(folder):
        raise PermissionError(0, f"{folder} is not a folder of this user alone")


def _clear(path: Path) -> None:
    """Remove the socket of a process that was killed.

    Raises:
        OSError: a process listens on it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as trying:
        trying.setblocking(False)
        try:
            trying.connect(str(path))
        except BlockingIOError:
            pass  # its queue is full, so the process lives
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise FileExistsError(0, f"another server listens at {path}")


def _is_of_owner(channel: socket.socket) -> bool:
    """Whether the process at the other end runs as this user, or as root."""
    _, user, _ = _CREDENTIALS.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return user in (0, os.geteuid())


def _send(channel: socket.socket, message: Served | Released) -> None:
    channel.send(msgspec.json.encode(message))


def _receive(channel: socket.socket) -> Offer | Served | Released | None:
    packet = channel.recv(MAX_PACKET_BYTES)
    return _decoder.decode(packet) if packet else None
