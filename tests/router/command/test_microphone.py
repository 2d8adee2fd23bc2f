"""The prepared microphone: frames in real time, silence around speech."""

import threading
import time

from actors.connections.blocking import HungUp
from router.command.microphone import FRAME_BYTES, Microphone

WAIT_S = 5.0


class Sink:
    """Keeps the frames, and waits for a number of them."""

    def __init__(self, last=10**6):
        self.frames = []
        self._last = last
        self._changed = threading.Condition()

    def __call__(self, frame):
        with self._changed:
            if len(self.frames) >= self._last:
                raise HungUp(1006, "")
            self.frames.append(frame)
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.frames) >= count, WAIT_S)


def test_speech_is_sent_in_frames_with_silence_behind_it():
    sink = Sink()
    microphone = Microphone(sink)
    microphone.speak(b"\1" * (FRAME_BYTES + 2))
    microphone.open()
    sink.wait_for(4)
    microphone.close()
    assert sink.frames[0] == b"\1" * FRAME_BYTES
    assert sink.frames[1] == b"\1\1".ljust(FRAME_BYTES, b"\0")
    assert set(sink.frames[2:]) == {bytes(FRAME_BYTES)}


def test_silence_may_be_left_out():
    sink = Sink()
    microphone = Microphone(sink, sends_silence=False)
    microphone.open()
    microphone.speak(b"\1" * FRAME_BYTES)
    assert microphone.wait_until_silent(WAIT_S)
    microphone.close()
    assert sink.frames == [b"\1" * FRAME_BYTES]


def test_a_call_that_ends_stops_the_microphone():
    sink = Sink(last=1)
    microphone = Microphone(sink)
    microphone.speak(b"\1" * FRAME_BYTES * 100)
    began_s = time.monotonic()
    microphone.open()
    assert microphone.wait_until_silent(WAIT_S)
    assert time.monotonic() - began_s < WAIT_S, "the end of the call wakes the waiting thread"
    microphone.close()
    assert len(sink.frames) == 1
