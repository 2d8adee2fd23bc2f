"""A recording as a test: it runs, holds, and fails where the session behaves otherwise."""

import functools
import io

import pytest

from router.config.guard import Guard
from router.recording import as_test, header
from router.recording.notation import NotationError
from router.recording.reader import Recording
from tests.support.machine.playbook import Playbook
from tests.support.machine.recorded import Recorded
from tests.support.machine.simulation import Simulation


@functools.cache
def conversation(profile, *, has_content):
    recording = Recorded(has_content=has_content)
    it = Simulation(profile, wrapped=recording.wrapped)
    it.run(1.0)
    it.say("My name is Ada.")
    it.run(5.0)
    it.say("Where is the parcel?")
    it.run(2.0)
    it.speak(0.5, 1.0)
    it.run(1.0)
    it.lose()
    it.run(10.0)
    it.hang_up()
    return recording


def written(recording):
    opened = recording.opened()
    return "\n".join(as_test.lines(opened.header, opened.steps()))


def run(text):
    names = {}
    exec(compile(text, "the recorded test", "exec"), names)  # noqa: S102 - our own text
    names["test_the_recorded_session"]()


@pytest.mark.parametrize("has_content", [True, False])
@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_test_of_a_conversation_holds(profile, has_content):
    run(written(conversation(profile, has_content=has_content)))


def test_the_test_shows_what_was_said_and_expected():
    text = written(conversation("openai", has_content=True))
    for part in (
        "'My name is Ada.'",
        "'type': 'SettingsApplied'",
        "upstream=[{'type': 'response.create'",
        "b'\\x00' * ",
    ):
        assert part in text


def test_the_test_fails_where_the_session_behaves_otherwise():
    text = written(conversation("openai", has_content=True))
    with pytest.raises(AssertionError, match="SettingsRefused"):
        run(text.replace("'SettingsApplied'", "'SettingsRefused'", 1))


def test_a_front_whose_wire_no_playbook_speaks_is_refused():
    recording, book = Recorded(front="twilio"), Playbook("converse")
    recording.wrapped(book.session, book.session.handle)
    with pytest.raises(NotationError, match="not 'twilio'"):
        written(recording)


@pytest.mark.parametrize("damage", [(b'"do":"SendToClient"', b'"dp":"SendToClient"'), (b'"frame":"{', b'"frame":"[')])
def test_a_damaged_line_is_a_sentence(damage):
    data = conversation("openai", has_content=False).data.replace(*damage)
    damaged = Recording("recording", io.BytesIO(data))
    with pytest.raises(NotationError, match="line 6 is damaged"):
        list(as_test.lines(damaged.header, damaged.steps()))


def test_a_session_with_a_guard_is_no_test():
    guarded = Recorded(guard=header.guard_written(Guard(function="module:function")))
    Simulation("openai", wrapped=guarded.wrapped).run(1.0)
    with pytest.raises(NotationError, match="a playbook has no guard"):
        written(guarded)
