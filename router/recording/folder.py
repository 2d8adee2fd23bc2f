"""The folder of recordings, and its bound: if new data needs space, the oldest files are removed."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

logger = logging.getLogger(__name__)

SUFFIX: Final = ".jsonl"
KEPT_SUFFIX: Final = f".kept{SUFFIX}"
"""The suffix of a recording that is removed last, because its session has killed workers."""
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
"""The permissions of the folder. A recording is about a caller, so other users of the machine may not read it."""

LOOKS: Final = 100
"""A worker measures the folder each time that it has written 1/100 of the bound, because other workers write, too."""


class _File(NamedTuple):
    is_kept: bool
    changed_s: float
    size_bytes: int
    path: Path


class Folder:
    """A folder of recordings, which several workers may share. One thread of each worker uses the object."""

    def __init__(self, path: str, max_bytes: int) -> None:
        self.path = Path(path)
        self._max_bytes = max_bytes
        self._unmeasured_bytes = max_bytes
        self.removed = 0
        """The number of files that this process removed to keep the bound."""

    def check(self) -> None:
        """Make the folder, and check that a file can be made in it.

        Raises:
            OSError: the folder cannot be written.
        """
        self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        probe = self.path / f".check-{os.getpid()}"
        try:
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        finally:
            probe.unlink(missing_ok=True)

    def file_of(self, session_id: str) -> Path:
        """Return the path of a session's file."""
        return self.path / f"{session_id}{SUFFIX}"

    def create(self, path: Path, data: bytes) -> None:
        """Write the beginning of a new file.

        Raises:
            OSError: the file cannot be written.
        """
        self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._write(path, data, os.O_CREAT | os.O_EXCL)

    def keep(self, session_id: str) -> None:
        """Mark the file of a session, so that it is removed after all others. Any thread may call this."""
        path = self.file_of(session_id)
        try:
            path.rename(path.with_name(f"{session_id}{KEPT_SUFFIX}"))
        except FileNotFoundError:
            return  # the session was not recorded
        except OSError as error:
            logger.error("recording %s may be removed: %s", path.name, error.strerror)  # noqa: TRY400 - no bug
        else:
            logger.warning("the recording of session %s is kept: %s%s", session_id, session_id, KEPT_SUFFIX)

    def append(self, path: Path, data: bytes) -> None:
        """Write the next part of a file, whole or not at all.

        Raises:
            OSError: the file cannot be written, or another worker has removed it.
        """
        self._write(path, data, os.O_APPEND)

    def _write(self, path: Path, data: bytes, flags: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, FILE_MODE)
        try:
            size = os.fstat(descriptor).st_size
            at = 0
            while at < len(data):
                at += os.write(descriptor, data[at:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)  # no part of a line must stay
            raise
        finally:
            os.close(descriptor)
        self._unmeasured_bytes += len(data)

    def make_room(self, size_bytes: int, present: AbstractSet[Path]) -> bool:
        """Remove files until `size_bytes` more fit: the oldest first, marked files last. Return whether they fit.

        Files in `present` stay.
        """
        if self._unmeasured_bytes + size_bytes < self._max_bytes // LOOKS:
            return True
        files = sorted(self._files())
        total_bytes = sum(file.size_bytes for file in files) + size_bytes
        for file in files:
            if total_bytes <= self._max_bytes:
                break
            if file.path not in present:
                with contextlib.suppress(OSError):  # another worker has removed it already
                    file.path.unlink()
                    self.removed += 1
                    logger.info("recording %s is removed: the folder has reached its bound", file.path.name)
                total_bytes -= file.size_bytes
        self._unmeasured_bytes = 0
        if total_bytes > self._max_bytes:
            self._unmeasured_bytes = self._max_bytes  # so the next write measures again
        return total_bytes <= self._max_bytes

    def _files(self) -> list[_File]:
        found = []
        for path in self.path.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append(_File(path.name.endswith(KEPT_SUFFIX), facts.st_mtime, facts.st_size, path))
        return found
