"""A client's connection whose bytes are accounted for, over TCP: the kernel's counts, and the shelf's."""

import os
import queue
import socket
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from actors.connections import kept as module
from actors.connections import protocol
from actors.connections.arena import Arena, ArenaFullError
from actors.connections.base import ConnectionLimits
from actors.connections.frames import FrameParser, apply_mask
from actors.connections.kept import KeptConnection, Unhandled, counted
from actors.connections.shelf import JOURNAL_BYTES, LONG_JOURNAL_BYTES, MOST_JOURNAL_BYTES, rest_of
from tests.support.engine import links
from tests.support.engine.dispatching import WAIT_S, on

LATE_FRAMES = 60

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

    def on_drained(self):
        self.heard.put("drained")

    def on_evicted(self):
        self.heard.put("evicted")


def masked(data, opcode=0x81):
    key = b"1234"
    return bytes([opcode, 0x80 | len(data)]) + key + apply_mask(data, key)


@pytest.fixture
def arena():
    arena = Arena()
    yield arena
    arena.close()


@pytest.fixture
def kept(stack, dispatcher, arena):
    """A kept connection that is open, its listener, and the client's socket."""
    ours, theirs = links.tcp_pair(stack)
    connection = KeptConnection(socket.socket(fileno=ours.detach()), subprotocol=None, limits=ConnectionLimits())
    listener = Listener()
    connection.keep(arena)
    on(dispatcher, lambda: connection.open(dispatcher, listener))
    yield connection, listener, theirs
    on(dispatcher, connection.abort)


def left_by(connection, arena):
    """Return what another process would find, by the counts of the kernel."""
    with socket.socket(fileno=os.dup(connection.duplicate())) as sock:
        other = Arena(os.dup(arena.descriptor))
        try:
            return rest_of(other, connection.shelf.at, connection.shelf.serial, *counted(sock))
        finally:
            other.close()


def test_what_is_written_and_read_is_what_the_kernel_counts(kept, dispatcher, arena):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    client.sendall(masked(b"a question") + masked(b"cut")[:5])
    assert listener.heard.get(timeout=WAIT_S) == "a question"
    on(dispatcher, lambda: connection.send_text("an answer"))
    assert FrameParser(False, 1000).feed(client.recv(100)) == ["an answer"]
    rest, written = on(dispatcher, lambda: left_by(connection, arena))
    assert rest.journal == masked(b"a question") + masked(b"cut")[:5]
    assert written == len(b"an answer") + 2
    assert on(dispatcher, lambda: connection.journal_from) == len(masked(b"a question"))


def test_frames_of_a_silent_user_are_read_whole_and_one_by_one(kept, dispatcher, arena):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    connection.may_drop = (True).__bool__
    frame = masked(bytes(100), 0x82)

    def handle(data):
        connection.unhandled.take_binary(len(data))
        listener.heard.put(data)

    listener.on_binary = handle
    for number in range(200):
        client.sendall(frame)
        assert listener.heard.get(timeout=WAIT_S) == bytes(100), number
    rest, _ = on(dispatcher, lambda: left_by(connection, arena))
    assert len(rest.journal) % len(frame) == 0
    assert on(dispatcher, connection.unhandled.messages) == []


def test_a_text_among_the_audio_of_a_silent_user_is_kept(kept, dispatcher, arena):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    connection.may_drop = (True).__bool__

    def handle(text):
        connection.unhandled.take_text()
        connection.unhandled.texts += 1
        listener.heard.put(text)

    listener.on_text = handle
    client.sendall(masked(b"a question"))
    assert listener.heard.get(timeout=WAIT_S) == "a question"
    for _ in range(100):
        client.sendall(masked(bytes(100), 0x82))
        assert listener.heard.get(timeout=WAIT_S) == bytes(100)
    rest, _ = on(dispatcher, lambda: left_by(connection, arena))
    assert rest.journal.startswith(masked(b"a question"))


def silent(kept, dispatcher):
    """Let a session handle the audio of a silent user, until each read overwrites the one before."""
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    connection.may_drop = (True).__bool__

    def handle(data):
        connection.unhandled.take_binary(len(data))
        listener.heard.put(data)

    listener.on_binary = handle
    while not connection.may_overwrite:
        client.sendall(masked(bytes(100), 0x82))
        assert listener.heard.get(timeout=WAIT_S) == bytes(100)


def journal_of(kept, dispatcher, arena):
    """Return what another process would find in the journal."""
    return on(dispatcher, lambda: left_by(kept[0], arena))[0].journal


