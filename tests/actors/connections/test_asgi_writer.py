"""The writer of a connection of an ASGI server; `test_asgi.py` has the same over a loop."""

import pytest

from actors.connections.asgi_writer import AsgiWriter
from actors.connections.base import ConnectionLimits
from actors.connections.passage import Close, End, Passage, Probe


class Owner:
    """A connection that records what its writer reports."""

    def __init__(self):
        self.log_fields = {"session": "s"}
        self.calls = []

    def wake_loop(self):
        self.calls.append("wake")

    def on_backlog(self):
        self.calls.append("backlog")

    def on_write_overflowed(self):
        self.calls.append("overflowed")

    def on_write_stalled(self):
        self.calls.append("stalled")


@pytest.fixture
def passage():
    return Passage(ConnectionLimits())


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def writer(owner, passage):
    return AsgiWriter(owner, passage, ConnectionLimits(write_buffer_bytes=100))


def drained(passage):
    """Return the entries that wait, and empty the queue."""
    return list(iter(passage.begin, None))


def test_messages_wake_the_loop_before_a_dispatcher_has_the_connection(writer, owner, passage):
    writer.send(["one", b"two"])
    writer.put(Probe())
    assert owner.calls == ["wake", "wake"]
    assert [type(item) for item in drained(passage)] == [str, bytes, Probe]


def test_an_overflow_is_reported_once_and_what_follows_it_is_dropped_until_the_count_is_taken(writer, owner, passage):
    for _ in range(3):
        writer.send([bytes(60)])
    assert owner.calls.count("overflowed") == 1
    assert not writer.takes_last_text_alone
    assert writer.take_dropped() == 180
    assert writer.takes_last_text_alone
    writer.send(["last"])
    assert drained(passage) == ["last"]


def test_the_end_is_put_behind_a_last_text_without_the_dispatcher(writer, owner, passage):
    writer.put_last(Close(1011, "internal error"), "failed")
    text, close, end = drained(passage)
    assert (text, close.code, type(end), owner.calls) == ("failed", 1011, End, ["wake"])


def test_a_writer_that_is_closed_reports_nothing(writer, owner):
    writer.close()
    writer.send([bytes(200)])
    writer.put_last(Close(1000, ""))
    assert owner.calls == []
