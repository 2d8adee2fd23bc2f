"""Microphone and loudspeaker through the library sounddevice, if it is installed."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any, Final

from actors.connections.blocking import HungUp
from router.command.voice_client import INPUT_RATE, OUTPUT_RATE
from router.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME_SAMPLES: Final = INPUT_RATE // 50
"""The samples of a frame of 20 ms."""

INSTALL: Final = "pip install 'switchboard-voice[talk]'"


class Sound:
    """The sound of one call. It is open from the constructor to `close`."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        """Open both devices; raises `StartError`."""
        library = _library()
        self._send = send
        self._queue = b""
        self._lock = threading.Lock()
        try:
            self._speaker = library.RawOutputStream(
                samplerate=OUTPUT_RATE, channels=1, dtype="int16", callback=self._play
            )
            self._microphone = library.RawInputStream(
                samplerate=INPUT_RATE, channels=1, dtype="int16", blocksize=FRAME_SAMPLES, callback=self._record
            )
            self._speaker.start()
            self._microphone.start()
        except library.PortAudioError as error:
            raise StartError(f"no microphone or loudspeaker can be opened: {error}") from error

    def play(self, samples: bytes) -> None:
        """Queue samples of the agent's voice for the loudspeaker."""
        with self._lock:
            self._queue += samples

    def fall_silent(self) -> None:
        """Drop the samples that were not played yet."""
        with self._lock:
            self._queue = b""

    def close(self) -> None:
        """Close both devices."""
        self._microphone.close()
        self._speaker.close()

    # On threads of the library.

    def _play(self, buffer: Any, _frames: int, _time: Any, _status: Any) -> None:
        with self._lock:
            played, self._queue = self._queue[: len(buffer)], self._queue[len(buffer) :]
        buffer[:] = played.ljust(len(buffer), b"\0")

    def _record(self, buffer: Any, _frames: int, _time: Any, _status: Any) -> None:
        try:
            self._send(bytes(buffer))
        except HungUp:
            return  # the thread that receives also finds the end, and ends the call


def _library() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise StartError(f"the microphone needs the library sounddevice: {INSTALL}") from error
    except OSError as error:
        raise StartError(f"sounddevice finds no PortAudio ({error}): install Debian's libportaudio2") from error
