"""Frames against RFC 6455, with wsproto and websockets as oracles."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close as TheirClose
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.streams import StreamReader
from wsproto import ConnectionType
from wsproto.connection import Connection as Oracle
from wsproto.events import BytesMessage, CloseConnection, Message, TextMessage

from actors.connections import frames
from actors.connections.frames import (
    Close,
    FrameParser,
    Ping,
    Pong,
    ProtocolViolation,
    apply_mask,
    binary_frames,
    close_frame,
    joined,
    ping_frame,
    pong_frame,
    text_frames,
)
from tests.support.processes.further import examples

MEGA = 1024 * 1024


def parse(*data, is_server=False, max_message_bytes=16 * MEGA, max_text_bytes=None):
    parser = FrameParser(is_server, max_message_bytes, max_text_bytes)
    return [event for some in data for event in parser.feed(some)]


def frame(first, payload=b"", *, length=None):
    """Build an unmasked frame; `length` may differ from the payload's."""
    length = len(payload) if length is None else length
    if length < 126:
        return bytes([first, length]) + payload
    if length < 65536:
        return struct.pack("!BBH", first, 126, length) + payload
    return struct.pack("!BBQ", first, 127, length) + payload


# Frames that are read.


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 255, 256, 257, 65535, 65536, 70_001])
@pytest.mark.parametrize("mask", [True, False])
def test_a_message_of_any_length_encoding_comes_back(size, mask):
    data = bytes(i % 251 for i in range(size))
    (only,) = binary_frames(data, mask=mask, max_frame_bytes=MEGA)
    assert parse(only, is_server=mask) == [data]


def test_many_frames_are_taken_out_of_one_recv():
    wire = b"".join(frame(0x82, bytes([n])) for n in range(100))
    assert parse(wire) == [bytes([n]) for n in range(100)]


def test_a_fragmented_message_is_joined_with_control_frames_between_its_fragments():
    wire = frame(0x01, b"he") + frame(0x89, b"?") + frame(0x00, b"l") + frame(0x8A, b"!") + frame(0x80, b"lo")
    assert parse(wire) == [Ping(b"?"), Pong(b"!"), "hello"]


def test_utf8_may_be_split_over_fragments():
    euro = "€".encode()
    wire = frame(0x01, euro[:1]) + frame(0x00, euro[1:2]) + frame(0x80, euro[2:])
    assert parse(wire) == ["€"]


def test_lengths_need_not_be_encoded_minimally():
    assert parse(struct.pack("!BBQ", 0x82, 127, 3) + b"abc") == [b"abc"]


@pytest.mark.parametrize(
    ("payload", "close"),
    [
        (b"", Close(1005, "")),
        (b"\x03\xe8", Close(1000, "")),
        (struct.pack("!H", 1011) + "bye €".encode(), Close(1011, "bye €")),
        (struct.pack("!H", 4004) + b"x" * 123, Close(4004, "x" * 123)),
    ],
)
def test_a_close_frame_is_read_with_code_and_reason(payload, close):
    assert parse(frame(0x88, payload)) == [close]


def test_nothing_is_read_behind_a_close_frame():
    parser = FrameParser(is_server=False, max_message_bytes=MEGA)
    assert parser.feed(frame(0x88) + frame(0x81, b"late") + b"\x81") == [Close(1005, "")]
    assert parser.feed(frame(0x81, b"later")) == []


