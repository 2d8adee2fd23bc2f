"""The seam: the promises to the owner of a connection, over every real kind and over the fake."""

import pytest

from actors.connections.base import Ending
from actors.connections.frames import binary_frames, close_frame, ping_frame, pong_frame, text_frames
from actors.connections.stream import StreamConnection
from tests.support.engine.links import closed, peer_frames, peer_masks

MEGA = 1024 * 1024

ON_A_WIRE = [
    pytest.param(kind, marks=pytest.mark.slow)
    for kind in ("unix-server", "unix-client", "tcp-server", "tls-server", "tls-client", "accepted", "dialled")
]
"""Every kind but the fake, whose peer answers by itself and is never blocked."""


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


def test_messages_that_were_sent_before_open_leave_at_open(make_link, kind):
    link = make_link(kind)
    link.peer.send_text("early too")
    link.send_text("early")
    link.open()
    assert link.peer.receive() == "early"
    assert link.listener.next("text") == "early too"


def test_many_messages_keep_their_order(link):
    for number in range(300):
        link.peer.send_text(str(number))
    assert [link.listener.next("text") for _ in range(300)] == [str(number) for number in range(300)]

    def send_all():
        for number in range(300):
            link.connection.send_text(str(number))

    link.do(send_all)
    assert [link.peer.receive() for _ in range(300)] == [str(number) for number in range(300)]


def test_16_mib_go_both_ways(link):
    text = "0123456789abcdef" * MEGA
    link.do(lambda: link.connection.send_text(text))
    assert link.peer.receive() == text
    link.peer.send_text(text)
    assert link.listener.next("text", ignoring="drained") == text


def test_long_audio_is_split_into_even_messages(make_link, kind):
    link = make_link(kind, max_frame_bytes=1001).open()
    audio = bytes(range(250)) * 10
    link.send_binary(audio)
    assert [link.peer.receive() for _ in range(3)] == [audio[:1000], audio[1000:2000], audio[2000:]]


def test_a_fragmented_text_is_joined_though_cut_inside_a_character_and_interrupted_by_a_ping(link, kind):
    pieces = peer_frames(kind, "a€b", max_frame_bytes=2)
    ping = ping_frame(b"between", mask=peer_masks(kind))
    for piece in pieces:
        link.peer.send_bytes(piece, ping)
    assert link.listener.next("text") == "a€b"


@pytest.mark.parametrize("kind", ON_A_WIRE, indirect=True)
def test_binary_messages_that_are_read_at_once_are_joined_up_to_a_size(make_link, kind):
    link = make_link(kind, join_binary_bytes=5)
    masked, bound = peer_masks(kind), 9
    frames = [
        binary_frames(data, mask=masked, max_frame_bytes=bound)[0] for data in (b"ab", b"cd", b"ef", b"gh", b"ij")
    ]
    frames.insert(3, text_frames("text", mask=masked, max_frame_bytes=bound)[0])
    link.peer.send_bytes(b"".join(frames))
    link.open()
    delivered = [link.listener.next(name) for name in ("binary", "binary", "text", "binary")]
    assert delivered == [b"abcd", b"ef", "text", b"ghij"]


def test_a_message_may_arrive_byte_by_byte(link, kind):
    (frame,) = peer_frames(kind, "slowly", max_frame_bytes=100)
    for byte in frame:
        link.peer.send_bytes(bytes([byte]))
    assert link.listener.next("text") == "slowly"


@pytest.mark.slow
def test_the_first_write_of_a_turn_leaves_at_once_and_the_others_together(make_link, monkeypatch):
    link = make_link("tcp-server").open()
    pieces = []
    transmit = StreamConnection.transmit
    monkeypatch.setattr(
        StreamConnection, "transmit", lambda self, data: pieces.append(len(data)) or transmit(self, data)
    )
    link.do(lambda: [link.connection.send_text("x" * 100) for _ in range(50)])
    assert [link.peer.receive() for _ in range(50)] == ["x" * 100] * 50
    assert pieces == [102, 49 * 102]


# The close handshake.


def test_the_peer_closes(link):
    link.peer.close(4001, "bye €")
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_PEER, 4001, "bye €")
    assert link.peer.receive() == closed(Ending.CLOSED_BY_US, 4001, "bye €")


def test_the_peer_closes_without_a_code(link, kind):
    link.peer.send_bytes(close_frame(1005, mask=peer_masks(kind)))
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_PEER, 1005)


def test_we_close(link):
    link.send_text("last word")
    link.close(1001, "going away")
    assert link.peer.receive() == "last word"
    assert link.peer.receive() == closed(Ending.CLOSED_BY_PEER, 1001, "going away")
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1001, "going away")


