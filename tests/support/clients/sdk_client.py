"""Deepgram's own SDKs as a test sees them: what one delivered, and what it can be told to send.

Nothing is changed in any of them but the host. `deepgram_python` and `deepgram_javascript` hold the four that there
are; a test written against `SdkClient` is held with each.
"""

import abc
import threading
from collections.abc import Callable
from typing import Any

from tests.support.clients.voice_agent import Received

TIMEOUT_S = 20.0
FRAME_BYTES = 640
"""20 ms at 16 kHz."""
PACE_S = 0.005
"""Four times as fast as a microphone."""


class SdkClient(abc.ABC):
    """One connection of an SDK. What it delivers comes on any thread; the rest is for the test's."""

    def __init__(self) -> None:
        self.received = Received()
        self.errors: list[str] = []
        self.is_open = False
        self.close_code: int | None = None
        self._changed = threading.Condition()
        self._taken = 0

    # What it sends, each by the SDK's own method for it.

    @abc.abstractmethod
    def send(self, kind: str, **fields: Any) -> None:
        """Send a message of this type."""

    @abc.abstractmethod
    def send_audio(self, pcm: bytes) -> None:
        """Send microphone audio."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close as the SDK does, and wait until it says that the connection is closed."""

    def speak(self, pcm: bytes) -> None:
        """Send microphone audio as it comes from a microphone, but faster."""
        pace = threading.Event()
        for start in range(0, len(pcm), FRAME_BYTES):
            self.send_audio(pcm[start : start + FRAME_BYTES])
            pace.wait(PACE_S)

    # What it delivers.

    def delivered(self, frame: dict[str, Any] | bytes) -> None:
        """Take what the SDK handed to its application."""
        self.noted(lambda: self.received.frames.append(frame))

    def noted(self, note: Callable[[], object]) -> None:
        """Change what is known of the connection, and wake who waits for it."""
        with self._changed:
            note()
            self._changed.notify_all()

    def wait_until(self, what: str, is_so: Callable[[], object]) -> None:
        """Wait for something to have happened; says what did, when it has not."""
        with self._changed:
            assert self._changed.wait_for(is_so, TIMEOUT_S), f"no {what} after {self.received.types}, {self.errors}"

    def wait_for(self, kind: str) -> Received:
        """Return everything that was not waited for yet, up to and including the next message of this type."""
        self.wait_until(kind, lambda: self._end_of(kind))
        with self._changed:
            start, self._taken = self._taken, self._end_of(kind)
            return Received(self.received.frames[start : self._taken])

    def _end_of(self, kind: str) -> int:
        frames = self.received.frames
        ends = (at + 1 for at in range(self._taken, len(frames)) if _type_of(frames[at]) == kind)
        return next(ends, 0)


def _type_of(frame: dict[str, Any] | bytes) -> str | None:
    return None if isinstance(frame, bytes) else frame["type"]
