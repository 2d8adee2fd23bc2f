"""The lines of a file descriptor, read on a thread that can be stopped."""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_BYTES: Final = 4096


class Lines:
    """A thread that calls `deliver` with each line, and with None at the end.

    It does not use `input()`. That call cannot be stopped, and it would crash the interpreter at exit, because it holds
    a lock of stdin.
    """

    def __init__(self, descriptor: int, deliver: Callable[[str | None], None]) -> None:
        self._descriptor = descriptor
        self._deliver = deliver
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the rest of the input stays unread."""
        os.write(self._woken, b"\0")
        self._thread.join()
        os.close(self._wake)
        os.close(self._woken)

    def _run(self) -> None:
        rest = b""
        while True:
            readable, *_ = select.select([self._descriptor, self._wake], [], [])
            if self._wake in readable:
                return
            read = os.read(self._descriptor, _READ_BYTES)
            *whole, rest = (rest + read).split(b"\n")
            for line in whole if read else [rest]:
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self._deliver(text)
            if not read:
                self._deliver(None)
                return
