"""Protocol messages at the level trace: their types and sizes, and their content only on request."""

import logging

import pytest

from actors import messages
from router.logs import trace
from router.logs.levels import TRACE
from router.logs.trace import MAX_CONTENT_CHARS, TracedMachine

SECRET = "sk-0123456789abcdef"  # noqa: S105 - a fake


class Machine:
    """A machine that answers each input with one message to either side."""

    def handle(self, _message, _now_s):
        return [
            messages.SendToClient('{"type":"Welcome"}'),
            messages.SendToClient(b"\x00" * 640),
            messages.SendToUpstream(b'{"event_id":"e","type":"response.create"}', 2),
            messages.StartTimer("t", 1.0),
        ]

    def describe(self):
        return {"lifecycle": "ready"}

    def held_bytes(self):
        return 7


class Relay(Machine):
    """A machine that answers each input with one command."""

    def __init__(self, command):
        self._command = command

    def handle(self, _message, _now_s):
        return [self._command]


class Lines:
    """The records of a test, and not those of its fixtures."""

    def __init__(self, caplog):
        self._caplog = caplog

    def __getitem__(self, at):
        return self._caplog.records[at]


@pytest.fixture
def lines(caplog):
    caplog.set_level(TRACE, "router.logs.trace")
    return Lines(caplog)


def fed(message, **options):
    machine = TracedMachine(Machine(), {"session": "s", "route": "/openai"}, **options)
    assert [type(command) for command in machine.handle(message, 0.0)][-1] is messages.StartTimer
    assert machine.describe() == {"lifecycle": "ready"}
    assert machine.held_bytes() == 7


def test_each_message_is_a_line_with_its_type_and_size(lines):
    fed(messages.UpstreamTextReceived(2, '{"type":"session.created","session":{}}'))
    found = [(line.leg, line.way, line.type, line.bytes, line.generation) for line in lines]
    assert found == [
        ("upstream", "received", "session.created", 39, 2),
        ("client", "sent", "Welcome", 18, 2),
        ("client", "sent", "audio", 640, 2),
        ("upstream", "sent", "response.create", 41, 2),
    ]
    assert lines[0].getMessage() == "session s: upstream received session.created"
    assert (lines[0].session, lines[0].route) == ("s", "/openai")


def test_no_content_is_written_unless_it_is_requested(lines):
    fed(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"a secret"}'))
    assert not any(hasattr(line, "content") for line in lines)
    assert lines[0].type == "InjectUserMessage"


def test_a_binary_message_to_the_upstream_is_audio(lines):
    command = messages.SendToUpstream(b"\xff\xfe" * 320, 1, is_binary=True)
    machine = TracedMachine(Relay(command), {"session": "s"}, content=str)
    assert list(machine.handle(messages.ClientBinaryReceived(b"\xff\xfe" * 320), 0.0)) == [command]
    assert [(line.leg, line.type, line.bytes) for line in lines[:]] == [
        ("client", "audio", 640),
        ("upstream", "audio", 640),
    ]


def test_audio_is_left_out_of_the_content(lines):
    audio = "UklGRkFVRElP" * 8
    fed(messages.UpstreamTextReceived(1, f'{{"type":"response.output_audio.delta","delta":"{audio}"}}'), content=str)
    assert lines[0].content == '{"type":"response.output_audio.delta","delta":"audio"}'


def test_a_credential_at_the_cut_is_redacted_whole(lines):
    text = f'{{"type":"Settings","more":"{"x " * (MAX_CONTENT_CHARS // 2 - 20)}{SECRET}"}}'
    fed(messages.ClientTextReceived(text), content=lambda it: it.replace(SECRET, "***"))
    assert SECRET[:6] not in lines[0].content


def test_content_is_redacted_and_cut(lines):
    text = f'{{"type":"Settings","key":"{SECRET}","more":"{"x" * 9000}"}}'
    fed(messages.ClientTextReceived(text), content=lambda it: it.replace(SECRET, "***"))
    assert SECRET not in lines[0].content
    assert len(lines[0].content) <= MAX_CONTENT_CHARS
    assert not hasattr(lines[2], "content"), "audio has no content"


def test_a_text_without_a_type_is_unknown(lines):
    fed(messages.ClientTextReceived("no JSON"))
    assert lines[0].type == "unknown"


def test_messages_are_written_at_the_level_trace_alone(caplog):
    caplog.set_level(logging.DEBUG, "router.logs.trace")
    assert not trace.is_on()
    caplog.set_level(TRACE, "router.logs.trace")
    assert trace.is_on()
