"""Audio: microphone frames to appends, deltas to audio frames."""

from __future__ import annotations

import binascii
from collections import deque
from typing import Final

from router.audio.formats import SAMPLE_BYTES, UPSTREAM_RATE, linear16_bytes, silence
from router.audio.resample import Resampler
from router.openai import codec

COMMIT_MINIMUM_MS: Final = 100
"""The upstream refuses to commit less (reference, 2.2)."""

APPEND_BYTES: Final = 360 * 1024
"""The most audio in one append: base64 makes 480 kB of it, and a frame of ours has 512 kB at most."""

_BYTES_PER_S: Final = SAMPLE_BYTES * UPSTREAM_RATE


class Microphone:
    """A client's microphone on its way upstream: resampled, and kept until it is committed.

    What is kept is bounded: while nobody speaks by `preroll_bytes` (the upstream's detector looks back no further),
    while somebody does by `most_bytes`.
    """

    def __init__(self, sample_rate: int, *, preroll_s: float, most_s: float) -> None:
        self._resampler = Resampler(sample_rate, UPSTREAM_RATE)
        self._preroll_bytes = linear16_bytes(preroll_s * 1000, UPSTREAM_RATE)
        self._most_bytes = linear16_bytes(most_s * 1000, UPSTREAM_RATE)
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._uncommitted_bytes = 0
        self.is_speech = False
        """Somebody speaks, or may be speaking: keep more than the pre-roll."""
        self.forgotten_bytes = 0
        """Of speech, beyond what may be kept."""

    def append(self, data: bytes) -> list[bytes]:
        """The `input_audio_buffer.append` frames for the client's `data`; none where it is all held back."""
        return self._appends(self._resampler.push(data))

    def finish(self) -> list[bytes]:
        """The appends that end a turn by hand: what was held back, and silence up to the upstream's minimum."""
        frames = self._appends(self._resampler.flush())
        missing = linear16_bytes(COMMIT_MINIMUM_MS, UPSTREAM_RATE) - self._uncommitted_bytes
        if missing > 0:
            frames += self._appends(bytes(missing))
        return frames

    def committed(self) -> bytes:
        """Forget what was appended: the upstream has made an item of it. Returns it."""
        audio = b"".join(self._kept)
        self._kept.clear()
        self._kept_bytes = self._uncommitted_bytes = 0
        return audio

    def silence(self, duration_ms: float) -> list[bytes]:
        """The appends for a microphone that says nothing: the upstream's detector hears no time pass without."""
        return self._appends(silence(duration_ms, UPSTREAM_RATE))

    def again(self) -> list[bytes]:
        """The appends that give another upstream what is not committed."""
        audio = self.committed()
        return self._appends(audio)

    @property
    def has_uncommitted(self) -> bool:
        """Whether anything was appended since the last commit."""
        return self._uncommitted_bytes > 0

    def _appends(self, pcm: bytes) -> list[bytes]:
        if not pcm:
            return []
        self._keep(pcm)
        if len(pcm) <= APPEND_BYTES:
            return [codec.append_event(pcm)]
        return [codec.append_event(pcm[at : at + APPEND_BYTES]) for at in range(0, len(pcm), APPEND_BYTES)]

    def _keep(self, pcm: bytes) -> None:
        self._uncommitted_bytes += len(pcm)
        self._kept.append(pcm)
        self._kept_bytes += len(pcm)
        most_bytes = self._most_bytes if self.is_speech else self._preroll_bytes
        while self._kept_bytes > most_bytes and len(self._kept) > 1:
            gone = len(self._kept.popleft())
            self._kept_bytes -= gone
            self.forgotten_bytes += gone if self.is_speech else 0


class Speaker:
    """The agent's audio on its way to the client: whole samples only."""

    def __init__(self) -> None:
        self._odd = b""
        self._response_id: str | None = None

    def play(self, delta: str, response_id: str | None) -> bytes:
        """The audio of a delta, of even length: half a sample waits for the response's next delta.

        Raises:
            ValueError: the delta is not base64.
        """
        try:
            pcm = codec.delta_audio(delta)
        except binascii.Error as error:
            raise ValueError(str(error)) from error
        if response_id != self._response_id:
            self._response_id, self._odd = response_id, b""
        if self._odd:
            pcm = self._odd + pcm
            self._odd = b""
        if len(pcm) % 2:
            pcm, self._odd = pcm[:-1], pcm[-1:]
        return pcm

    def duration_s(self, data: bytes) -> float:
        """How long the client plays `data`."""
        return len(data) / _BYTES_PER_S
