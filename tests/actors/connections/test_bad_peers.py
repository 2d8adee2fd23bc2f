"""The seam to peers that break the protocol, do not read, or send so much that reading it takes long."""

import logging
import threading
import time
from itertools import pairwise

import pytest

from actors.connections.base import Ending
from actors.connections.frames import binary_frames, close_frame
from actors.connections.protocol import RECEIVE_BYTES, SLOW_READ_BYTES
from tests.support.engine.links import closed, peer_frames, peer_masks

MEGA = 1024 * 1024


# Rude peers.


def test_a_half_close_is_a_reset(link):
    link.peer.send_text("last")
    link.peer.hang_up()
    assert link.listener.next("text") == "last"
    assert link.listener.next("closed") == closed(Ending.RESET)


def test_a_reset_is_reported(link):
    link.peer.reset()
    assert link.listener.next("closed") == closed(Ending.RESET)


def test_a_close_frame_is_not_missed_though_writing_failed_first(link, kind):
    """An upstream closes and hangs up while we still send: its code decides about the restart."""

    def close_and_vanish():
        link.peer.send_bytes(close_frame(1013, "try again", mask=peer_masks(kind)))
        link.peer.hang_up() if kind == "memory" else link.peer.sock.close()
        for _ in range(100):
            link.connection.send_text("x" * 1000)

    link.do(close_and_vanish)
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_PEER, 1013, "try again")


@pytest.mark.parametrize(
    ("wire", "code"),
    [((0x83, b""), 1002), ((0xC1, b"x"), 1002), ((0x80, b"x"), 1002), ((0x81, b"\xff"), 1007)],
)
def test_a_violation_is_answered_with_its_code(link, kind, wire, code):
    first, payload = wire
    head = bytes([first, len(payload) | (0x80 if peer_masks(kind) else 0)])
    link.peer.send_bytes(head + (bytes(4) if peer_masks(kind) else b"") + payload)
    ended = link.peer.receive()
    assert (ended.ending, ended.code) == (Ending.CLOSED_BY_PEER, code)
    if kind != "memory":
        link.peer.sock.close()
    ended = link.listener.next("closed")
    assert (ended.ending, ended.code) == (Ending.PROTOCOL_ERROR, code)
    assert ended.reason


def test_a_message_too_big_is_refused_with_1009_though_the_peer_goes_on_sending(make_link, kind):
    link = make_link(kind, max_message_bytes=1000, close_timeout_s=1).open()
    link.peer.send_binary(bytes(1000))
    assert link.listener.next("binary") == bytes(1000)
    link.peer.send_bytes(*binary_frames(bytes(200_000), mask=peer_masks(kind), max_frame_bytes=MEGA))
    ended = link.peer.receive()
    assert (ended.ending, ended.code, ended.reason) == (Ending.CLOSED_BY_PEER, 1009, "message over 1000 bytes")
    if kind != "memory":
        link.peer.sock.close()
    assert link.listener.next("closed") == closed(Ending.PROTOCOL_ERROR, 1009, "message over 1000 bytes")


def test_an_owner_that_fails_loses_its_connection_and_no_other_is_affected(make_link, kind, caplog):
    link, other = make_link(kind).open(), make_link("memory").open()
    link.listener.hooks = {"text": lambda _text: 1 / 0, "closed": lambda _closed: 1 / 0}
    with caplog.at_level(logging.CRITICAL, logger="actors"):
        link.peer.send_text("boom")
        link.listener.next("text")
        assert link.listener.next("closed") == closed(Ending.RESET)
    other.send_text("still here")
    assert other.peer.receive() == "still here"


# Peers that do not read.


def fill(link, *, until, chunk=bytes(64 * 1024)):
    """Send audio, call by call, until `until()` holds."""
    for _ in range(2000):
        if link.do(until):
            return
        link.send_binary(chunk)
    raise AssertionError("never full")


