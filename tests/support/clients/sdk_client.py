"""Deepgram's own SDKs behind one interface: what an SDK delivers, and what a test lets it send.

The SDKs are unchanged; only the host is another one. `deepgram_python` and `deepgram_javascript` have the four clients.
A test of `SdkClient` runs with each of them.
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
    """One connection of an SDK. The SDK delivers on any thread; the other methods are for the test's thread."""

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
        """Close the connection by the SDK's method, and wait until the SDK reports the end."""

    def speak(self, pcm: bytes) -> None:
        """Send audio in frames, as a microphone does, but faster."""
        pace = threading.Event()
        for start in range(0, len(pcm), FRAME_BYTES):
            self.send_audio(pcm[start : start + FRAME_BYTES])
            pace.wait(PACE_S)

    # What it delivers.

    def delivered(self, frame: dict[str, Any] | bytes) -> None:
        """Record a frame that the SDK delivered."""
        self.noted(lambda: self.received.frames.append(frame))

    def noted(self, note: Callable[[], object]) -> None:
        """Change the record of the connection by `note`, and wake the test that waits."""
        with self._changed:
            note()
            self._changed.notify_all()

    def wait_until(self, what: str, is_so: Callable[[], object]) -> None:
        """Wait until a condition holds. A failure names what has come instead."""
        with self._changed:
            assert self._changed.wait_for(is_so, TIMEOUT_S), f"no {what} after {self.received.types}, {self.errors}"

    def wait_for(self, kind: str) -> Received:
        """Return all frames since the last call, up to and including the next message of this type."""
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
