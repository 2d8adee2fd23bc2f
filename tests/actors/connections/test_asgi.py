"""The connection whose socket an ASGI server owns; tests/sockets/test_asgi.py has real servers."""

import logging

import pytest

from actors.connections.asgi import AsgiConnection
from actors.connections.base import ConnectionClosed, ConnectionLimits, Ending
from actors.connections.passage import INCOMING_BYTES, MESSAGE_BYTES, Passage
from actors.footprint import Footprint
from tests.support.engine.asgi_server import asgi_server
from tests.support.engine.dispatching import WAIT_S
from tests.support.engine.interleaving import Scenario, every_interruption
from tests.support.engine.links import Link, Recorder

pytestmark = pytest.mark.slow  # an event loop opens a socket pair

KIB = 1024
ACCEPT = {"type": "websocket.accept", "subprotocol": None, "headers": []}


def closed(ending, code=1006, reason=""):
    return ConnectionClosed(ending=ending, code=code, reason=reason)


@pytest.fixture
def server():
    with asgi_server() as server:
        yield server


@pytest.fixture
def make_link(dispatcher, server):
    """Return a function that makes an accepted link; `peer` is the client."""
    made = []

    def make(*, first_text=None, offered=(), **limits):
        connection, client = server.serve(ConnectionLimits(**limits), first_text=first_text, offered=offered)
        assert client.receive() == ACCEPT | {"subprotocol": connection.subprotocol}
        made.append(Link(connection, client, dispatcher))
        return made[-1]

    yield make
    for link in made:
        link.peer.read_again()
        link.do(link.connection.abort)
        link.do(lambda: None)
        assert len(link.listener.closings) <= 1
        assert link.peer.carrying.done() or link.peer.wait_for_end() is None


@pytest.fixture
def link(make_link):
    return make_link().open()


# Messages.


def test_messages_go_both_ways(link):
    link.peer.send_text("hällo")
    link.peer.send_binary(b"\x01\x02")
    assert link.listener.next("text") == "hällo"
    assert link.listener.next("binary") == b"\x01\x02"
    link.send_text("grüß")
    link.send_text(b'{"type":"Welcome"}')
    link.send_binary(b"\x03\x04")
    assert [link.peer.receive() for _ in range(3)] == ["grüß", '{"type":"Welcome"}', b"\x03\x04"]


def test_many_messages_keep_their_order(link):
    for number in range(1000):
        link.peer.send_text(str(number))
    assert [link.listener.next("text") for _ in range(1000)] == [str(number) for number in range(1000)]
    link.do(lambda: [link.connection.send_text(str(number)) for number in range(1000)])
    assert [link.peer.receive() for _ in range(1000)] == [str(number) for number in range(1000)]


def test_the_first_text_leaves_before_a_dispatcher_has_the_connection(make_link):
    link = make_link(first_text="welcome")
    assert link.peer.receive() == "welcome"
    link.peer.send_text("early")
    link.peer.settle()
    link.open()
    assert link.listener.next("text") == "early"


def test_long_audio_is_split_into_even_messages(make_link):
    link = make_link(max_frame_bytes=1001).open()
    audio = bytes(range(250)) * 10
    link.send_binary(audio)
    assert [link.peer.receive() for _ in range(3)] == [audio[:1000], audio[1000:2000], audio[2000:]]


def test_binary_messages_that_arrive_at_once_are_joined_up_to_a_size(make_link):
    link = make_link(join_binary_bytes=5)
    for data in (b"ab", b"cd", b"ef", "text", b"gh", b"ij"):
        link.peer.send_text(data) if isinstance(data, str) else link.peer.send_binary(data)
    link.peer.settle()
    link.open()
    delivered = [link.listener.next(name) for name in ("binary", "binary", "text", "binary")]
    assert delivered == [b"abcd", b"ef", "text", b"ghij"]


# The end.


def test_the_client_closes(link):
    link.peer.leave(4001, "bye")
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_PEER, 4001, "bye")
    link.peer.wait_for_end()
    assert link.peer.is_idle()


def test_a_client_that_vanishes_is_a_reset(link):
    link.peer.send_text("last")
    link.peer.leave(1006)
    assert link.listener.next("text") == "last"
    assert link.listener.next("closed") == closed(Ending.RESET)


def test_a_server_that_reports_no_code_reports_a_close_without_one(link):
    link.peer.send(type="websocket.disconnect")
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_PEER, 1005)


