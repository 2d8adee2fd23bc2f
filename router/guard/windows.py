"""The agent's text, cut into the windows that are checked: at the end of a sentence, or of a word. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WINDOWS: Final = 64
"""The most windows that one call of `add` yields. The last one contains all further complete windows.

Each window costs a check and a frame, and 4 MB of short sentences would be a million of them.
"""

_SENTENCE_END: Final = re.compile(r"[.!?\u2026\u3002\uff01\uff1f]['\")\]]?\s")


class Windows:
    """The part of one text of the agent that is in no returned window yet."""

    __slots__ = ("_chars", "_rest")

    def __init__(self, chars: int) -> None:
        self._chars = chars
        self._rest = ""

    @property
    def has_rest(self) -> bool:
        """Whether there is text that is in no window yet."""
        return bool(self._rest)

    def add(self, delta: str) -> Iterator[str]:
        """Add a part of the text, and yield the windows that are complete, at most `MAX_WINDOWS`."""
        text, start, count = self._rest + delta, 0, 1
        while end := self._end(text, start) if count < MAX_WINDOWS else self._last_end(text, start):
            # Set the rest now, because the caller reads it between two windows.
            self._rest = text[end : end + 1]
            yield text[start:end]
            start = end
            count += 1
        self._rest = text[start:]

    def flush(self) -> Iterator[str]:
        """Yield the rest of the text as the last window, because the text has ended. Yield nothing without a rest."""
        rest, self._rest = self._rest, ""
        if rest:
            yield rest

    def _last_end(self, text: str, start: int) -> int:
        """Return the end of the last complete window behind `start`; 0 if no window is complete."""
        last, start = 0, max(start, len(text) - self._chars)
        while end := self._end(text, start):
            last = start = end
        return last

    def _end(self, text: str, start: int) -> int:
        """Return the end of the window that begins at `start`; 0 while the window is not complete."""
        most = start + self._chars
        found = _SENTENCE_END.search(text, start, most)
        if found:
            return found.end()
        if len(text) < most:
            return 0
        # Cut a word that is longer than the window.
        return text.rfind(" ", start, most) + 1 or most