def test_after_our_close_no_message_goes_either_way(make_link, kind):
    link = make_link(kind, close_timeout_s=0.1).open()
    link.peer.stop_reading()
    link.do(lambda: (link.connection.close(), link.connection.send_text("too late"), link.connection.close(4000)))
    link.peer.send_text("too late, too")
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1000)
    assert link.listener.is_idle()


def test_waiting_messages_are_written_before_our_close_frame(link):
    audio = bytes(512 * 1024)

    def send_and_close():
        for _ in range(3):
            link.connection.send_binary(audio)
        link.connection.close(1000, "done")

    link.do(send_and_close)
    assert [link.peer.receive() for _ in range(3)] == [audio] * 3
    assert link.peer.receive() == closed(Ending.CLOSED_BY_PEER, 1000, "done")
    assert link.listener.next("closed").ending is Ending.CLOSED_BY_US


def test_both_close_at_once(link):
    link.peer.stop_reading()
    link.do(lambda: (link.connection.close(1000, "ours"), link.peer.close(1001, "theirs")))
    link.peer.read_again()
    assert link.listener.next("closed").code in (1000, 1001)
    assert link.peer.receive() == closed(Ending.CLOSED_BY_US, 1001, "theirs")


def test_a_peer_that_does_not_answer_our_close_is_left_after_a_while(make_link, kind):
    link = make_link(kind, close_timeout_s=0.1).open()
    link.peer.stop_reading()
    link.close(1012, "drain")
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1012, "drain")


def test_a_lingering_close_waits_for_a_slow_reader_and_then_for_its_answer(make_link):
    link = make_link("memory", close_timeout_s=0.05).open()
    link.peer.stop_reading()
    link.do(lambda: (link.connection.send_text("the last answer"), link.connection.close(1012, "drain", 30.0)))
    with pytest.raises(TimeoutError):
        link.peer.receive(timeout_s=0.2)
    assert link.listener.is_idle()
    link.peer.read_again()
    assert [link.peer.receive(), link.peer.receive().code] == ["the last answer", 1012]
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1012, "drain")


@pytest.mark.slow
def test_a_close_does_not_linger_when_nothing_waits(make_link):
    link = make_link("tcp-server", close_timeout_s=0.05).open()
    link.do(lambda: link.connection.close(1012, "drain", 30.0))
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1012, "drain")


def test_a_close_from_inside_a_callback_is_reported_after_it(link):
    order = []

    def close(_text):
        link.connection.close(1000)
        order.append("callback ended")

    link.listener.hooks = {"text": close, "closed": lambda _closed: order.append("closed")}
    link.peer.send_text("go")
    assert link.listener.next("text") == "go"
    assert link.peer.receive() == closed(Ending.CLOSED_BY_PEER, 1000)
    assert link.listener.next("closed").ending is Ending.CLOSED_BY_US
    assert order == ["callback ended", "closed"]


def test_an_abort_ends_at_once_and_is_reported_once(link):
    closings = link.do(lambda: (link.connection.abort(), link.connection.abort(), list(link.listener.closings))[2])
    assert closings == [], "never from inside the owner's call"
    assert link.listener.next("closed") == closed(Ending.RESET)
    assert link.peer.receive() == closed(Ending.RESET)
    link.do(lambda: (link.connection.send_text("x"), link.connection.close(), link.connection.resume()))
    assert link.listener.is_idle()


def test_a_connection_that_was_never_opened_can_be_aborted(make_link, kind):
    link = make_link(kind)
    link.connection.abort()
    assert link.peer.receive() == closed(Ending.RESET)
    link.open()
    assert link.listener.is_idle()


def test_a_connection_that_was_never_opened_can_send_a_close_frame(make_link, kind):
    link = make_link(kind)
    link.connection.close(1012, "drain")
    assert link.peer.receive() == closed(Ending.CLOSED_BY_PEER, 1012, "drain")


# Life signs.


def test_a_silent_peer_is_pinged_and_left_when_it_does_not_answer(make_link, kind):
    link = make_link(kind, ping_interval_s=0.05, ping_timeout_s=0.1).open()
    link.peer.stop_reading()
    assert link.listener.next("closed") == closed(Ending.TIMED_OUT, 1006, "no pong within 0.1 s")


@pytest.mark.parametrize("kind", ON_A_WIRE, indirect=True)
def test_a_peer_that_answers_pings_lives(make_link, kind):
    link = make_link(kind, ping_interval_s=0.02, ping_timeout_s=1).open()
    for _ in range(5):
        event = link.peer.next_event()
        link.peer.send_bytes(link.peer.protocol.send(event.response()))
    link.peer.send_text("alive")
    assert link.listener.next("text") == "alive"
    assert link.listener.is_idle()


