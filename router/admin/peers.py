"""The workers of one server. They ask each other, so that any worker can answer an operator for all of them.

Each listens on a Unix socket in a folder that only this user can enter. A request and its answer are one line of JSON.
A worker that does not answer in time is left out, so only the sessions of a hanging worker are missing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import socket
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

ANSWER_S: Final = 2.0
"""The longest time in seconds that one worker may take to answer."""

PAUSE_S: Final = 0.5
"""The pause in seconds after a failed `accept`. An immediate retry would fail again for lack of file descriptors."""

MAX_BYTES: Final = 16 * 1024 * 1024

MOST_PATH_BYTES: Final = 107
"""The longest path of a Unix socket (unix(7))."""

MOST_NAME_BYTES: Final = 64
"""The bytes that are reserved for the names of a folder of sockets and of a socket in it."""

FOLDERS: Final = ("/tmp", "/dev/shm", "/var/tmp")  # noqa: S108 - for a folder of this user alone
"""The folders that are used if the path of the temporary folder is too long."""

Verb = dict[str, Any]


def is_own(folder: Path) -> bool:
    """Whether a folder belongs to this user, and no other user can enter it.

    Raises:
        OSError: there is no such folder.
    """
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def socket_folder() -> str:
    """Return the parent of the folders of sockets: the temporary folder, unless its path is too long for sockets."""
    wanted = tempfile.gettempdir()
    for folder in (wanted, *FOLDERS):
        if len(os.fsencode(folder)) <= MOST_PATH_BYTES - MOST_NAME_BYTES and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return wanted


class Answers:
    """The workers' answers to one verb, which is an operator's request such as `{"verb": "list"}`."""

    def __init__(self, given: list[Any]) -> None:
        self.given = given
        self.missing: list[str] = []
        """The names of the workers that gave no answer in time."""


class Peers:
    """The folder of the workers' sockets. The arbiter makes it before the first fork, and removes it.

    Args:
        folder: the folder of a running server. By default a new folder is made.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = Path(folder or tempfile.mkdtemp(prefix="switchboard-", dir=socket_folder()))  # mode 0700
        self._served: list[tuple[socket.socket, threading.Thread]] = []

    def remove(self) -> None:
        """Remove the folder, in the process that made it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop answering, and end the threads."""
        for listener, thread in self._served:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()
        self._served.clear()

    def forget(self, name: str) -> None:
        """Remove the socket `name` of a worker that has ended, so that no verb is sent to it."""
        with contextlib.suppress(OSError):  # a read-only disk must not end the server
            (self.folder / name).unlink()

    def serve(self, name: str, perform: Callable[[Verb], Any]) -> None:
        """Start a thread that answers the verbs at the socket `name` with `perform`, until `close`."""
        path = self.folder / name
        path.unlink(missing_ok=True)  # a worker that died may have left it
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(path))
        except OSError:
            listener.close()
            raise
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, perform), name="admin-peers", daemon=True)
        thread.start()
        self._served.append((listener, thread))

    def ask(self, verb: Verb) -> Answers:
        """Ask all workers, including this one, one after the other, and return their answers."""
        answers = Answers([])
        for path in sorted(self.folder.glob("*.sock")):
            try:
                answers.given.append(_ask(path, verb))
            except (OSError, orjson.JSONDecodeError) as error:
                answers.missing.append(f"worker {path.stem}")
                logger.warning("worker %s gave no answer to an operator: %s", path.stem, error)
        return answers


def _ask(path: Path, verb: Verb) -> Any:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(ANSWER_S)
        asked.connect(str(path))
        asked.sendall(orjson.dumps(verb))
        asked.shutdown(socket.SHUT_WR)
        return orjson.loads(_receive(asked))


def _serve(listener: socket.socket, perform: Callable[[Verb], Any]) -> None:
    while True:
        try:
            asking, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EBADF, errno.EINVAL):  # closed
                return
            logger.warning("an operator's verb is not accepted: %s", error)
            time.sleep(PAUSE_S)
            continue
        with asking:
            _answer(asking, perform)


def _answer(asking: socket.socket, perform: Callable[[Verb], Any]) -> None:
    asking.settimeout(ANSWER_S)
    try:
        asking.sendall(orjson.dumps(perform(orjson.loads(_receive(asking)))))
    except Exception:  # the operator still gets the answers of the other workers
        logger.exception("an operator's verb failed")


def _receive(peer: socket.socket) -> bytes:
    parts = bytearray()
    while len(parts) < MAX_BYTES and (part := peer.recv(65536)):
        parts += part
    return bytes(parts)
