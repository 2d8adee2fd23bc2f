"""Audio: microphone frames to appends, deltas to audio frames."""

from __future__ import annotations

import binascii
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


LONGEST_FRAME_S: Final = 60.0
"""What a client may send at once: it is converted in one go, while others wait."""


class Microphone:
    """A client's microphone on its way upstream: converted, and kept until it is committed.

    What is kept is bounded: while nobody speaks by `preroll_s` (the upstream's detector looks back no further), while
    somebody does by `most_s`. It is kept as the client sent it or as the upstream takes it, whichever is smaller: it is
    wanted only where an upstream is lost, and the pre-roll is a third of what a session weighs.

    Nothing is converted until `use` says to what.
    """

    __slots__ = (
        "_converter",
        "_keeps_source",
        "_kept",
        "_kept_in",
        "_longest_bytes",
        "_most_bytes",
        "_most_s",
        "_preroll_bytes",
        "_preroll_s",
        "_sample_bytes",
        "_uncommitted_bytes",
        "forgotten_bytes",
        "is_speech",
    )

    def __init__(self, source: Format, *, preroll_s: float, most_s: float) -> None:
        self._converter = Converter(source, source)
        self._preroll_s = preroll_s
        self._most_s = most_s
        self._longest_bytes = source.size_bytes(LONGEST_FRAME_S * 1000)
        self._kept = bytearray()
        self._uncommitted_bytes = 0
        """Appended since the last commit, in the upstream's format."""
        self.is_speech = False
        """Somebody speaks, or may be speaking: keep more than the pre-roll."""
        self.forgotten_bytes = 0
        """Of speech, beyond what may be kept."""
        self._choose_what_to_keep()

    def _choose_what_to_keep(self) -> None:
        self._keeps_source = self.source.bytes_per_s <= self.target.bytes_per_s
        self._kept_in = self.source if self._keeps_source else self.target
        self._sample_bytes = self._kept_in.sample_bytes
        self._preroll_bytes = self._kept_in.size_bytes(self._preroll_s * 1000)
        self._most_bytes = self._kept_in.size_bytes(self._most_s * 1000)

    @property
    def source(self) -> Format:
        """What the client sends."""
        return self._converter.source

    @property
    def target(self) -> Format:
        """What the upstream takes."""
        return self._converter.target

    def use(self, target: Format) -> None:
        """Go on for an upstream that takes `target`. What was kept in the format of another is converted, too."""
        if target == self.target:
            return
        self._flush()
        kept = self._recording()
        uncommitted_ms = self.target.duration_ms(self._uncommitted_bytes)
        self._converter = self._converter.successor(target)
        self._uncommitted_bytes = target.size_bytes(uncommitted_ms)
        self._choose_what_to_keep()
        if self._kept_in != kept.format:
            self._kept[:] = converted(kept, self._kept_in)
            if self._keeps_source:
                self._kept += self._converter.part

    def is_too_long(self, data: bytes) -> bool:
        """Whether no microphone sends so much at once."""
        return len(data) > self._longest_bytes

    def append(self, data: bytes) -> list[bytes]:
        """The `input_audio_buffer.append` frames for the client's `data`; none where it is all held back."""
        audio = self._converter.push(data)
        self._keep(data if self._keeps_source else audio)
        return self._appends(audio)

    def finish(self) -> list[bytes]:
        """The appends that end a turn by hand: what was held back, and silence up to the upstream's minimum."""
        frames = self._appends(self._flush())
        missing_ms = COMMIT_MINIMUM_MS - self.target.duration_ms(self._uncommitted_bytes)
        return frames + self.silence(missing_ms) if missing_ms > 0 else frames

    def committed(self) -> Recording:
        """Forget what was appended: the upstream has made an item of it. Returns it."""
        audio = self._recording()
        del self._kept[: len(audio.data)]
        self._uncommitted_bytes = 0
        return audio

    def silence(self, duration_ms: float) -> list[bytes]:
        """The appends for a microphone that says nothing: the upstream's detector hears no time pass without."""
        whole_bytes = len(self._kept) - len(self._kept) % self._sample_bytes
        self._kept[whole_bytes:whole_bytes] = self._kept_in.silence(duration_ms)  # before a part of a sample
        self._keep(b"")
        return self._appends(self.target.silence(duration_ms))

    def again(self) -> list[bytes]:
        """The appends that give another upstream what is not committed."""
        self._flush()  # what is held back comes with the rest
        self._uncommitted_bytes = 0
        return self._appends(converted(self._recording(), self.target))

    @property
    def has_uncommitted(self) -> bool:
        """Whether anything was appended since the last commit."""
        return self._uncommitted_bytes > 0

    def _flush(self) -> bytes:
        rest = self._converter.flush()
        if not self._keeps_source:
            self._keep(rest)
        return rest

    def _appends(self, audio: bytes) -> list[bytes]:
        if not audio:
            return []
        self._uncommitted_bytes += len(audio)
        if len(audio) <= APPEND_BYTES:
            return [codec.append_event(audio)]
        return [codec.append_event(audio[at : at + APPEND_BYTES]) for at in range(0, len(audio), APPEND_BYTES)]

    def _keep(self, audio: bytes) -> None:
        self._kept += audio
        excess = len(self._kept) - (self._most_bytes if self.is_speech else self._preroll_bytes)
        if excess > 0:
            excess += -excess % self._sample_bytes
            del self._kept[:excess]
            self.forgotten_bytes += excess if self.is_speech else 0

    def _recording(self) -> Recording:
        """What is kept, but for a part of a sample whose rest has not come."""
        whole_bytes = len(self._kept) - len(self._kept) % self._sample_bytes
        return Recording(bytes(self._kept[:whole_bytes]), self._kept_in)


class Speaker:
    """The agent's audio on its way to the client: whole samples only, and without a seam where a delta ends.

    Nothing is converted until `use` says from what.
    """

    def __init__(self, target: Format = LINEAR16_24K) -> None:
        self._converter = Converter(target, target)
        self._response_id: str | None = None

    def use(self, source: Format) -> None:
        """Go on for an upstream that speaks in `source`."""
        if source != self._converter.source:
            self._converter = Converter(source, self._converter.target)

    def convert(self, delta: str, response_id: str | None) -> bytes:
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