def test_we_close_behind_the_messages_that_wait(link):
    link.peer.stop_reading()
    link.do(lambda: (link.connection.send_text("last word"), link.connection.close(1012, "drain")))
    link.do(lambda: (link.connection.send_text("too late"), link.connection.close(4000)))
    link.peer.send_text("too late, too")
    assert link.listener.has_late.wait(WAIT_S)
    link.peer.read_again()
    assert link.peer.receive() == "last word"
    assert link.peer.receive() == {"type": "websocket.close", "code": 1012, "reason": "drain"}
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1012, "drain")
    link.peer.wait_for_end()
    assert (link.peer.is_idle(), link.listener.is_idle()) == (True, True)
    assert link.listener.late == ["too late, too"]


def test_a_reason_that_no_close_frame_can_hold_is_shortened(link):
    link.close(1012, "ü" * 100)
    assert link.peer.receive() == {"type": "websocket.close", "code": 1012, "reason": "ü" * 61}


def test_a_client_that_does_not_read_our_close_is_left_after_a_while(make_link):
    link = make_link(close_timeout_s=0.05).open()
    link.peer.stop_reading()
    link.do(lambda: (link.connection.send_text("unread"), link.connection.close(1012, "drain")))
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1012, "drain")
    link.peer.wait_for_end()


def test_a_close_code_that_has_no_place_on_the_wire_is_sent_as_a_normal_one(link):
    link.close(1005)
    assert link.peer.receive()["code"] == 1000


def test_an_abort_ends_at_once_and_is_reported_once(link):
    closings = link.do(lambda: (link.connection.abort(), link.connection.abort(), list(link.listener.closings))[2])
    assert closings == [], "never from inside the owner's call"
    assert link.listener.next("closed") == closed(Ending.RESET)
    assert link.peer.receive() == {"type": "websocket.close", "code": 1011, "reason": ""}
    link.do(lambda: (link.connection.send_text("x"), link.connection.close(), link.connection.resume()))
    link.peer.wait_for_end()
    assert (link.peer.is_idle(), link.listener.is_idle()) == (True, True)


@pytest.mark.parametrize("is_opened", [True, False])
def test_a_request_that_the_server_cancels_is_a_reset(make_link, is_opened):
    link = make_link().open() if is_opened else make_link()
    link.peer.cancel()
    link = link if is_opened else link.open()
    assert link.listener.next("closed") == closed(Ending.RESET)


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_connection_that_was_never_opened_can_be_ended(make_link, end):
    link = make_link()
    link.connection.close(1001, "too late") if end == "close" else link.connection.abort()
    assert link.peer.receive()["code"] == (1001 if end == "close" else 1011)
    link.peer.wait_for_end()
    link.open()
    assert link.listener.is_idle()


def test_an_error_of_the_server_is_a_reset(link):
    link.peer.error = OSError("the client is gone")
    link.send_text("x")
    assert link.listener.next("closed") == closed(Ending.RESET)
    link.peer.wait_for_end()


def test_the_connections_of_a_closed_loop_are_lost(dispatcher):
    with asgi_server() as server:
        connection, client = server.serve()
        assert client.receive() == ACCEPT
        client.cancel()
        client.settle()
    link = Link(connection, client, dispatcher).open()
    link.send_text("into nothing")
    assert link.listener.next("closed") == closed(Ending.RESET)


def test_an_owner_that_fails_loses_its_connection(link):
    link.listener.hooks = {"text": lambda _text: 1 / 0, "closed": lambda _closed: 1 / 0}
    link.peer.send_text("boom")
    link.listener.next("text")
    assert link.listener.next("closed") == closed(Ending.RESET)


def test_a_stalled_dispatcher_s_client_gets_a_last_text_and_a_close_frame(link):
    link.connection.abort_from_outside("the server failed")
    assert link.peer.receive() == "the server failed"
    assert link.peer.receive() == {"type": "websocket.close", "code": 1011, "reason": "internal error"}
    link.peer.wait_for_end()
    assert link.listener.next("closed").ending is Ending.RESET


# Races.


@pytest.mark.parametrize("is_arrival_first", [True, False])
def test_no_wake_up_for_an_event_is_lost_beside_a_delivery(is_arrival_first):
    """The loop adds an event and raises the flag; the dispatcher takes it down and looks for events."""

    def scenario():
        connection = AsgiConnection(None, peer="", subprotocol=None, limits=ConnectionLimits(), first_text=None)
        listener, wakes = Recorder(), []
        connection._listener = listener

        def arrive():
            connection._passage.arrive("event")
            wakes.append(connection.note_arrival())

        def judge():
            while any(wakes):
                wakes.clear()
                connection.deliver()
            assert listener.next("text") == "first"
            assert listener.next("text") == "event"

        connection._passage.arrive("first")
        connection.note_arrival()
        calls = (arrive, connection.deliver)
        return Scenario(*(calls if is_arrival_first else reversed(calls)), judge)

    assert every_interruption(scenario, Passage.arrive, AsgiConnection.note_arrival, AsgiConnection.deliver) > 10


