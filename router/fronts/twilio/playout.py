"""The audio that was sent to Twilio, and the part that Twilio has reported as played.

A mark follows each piece of audio, and Twilio returns the mark when the piece has been played. At a `clear` Twilio also
returns the marks of the dropped pieces. So the name of a mark contains the number of clears before it, and a mark with
an earlier number is ignored.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from router.fronts.twilio.wires import MULAW, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MARKS: Final = 1000
"""The most marks that are remembered: the newest ones. Audio is sent at most 30 s ahead, which takes 150 marks."""


class Piece(NamedTuple):
    """A piece of audio to send, and the name of its mark."""

    audio: bytes
    mark: str


class _Marked(NamedTuple):
    name: str
    end_bytes: int


class PlayoutMemory(NamedTuple):
    """The memory of a playback."""

    clears: int
    marks: int
    given_bytes: int
    sent_bytes: int
    rest: bytes
    waiting: list[_Marked]


class Playout:
    """The playback of one stream."""

    def __init__(self, shape: Shape = MULAW, memory: PlayoutMemory | None = None) -> None:
        self._shape = shape
        self._clears = 0
        self._marks = 0
        self._given_bytes = 0
        """The bytes of audio that came from the session since the last clear."""
        self._sent_bytes = 0
        """The bytes of the session's audio that were sent to Twilio since the last clear."""
        self._rest = b""
        """The last bytes of the session's audio, too few for a frame. They wait for more audio."""
        self._waiting: deque[_Marked] = deque(maxlen=MAX_MARKS)
        if memory is not None:
            self._clears, self._marks, self._given_bytes, self._sent_bytes, self._rest, waiting = memory
            self._waiting.extend(waiting)

    @property
    def memory(self) -> PlayoutMemory:
        """The memory, from which another object can continue in place of this one."""
        waiting = list(self._waiting)
        return PlayoutMemory(self._clears, self._marks, self._given_bytes, self._sent_bytes, self._rest, waiting)

    def add(self, audio: bytes) -> list[Piece]:
        """Add audio of the session, and return the pieces to send now. An incomplete frame waits for its rest."""
        self._given_bytes += len(audio)
        audio = self._rest + audio
        whole_bytes = len(audio) - len(audio) % self._shape.frame_bytes
        self._rest = audio[whole_bytes:]
        return self._cut(audio[:whole_bytes])

    def finish(self) -> list[Piece]:
        """Return the incomplete last frame of an answer, filled with silence; an empty list if no audio waits."""
        rest, self._rest = self._rest, b""
        return self._cut(rest.ljust(self._shape.frame_bytes, self._shape.silence)) if rest else []

    def _cut(self, audio: bytes) -> list[Piece]:
        pieces, at = [], 0
        while at < len(audio):
            # The first piece after a pause is one frame, because its mark soon shows when the playback really began.
            size_bytes = self._shape.piece_bytes if self._waiting else self._shape.frame_bytes
            pieces.append(self._marked(audio[at : at + size_bytes]))
            at += size_bytes
        return pieces

    def advance(self, sizes: Iterable[int]) -> int:
        """Note pieces of these sizes that another process has sent. Return how many bytes the session has not counted.

        The session has already counted the bytes that waited for a whole frame, and went with the first piece.
        """
        before_bytes = self._given_bytes
        for size_bytes in sizes:
            self._given_bytes += max(0, size_bytes - len(self._rest))
            self._rest = b""
            self._note(size_bytes)
        return self._given_bytes - before_bytes

    def _marked(self, audio: bytes) -> Piece:
        return Piece(audio, self._note(len(audio)))

    def _note(self, size_bytes: int) -> str:
        """Note that a piece is sent, and return the name of its mark."""
        self._marks += 1
        self._sent_bytes += size_bytes
        name = f"{self._clears}:{self._marks}"
        # The silence in a last frame does not count as audio of the session.
        self._waiting.append(_Marked(name, min(self._sent_bytes, self._given_bytes)))
        self._sent_bytes = min(self._sent_bytes, self._given_bytes)
        return name

    def left_s(self, mark: str) -> float | None:
        """Return the seconds of audio that are not played yet, now that Twilio has returned the named mark.

        Return None for a mark of audio that was dropped, and for a mark that the router did not send.
        """
        if not any(waiting.name == mark for waiting in self._waiting):
            return None
        while (played := self._waiting.popleft()).name != mark:
            pass
        return (self._given_bytes - played.end_bytes) / self._shape.bytes_per_ms / 1000

    def clear(self) -> None:
        """Forget all audio and marks, because a `clear` is about to make Twilio drop the audio."""
        self._clears += 1
        self._given_bytes = self._sent_bytes = 0
        self._rest = b""
        self._waiting.clear()
