"""A microphone that plays prepared speech in real time, with silence before, between and after."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from actors.connections.blocking import HungUp
from router.command.voice_client import INPUT_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME_S: Final = 0.02
FRAME_BYTES: Final = int(2 * INPUT_RATE * FRAME_S)
_SILENCE: Final = bytes(FRAME_BYTES)


class Microphone:
    """A thread that sends the queued speech from `open` to `close`, in a frame every 20 ms."""

    def __init__(self, send: Callable[[bytes], None], *, sends_silence: bool = True) -> None:
        self._send = send
        self._sends_silence = sends_silence
        """Whether the microphone sends silence between speech.

        A detector of turns needs that silence, but with manual commits the silence would belong to the turn.
        """
        self._speech = b""
        self._changed = threading.Condition()
        self._is_open = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the thread, which sends frames until `close`."""
        if self._thread is None:
            self._is_open = True
            self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
            self._thread.start()

    def speak(self, samples: bytes) -> None:
        """Queue speech after the speech that is still to be sent."""
        with self._changed:
            self._speech += samples

    def wait_until_silent(self, timeout_s: float) -> bool:
        """Wait until all speech was sent, or the microphone is closed.

        Return whether that happened within `timeout_s`.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._speech or not self._is_open, timeout_s)

    def close(self) -> None:
        """Stop the thread, and drop the speech that was not sent."""
        self._end()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _end(self) -> None:
        with self._changed:
            self._is_open = False
            self._speech = b""
            self._changed.notify_all()

    def _run(self) -> None:
        due_s = time.monotonic()
        while self._is_open:
            try:
                self._send_frame()
            except HungUp:  # the thread that receives also finds the end of the call
                self._end()
            due_s += FRAME_S
            with self._changed:
                self._changed.wait_for(lambda: not self._is_open, max(0.0, due_s - time.monotonic()))

    def _send_frame(self) -> None:
        with self._changed:
            frame, self._speech = self._speech[:FRAME_BYTES], self._speech[FRAME_BYTES:]
            if not self._speech:
                self._changed.notify_all()
        if frame:
            self._send(frame.ljust(FRAME_BYTES, b"\0"))
        elif self._sends_silence:
            self._send(_SILENCE)