def test_the_journal_of_a_silent_user_is_the_last_frame(kept, dispatcher, arena):
    silent(kept, dispatcher)
    connection, listener, client = kept
    for number in range(20):
        client.sendall(masked(bytes([number]), 0x82))
        assert listener.heard.get(timeout=WAIT_S) == bytes([number])
        assert journal_of(kept, dispatcher, arena) == masked(bytes([number]), 0x82)
        assert connection.may_overwrite


def test_a_frame_that_comes_in_two_reads_is_kept_from_its_first_byte_on(kept, dispatcher, arena):
    silent(kept, dispatcher)
    _, listener, client = kept
    frame = masked(b"audio", 0x82)
    client.sendall(frame[:6])
    client.sendall(frame[6:])
    assert listener.heard.get(timeout=WAIT_S) == b"audio"
    assert journal_of(kept, dispatcher, arena).endswith(frame)


@pytest.mark.parametrize("begin", [b"a ", b""], ids=["words", "empty"])
def test_the_begin_of_a_longer_message_behind_audio_is_kept(kept, dispatcher, arena, begin):
    silent(kept, dispatcher)
    connection, listener, client = kept
    client.sendall(masked(b"audio", 0x82) + masked(begin, 0x01))
    assert listener.heard.get(timeout=WAIT_S) == b"audio"
    client.sendall(masked(b"ping", 0x89) + masked(b"text", 0x80))
    text = begin.decode() + "text"
    assert listener.heard.get(timeout=WAIT_S) == text
    assert masked(begin, 0x01) in journal_of(kept, dispatcher, arena)
    assert on(dispatcher, connection.unhandled.messages) == [text]


def test_audio_that_the_session_has_not_handled_is_not_overwritten(kept, dispatcher, arena):
    silent(kept, dispatcher)
    connection, listener, client = kept
    listener.on_binary = listener.heard.put
    frames = [masked(bytes([number]) * 100, 0x82) for number in range(60)]
    for frame in frames:
        client.sendall(frame)
        listener.heard.get(timeout=WAIT_S)
    assert journal_of(kept, dispatcher, arena).endswith(b"".join(frames))
    assert len(on(dispatcher, connection.unhandled.messages)) == len(frames)


def test_a_frame_that_the_session_handles_in_pieces_is_not_overwritten(kept, dispatcher, arena):
    silent(kept, dispatcher)
    connection, listener, client = kept
    listener.on_binary = listener.heard.put
    client.sendall(masked(b"0123456789", 0x82))
    assert listener.heard.get(timeout=WAIT_S) == b"0123456789"

    def handle_half():
        connection.may_overwrite = False  # as the machine does
        connection.unhandled.take_binary(5)

    on(dispatcher, handle_half)
    client.sendall(masked(b"next", 0x82))
    assert listener.heard.get(timeout=WAIT_S) == b"next"
    assert journal_of(kept, dispatcher, arena) == masked(b"0123456789", 0x82) + masked(b"next", 0x82)


def test_an_input_that_may_end_the_silence_keeps_all_audio_behind_it(kept, dispatcher, arena):
    silent(kept, dispatcher)
    connection, listener, client = kept

    def begin_to_speak():
        connection.may_drop = (False).__bool__
        connection.is_silent, connection.may_overwrite = None, False  # as the machine does

    on(dispatcher, begin_to_speak)
    frames = [masked(os.urandom(100), 0x82) for _ in range(100)]
    for frame in frames:
        client.sendall(frame)
        listener.heard.get(timeout=WAIT_S)
    assert journal_of(kept, dispatcher, arena).endswith(b"".join(frames))


def test_a_record_within_the_silence_leaves_the_count_of_the_bytes_right(kept, dispatcher, arena):
    silent(kept, dispatcher)
    connection, listener, client = kept

    def store():
        connection.may_overwrite = False  # as the machine does
        assert connection.shelf.store(b"next", connection.journal_from)

    for number in range(20):
        client.sendall(masked(bytes([number]), 0x82))
        assert listener.heard.get(timeout=WAIT_S) == bytes([number])
        on(dispatcher, store)
        assert journal_of(kept, dispatcher, arena) == b""


@pytest.mark.parametrize("is_silent", [True, False])
def test_the_frames_that_came_during_a_lag_are_read_in_one_turn(kept, dispatcher, is_silent):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    connection.may_drop = lambda: is_silent
    turns = []

    def handle(data):
        connection.unhandled.take_binary(len(data))
        turns.append(dispatcher.turns)
        if len(turns) == 1 + LATE_FRAMES:
            listener.heard.put(turns)

    listener.on_binary = handle

    on(dispatcher, lambda: client.sendall(masked(bytes(100), 0x82)))
    on(dispatcher, lambda: client.sendall(masked(bytes(100), 0x82) * LATE_FRAMES))
    assert len(set(listener.heard.get(timeout=WAIT_S)[1:])) == 1