# Bounds.


def fill(link, *, until, chunk=bytes(64 * KIB)):
    for _ in range(200):
        if link.do(until):
            return
        link.send_binary(chunk)
    raise AssertionError("never full")


def test_a_client_that_does_not_read_overflows_and_still_gets_a_last_message(make_link):
    link = make_link(close_timeout_s=WAIT_S).open()
    link.peer.stop_reading()
    fill(link, until=lambda: not link.listener.is_idle())
    assert link.listener.next("overflowed") >= 2 * KIB * KIB
    link.do(lambda: (link.connection.send_text("too slow"), link.connection.close(1013, "too slow")))
    link.peer.read_again()
    messages = [link.peer.receive()]
    while isinstance(messages[-1], bytes):
        messages.append(link.peer.receive())
    assert messages[-1] == "too slow"
    assert len(messages) <= 2, "only the message that the server had already"
    assert link.peer.receive()["code"] == 1013
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1013, "too slow")


def test_an_owner_that_does_not_close_after_an_overflow_loses_the_connection_at_the_stall_deadline(make_link):
    link = make_link(write_buffer_bytes=100_000, write_stall_s=0.3).open()
    link.peer.stop_reading()
    fill(link, until=lambda: not link.listener.is_idle())
    link.listener.next("overflowed")
    for _ in range(200):
        link.send_text("x" * 20_000)
    assert link.connection.held_bytes <= 200_000
    assert link.listener.next("closed") == closed(Ending.OVERFLOWED, 1006, "took no byte within 0.3 s")


def test_the_client_that_holds_the_most_memory_of_all_gives_way(make_link):
    footprint = Footprint(1024 * KIB)
    modest, greedy = (make_link(footprint=footprint).open() for _ in range(2))
    for link, count in ((modest, 3), (greedy, 14)):
        link.peer.stop_reading()
        for _ in range(count):
            link.send_binary(bytes(64 * KIB))
        link.do(lambda: None)
    assert greedy.listener.next("evicted") is None
    assert modest.listener.is_idle()
    greedy.peer.send_text("not received")
    greedy.do(lambda: (greedy.connection.send_text("too much"), greedy.connection.close(1013, "server busy")))
    greedy.peer.read_again()
    received = greedy.peer.receive()
    # The server may have taken the first message before.
    assert (greedy.peer.receive() if received == bytes(64 * KIB) else received) == "too much"
    assert greedy.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1013, "server busy")
    assert footprint.total_bytes < 1024 * KIB


def test_a_client_whose_memory_has_left_in_the_meantime_stays_and_is_counted_on(make_link):
    footprint = Footprint(200 * KIB)
    link = make_link(footprint=footprint).open()
    link.peer.stop_reading()

    def exceed_and_read():
        link.connection.send_binary(bytes(256 * KIB))
        link.connection._writer._flush()  # over the bound: it is asked to give way on a later turn
        link.peer.read_again()
        assert link.peer.receive() == bytes(256 * KIB)
        link.peer.settle()

    link.do(exceed_and_read)
    link.do(lambda: None)
    assert link.listener.is_idle()
    link.peer.stop_reading()
    link.send_binary(bytes(128 * KIB))
    link.do(lambda: None)
    assert footprint.total_bytes >= 128 * KIB


def test_a_slow_client_is_busy_until_it_has_read(link):
    link.peer.stop_reading()
    sent = []
    fill(link, until=lambda: sent.append(1) or link.connection.is_busy)
    link.peer.read_again()
    for _ in sent[1:]:
        assert link.peer.receive() == bytes(64 * KIB)
    assert link.listener.next("drained") is None
    assert not link.do(lambda: link.connection.is_busy)


def test_a_client_that_takes_nothing_is_left_after_the_stall_deadline(make_link):
    link = make_link(write_stall_s=0.05).open()
    link.peer.stop_reading()
    link.send_text("unread")
    assert link.listener.next("closed") == closed(Ending.TIMED_OUT, 1006, "took no byte within 0.05 s")


def test_a_client_that_reads_slowly_is_not_left(make_link):
    link = make_link(write_stall_s=0.2).open()
    for number in range(4):
        link.peer.stop_reading()
        link.send_text(f"{number}")
        link.do(lambda: link.dispatcher.call_later(0.12, lambda: link.listener.on_text("later")))
        assert link.listener.next("text") == "later"
        link.peer.read_again()
        assert link.peer.receive() == f"{number}"
    assert link.listener.is_idle()


