"""A lock that excludes the processes of one server from each other. If its holder is killed, the kernel frees it."""

from __future__ import annotations

import contextlib
import ctypes
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

_ALL: Final = 0
"""The length that stands for the whole file."""

# `fcntl.lockf` releases the interpreter's lock for each call. Beside a busy dispatcher, a thread then waits for up to
# two of the interpreter's switch intervals, for a call of one microsecond (docs/decisions/0059).
_lockf: Final = ctypes.PyDLL(None).lockf
_lockf.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong)


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
                _lockf(self._file, os.F_ULOCK, _ALL)

    def _try(self) -> bool:
        return bool(_lockf(self._file, os.F_TLOCK, _ALL) == 0)
