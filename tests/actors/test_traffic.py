"""The counts of messages and bytes that frames add to, on either side of a connection."""

from actors.connections.frames import FrameParser, ProtocolViolation, binary_frames, ping_frame, text_frames
from actors.traffic import NO_TRAFFIC, Traffic

HELLO = text_frames("hello", mask=False, max_frame_bytes=1000)[0]
SOUND = binary_frames(bytes(640), mask=False, max_frame_bytes=1000)[0]


def parser():
    it = FrameParser(is_server=False, max_message_bytes=1000)
    it.traffic = Traffic()
    return it


def test_whole_messages_are_counted_with_the_bytes_of_their_frames():
    it = parser()
    it.feed(HELLO)
    it.feed(SOUND + HELLO)
    assert it.traffic.received_messages == 3
    assert it.traffic.received_bytes == 2 * len(HELLO) + len(SOUND)


def test_a_frame_that_arrives_in_pieces_is_counted_once_and_whole():
    it = parser()
    for at in range(0, len(SOUND), 7):
        it.feed(SOUND[at : at + 7])
    assert (it.traffic.received_messages, it.traffic.received_bytes) == (1, len(SOUND))


def test_a_message_of_several_fragments_is_one_message_with_the_bytes_of_all():
    unit = text_frames("x" * 900, mask=False, max_frame_bytes=400)
    assert len(unit) > 1
    it = parser()
    for fragment in unit:
        it.feed(fragment)
    it.feed(ping_frame(b"", mask=False))
    assert it.traffic.received_messages == 2
    assert it.traffic.received_bytes == sum(map(len, unit)) + len(ping_frame(b"", mask=False))


def test_a_breach_of_the_protocol_is_no_message():
    it = parser()
    assert isinstance(it.feed(b"\xff\x00")[0], ProtocolViolation)
    assert (it.traffic.received_messages, it.traffic.received_bytes) == (0, 2)


def test_a_connection_on_no_dispatcher_counts_for_nobody():
    assert FrameParser(is_server=False, max_message_bytes=1000).traffic is NO_TRAFFIC


def test_the_bytes_of_a_read_that_breaks_the_protocol_are_counted():
    it = parser()
    read = HELLO + SOUND + b"\xf1\x00"
    assert isinstance(it.feed(read)[-1], ProtocolViolation)
    assert it.traffic.received_bytes == len(read)
