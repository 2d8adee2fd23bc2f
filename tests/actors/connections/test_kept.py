"""A client's connection whose bytes are accounted for, over TCP: the kernel's counts, and the shelf's."""

import os
import queue
import socket
import sys

import pytest

from actors.connections import kept as module
from actors.connections.base import ConnectionLimits
from actors.connections.frames import FrameParser, apply_mask
from actors.connections.kept import KeptConnection, counted
from actors.connections.shelf import Shelf
from tests.support.engine import links
from tests.support.engine.dispatching import WAIT_S, on

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]


class Listener:
    """The owner of a connection: it notes the messages."""

    def __init__(self):
        self.log_fields = {}
        self.heard = queue.Queue()

    def on_text(self, text):
        self.heard.put(text)

    def on_binary(self, data):
        self.heard.put(data)

    def on_closed(self, closed):
        self.heard.put(closed)


def masked(data, opcode=0x81):
    key = b"1234"
    return bytes([opcode, 0x80 | len(data)]) + key + apply_mask(data, key)


@pytest.fixture
def kept(stack, dispatcher):
    """A kept connection that is open, its listener, and the client's socket."""
    ours, theirs = links.tcp_pair(stack)
    connection = KeptConnection(socket.socket(fileno=ours.detach()), subprotocol=None, limits=ConnectionLimits())
    listener = Listener()
    connection.keep()
    on(dispatcher, lambda: connection.open(dispatcher, listener))
    yield connection, listener, theirs
    on(dispatcher, connection.abort)


def left_by(connection):
    """Return what another process would find, by the counts of the kernel."""
    with socket.socket(fileno=os.dup(connection.duplicate())) as sock:
        shelf = Shelf(os.dup(connection.shelf.descriptor))
        try:
            return shelf.rest(*counted(sock))
        finally:
            shelf.close()


def test_what_is_written_and_read_is_what_the_kernel_counts(kept, dispatcher):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    client.sendall(masked(b"a question") + masked(b"cut")[:5])
    assert listener.heard.get(timeout=WAIT_S) == "a question"
    on(dispatcher, lambda: connection.send_text("an answer"))
    assert FrameParser(False, 1000).feed(client.recv(100)) == ["an answer"]
    rest, written = on(dispatcher, lambda: left_by(connection))
    assert rest.journal == masked(b"a question") + masked(b"cut")[:5]
    assert written == len(b"an answer") + 2
    assert on(dispatcher, lambda: connection.journal_from) == len(masked(b"a question"))


def test_messages_wait_until_the_session_has_handled_them(kept, dispatcher):
    connection, listener, client = kept
    client.sendall(masked(b"one") + masked(b"two", 0x82))
    assert [listener.heard.get(timeout=WAIT_S) for _ in range(2)] == ["one", b"two"]
    assert on(dispatcher, lambda: connection.pending) == ["one", b"two"]


def test_frames_that_are_not_written_are_known(kept, dispatcher):
    connection, _, _ = kept

    def look():
        connection.emitted.append("first")
        before = connection.unwritten(["second", b"third"])
        connection.send_text("first")
        return before, connection.unwritten([])

    before, after = on(dispatcher, look)
    assert before == b"\x81\x05first\x81\x06second\x82\x05third"
    assert after == b""  # the first frame of a turn leaves at once


def test_the_end_reaches_the_client_although_another_process_holds_the_socket(kept, dispatcher):
    connection, _, client = kept
    with socket.socket(fileno=os.dup(connection.duplicate())):
        on(dispatcher, connection.abort)
        client.settimeout(WAIT_S)
        assert client.recv(1) == b""


def test_a_stream_that_moved_in_the_middle_of_a_frame_is_accounted_from_its_border(stack, dispatcher):
    ours, theirs = links.tcp_pair(stack)
    half, rest = masked(b"later")[:4], masked(b"later")[4:]
    theirs.sendall(half)
    assert ours.recv(100) == half
    connection = KeptConnection.continued(socket.socket(fileno=ours.detach()), half, b"")
    listener = Listener()
    connection.keep()
    on(dispatcher, lambda: connection.open(dispatcher, listener))
    theirs.sendall(rest)
    assert listener.heard.get(timeout=WAIT_S) == "later"
    assert on(dispatcher, lambda: (connection.journal_from, connection.shelf.read)) == (len(half + rest),) * 2
    on(dispatcher, connection.abort)


def test_a_connection_that_departs_needs_its_memory_no_more(kept, dispatcher):
    connection, _, client = kept
    detached = on(dispatcher, connection.detach)
    with socket.socket(fileno=detached.descriptor) as sock:
        sock.setblocking(True)
        sock.sendall(b"on")
        assert client.recv(2) == b"on"
    assert connection.shelf is None


def test_messages_of_the_same_read_wait_while_the_first_of_them_is_delivered(kept):
    connection, listener, client = kept
    seen = []

    def on_text(text):
        seen.append(connection.pending)
        connection.delivered.clear()
        listener.heard.put(text)

    listener.on_text = on_text
    client.sendall(masked(b"one") + masked(b"two") + masked(b"three", 0x82))
    assert [listener.heard.get(timeout=WAIT_S) for _ in range(3)] == ["one", "two", b"three"]
    assert seen == [["one", "two", b"three"], ["two", b"three"]]


def test_counts_that_change_between_two_looks_are_looked_at_again(kept, monkeypatch):
    connection, _, _ = kept
    counts, queues = iter([(5, 0), (9, 0), (9, 0)]), iter([4, 0, 4, 0, 0, 0, 0, 0, 0, 0])
    monkeypatch.setattr(module, "_counts", lambda _sock: next(counts, (9, 0)))
    monkeypatch.setattr(module, "_queued", lambda *_asked: next(queues, 0))
    assert counted(connection) == (9, 0)
