"""The user's speech of which the upstream has not made a turn. The next upstream hears it again."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PREROLL_BYTES: Final = 32_000
"""The most audio that is kept while the user is silent: 1 s at 16 kHz. The start of speech is reported late."""

RECENT_BYTES: Final = 6400
"""The audio of a silent user that another process gets: 0.2 s at 16 kHz."""

MAX_BYTES: Final = 2 * 1024 * 1024
"""The most audio that is kept while the user speaks: a minute at 16 kHz."""


class Speech:
    """The newest microphone audio of one session."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self.size_bytes = 0
        self.dropped_bytes = 0
        """The bytes of the present speech that were dropped. Audio before the speech does not count."""
        self.is_on = False
        """Whether the user speaks, or has spoken and the upstream has sent no text of the speech yet."""

    def add(self, audio: bytes) -> None:
        """Add microphone audio, and drop the oldest audio that exceeds the bound."""
        if audio:
            self._frames.append(audio)
        self.size_bytes += len(audio)
        while self.size_bytes > (MAX_BYTES if self.is_on else PREROLL_BYTES):
            oldest_bytes = len(self._frames.popleft())
            self.size_bytes -= oldest_bytes
            self.dropped_bytes += oldest_bytes if self.is_on else 0

    def begin(self) -> None:
        """Record that the user has begun to speak."""
        self.is_on = True

    def end(self) -> None:
        """Forget the speech, because the upstream has made a turn of it, or it was a noise."""
        self.is_on = False
        self._frames.clear()
        self.size_bytes = self.dropped_bytes = 0

    def recent(self) -> list[bytes]:
        """Return the newest audio, in which the user may just have begun to speak; an empty list during speech."""
        if self.is_on:
            return []
        return list(self._newest())

    @contextlib.contextmanager
    def shortened(self) -> Iterator[None]:
        """Keep only the newest audio of a silent user during the block."""
        if self.is_on:
            yield
            return
        before = self._frames, self.size_bytes
        self._frames = self._newest()
        self.size_bytes = sum(map(len, self._frames))
        try:
            yield
        finally:
            self._frames, self.size_bytes = before

    def _newest(self) -> deque[bytes]:
        newest: deque[bytes] = deque()
        size_bytes = 0
        for audio in reversed(self._frames):
            size_bytes += len(audio)
            if size_bytes > RECENT_BYTES:
                break
            newest.appendleft(audio)
        return newest

    def again(self) -> list[bytes]:
        """Return the audio of the present speech for the next upstream; an empty list while the user is silent."""
        return list(self._frames) if self.is_on else []
