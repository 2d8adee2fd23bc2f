"""A writer by itself: its owner here is a byte stream in memory that takes as many bytes as the test allows."""

import gc
import threading
import weakref
from concurrent.futures import Future

import pytest

from actors.connections.base import ConnectionLimits
from actors.connections.writer import INLINE_FLUSH_BYTES, Writer

WAIT_S = 5.0


class Stream:
    """The owner of a writer: a stream with room for a number of bytes, and a list of the calls it got."""

    def __init__(self, dispatcher, **limits):
        self.dispatcher = dispatcher
        self.log_fields = {"session": "s"}
        self.room = 10**9
        self.writes = []
        self.calls = []
        self.has_stalled = threading.Event()
        self.writer = Writer(self, ConnectionLimits(**limits))

    def transmit(self, data):
        if self.room is None:
            raise BrokenPipeError
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        if taken:
            self.writes.append(taken)
        return len(taken)

    def on_written(self, *, is_moving_again):
        self.calls.append(("written", is_moving_again))

    def on_backlog(self):
        """Pass over the size of the backlog: its bound over all peers is tested with connections."""

    def on_write_drained(self):
        self.calls.append("drained")

    def on_write_overflowed(self):
        self.calls.append("overflowed")

    def on_write_stalled(self):
        self.has_stalled.set()

    def on_write_failed(self):
        self.calls.append("failed")

    def do(self, call):
        """Call on the dispatcher's thread, in one turn, and wait for the flush at its end."""
        done = Future()

        def run():
            done.set_result(call())
            self.dispatcher.flush_later(flushed.set)

        flushed = threading.Event()
        self.dispatcher.call_soon(run)
        assert flushed.wait(WAIT_S)
        return done.result(0)

    def send(self, *units):
        """Send units, each of one frame, in one turn."""
        self.do(lambda: [self.writer.send([unit]) for unit in units])


@pytest.fixture
def make_stream(dispatcher):
    """Makes a stream whose writer is open; at the end the writer is closed."""
    streams = []

    def make(*, is_open=True, **limits):
        stream = Stream(dispatcher, **limits)
        if is_open:
            stream.do(lambda: stream.writer.open(dispatcher, dispatcher.client_traffic))
        streams.append(stream)
        return stream

    yield make
    for stream in streams:
        if not stream.writer.is_closed:
            stream.do(stream.writer.close)


def test_the_first_frame_of_a_turn_leaves_at_once_and_the_others_together(make_stream):
    stream = make_stream()
    stream.send(b"one", b"two", b"three")
    assert stream.writes == [b"one", b"twothree"]
    assert stream.calls == [], "a peer that reads costs no call of the owner"


def test_a_large_backlog_leaves_before_the_turn_ends(make_stream):
    stream = make_stream()
    large = bytes(INLINE_FLUSH_BYTES)
    written = stream.do(lambda: [stream.writer.send([frame]) for frame in (b"one", large, b"two")] and [*stream.writes])
    assert b"".join(written) == b"one" + large + b"two"


def test_frames_wait_until_the_writer_is_opened(make_stream):
    stream = make_stream(is_open=False)
    stream.send(b"one", b"two")
    assert stream.writes == []
    stream.do(lambda: stream.writer.open(stream.dispatcher, stream.dispatcher.client_traffic))
    assert stream.writes == [b"onetwo"]


def test_the_rest_of_a_frame_leaves_before_the_next(make_stream):
    stream = make_stream()
    stream.room = 2
    stream.send(b"one", b"two")
    assert (stream.writes, stream.writer.is_blocked, stream.writer.is_cut) == ([b"on"], True, True)
    stream.room = 10
    stream.do(stream.writer.flush)
    assert (b"".join(stream.writes), stream.writer.is_blocked, stream.writer.is_cut) == (b"onetwo", False, False)
    assert stream.calls[-1] == ("written", True)


def test_an_overflow_drops_the_backlog_and_all_that_follows_until_its_count_is_taken(make_stream):
    stream = make_stream(write_buffer_bytes=100)
    stream.room = 10
    stream.send(bytes(50), *[bytes(50)] * 3, bytes(7))
    assert stream.calls.count("overflowed") == 1
    assert stream.do(stream.writer.take_dropped) == 157
    stream.room = 1000
    stream.do(stream.writer.flush)
    assert b"".join(stream.writes) == bytes(50), "the frame that was cut is finished"
    stream.send(b"last")
    assert stream.writes[-1] == b"last"


def test_overflows_are_counted(make_stream):
    stream = make_stream(write_buffer_bytes=100)
    stream.room = 10
    for _ in range(2):
        stream.send(*[bytes(50)] * 4)
        stream.do(stream.writer.take_dropped)
    assert stream.writer.overflows == 2


def test_no_bound_applies_to_the_frames_of_a_close(make_stream):
    stream = make_stream(write_buffer_bytes=100)
    stream.room = 0
    stream.do(stream.writer.begin_close)
    stream.send(*[bytes(60)] * 3)
    assert stream.writer.overflows == 0
    stream.room = 1000
    stream.do(stream.writer.flush)
    assert b"".join(stream.writes) == bytes(180)


def test_a_busy_writer_reports_once_that_it_has_drained(make_stream):
    stream = make_stream(high_water_bytes=100, low_water_bytes=20)
    stream.room = 0
    stream.send(*[bytes(60)] * 2)
    assert stream.writer.is_busy
    stream.room = 90
    stream.do(stream.writer.flush)
    assert not stream.writer.is_busy
    assert "drained" not in stream.calls, "30 bytes are above the low water mark"
    stream.room = 1000
    stream.do(stream.writer.flush)
    stream.send(b"more")
    assert stream.calls.count("drained") == 1


def test_a_stream_that_takes_no_byte_has_stalled_after_the_deadline(make_stream):
    stream = make_stream(write_stall_s=0.05)
    stream.room = 0
    stream.send(b"one")
    assert stream.has_stalled.wait(WAIT_S)


def test_after_a_failed_write_no_frame_is_taken(make_stream):
    stream = make_stream()
    stream.room = None
    stream.send(b"one", b"two")
    assert stream.calls == ["failed"]
    assert stream.writer.has_failed
    assert stream.writes == []


def test_a_closed_writer_has_dropped_its_frames_and_writes_no_more(make_stream):
    stream = make_stream()
    stream.room = 1

    def send_and_close():
        stream.writer.send([b"one"])
        stream.writer.send([b"two"])
        return stream.writer.close()

    assert stream.do(send_and_close) == 5
    assert (stream.writes, stream.calls) == ([b"o"], []), "the flush that was due does nothing"


@pytest.fixture
def uncollected():
    """No garbage collector: an object goes when its last reference does."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_a_closed_writer_keeps_its_owner_no_longer():
    owner = Stream(None)
    writer, seen = owner.writer, weakref.ref(owner)
    writer.close()
    del owner
    assert seen() is None
    assert not writer.is_busy
