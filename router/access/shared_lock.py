"""A lock that excludes the processes of one server from each other. If its holder is killed, the kernel frees it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
import weakref
from typing import TYPE_CHECKING, Final

from router.shared_areas import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.shared_areas import Areas

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 0.25
"""The longest wait for the lock, in seconds.

A holder needs only microseconds, unless it was stopped meanwhile (SIGSTOP).
"""
POLL_S: Final = 0.0005


class SharedLock:
    """A lock on a file, which the processes of one server share. It is made before the first fork.

    A lock in shared memory would stay locked when its holder is killed. A lock on a file does not exclude the threads
    of one process, so the caller has to serialize its own threads.
    """

    def __init__(self, name: str = "lock", areas: Areas = OWN) -> None:
        self._file = areas.file(name)
        weakref.finalize(self, os.close, self._file)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock during the block.

        After `PATIENCE_S` the block runs without the lock, because a stopped worker must not stop the others.
        """
        until_s = time.monotonic() + PATIENCE_S
        is_held = self._try()
        while not is_held and time.monotonic() < until_s:
            time.sleep(POLL_S)
            is_held = self._try()
        if not is_held:
            logger.warning("another process holds the lock of the limits for too long: a call may exceed them")
        try:
            yield
        finally:
            if is_held:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _try(self) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
