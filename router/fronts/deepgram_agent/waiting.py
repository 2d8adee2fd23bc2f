"""The frames of a client that wait for an upstream. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_AUDIO_BYTES: Final = 1024 * 1024
"""The most audio that waits for an upstream: 10 s at 48 kHz. Beyond it the oldest audio is dropped."""

AUDIO_DROPPED: Final = "microphone audio is dropped while no upstream is ready"
"""The log line about the first audio of a session that is dropped."""


class Waiting:
    """The frames of a client that wait for an upstream, in order. Texts have one bound, and audio another."""

    def __init__(self, max_texts: int, max_text_bytes: int, max_audio_bytes: int = MAX_AUDIO_BYTES) -> None:
        self._frames: deque[str | bytes] = deque()
        self._max_texts = max_texts
        self._max_text_bytes = max_text_bytes
        self._max_audio_bytes = max_audio_bytes
        self.texts = 0
        self._text_bytes = 0
        self._audio_bytes = 0
        self.dropped_bytes = 0
        """The bytes of audio that were dropped in the whole session."""

    @property
    def size_bytes(self) -> int:
        """The size of all frames."""
        return self._text_bytes + self._audio_bytes

    def keep_text(self, text: str) -> bool:
        """Keep a text, and return True. Drop a text that exceeds a bound, and return False."""
        size_bytes = len(text.encode())
        if self.texts >= self._max_texts or self._text_bytes + size_bytes > self._max_text_bytes:
            return False
        self._frames.append(text)
        self.texts += 1
        self._text_bytes += size_bytes
        return True

    def keep_audio(self, audio: bytes) -> bool:
        """Keep a piece of audio, and drop the oldest audio beyond the bound.

        Return whether this was the first drop of the session, which is logged as `AUDIO_DROPPED`.
        """
        self._frames.append(audio)
        self._audio_bytes += len(audio)
        had_dropped = self.dropped_bytes > 0
        while self._audio_bytes > self._max_audio_bytes:
            oldest = next(frame for frame in self._frames if isinstance(frame, bytes))
            self._frames.remove(oldest)
            self._audio_bytes -= len(oldest)
            self.dropped_bytes += len(oldest)
        return self.dropped_bytes > 0 and not had_dropped

    def put_back(self, texts: list[str]) -> None:
        """Put texts in front of all other frames, because a lost upstream did not take them.

        The bounds were checked when the texts first came, so they are not checked again.
        """
        self._frames.extendleft(reversed(texts))
        self.texts += len(texts)
        self._text_bytes += sum(len(text.encode()) for text in texts)

    def take(self) -> list[str | bytes]:
        """Remove and return all frames."""
        frames = list(self._frames)
        self._frames.clear()
        self.texts = self._text_bytes = self._audio_bytes = 0
        return frames
