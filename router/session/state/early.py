"""Client input that arrived before the session was ready."""

from __future__ import annotations

from typing import Final

from router.audio.formats import MAX_SAMPLE_BYTES
from router.session import inputs

_JOINED_BYTES: Final = 8192
"""The size up to which small pieces of audio are joined, because a bound on bytes does not bound their number."""


class EarlyInputs:
    """The kept inputs, in the order of their arrival. Messages have one bound, and audio has another."""

    __slots__ = ("_audio_bytes", "_bytes", "_max_bytes", "_max_messages", "_messages", "dropped_bytes", "inputs")

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self.inputs: tuple[object, ...] = ()
        self.dropped_bytes = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages = 0
        self._bytes = 0
        """The size of the kept messages, as the client wrote them."""
        self._audio_bytes = 0

    def keep_message(self, message: object, size_bytes: int) -> bool:
        """Keep a message. If it exceeds a bound, drop it and return False."""
        if self._messages >= self._max_messages or self._bytes + size_bytes > self._max_bytes:
            return False
        self._messages += 1
        self._bytes += size_bytes
        self.inputs += (message,)
        return True

    def keep_audio(self, data: bytes, max_bytes: int) -> int:
        """Keep a piece of audio, and drop the oldest audio beyond `max_bytes`. Return the number of dropped bytes."""
        last = self.inputs[-1] if self.inputs else None
        if isinstance(last, inputs.MicrophoneAudio) and len(last.data) + len(data) <= _JOINED_BYTES:
            self.inputs = (*self.inputs[:-1], inputs.MicrophoneAudio(last.data + data))
        else:
            self.inputs += (inputs.MicrophoneAudio(data),)
        self._audio_bytes += len(data)
        excess = self._audio_bytes - max_bytes
        # Whole samples of any format, since half a dropped sample would turn the rest into noise.
        dropped = self._drop_oldest(excess - excess % MAX_SAMPLE_BYTES) if excess > 0 else 0
        self.dropped_bytes += dropped
        return dropped

    def _drop_oldest(self, size: int) -> int:
        left = size
        while left > 0:
            at, piece = next(
                (at, kept) for at, kept in enumerate(self.inputs) if isinstance(kept, inputs.MicrophoneAudio)
            )
            rest = (inputs.MicrophoneAudio(piece.data[left:]),) if len(piece.data) > left else ()
            self.inputs = (*self.inputs[:at], *rest, *self.inputs[at + 1 :])
            left -= min(left, len(piece.data))
        self._audio_bytes -= size
        return size

    @property
    def held_bytes(self) -> int:
        """The size of the kept messages and audio."""
        return self._bytes + self._audio_bytes

    def take(self) -> list[object]:
        """Remove and return the kept inputs."""
        kept, self.inputs = list(self.inputs), ()
        self._messages = self._bytes = self._audio_bytes = 0
        return kept