def test_short_reads_that_take_long_together_wait_for_the_next_turn(kept, dispatcher, monkeypatch):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    connection.may_drop = (True).__bool__
    listener.on_binary = lambda data: connection.unhandled.take_binary(len(data))
    now_s, turns, feed = [1.0], [], connection._feed
    for each in (module, protocol):
        monkeypatch.setattr(each, "monotonic", lambda: now_s[0])

    def feed_slowly(data):
        now_s[0] += 0.4 * protocol.READ_S
        turns.append(dispatcher.turns)
        return feed(data)

    connection._feed = feed_slowly
    on(dispatcher, lambda: client.sendall(masked(bytes(100), 0x82) * 400 + masked(b"last")))
    assert listener.heard.get(timeout=WAIT_S) == "last"
    assert max(Counter(turns).values()) == 3


def test_the_blocks_of_a_lag_are_released_soon_after_it(kept, dispatcher):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    connection.may_drop = (True).__bool__
    listener.on_binary = listener.heard.put

    def send(count):
        for _ in range(count):
            client.sendall(masked(bytes(100), 0x82))
            assert listener.heard.get(timeout=WAIT_S) == bytes(100)

    send(100)
    assert on(dispatcher, lambda: connection.shelf.journal_bytes) > 100 * 100
    on(dispatcher, lambda: connection.unhandled.take_binary(100 * 100))

    def handle(data):
        connection.unhandled.take_binary(len(data))
        listener.heard.put(data)

    listener.on_binary = handle
    send(3)
    assert on(dispatcher, lambda: connection.shelf.journal_bytes) == JOURNAL_BYTES


def test_a_single_message_waits_behind_those_of_earlier_reads(kept, dispatcher):
    connection, listener, client = kept
    client.sendall(masked(b"one") + masked(b"two", 0x82))
    assert [listener.heard.get(timeout=WAIT_S) for _ in range(2)] == ["one", b"two"]
    client.sendall(masked(b"three"))
    assert listener.heard.get(timeout=WAIT_S) == "three"
    assert on(dispatcher, connection.unhandled.messages) == ["one", b"two", "three"]


def test_messages_wait_until_the_session_has_handled_them(kept, dispatcher):
    connection, listener, client = kept
    client.sendall(masked(b"one") + masked(b"two", 0x82))
    assert [listener.heard.get(timeout=WAIT_S) for _ in range(2)] == ["one", b"two"]
    assert on(dispatcher, connection.unhandled.messages) == ["one", b"two"]


def test_audio_without_a_byte_holds_up_no_message_behind_it():
    unhandled = Unhandled()
    unhandled.note_read(["one", b""])
    unhandled.take_text()
    unhandled.take_binary(0)
    unhandled.note_read([b""])
    unhandled.note_read(["two", "three"])
    unhandled.take_binary(0)
    unhandled.take_text()
    assert unhandled.messages() == ["three"]


def test_control_frames_of_an_idle_client_are_not_kept(kept, dispatcher):
    connection, listener, client = kept
    for _ in range(4):
        client.sendall(masked(b"ping", 0x89))
        assert client.recv(100) == b"\x8a\x04ping"
    client.sendall(masked(b"a question"))
    assert listener.heard.get(timeout=WAIT_S) == "a question"
    unhandled = connection.unhandled
    assert on(dispatcher, lambda: (unhandled.newest, unhandled.others)) == ("a question", [])


def test_control_frames_of_a_silent_user_leave_the_reads_that_overwrite_each_other(kept, dispatcher, arena):
    silent(kept, dispatcher)
    _, listener, client = kept
    for _ in range(20):
        client.sendall(masked(b"ping", 0x89))
        assert client.recv(100) == b"\x8a\x04ping"
    client.sendall(masked(b"audio", 0x82))
    assert listener.heard.get(timeout=WAIT_S) == b"audio"
    assert journal_of(kept, dispatcher, arena) == masked(b"audio", 0x82)


