"""`switchboard replay`: the trace, the comparison, and a sentence for every other file."""

import pytest

from router.command import replay
from router.command.main import main
from router.errors import ConfigError
from router.recording.reader import RecordingError
from tests.support.machine.playbook import Playbook
from tests.support.machine.recorded import Recorded


@pytest.fixture
def path(tmp_path):
    recording, book = Recorded(), Playbook("openai")
    book.session.handle = recording.wrapped(book.session, book.session.handle)
    book.ready().client({"type": "InjectUserMessage", "content": "Hello."})
    path = tmp_path / "a.jsonl"
    path.write_bytes(recording.data)
    return path


def test_a_recording_is_printed_with_the_types_of_both_wires(path, capsys):
    assert replay.main([str(path)]) == 0
    printed = capsys.readouterr().out
    for kind in ("Settings", "SettingsApplied", "session.created", "session.update", "conversation.item.create"):
        assert kind in printed


def test_a_recording_that_is_the_same_exits_with_0(path, capsys):
    assert replay.main([str(path), "--verify"]) == 0
    assert "is the same: 6 inputs" in capsys.readouterr().out


def test_a_recording_that_differs_exits_with_1_and_the_difference_is_told(path, capsys):
    path.write_bytes(path.read_bytes().replace(b'{\\"type\\":\\"SettingsApplied', b'{\\"type\\":\\"SettingsDenied'))
    assert replay.main([str(path), "--verify"]) == 1
    told = capsys.readouterr().out
    assert "SettingsDenied" in told
    assert "SettingsApplied" in told


def test_a_recording_is_printed_as_a_test(path, capsys):
    assert replay.main([str(path), "--as-test"]) == 0
    printed = capsys.readouterr().out
    assert "def test_the_recorded_session():" in printed
    compile(printed, "the recorded test", "exec")


def test_a_recording_of_another_front_is_no_test(path):
    path.write_bytes(path.read_bytes().replace(b'"front":"openai"', b'"front":"twilio"'))
    with pytest.raises(RecordingError, match="a playbook speaks the wires openai and converse"):
        replay.main([str(path), "--as-test"])


@pytest.mark.parametrize("flags", [[], ["--verify"], ["--as-test"]])
def test_a_torn_file_is_a_sentence(path, capsys, flags):
    path.write_bytes(path.read_bytes()[:-40])
    assert main(["replay", str(path), *flags]) == 1
    assert "the recording is torn" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b'{"a": 1}\n', b"# Notes\n"])
def test_a_foreign_file_is_a_sentence(path, data):
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="it is"):
        replay.main([str(path), "--verify"])


@pytest.mark.parametrize("arguments", [[], ["--verfy", "x"], ["/no/such/file"], ["/"]])
def test_a_wrong_argument_is_one_sentence(arguments):
    with pytest.raises(ConfigError, match="cannot be read"):
        replay.main(arguments)