@pytest.mark.parametrize(
    ("wire", "code", "description"),
    [
        (frame(0xC1, b"x"), 1002, "reserved bits set: 0xc1"),
        (frame(0xA1, b"x"), 1002, "reserved bits set: 0xa1"),
        (frame(0x99, b"x"), 1002, "reserved bits set: 0x99"),
        (frame(0x83, b"x"), 1002, "unknown opcode 0x3"),
        (frame(0x8B, b"x"), 1002, "unknown opcode 0xb"),
        (frame(0x09, b"x"), 1002, "fragmented control frame"),
        (frame(0x08, b"x"), 1002, "fragmented control frame"),
        (frame(0x89, b"x" * 126), 1002, "control frame of 126 bytes"),
        (frame(0x80, b"x"), 1002, "continuation of nothing"),
        (frame(0x00, b"x"), 1002, "continuation of nothing"),
        (frame(0x01, b"x") + frame(0x81, b"y"), 1002, "data frame inside a fragmented message"),
        (frame(0x01, b"x") + frame(0x02, b"y"), 1002, "data frame inside a fragmented message"),
        (frame(0x82, length=2**63), 1002, "frame length of 64 bits"),
        (b"\x81\x81\0\0\0\0x", 1002, "masked frame"),
        (frame(0x88, b"x"), 1002, "close frame of one byte"),
        (frame(0x88, struct.pack("!H", 999)), 1002, "close code 999"),
        (frame(0x88, struct.pack("!H", 1004)), 1002, "close code 1004"),
        (frame(0x88, struct.pack("!H", 1005)), 1002, "close code 1005"),
        (frame(0x88, struct.pack("!H", 1006)), 1002, "close code 1006"),
        (frame(0x88, struct.pack("!H", 1015)), 1002, "close code 1015"),
        (frame(0x88, struct.pack("!H", 2999)), 1002, "close code 2999"),
        (frame(0x88, struct.pack("!H", 5000)), 1002, "close code 5000"),
        (frame(0x88, struct.pack("!H", 1000) + b"\xff"), 1007, "invalid UTF-8 at byte 0"),
        (frame(0x81, b"abc\xc3"), 1007, "invalid UTF-8 at byte 3"),
        (frame(0x81, b"\xed\xa0\x80"), 1007, "invalid UTF-8 at byte 0"),
        (frame(0x01, b"\xe2") + frame(0x80, b"x"), 1007, "invalid UTF-8 at byte 0"),
    ],
)
def test_a_violation_is_reported_with_its_close_code(wire, code, description):
    assert parse(wire) == [ProtocolViolation(code, description)]


def test_a_server_takes_masked_frames_only():
    assert parse(frame(0x81, b"x"), is_server=True) == [ProtocolViolation(1002, "unmasked frame")]


def test_messages_before_a_violation_are_still_reported():
    assert parse(frame(0x81, b"fine") + frame(0x83)) == ["fine", ProtocolViolation(1002, "unknown opcode 0x3")]


def test_a_message_may_be_exactly_as_large_as_the_bound():
    assert parse(frame(0x82, bytes(1000)), max_message_bytes=1000) == [bytes(1000)]
    fragments = frame(0x02, bytes(600)) + frame(0x80, bytes(400))
    assert parse(fragments, max_message_bytes=1000) == [bytes(1000)]


def test_a_larger_message_is_refused_from_its_announced_length():
    too_big = ProtocolViolation(1009, "message over 1000 bytes")
    assert parse(frame(0x82, length=1001), max_message_bytes=1000) == [too_big]
    assert parse(frame(0x02, bytes(600)) + frame(0x00, length=401), max_message_bytes=1000) == [too_big]


def test_a_text_has_a_bound_of_its_own():
    bounds = {"max_message_bytes": 1000, "max_text_bytes": 100}
    text, audio = frame(0x01, b"x" * 60), frame(0x02, bytes(60))
    assert parse(frame(0x81, b"x" * 100), frame(0x82, bytes(1000)), **bounds) == ["x" * 100, bytes(1000)]
    assert parse(audio, frame(0x80, bytes(60)), **bounds) == [bytes(120)]
    too_big = ProtocolViolation(1009, "text message over 100 bytes")
    assert parse(frame(0x81, length=101), **bounds) == [too_big]
    assert parse(text, frame(0x00, length=41), **bounds) == [too_big]
    assert parse(text, frame(0x80, b"x" * 40), **bounds) == ["x" * 100]


def test_the_bound_of_a_text_raises_no_bound_of_a_message():
    assert parse(frame(0x81, length=1001), max_message_bytes=1000, max_text_bytes=2000) == [
        ProtocolViolation(1009, "message over 1000 bytes")
    ]


def test_a_ping_between_fragments_counts_for_no_bound():
    wire = frame(0x01, b"x" * 90) + frame(0x89, b"p" * 20) + frame(0x80, b"x" * 10)
    assert parse(wire, max_message_bytes=1000, max_text_bytes=100) == [Ping(b"p" * 20), "x" * 100]


def test_empty_fragments_do_not_pile_up():
    parser = FrameParser(is_server=False, max_message_bytes=10)
    parser.feed(frame(0x01))
    for _ in range(10_000):
        assert parser.feed(frame(0x00)) == []
    assert parser.feed(frame(0x80)) == [""]