def test_a_probe_is_answered_when_the_server_has_taken_the_messages_before_it(link):
    link.peer.stop_reading()
    link.send_text("before")
    link.do(link.connection.probe)
    link.peer.settle()
    assert link.listener.is_idle()
    link.peer.read_again()
    assert link.peer.receive() == "before"
    assert link.listener.next("caught up") is None


def test_the_client_of_a_paused_connection_is_not_received_from_beyond_a_bound(link):
    link.do(link.connection.pause)
    for _ in range(100):
        link.peer.send_binary(bytes(16 * KIB))
    link.peer.settle()
    link.do(lambda: None)
    assert link.listener.is_idle()
    assert link.peer.received_events * 16 * KIB <= INCOMING_BYTES + 16 * KIB
    link.do(link.connection.resume)
    assert sum(len(link.listener.next("binary")) for _ in range(100)) == 100 * 16 * KIB


def test_empty_messages_of_a_paused_connection_have_a_bound_too(link):
    link.do(link.connection.pause)
    number = INCOMING_BYTES // MESSAGE_BYTES + 100
    for _ in range(number):
        link.peer.send_text("")
    link.peer.settle()
    assert link.peer.received_events <= INCOMING_BYTES // MESSAGE_BYTES + 1
    link.do(link.connection.resume)
    assert [link.listener.next("text") for _ in range(number)] == [""] * number


def test_pausing_from_inside_a_callback_holds_the_very_next_message(link):
    link.listener.hooks = {"text": lambda _text: link.connection.pause()}
    link.peer.send_text("one")
    link.peer.send_text("two")
    assert link.listener.next("text") == "one"
    link.do(lambda: None)
    assert link.listener.is_idle()
    link.listener.hooks = {}
    link.do(link.connection.resume)
    assert link.listener.next("text") == "two"


def test_a_message_too_big_is_refused_with_1009(make_link):
    link = make_link(max_message_bytes=1000).open()
    link.peer.send_binary(bytes(1000))
    assert link.listener.next("binary") == bytes(1000)
    link.peer.send_binary(bytes(1001))
    assert link.peer.receive()["code"] == 1009
    assert link.listener.next("closed") == closed(Ending.PROTOCOL_ERROR, 1009, "message over 1000 bytes")


def test_a_text_too_big_is_refused_with_1009_and_its_size_is_that_on_the_wire(make_link):
    link = make_link(max_message_bytes=1000, max_text_bytes=100).open()
    link.peer.send_binary(bytes(1000))
    link.peer.send_text("ü" * 50)
    assert link.listener.next("binary") == bytes(1000)
    assert link.listener.next("text") == "ü" * 50
    link.peer.send_text("ü" * 51)
    assert link.peer.receive()["code"] == 1009
    assert link.listener.next("closed") == closed(Ending.PROTOCOL_ERROR, 1009, "text message over 100 bytes")


# What is counted and logged.


def test_the_messages_of_both_directions_are_counted(link):
    link.peer.send_text("grüß")
    link.peer.send_binary(b"abc")
    link.listener.next("text")
    link.listener.next("binary")
    link.send_text("ü")
    link.send_binary(b"abcd")
    traffic = link.dispatcher.client_traffic
    assert (traffic.received_messages, traffic.received_bytes) == (2, 9)
    assert (traffic.sent_messages, traffic.sent_bytes, traffic.dropped_bytes) == (2, 6, 0)


def test_messages_that_an_overflow_drops_are_counted_and_its_log_line_has_the_owner_s_fields(make_link, caplog):
    link = make_link(write_buffer_bytes=100_000).open()
    link.peer.stop_reading()
    fill(link, until=lambda: not link.listener.is_idle())
    assert link.dispatcher.client_traffic.dropped_bytes >= 100_000
    (line,) = [line for line in caplog.records if "overflowed" in line.getMessage()]
    assert line.session == "s"


def test_a_violation_is_logged_with_the_owner_s_fields(make_link, caplog):
    caplog.set_level(logging.INFO)
    link = make_link(max_message_bytes=10).open()
    link.peer.send_binary(bytes(11))
    link.listener.next("closed")
    (line,) = [line for line in caplog.records if "violation" in line.getMessage()]
    assert (line.session, line.getMessage()) == (
        "s",
        "AsgiConnection 127.0.0.1:5555: protocol violation: message over 10 bytes",
    )


def test_the_peer_is_named_for_log_lines(link):
    assert link.connection.peer == "127.0.0.1:5555"
    assert str(link.connection) == "AsgiConnection 127.0.0.1:5555"
    link.connection.wait_until_given_back()
