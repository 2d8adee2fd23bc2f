"""The workers of a main process that was killed. They find the main process that serves in its place.

A main process writes the path of its workers' folder to a file. The file lies beside the socket by which another main
process takes over. The workers of a dead main process read the file. Their sessions move to the workers in that folder,
as at a reload.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from router.admin.peers import is_own

SUFFIX: Final = ".folder"

LEAST_AGE: Final = 0
"""The workers of another main process always count as newer, whatever their age is."""


def announce(path: Path, folder: Path) -> None:
    """Write the folder of the workers to a file beside the socket at `path`. Only this user can enter that folder.

    Raises:
        OSError: the file cannot be written.
    """
    written = path.with_name(f"{path.name}.{os.getpid()}")
    written.write_text(str(folder), encoding="utf-8")
    written.replace(path.with_suffix(SUFFIX))


def find(path: Path, own: Path) -> Path | None:
    """Return the folder of the workers of another main process; None if the file names no other folder of this user."""
    try:
        folder = Path(path.with_suffix(SUFFIX).read_text(encoding="utf-8"))
        # Sessions go there with their credentials, so both folders must be this user's alone.
        is_found = folder != own and is_own(path.parent) and is_own(folder)
    except OSError:
        return None
    return folder if is_found else None


def tidy(folder: Path) -> None:
    """Remove the sockets of this process and of the dead main process. If the folder is empty afterwards, remove it."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            is_own = path.name == f"{os.getpid()}.sock" or f"-{os.getpid()}-" in path.name
            if is_own or path.name.startswith("keeper-"):
                path.unlink(missing_ok=True)
        folder.rmdir()
