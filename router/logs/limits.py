"""The rate of log lines that a peer can cause: a few of each kind within a time, then the number of the rest.

Pure. Each session has a limiter, and the handler of the process has one for the web server's lines.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINES: Final = 10
"""The most lines of one kind within `WINDOW_S`."""

WINDOW_S: Final = 10.0

MAX_LINE_CHARS: Final = 2000
"""The longest line in characters. A peer's text may be part of a line."""

BURST_BYTES: Final = 4 * 1024 * 1024
BYTES_PER_S: Final = 512 * 1024
"""The bytes of log lines that a process may write in a second. Several hundred new sessions in a second need less."""

_MAX_KINDS: Final = 64
"""The most kinds with a separate rate.

All further kinds share one rate, because a peer may invent any number of kinds.
"""

_KIND_CHARS: Final = 24
_DIGITS: Final = {ord(digit): None for digit in "0123456789"}


def kind_of(line: str) -> str:
    """Return the kind of a line: its first characters, without digits."""
    # Each session keeps its kinds, and all sessions have the same few.
    return sys.intern(line[: 2 * _KIND_CHARS].translate(_DIGITS)[:_KIND_CHARS])


def shortened(line: str) -> str:
    """Return a line, cut to `MAX_LINE_CHARS` and marked with "…" if it is longer."""
    return line if len(line) <= MAX_LINE_CHARS else f"{line[:MAX_LINE_CHARS]}…"


def counted(line: str, missed: int) -> str:
    """Return a line. If lines of its kind were left out before it, add their number `missed`."""
    return f"{line} (and {missed} more of this kind)" if missed else line


class LineLimiter:
    """The counts of lines by kind, within windows of `WINDOW_S`. It is not thread-safe."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        self._windows: tuple[Window, ...] = ()
        """The windows of the kinds so far. A dictionary with one entry takes 0.2 kB of each session."""

    def take(self, kind: str, now_s: float) -> int | None:
        """Count a line.

        Return the number of omitted lines of its kind before it, or None if this line must be omitted, too.
        """
        window = self._window(kind, now_s)
        missed = 0
        if now_s - window.began_s >= WINDOW_S:
            missed = window.missed
            window.began_s, window.lines, window.missed = now_s, 0, 0
        window.lines += 1
        if window.lines > MAX_LINES:
            window.missed += 1
            return None
        return missed

    def _window(self, kind: str, now_s: float) -> Window:
        window = next((it for it in self._windows if it.kind == kind), None)
        if window is None and len(self._windows) >= _MAX_KINDS and kind:
            return self._window("", now_s)
        if window is None:
            window = Window(kind, now_s)
            self._windows += (window,)
        return window

    def missed(self) -> Iterator[tuple[str, int]]:
        """Yield each kind with lines that were left out in the present window, and their number."""
        yield from ((it.kind, it.missed) for it in self._windows if it.missed)


class ByteBudget:
    """The budget of bytes for the log lines of a process: a burst, and a rate. It is not thread-safe."""

    __slots__ = ("_at_s", "_left")

    def __init__(self, now_s: float) -> None:
        self._left = float(BURST_BYTES)
        self._at_s = now_s

    def take(self, count: int, now_s: float) -> bool:
        """Whether a line of `count` bytes may be written. If so, the bytes are taken from the budget."""
        self._left = min(BURST_BYTES, self._left + (now_s - self._at_s) * BYTES_PER_S)
        self._at_s = now_s
        if count > self._left:
            return False
        self._left -= count
        return True


class Window:
    """The number of lines of one kind since the beginning of the window."""

    __slots__ = ("began_s", "kind", "lines", "missed")

    def __init__(self, kind: str, began_s: float) -> None:
        self.kind = kind
        self.began_s = began_s
        self.lines = 0
        self.missed = 0
