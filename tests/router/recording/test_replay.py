"""The comparison with the machine of today: the first difference is told with its place."""

import io

import orjson
import pytest

from router.recording.reader import Recording, RecordingError
from router.recording.replay import verify
from tests.support.machine.playbook import Playbook
from tests.support.machine.recorded import Recorded


@pytest.fixture
def lines():
    recording, book = Recorded(has_content=True), Playbook("openai")
    book.session.handle = recording.wrapped(book.session, book.session.handle)
    book.ready().client({"type": "InjectUserMessage", "content": "Hello."})
    return recording.data.splitlines(keepends=True)


def verified(lines):
    return verify(Recording("a", io.BytesIO(b"".join(lines))), "a")


def changed(lines, at, change):
    fields = orjson.loads(lines[at])
    change(fields)
    return [*lines[:at], orjson.dumps(fields) + b"\n", *lines[at + 1 :]]


def test_a_recording_of_this_version_is_the_same(lines):
    found = verified(lines)
    assert found.difference is None
    assert found.steps == len(lines) - 2
    assert found.commands > found.steps


def test_every_changed_command_is_found(lines):
    for at, line in enumerate(lines[1:-1], 1):
        for number in range(len(orjson.loads(line)["out"])):
            found = verified(changed(lines, at, lambda fields, it=number: fields["out"].pop(it)))
            assert found.difference.step.line == at + 1


def test_a_difference_is_told_with_its_line_its_input_and_both_commands(lines):
    at = next(at for at, line in enumerate(lines) if b"SettingsApplied" in line)
    found = verified([*lines[:at], lines[at].replace(b"SettingsApplied", b"SettingsRefused"), *lines[at + 1 :]])
    told = str(found.difference)
    assert f"line {at + 1}, UpstreamTextReceived at 1" in told
    assert "recorded:" in told
    assert "SettingsRefused" in told
    assert "SettingsApplied" in told


def test_a_command_that_is_missing_today_differs_from_nothing(lines):
    found = verified(changed(lines, 1, lambda fields: fields["out"].append({"do": "ProbeClient"})))
    assert found.difference.got == "nothing"
    assert found.difference.expected == '{"do":"ProbeClient"}'


def test_a_recorded_exception_differs_from_commands(lines):
    def fail(fields):
        del fields["out"]
        fields["raised"] = "KeyError"

    assert verified(changed(lines, 1, fail)).difference.expected == '{"raised":"KeyError"}'


def test_a_machine_that_fails_over_a_damaged_input_is_a_difference(lines):
    def damage(fields):
        fields["name"] = "\x00"
        fields["in"] = "TimerFired"

    assert verified(changed(lines, 1, damage)).difference is not None


def test_a_torn_recording_differs_first_where_it_differs_and_is_torn_else(lines):
    with pytest.raises(RecordingError, match="torn"):
        verified(lines[:-1])
    assert verified(changed(lines, 1, lambda fields: fields["out"].pop())[:-1]).difference is not None


def test_a_recording_of_an_unknown_front_is_refused(lines):
    with pytest.raises(RecordingError, match="no front 'fax'"):
        verified(changed(lines, 0, lambda fields: fields.update(front="fax")))