def test_16_mib_in_small_pieces_are_not_copied_over_and_over():
    """A frame is parsed only when it is whole: 16 MiB in 1 kB pieces would otherwise be 130 GB of copying."""
    wire = frame(0x82, bytes(16 * MEGA))
    looks = []

    class Watched(FrameParser):
        def _parse(self, data, events):
            looks.append(1)
            return super()._parse(data, events)

    parser = Watched(is_server=False, max_message_bytes=16 * MEGA)
    events = [event for at in range(0, len(wire), 1000) for event in parser.feed(wire[at : at + 1000])]
    assert events == [bytes(16 * MEGA)]
    assert len(looks) == 2


messages = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=700),
    st.builds(Ping, st.binary(max_size=125)),
    st.builds(Pong, st.binary(max_size=125)),
)


def test_the_frames_behind_a_large_one_in_pieces_are_the_same_as_alone():
    large = [*text_frames("x" * 2 * MEGA, mask=True, max_frame_bytes=4 * MEGA)]
    small = [ping_frame(b"p", mask=True), *binary_frames(b"abc", mask=True, max_frame_bytes=9)]
    small += text_frames("one", mask=True, max_frame_bytes=9)
    wire = b"".join([*large, *small, *large])
    events = parse(wire[:100], wire[100:MEGA], wire[MEGA : MEGA + 5], wire[MEGA + 5 :], is_server=True)
    assert events == ["x" * 2 * MEGA, Ping(b"p"), b"abc", "one", "x" * 2 * MEGA]
    assert {type(it) for it in events} == {str, bytes, Ping}
    assert type(events[1].payload) is bytes


def build(event, *, mask, fragment_bytes):
    match event:
        case str():
            return text_frames(event, mask=mask, max_frame_bytes=fragment_bytes)
        case bytes():
            return binary_frames(event, mask=mask, max_frame_bytes=1000)
        case Ping(payload):
            return [ping_frame(payload, mask=mask)]
        case Pong(payload):
            return [pong_frame(payload, mask=mask)]
    raise AssertionError(event)


def chop(data, draw):
    while data:
        size = draw(st.integers(1, len(data)))
        yield data[:size]
        data = data[size:]


@given(st.data(), st.lists(messages, max_size=8), st.booleans(), st.integers(1, 400))
@settings(deadline=None)
def test_the_events_are_the_same_however_the_stream_is_chopped(data, events, mask, fragment_bytes):
    wire = b"".join(b"".join(build(event, mask=mask, fragment_bytes=fragment_bytes)) for event in events)
    assert parse(*chop(wire, data.draw), is_server=mask) == events


@given(st.data(), st.binary(max_size=60), st.booleans())
@settings(deadline=None, max_examples=examples(300))
def test_the_events_of_garbage_are_the_same_however_it_is_chopped(data, garbage, is_server):
    whole = parse(garbage, is_server=is_server, max_message_bytes=40)
    assert parse(*chop(garbage, data.draw), is_server=is_server, max_message_bytes=40) == whole


@given(st.binary(max_size=40))
@settings(deadline=None, max_examples=examples(500))
def test_we_refuse_every_stream_that_wsproto_refuses(garbage):
    """Garbage as from a server, unmasked, for both parsers."""
    oracle = Oracle(ConnectionType.CLIENT)
    theirs = []
    oracle.receive_data(garbage)
    try:
        for event in oracle.events():
            theirs.append(event)
            if isinstance(event, CloseConnection):
                break
    except Exception as error:  # noqa: BLE001 - any exception is a refusal
        theirs.append(error)
    ours = parse(garbage)
    was_refused = bool(ours) and isinstance(ours[-1], ProtocolViolation)
    refused = bool(theirs) and isinstance(theirs[-1], Exception)
    if refused:
        assert was_refused
    elif was_refused:
        # wsproto lets a reserved close code pass, and does not look at a message that is not whole yet.
        assert ours[-1].close_code in (1002, 1007, 1009)


# Frames that are written.


def their_frames(wire, *, mask):
    """Parse our frames with `websockets`."""
    reader = StreamReader()
    reader.feed_data(wire)
    reader.feed_eof()
    found = []
    while True:
        step = TheirFrame.parse(reader.read_exact, mask=mask, max_size=None)
        try:
            next(step)
        except StopIteration as end:
            found.append(end.value)
        except EOFError:
            return found


