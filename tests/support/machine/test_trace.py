"""A mismatch is found at its first place, and printed where it stands in the trace."""

import pytest

from tests.support.machine.trace import Packet, difference, first_mismatch, report, shown

HELLO = {"type": "ConversationText", "role": "user", "content": "Hello."}
DONE = {"type": "AgentAudioDone"}
THINKING = {"type": "AgentThinking", "content": ""}


def out(*contents, peer="client"):
    return [Packet("<<", peer, content) for content in contents]


def test_packets_that_are_as_expected_are_no_mismatch():
    assert first_mismatch("client", out(HELLO, b"\0\0"), [HELLO, b"\0\0"]) is None
    assert first_mismatch("client", [], []) is None


def test_the_first_of_several_differences_is_found():
    packets = out(HELLO, DONE, DONE)
    mismatch = first_mismatch("client", packets, [HELLO, THINKING, THINKING])
    assert mismatch.position == 1
    assert mismatch.packet is packets[1]
    assert mismatch.expected == [THINKING, THINKING]


def test_a_message_too_many_is_the_difference():
    packets = out(HELLO, DONE)
    mismatch = first_mismatch("client", packets, [HELLO])
    assert mismatch.packet is packets[1]
    assert mismatch.expected == []


def test_a_message_that_is_missing_is_the_difference():
    mismatch = first_mismatch("client", out(HELLO), [HELLO, DONE])
    assert mismatch.packet is None
    assert mismatch.expected == [DONE]


def test_of_an_upstreams_event_the_keys_that_are_given_count():
    event = {"type": "response.create", "event_id": "1", "response": {"metadata": {}, "tools": []}}
    expected = {"type": "response.create", "response": {"tools": []}}
    assert first_mismatch("upstream", out(event), [expected], is_partial=True) is None
    assert first_mismatch("upstream", out(event), [expected]) is not None
    mismatch = first_mismatch("upstream", out(event), [{"response": {"tools": ["one"]}}], is_partial=True)
    assert mismatch.detail == "['response']['tools']: [], expected ['one']"


@pytest.mark.parametrize(
    ("got", "expected", "detail"),
    [
        (HELLO, HELLO, ""),
        (HELLO, {**HELLO, "content": "Bye."}, "['content']: 'Hello.', expected 'Bye.'"),
        (HELLO, DONE, "['type']: 'ConversationText', expected 'AgentAudioDone'"),
        (DONE, HELLO, "['type']: 'AgentAudioDone', expected 'ConversationText'"),
        ({**DONE, "more": 1}, DONE, "['more']: 1, expected absent"),
        (DONE, {**DONE, "more": 1}, "['more']: absent, expected 1"),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, "['a'][1]['b']: 2, expected 3"),
        ({"a": [1, 2]}, {"a": [1]}, "['a']: [1, 2], expected [1]"),
        (b"\0\0", b"\0\1", "the audio from byte 1 on"),
        (b"\0\0", b"\0\0\0\0", "2 bytes, expected 4 bytes"),
        (b"\0\0", DONE, "2 bytes of audio, expected AgentAudioDone"),
    ],
)
def test_the_first_place_that_differs_is_named(got, expected, detail):
    assert difference(got, expected) == detail


def test_a_message_is_shown_on_one_line_and_a_long_value_is_cut_off():
    assert shown(HELLO) == "ConversationText role='user' content='Hello.'"
    assert shown(bytes(960)) == "960 bytes of audio"
    assert shown({"type": "x", "long": "a" * 1000}).endswith("...")
    assert len(shown({"type": "x", "long": "a" * 1000})) < 100


def test_the_trace_marks_the_first_difference_and_says_what_was_expected():
    question = Packet(">>", "client", {"type": "InjectUserMessage", "content": "Hello."})
    item = Packet("<<", "upstream", {"type": "conversation.item.create"})
    hello, done = out(HELLO, DONE)
    trace = [question, item, hello, done]
    mismatch = first_mismatch("client", [hello, done], [{**HELLO, "content": "Bye."}, DONE])
    assert (
        report(trace, mismatch)
        == """\
message 1 to the client is not the expected one

    >> client    InjectUserMessage content='Hello.'
    << upstream  conversation.item.create
!!  << client    ConversationText role='user' content='Hello.'
    expected     ConversationText role='user' content='Bye.'
    differs in   ['content']: 'Hello.', expected 'Bye.'
    << client    AgentAudioDone"""
    )


def test_a_missing_message_is_marked_behind_the_trace_with_all_that_should_have_come():
    (hello,) = out(HELLO)
    mismatch = first_mismatch("client", [hello], [HELLO, THINKING, DONE])
    assert (
        report([hello], mismatch)
        == """\
message 2 to the client is missing

    << client    ConversationText role='user' content='Hello.'
!!  << client    nothing
    expected     AgentThinking content=''
    and then     AgentAudioDone"""
    )


def test_a_message_too_many_is_marked_where_it_came():
    hello, done = out(HELLO, DONE)
    mismatch = first_mismatch("client", [hello, done], [HELLO])
    assert (
        report([hello, done], mismatch)
        == """\
message 2 to the client is one too many

    << client    ConversationText role='user' content='Hello.'
!!  << client    AgentAudioDone
    expected     nothing more"""
    )
