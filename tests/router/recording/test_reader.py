"""The reader of a recording: whole ones, torn ones, and files that are none."""

import io

import pytest

from router.recording.reader import Recording, RecordingError
from tests.support.machine.playbook import Playbook
from tests.support.machine.recorded import Recorded


@pytest.fixture
def data():
    recording, book = Recorded(), Playbook("openai")
    book.session.handle = recording.wrapped(book.session, book.session.handle)
    book.ready().client({"type": "KeepAlive"})
    return recording.data


def read(data):
    recording = Recording("a.jsonl", io.BytesIO(data))
    return recording.header, list(recording.steps())


def test_a_whole_recording_has_its_header_and_every_step(data):
    header, steps = read(data)
    assert header.front == "openai"
    assert len(steps) == data.count(b"\n") - 2
    assert [step.line for step in steps] == list(range(2, len(steps) + 2))


def test_a_recording_that_is_cut_anywhere_is_one_error(data):
    for end in range(len(data)):
        with pytest.raises(RecordingError) as caught:
            read(data[:end])
        assert "a.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nonsense\n", "the line is not whole"),
        (b"[]\n", "the line is no step"),
        (b'{"s": 1.0, "in": "ClientOpened"}\n', "the line is no step"),
        (b'{"s": "1", "in": "ClientOpened", "out": []}\n', "the line is no step"),
        (b'{"s": 1.0, "in": "Nothing", "out": []}\n', "an unknown input"),
        (b'{"torn": "the recorder fell behind"}\n', "the recorder fell behind"),
    ],
)
def test_a_damaged_line_is_named_with_its_number(data, line, problem):
    lines = data.splitlines(keepends=True)
    with pytest.raises(RecordingError, match=problem) as caught:
        read(b"".join([*lines[:2], line, *lines[2:]]))
    assert caught.value.line == 3


def test_nothing_may_follow_the_end(data):
    with pytest.raises(RecordingError, match="something follows the end"):
        read(data + b"{}\n")


@pytest.mark.parametrize("data", [b"", b"\n", b"\x00" * 100, b"{}", b'{"level":"info"}\n', b"[" * 5000])
def test_a_foreign_file_is_refused(data):
    with pytest.raises(RecordingError, match="it is"):
        read(data)