def test_a_peer_that_does_not_read_overflows_and_still_gets_a_last_message(make_link, kind):
    link = make_link(kind, close_timeout_s=5).open()
    link.peer.stop_reading()
    fill(link, until=lambda: not link.listener.is_idle())
    dropped_bytes = link.listener.next("overflowed")
    assert dropped_bytes >= 2 * MEGA
    link.do(lambda: (link.connection.send_text("too slow"), link.connection.close(1013, "too slow")))
    link.peer.read_again()
    messages = [link.peer.receive()]
    while isinstance(messages[-1], bytes):
        assert messages[-1] == bytes(64 * 1024), "cut at a frame border"
        messages.append(link.peer.receive())
    assert messages[-1] == "too slow"
    assert link.peer.receive() == closed(Ending.CLOSED_BY_PEER, 1013, "too slow")
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1013, "too slow")


def test_messages_that_are_sent_before_the_overflow_is_reported_are_dropped_with_it(make_link, kind):
    link = make_link(kind, write_buffer_bytes=100_000).open()
    link.peer.stop_reading()

    def send_much():
        for _ in range(2000):
            link.connection.send_binary(bytes(10_000))

    link.do(send_much)
    assert link.listener.next("overflowed") > 1_000_000
    assert link.listener.is_idle()


def test_an_owner_that_does_not_close_after_an_overflow_loses_the_connection_at_the_stall_deadline(make_link, kind):
    link = make_link(kind, write_buffer_bytes=100_000, write_stall_s=0.3).open()
    link.peer.stop_reading()
    fill(link, until=lambda: not link.listener.is_idle())
    link.listener.next("overflowed")
    for _ in range(200):
        link.send_text("x" * 20_000)
    assert link.connection._writer.outbox.backlog_bytes <= 100_000
    assert link.listener.next("closed") == closed(Ending.OVERFLOWED, 1006, "took no byte within 0.3 s")


def test_a_slow_peer_is_busy_until_it_has_read(make_link, kind):
    link = make_link(kind).open()
    link.peer.stop_reading()
    sent = []
    fill(link, until=lambda: sent.append(1) or link.connection.is_busy)
    link.peer.read_again()
    for _ in sent[1:]:
        assert link.peer.receive() == bytes(64 * 1024)
    assert link.listener.next("drained") is None
    assert not link.do(lambda: link.connection.is_busy)
    assert link.listener.is_idle()


def test_a_peer_that_takes_nothing_is_left_after_the_stall_deadline(make_link, kind):
    link = make_link(kind, write_stall_s=0.1).open()
    link.peer.stop_reading()
    fill(link, until=lambda: link.connection.is_busy)
    assert link.listener.next("closed") == closed(Ending.TIMED_OUT, 1006, "took no byte within 0.1 s")


def test_a_peer_that_sends_on_but_reads_nothing_is_left_although_no_ping_is_due(make_link):
    """A microphone keeps a connection alive for the pings, and a few messages never fill the write buffer."""
    link = make_link("memory", write_stall_s=0.2, ping_interval_s=0.1, ping_timeout_s=0.1).open()
    link.peer.stop_reading()
    link.send_text("unread")
    name, ends_s = "", time.monotonic() + 5
    while name != "closed" and time.monotonic() < ends_s:
        link.peer.send_binary(b"microphone")
        name, value = link.listener.calls.get(timeout=5)
    assert value == closed(Ending.TIMED_OUT, 1006, "took no byte within 0.2 s")


