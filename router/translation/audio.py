"""Audio: microphone frames to appends, deltas to audio frames."""

from __future__ import annotations

import binascii
from typing import Final

from router.audio.formats import UPSTREAM_RATE, linear16_bytes
from router.audio.resample import Resampler
from router.openai import codec

COMMIT_MINIMUM_MS: Final = 100
"""The upstream refuses to commit less (reference, 2.2)."""

APPEND_BYTES: Final = 360 * 1024
"""The most audio in one append: base64 makes 480 kB of it, and a frame of ours has 512 kB at most."""


class Microphone:
    """A client's microphone on its way upstream: resampled, and counted since the last commit."""

    def __init__(self, sample_rate: int) -> None:
        self._resampler = Resampler(sample_rate, UPSTREAM_RATE)
        self._uncommitted_bytes = 0

    def append(self, data: bytes) -> list[bytes]:
        """The `input_audio_buffer.append` frames for the client's `data`; none where it is all held back."""
        return self._appends(self._resampler.push(data))

    def finish(self) -> list[bytes]:
        """The appends that end a turn: what was held back, and silence up to the upstream's minimum."""
        frames = self._appends(self._resampler.flush())
        missing = linear16_bytes(COMMIT_MINIMUM_MS, UPSTREAM_RATE) - self._uncommitted_bytes
        if missing > 0:
            frames += self._appends(bytes(missing))
        self._uncommitted_bytes = 0
        return frames

    @property
    def has_uncommitted(self) -> bool:
        """Whether anything was appended since the last commit."""
        return self._uncommitted_bytes > 0

    def _appends(self, pcm: bytes) -> list[bytes]:
        self._uncommitted_bytes += len(pcm)
        if len(pcm) <= APPEND_BYTES:
            return [codec.append_event(pcm)] if pcm else []
        pieces = (pcm[at : at + APPEND_BYTES] for at in range(0, len(pcm), APPEND_BYTES))
        return [codec.append_event(piece) for piece in pieces]


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