def test_a_long_journal_is_shortened_without_a_step_of_the_session(kept, dispatcher, arena):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    connection.store = lambda: connection.shelf.store(b"record", connection.journal_from)
    frame = b"\x82\xfe" + (1000).to_bytes(2, "big") + b"1234" + apply_mask(bytes(1000), b"1234")
    for _ in range(2 * MOST_JOURNAL_BYTES // len(frame)):
        client.sendall(frame)
        assert listener.heard.get(timeout=WAIT_S) == bytes(1000)
    assert len(journal_of(kept, dispatcher, arena)) < MOST_JOURNAL_BYTES + 3 * LONG_JOURNAL_BYTES
    assert on(dispatcher, lambda: arena.used_bytes) < 2 * MOST_JOURNAL_BYTES


def test_a_message_that_is_longer_than_the_journal_stores_no_records_that_cannot_shorten_it(kept, dispatcher):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    stored = []

    def store():
        stored.append(connection.journal_from)
        connection.shelf.store(b"record", connection.journal_from)

    connection.store = store
    message = bytes(2_000_000)
    client.sendall(b"\x82\xff" + len(message).to_bytes(8, "big") + b"1234" + apply_mask(message, b"1234"))
    assert listener.heard.get(timeout=WAIT_S) == message
    assert len(stored) <= 1


def test_frames_that_are_not_written_are_known(kept, dispatcher):
    connection, _, _ = kept

    def look():
        connection.emitted += ["first", "second", b"third"]
        before = connection.unwritten(b"")
        connection.send_text("first")  # the first frame of a turn leaves at once
        connection.send_text("second")
        return before, connection.unwritten(b"current")

    before, after = on(dispatcher, look)
    assert before == b"\x81\x05first\x81\x06second\x82\x05third"
    assert after == b"\x81\x06second\x82\x05third"  # what is about to be written waits with the rest


def test_the_end_reaches_the_client_although_another_process_holds_the_socket(kept, dispatcher):
    connection, _, client = kept
    with socket.socket(fileno=os.dup(connection.duplicate())):
        on(dispatcher, connection.abort)
        client.settimeout(WAIT_S)
        assert client.recv(1) == b""


def test_a_stream_that_moved_in_the_middle_of_a_frame_is_accounted_from_its_border(stack, dispatcher, arena):
    ours, theirs = links.tcp_pair(stack)
    half, rest = masked(b"later")[:4], masked(b"later")[4:]
    theirs.sendall(half)
    assert ours.recv(100) == half
    connection = KeptConnection.continued(socket.socket(fileno=ours.detach()), half, b"")
    listener = Listener()
    connection.keep(arena)
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
        seen.append(connection.unhandled.messages())
        connection.unhandled.take_text()
        listener.heard.put(text)

    listener.on_text = on_text
    client.sendall(masked(b"one") + masked(b"two") + masked(b"three", 0x82))
    assert [listener.heard.get(timeout=WAIT_S) for _ in range(3)] == ["one", "two", b"three"]
    assert seen == [["one", "two", b"three"], ["two", b"three"]]


def test_a_record_is_stored_before_the_first_bytes_of_its_step(kept, dispatcher):
    connection, _, client = kept
    stored = []

    def store(current):
        connection.due = None
        stored.append((bytes(current), connection.shelf.written))

    def send():
        connection.due = store
        connection.send_text("first")
        connection.send_text("second")

    on(dispatcher, send)
    assert FrameParser(False, 1000).feed(client.recv(100))[0] == "first"
    assert stored == [(b"\x81\x05first", 0)]


def test_a_slow_client_gets_the_rest_of_a_frame_from_another_process(kept, dispatcher, arena):
    connection, _, client = kept
    data = os.urandom(8_000_000)
    on(dispatcher, lambda: (connection.shelf.store(b"record", 0), connection.send_binary(data)))
    rest, written = on(dispatcher, lambda: left_by(connection, arena))
    assert 0 < written < len(data)
    frames = FrameParser(False, 10_000_000)
    behind = rest.write[written - rest.write_at :]
    received, events = 0, []
    while received < written:
        part = client.recv(min(1_000_000, written - received))
        received += len(part)
        events += frames.feed(part)
    events += frames.feed(behind)
    assert data.startswith(b"".join(events))
    assert frames.held_bytes == 0


def test_a_client_that_sends_much_at_once_is_read_in_larger_pieces(kept, dispatcher, arena):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    message = bytes(100) * 600
    client.sendall(b"\x82\xfe" + len(message).to_bytes(2, "big") + b"1234" + apply_mask(message, b"1234"))
    assert listener.heard.get(timeout=WAIT_S) == message
    rest, _ = on(dispatcher, lambda: left_by(connection, arena))
    assert len(rest.journal) == len(message) + 8


def test_the_journal_counts_as_memory_of_the_peer_until_the_session_ends_for_it(kept, dispatcher, arena):
    connection, listener, client = kept
    on(dispatcher, lambda: connection.shelf.store(b"record", 0))
    message = bytes(60_000)
    client.sendall(b"\x82\xfe" + len(message).to_bytes(2, "big") + b"1234" + apply_mask(message, b"1234"))
    assert listener.heard.get(timeout=WAIT_S) == message
    assert on(dispatcher, lambda: connection.held_bytes) >= len(message)
    on(dispatcher, connection.give_way)
    assert listener.heard.get(timeout=WAIT_S) == "evicted"
    assert on(dispatcher, lambda: connection.held_bytes) < len(message)
    assert arena.used_bytes == 0
    assert not connection.outlives_process


def test_without_memory_the_session_goes_on_and_does_not_outlive_its_process(kept, dispatcher, monkeypatch, caplog):
    connection, listener, client = kept
    unkept = []
    connection.custodian = SimpleNamespace(unkeep=lambda: unkept.append(1))

    def allocate(*_size):
        raise ArenaFullError("the memory is full")

    monkeypatch.setattr(Arena, "allocate", allocate)
    client.sendall(masked(b"a question"))
    assert listener.heard.get(timeout=WAIT_S) == "a question"
    on(dispatcher, lambda: connection.send_text("an answer"))
    assert FrameParser(False, 1000).feed(client.recv(100)) == ["an answer"]
    assert unkept == [1]
    assert "does not outlive this process any more: the memory is full" in caplog.text


def test_a_write_whose_record_has_no_room_leaves_without_a_note(kept, dispatcher, arena):
    connection, _, client = kept
    size = 8_000_000

    def send():
        connection.due = lambda _current: connection.stop_keeping(MemoryError("too large"))
        connection.send_binary(bytes(size))

    on(dispatcher, send)
    frames, received = FrameParser(False, 10_000_000), b""
    while len(received) < size:
        received += b"".join(frames.feed(client.recv(size)))
    assert received == bytes(size)
    assert arena.used_bytes == 0


def test_without_a_shelf_one_read_brings_one_message(kept, dispatcher, monkeypatch):
    connection, listener, client = kept
    received, receive = [], KeptConnection._receive

    def receive_noted(self):
        received.append(receive(self))
        return received[-1]

    def fill_a_block_and_stop():
        client.sendall(b"\x82\xfe" + (4096).to_bytes(2, "big") + b"1234" + bytes(JOURNAL_BYTES))
        connection._read_once()
        connection.stop_keeping(MemoryError("full"))
        client.sendall(bytes(4096 - JOURNAL_BYTES))

    on(dispatcher, fill_a_block_and_stop)
    assert len(listener.heard.get(timeout=WAIT_S)) == 4096
    monkeypatch.setattr(KeptConnection, "_receive", receive_noted)
    client.sendall(masked(b"hello"))
    assert listener.heard.get(timeout=WAIT_S) == "hello"
    assert on(dispatcher, lambda: len(received)) == 1


def test_a_thread_that_ends_the_connection_from_outside_stores_nothing(kept):
    connection, _, client = kept
    connection.due = lambda _current: pytest.fail("a record on another thread")
    connection.abort_from_outside("the end")
    client.settimeout(WAIT_S)
    assert FrameParser(False, 1000).feed(client.recv(100))[0] == "the end"


def test_a_connection_outlives_its_process_from_its_first_record_to_its_end_from_outside(kept):
    connection, _, _ = kept
    aborts = []
    connection.custodian = SimpleNamespace(drop=lambda: aborts.append(1))
    assert not connection.outlives_process
    connection.store = lambda: None  # as the session sets it with its first record
    assert connection.outlives_process
    connection.abort_from_outside("the end")
    assert not connection.outlives_process
    assert aborts == [1]


def test_a_connection_that_is_not_kept_any_more_does_not_outlive_its_process(kept):
    connection, _, _ = kept
    connection.store = lambda: None
    connection.custodian = SimpleNamespace(drop=lambda: pytest.fail("it was forgotten before"), unkeep=lambda: None)
    connection.stop_keeping(MemoryError("full"))
    assert not connection.outlives_process
    connection.abort_from_outside("the end")


def test_counts_that_change_between_two_looks_are_looked_at_again(kept, monkeypatch):
    connection, _, _ = kept
    counts, queues = iter([(5, 0), (9, 0), (9, 0)]), iter([4, 0, 4, 0, 0, 0, 0, 0, 0, 0])
    monkeypatch.setattr(module, "_counts", lambda _sock: next(counts, (9, 0)))
    monkeypatch.setattr(module, "_queued", lambda *_asked: next(queues, 0))
    assert counted(connection) == (9, 0)