def test_a_text_that_is_partly_written_is_never_torn_by_an_overflow(make_link, kind):
    link = make_link(kind, write_buffer_bytes=100_000, max_frame_bytes=50_000).open()
    link.peer.stop_reading()
    text = "0123456789" * (MEGA // 2)
    link.send_text(text)
    fill(link, until=lambda: not link.listener.is_idle())
    link.listener.next("overflowed")
    link.send_text("after")
    link.peer.read_again()
    assert link.peer.receive() == text
    last = link.peer.receive()
    while isinstance(last, bytes):
        last = link.peer.receive()
    assert last == "after"


# One peer among many.


def test_a_flood_of_tiny_messages_does_not_hold_up_the_others(make_link, kind):
    """One recv may hold thousands of messages: the others get their turns between them."""
    link, other = make_link(kind), make_link("memory").open()
    link.do(link.connection.pause)
    link.open()
    frame = b"".join(peer_frames(kind, "x", 10))
    link.peer.send_bytes(frame * 5000)
    order = []
    link.listener.hooks = {"text": order.append}
    other.listener.hooks = {"text": lambda _text: order.append("other")}
    link.do(lambda: (link.connection.resume(), other.peer.send_text("me, too")))
    for _ in range(5000):
        link.listener.next("text")
    assert 0 <= order.index("other") < 1000


# The dispatcher does not run.


@pytest.fixture
def stuck(make_link):
    """A link over memory whose dispatcher is blocked until the test ends, and a message that the peer has not read."""
    go_on = threading.Event()

    def make(*, unread=None):
        link = make_link("memory").open()
        if unread is not None:
            link.peer.stop_reading()
            link.send_text(unread)
            link.do(lambda: None)
        blocked = threading.Event()
        link.dispatcher.call_soon(lambda: (blocked.set(), go_on.wait(5)))
        assert blocked.wait(5)
        return link

    yield make
    go_on.set()


def test_a_last_text_can_be_sent_from_another_thread(stuck):
    link = stuck()
    link.connection.abort_from_outside("sorry")
    assert link.peer.receive() == "sorry"
    assert link.peer.receive() == closed(Ending.CLOSED_BY_PEER, 1011, "internal error")


def test_no_last_text_is_sent_in_the_middle_of_a_message(stuck):
    link = stuck(unread="half of this was read")
    link.connection.abort_from_outside("sorry")
    assert link.peer.receive() == closed(Ending.RESET)


# Reads that take long.


@pytest.mark.parametrize("kind", [pytest.param("unix-server", marks=pytest.mark.slow)], indirect=True)
def test_a_peer_whose_frames_take_long_to_parse_is_read_in_small_pieces(make_link, kind, monkeypatch):
    monkeypatch.setattr("actors.connections.protocol.READ_S", 0.0)
    link = make_link(kind).open()
    sizes, feed = [], link.connection._feed

    def note(data):
        sizes.append(len(data))
        return feed(data)

    link.connection._feed = note
    frames = b"".join(binary_frames(b"", mask=True, max_frame_bytes=10)) * (2 * MEGA // 6)
    link.peer.send_bytes(frames)
    link.peer.send_text("behind them")
    while link.listener.calls.get(timeout=5) != ("text", "behind them"):
        pass
    slow = [after for before, after in pairwise(sizes) if before == RECEIVE_BYTES]
    assert slow
    assert max(slow) <= SLOW_READ_BYTES
    assert SLOW_READ_BYTES in sizes


@pytest.mark.parametrize("kind", [pytest.param("unix-server", marks=pytest.mark.slow)], indirect=True)
def test_the_rest_of_a_peer_that_went_away_is_read_in_small_pieces_each_in_a_turn(make_link, kind, dispatcher):
    link = make_link(kind).open()
    link.do(link.connection.pause)
    turns, feed = [], link.connection._feed

    def note(data):
        turns.append((dispatcher.turns, len(data)))
        return feed(data)

    link.connection._feed = note
    link.peer.send_bytes(b"".join(binary_frames(b"", mask=True, max_frame_bytes=10)) * (MEGA // 128))
    link.peer.send_text("behind them")
    link.peer.close()
    link.do(link.connection.on_write_failed)
    while link.listener.calls.get(timeout=5) != ("text", "behind them"):
        pass
    assert len({turn for turn, _ in turns}) == len(turns) > 5
    assert max(size for _, size in turns) == SLOW_READ_BYTES


@pytest.mark.parametrize("kind", [pytest.param("unix-server", marks=pytest.mark.slow)], indirect=True)
def test_behind_peers_that_take_long_every_peer_is_read_in_small_pieces(make_link, kind, monkeypatch):
    monkeypatch.setattr("actors.connections.protocol.SLOW_READS_S", -1.0)
    monkeypatch.setattr("actors.connections.protocol.READ_S", 1.0)
    link = make_link(kind).open()
    sizes, feed = [], link.connection._feed

    def note(data):
        sizes.append(len(data))
        return feed(data)

    link.connection._feed = note
    link.peer.send_bytes(b"".join(binary_frames(bytes(MEGA), mask=True, max_frame_bytes=1000)))
    link.peer.send_text("behind it")
    while link.listener.calls.get(timeout=5) != ("text", "behind it"):
        pass
    assert max(sizes) == SLOW_READ_BYTES
