"""What comes before the session is ready."""

from __future__ import annotations

from typing import Any, Final

from router.audio.formats import MAX_SAMPLE_BYTES
from router.session import inputs
from router.session.state.queues import Queue

_JOINED_BYTES: Final = 8192
"""Small pieces of early audio are joined up to this, so that their number is bounded as their bytes are."""


class EarlyInputs:
    """What came before the session was ready, in order."""

    def __init__(self, *, most_messages: int, most_bytes: int) -> None:
        self.inputs: Queue[Any] = Queue()
        self.dropped_bytes = 0
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._messages = 0
        self._bytes = 0
        """Of messages, as they were sent."""
        self._audio_bytes = 0

    def keep_message(self, message: Any, size_bytes: int) -> bool:
        """Keep a message; False where that would be too much."""
        if self._messages >= self._most_messages or self._bytes + size_bytes > self._most_bytes:
            return False
        self._messages += 1
        self._bytes += size_bytes
        self.inputs.append(message)
        return True

    def keep_audio(self, data: bytes, most_bytes: int) -> int:
        """Keep a piece of audio, dropping the oldest beyond the bound; the bytes dropped, in whole samples."""
        last = self.inputs[-1] if self.inputs else None
        if isinstance(last, inputs.MicrophoneAudio) and len(last.data) + len(data) <= _JOINED_BYTES:
            self.inputs[-1] = inputs.MicrophoneAudio(last.data + data)
        else:
            self.inputs.append(inputs.MicrophoneAudio(data))
        self._audio_bytes += len(data)
        excess = self._audio_bytes - most_bytes
        dropped = self._drop_oldest(excess - excess % MAX_SAMPLE_BYTES) if excess > 0 else 0
        self.dropped_bytes += dropped
        return dropped

    def _drop_oldest(self, size: int) -> int:
        left = size
        while left > 0:
            at = next(at for at, kept in enumerate(self.inputs) if isinstance(kept, inputs.MicrophoneAudio))
            data = self.inputs[at].data
            if len(data) <= left:
                del self.inputs[at]
            else:
                self.inputs[at] = inputs.MicrophoneAudio(data[left:])
            left -= min(left, len(data))
        self._audio_bytes -= size
        return size

    def take(self) -> list[Any]:
        """Take out everything that was kept."""
        kept, self.inputs = list(self.inputs), Queue()
        self._messages = self._bytes = self._audio_bytes = 0
        return kept