@given(st.text(max_size=500), st.booleans(), st.integers(1, 600))
@settings(deadline=None)
def test_a_text_is_cut_into_fragments_that_websockets_can_read(text, mask, max_frame_bytes):
    wire = b"".join(text_frames(text, mask=mask, max_frame_bytes=max_frame_bytes))
    found = their_frames(wire, mask=mask)
    assert [f.opcode for f in found] == [Opcode.TEXT] + [Opcode.CONT] * (len(found) - 1)
    assert [f.fin for f in found] == [False] * (len(found) - 1) + [True]
    assert all(len(f.data) <= max_frame_bytes for f in found)
    assert b"".join(bytes(f.data) for f in found).decode() == text


@given(st.binary(max_size=2000), st.booleans(), st.integers(2, 600))
@settings(deadline=None)
def test_long_audio_goes_out_as_several_messages_cut_at_even_offsets(data, mask, max_frame_bytes):
    found = their_frames(b"".join(binary_frames(data, mask=mask, max_frame_bytes=max_frame_bytes)), mask=mask)
    assert all(f.opcode is Opcode.BINARY and f.fin for f in found)
    assert all(len(f.data) % 2 == 0 for f in found[:-1])
    assert all(len(f.data) <= max_frame_bytes for f in found)
    assert b"".join(bytes(f.data) for f in found) == data


def test_text_may_be_given_as_utf8_bytes():
    assert text_frames("€".encode(), mask=False, max_frame_bytes=9) == text_frames("€", mask=False, max_frame_bytes=9)


@pytest.mark.parametrize("code", [1004, 1005, 1006, 1015, 0, 999, 5000])
def test_a_code_that_may_not_be_on_the_wire_is_left_out(code):
    assert close_frame(code, "why", mask=False) == b"\x88\x00"


def test_a_long_reason_is_cut_at_a_character():
    (found,) = their_frames(close_frame(1011, "x" + "€" * 100, mask=True), mask=True)
    close = TheirClose.parse(bytes(found.data))
    assert close == TheirClose(1011, "x" + "€" * 40)


def test_a_reason_with_a_lone_surrogate_is_still_sent():
    assert parse(close_frame(1000, "a\ud800b", mask=False)) == [Close(1000, "a?b")]


@given(st.binary(max_size=5000), st.binary(min_size=4, max_size=4))
def test_masking_is_xor_with_the_key_over_and_over(payload, key):
    assert apply_mask(payload, key) == bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def test_mask_keys_do_not_repeat():
    keys = [frames._new_key() for _ in range(1000)]
    assert all(len(key) == 4 for key in keys)
    assert len(set(keys)) > 998


def test_wsproto_reads_a_fragmented_16_mib_message_of_ours():
    oracle = Oracle(ConnectionType.SERVER)
    text = "€" * (16 * MEGA // 3)
    for piece in text_frames(text, mask=True, max_frame_bytes=512 * 1024):
        oracle.receive_data(piece)
    found = [event for event in oracle.events() if isinstance(event, Message)]
    assert all(isinstance(event, TextMessage) and not isinstance(event, BytesMessage) for event in found)
    assert "".join(event.data for event in found) == text


def test_binary_messages_in_a_row_are_joined_up_to_a_size():
    events = [b"ab", b"cd", b"e", "text", b"f", Ping(b""), b"g", b"h", b"toolong", b"i"]
    assert joined(events, 4) == [b"abcd", b"e", "text", b"f", Ping(b""), b"gh", b"toolong", b"i"]


def test_the_end_of_the_last_whole_message_is_found():
    begun = TheirFrame(Opcode.TEXT, b"one", fin=False).serialize(mask=True) + ping_frame(mask=True)
    whole = begun + TheirFrame(Opcode.CONT, b"two").serialize(mask=True)
    (long,) = binary_frames(bytes(70000), mask=True, max_frame_bytes=100_000)
    assert frames.messages_end(begun) == 0
    assert frames.messages_end(whole + begun) == len(whole)
    assert frames.messages_end(whole + long) == len(whole + long)
    assert [frames.messages_end(long[:end]) for end in (0, 1, 5, 100, len(long) - 1)] == [0] * 5