def test_the_fakes_peer_answers_pings_by_itself(make_link):
    link = make_link("memory", ping_interval_s=0.02, ping_timeout_s=0.05).open()
    link.do(lambda: link.dispatcher.call_later(0.3, lambda: link.listener.on_text("still there")))
    assert link.listener.next("text") == "still there"


@pytest.mark.parametrize("kind", ON_A_WIRE, indirect=True)
def test_the_pong_of_a_probe_means_that_the_peer_has_caught_up_and_any_other_means_nothing(make_link, kind):
    link = make_link(kind).open()
    link.peer.send_bytes(pong_frame(b"unasked", mask=peer_masks(kind)))
    link.send_text("before")
    link.do(link.connection.probe)
    assert link.peer.receive() == "before"
    assert link.listener.is_idle()
    link.peer.send_bytes(link.peer.protocol.send(link.peer.next_event().response()))
    assert link.listener.next("caught up") is None


@pytest.mark.parametrize("kind", ON_A_WIRE, indirect=True)
def test_pings_of_the_peer_are_answered_in_order_with_their_payload(make_link, kind):
    link = make_link(kind).open()
    for payload in (b"one", b"two"):
        link.peer.ping(payload)
    link.peer.send_text("echo")
    link.listener.next("text")
    link.send_text("done")
    assert link.peer.receive() == "done"
    assert link.peer.pongs == [b"one", b"two"]


@pytest.mark.parametrize("kind", ON_A_WIRE, indirect=True)
def test_pings_are_answered_while_closing(make_link, kind):
    link = make_link(kind, close_timeout_s=5).open()
    link.close()
    link.peer.ping(b"still there?")
    assert [read_short_frame(link.peer.sock) for _ in range(2)] == [
        (0x88, b"\x03\xe8"),
        (0x8A, b"still there?"),
    ]


@pytest.mark.parametrize("kind", ["memory", *ON_A_WIRE], indirect=True)
def test_a_text_between_our_close_frame_and_the_peer_s_is_late(make_link, kind):
    link = make_link(kind, close_timeout_s=5).open()
    link.peer.stop_reading()
    link.close()
    link.peer.send_text("late")
    link.peer.send_binary(b"later")
    link.peer.close()
    link.peer.read_again()
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1000)
    assert link.listener.late == ["late"]


def read_short_frame(sock):
    """First byte and payload of a short frame: wsproto reads no more after a close frame."""
    first, length = sock.recv(1), sock.recv(1)[0]
    key = sock.recv(4) if length & 0x80 else bytes(4)
    payload = sock.recv(length & 0x7F)
    return first[0], bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


# Pause and resume.


def test_a_paused_connection_delivers_nothing(link):
    link.do(link.connection.pause)
    link.peer.send_text("held")
    link.do(lambda: None)
    link.send_text("writing goes on")
    assert link.peer.receive() == "writing goes on"
    assert link.listener.is_idle()
    link.do(link.connection.resume)
    assert link.listener.next("text") == "held"


def test_pausing_from_inside_a_callback_holds_the_very_next_message(link, kind):
    link.listener.hooks = {"text": lambda _text: link.connection.pause()}
    link.peer.send_bytes(b"".join(peer_frames(kind, "one", 100) + peer_frames(kind, "two", 100)))
    assert link.listener.next("text") == "one"
    link.do(lambda: None)
    assert link.listener.is_idle()
    link.listener.hooks = {}
    link.do(link.connection.resume)
    assert link.listener.next("text") == "two"


def test_a_paused_connection_can_be_closed(link):
    link.do(link.connection.pause)
    link.peer.send_text("never delivered")
    link.close(1000)
    assert link.peer.receive() == closed(Ending.CLOSED_BY_PEER, 1000)
    assert link.listener.next("closed") == closed(Ending.CLOSED_BY_US, 1000)
    assert link.listener.is_idle()


@pytest.mark.parametrize("kind", ON_A_WIRE, indirect=True)
def test_the_peer_of_a_paused_connection_cannot_send_on(make_link, kind):
    link = make_link(kind).open()
    link.do(link.connection.pause)
    link.peer.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        link.peer.send_bytes(bytes(64 * MEGA))


def test_a_paused_connection_is_not_judged_by_pings(make_link, kind):
    link = make_link(kind, ping_interval_s=0.02, ping_timeout_s=0.02).open()
    link.do(link.connection.pause)
    timer_fired = []
    link.do(
        lambda: link.dispatcher.call_later(0.2, lambda: timer_fired.append(1) or link.listener.calls.put(("late", 1)))
    )
    assert link.listener.next("late") == 1
    assert not link.listener.closings
