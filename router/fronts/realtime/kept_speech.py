"""Microphone audio of which the upstream has made no turn. The next upstream hears it again.

Audio is kept as the client sent it, in base64, in segments. Each unacknowledged commit of the client ends a segment.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PREROLL_MS: Final = 1000
"""The most audio that is kept while the user is silent. It is kept because the start of speech is reported late."""

PREROLL_S: Final = 3.0
"""The age up to which audio is kept even if it exceeds `PREROLL_MS`: a client may send a whole recording at once."""

BRIEF_MS: Final = 200
"""The most audio of a silent user in a brief value (`Remembering.memory`)."""

MAX_MS: Final = 60_000
"""The most audio that is kept while the user speaks, or until the client commits."""


MAX_PIECES: Final = 10_000
"""The most pieces of audio that are kept: those of `MAX_MS`, if each is a few ms long."""


class Speech:
    """The uncommitted microphone audio of one session, in segments. A commit of the client's ends a segment."""

    def __init__(self) -> None:
        self._segments: deque[deque[tuple[float, str]]] = deque([deque()])
        """The pieces of audio of each segment, with the time at which each piece came."""
        self._chars = 0
        self.item_id: str | None = None
        """The client's id for the item of the present speech; None while the user is silent."""
        self.has_stopped = False
        """Whether the upstream has reported the end of the present speech, but not its commit."""
        self.is_repeated = False
        """Whether the upstream in use hears the present speech again, and has not reported its start."""
        self.appended_ms = 0.0
        """The length of all audio that the client sent in the session."""
        self.offset_ms = 0
        """The length of the session's audio before the first byte that the upstream in use got."""
        self.forgotten_chars = 0

    @property
    def is_on(self) -> bool:
        """Whether the user speaks, or has spoken and the upstream has made no item of the speech yet."""
        return self.item_id is not None

    @property
    def is_silent(self) -> bool:
        """Whether the user does not speak, and no commit is on its way."""
        return self.item_id is None and len(self._segments) == 1

    @property
    def held_bytes(self) -> int:
        """The size of the kept audio."""
        return self._chars

    def add(self, audio: str, now_s: float, *, bytes_per_ms: int, is_manual: bool, is_repeated: bool = False) -> None:
        """Add a piece of audio, and drop the oldest pieces that exceed the bound.

        `is_manual` tells that the client commits by itself, so audio is kept without detected speech. `is_repeated`
        tells that the audio was counted when it first came.
        """
        self._segments[-1].append((now_s, audio))
        self._chars += len(audio)
        if not is_repeated:
            self.appended_ms += len(audio) * 3 / 4 / bytes_per_ms
        is_kept = is_manual or self.is_on or len(self._segments) > 1
        per_ms = bytes_per_ms * 4 / 3
        while (self._chars > MAX_MS * per_ms or self._count > MAX_PIECES) and self._count > 1:
            self.forgotten_chars += self._drop_oldest()
        while not is_kept and self._chars > PREROLL_MS * per_ms and self._segments[0][0][0] < now_s - PREROLL_S:
            self._drop_oldest()

    @property
    def _count(self) -> int:
        return sum(map(len, self._segments))

    def _drop_oldest(self) -> int:
        oldest = next(segment for segment in self._segments if segment)
        dropped = len(oldest.popleft()[1])
        self._chars -= dropped
        return dropped

    # The turn.

    def begin(self, item_id: str) -> None:
        """Record the start of speech."""
        self.item_id, self.has_stopped = item_id, False

    def end(self) -> None:
        """Record the end of speech. The upstream's commit of the speech follows."""
        self.has_stopped = True

    def cut(self) -> None:
        """Begin a new segment, because a commit of the client's is on its way."""
        self._segments.append(deque())

    def uncut(self) -> None:
        """Join the first two segments, because the upstream refused the oldest commit that was on its way."""
        if len(self._segments) > 1:
            first = self._segments.popleft()
            self._segments[0].extendleft(reversed(first))

    def commit(self) -> list[str]:
        """Remove and return the audio of the first segment, because the upstream has made a turn of it."""
        audio = [each for _, each in self._segments.popleft()]
        if not self._segments:
            self._segments.append(deque())
        self._chars -= sum(map(len, audio))
        self.forget()
        return audio

    def clear(self) -> None:
        """Drop the audio after the last commit."""
        self._chars -= sum(len(audio) for _, audio in self._segments[-1])
        self._segments[-1] = deque()
        self.forget()

    def forget(self) -> None:
        """Forget the present speech, but not the kept audio, because the speech was committed or cleared."""
        self.item_id, self.has_stopped, self.is_repeated = None, False, False

    @contextlib.contextmanager
    def shortened(self, bytes_per_ms: int) -> Iterator[None]:
        """Hide all but the newest audio during the block, unless the user speaks or a commit is on its way."""
        segments, chars = self._segments, self._chars
        if self.is_silent:
            kept: deque[tuple[float, str]] = deque()
            self._segments, self._chars = deque([kept]), 0
            for at_s, audio in reversed(segments[0]):
                if self._chars >= BRIEF_MS * bytes_per_ms * 4 / 3:
                    break
                kept.appendleft((at_s, audio))
                self._chars += len(audio)
        try:
            yield
        finally:
            self._segments, self._chars = segments, chars

    # Another upstream.

    def take_segments(self) -> list[list[str]]:
        """Remove and return the audio for another upstream: a list for each unacknowledged commit, and for the rest."""
        segments = [[audio for _, audio in segment] for segment in self._segments]
        self._segments, self._chars = deque([deque()]), 0
        return segments

    def begin_again(self, repeated_ms: float) -> None:
        """Record that another upstream hears the last `repeated_ms` of the session's audio again."""
        self.is_repeated = self.is_on
        self.offset_ms = max(0, round(self.appended_ms - repeated_ms))
