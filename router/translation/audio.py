"""Audio: microphone frames to appends, deltas to audio frames."""

from __future__ import annotations

import binascii
from collections import deque
from typing import TYPE_CHECKING, Final

from router.audio.convert import Converter, converted
from router.audio.formats import LINEAR16_24K, Recording
from router.openai import codec

if TYPE_CHECKING:
    from router.audio.formats import Format

COMMIT_MINIMUM_MS: Final = 100
"""The upstream refuses to commit less (reference, 2.2)."""

APPEND_BYTES: Final = 360 * 1024
"""The most audio in one append: base64 makes 480 kB of it, and a frame of ours has 512 kB at most."""


class Microphone:
    """A client's microphone on its way upstream: converted, and kept until it is committed.

    What is kept is bounded: while nobody speaks by `preroll_s` (the upstream's detector looks back no further), while
    somebody does by `most_s`.
    """

    def __init__(self, source: Format, *, preroll_s: float, most_s: float) -> None:
        self._converter = Converter(source, LINEAR16_24K)
        self._preroll_s = preroll_s
        self._most_s = most_s
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._uncommitted_bytes = 0
        self.is_speech = False
        """Somebody speaks, or may be speaking: keep more than the pre-roll."""
        self.forgotten_bytes = 0
        """Of speech, beyond what may be kept."""
        self._set_bounds()

    def _set_bounds(self) -> None:
        self._preroll_bytes = self.target.size_bytes(self._preroll_s * 1000)
        self._most_bytes = self.target.size_bytes(self._most_s * 1000)

    @property
    def source(self) -> Format:
        """What the client sends."""
        return self._converter.source

    @property
    def target(self) -> Format:
        """What the upstream takes."""
        return self._converter.target

    def use(self, target: Format) -> None:
        """Go on for an upstream that takes `target`. What was kept for another is converted, too."""
        if target == self.target:
            return
        rest = self._converter.flush()
        kept = Recording(b"".join((*self._kept, rest)), self.target)
        uncommitted_ms = self.target.duration_ms(self._uncommitted_bytes + len(rest))
        self._converter = self._converter.successor(target)
        self._set_bounds()
        self._forget()
        self._keep(converted(kept, target))
        self._uncommitted_bytes = target.size_bytes(uncommitted_ms)

    def append(self, data: bytes) -> list[bytes]:
        """The `input_audio_buffer.append` frames for the client's `data`; none where it is all held back."""
        return self._appends(self._converter.push(data))

    def finish(self) -> list[bytes]:
        """The appends that end a turn by hand: what was held back, and silence up to the upstream's minimum."""
        frames = self._appends(self._converter.flush())
        missing_ms = COMMIT_MINIMUM_MS - self.target.duration_ms(self._uncommitted_bytes)
        return frames + self.silence(missing_ms) if missing_ms > 0 else frames

    def committed(self) -> Recording:
        """Forget what was appended: the upstream has made an item of it. Returns it."""
        audio = b"".join(self._kept)
        self._forget()
        return Recording(audio, self.target)

    def silence(self, duration_ms: float) -> list[bytes]:
        """The appends for a microphone that says nothing: the upstream's detector hears no time pass without."""
        return self._appends(self.target.silence(duration_ms))

    def again(self) -> list[bytes]:
        """The appends that give another upstream what is not committed."""
        return self._appends(self.committed().data)

    @property
    def has_uncommitted(self) -> bool:
        """Whether anything was appended since the last commit."""
        return self._uncommitted_bytes > 0

    def _appends(self, audio: bytes) -> list[bytes]:
        if not audio:
            return []
        self._keep(audio)
        if len(audio) <= APPEND_BYTES:
            return [codec.append_event(audio)]
        return [codec.append_event(audio[at : at + APPEND_BYTES]) for at in range(0, len(audio), APPEND_BYTES)]

    def _keep(self, audio: bytes) -> None:
        self._uncommitted_bytes += len(audio)
        self._kept.append(audio)
        self._kept_bytes += len(audio)
        most_bytes = self._most_bytes if self.is_speech else self._preroll_bytes
        while self._kept_bytes > most_bytes and len(self._kept) > 1:
            gone = len(self._kept.popleft())
            self._kept_bytes -= gone
            self.forgotten_bytes += gone if self.is_speech else 0

    def _forget(self) -> None:
        self._kept.clear()
        self._kept_bytes = self._uncommitted_bytes = 0


class Speaker:
    """The agent's audio on its way to the client: whole samples only, and without a seam where a delta ends."""

    def __init__(self, target: Format = LINEAR16_24K) -> None:
        self._converter = Converter(LINEAR16_24K, target)
        self._response_id: str | None = None

    def use(self, source: Format) -> None:
        """Go on for an upstream that speaks in `source`."""
        if source != self._converter.source:
            self._converter = Converter(source, self._converter.target)

    def play(self, delta: str, response_id: str | None) -> bytes:
        """The audio that a delta completes. A new response begins anew: what is left of another belongs to that.

        Raises:
            ValueError: the delta is not base64.
        """
        try:
            audio = codec.delta_audio(delta)
        except binascii.Error as error:
            raise ValueError(str(error)) from error
        if response_id != self._response_id:
            self.drop()
            self._response_id = response_id
        return self._converter.push(audio)

    def finish(self) -> bytes:
        """The rest of what was played, once no more of it comes."""
        rest = self._converter.flush()
        self._converter.restart()
        return rest

    def drop(self) -> None:
        """Forget the rest: nobody will hear it."""
        self._converter.restart()

    def duration_s(self, data: bytes) -> float:
        """How long the client plays `data`."""
        return len(data) / self._converter.target.bytes_per_s
