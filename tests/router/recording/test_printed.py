"""The trace of a recording, as lines."""

import pytest

from router.recording.printed import Printer, heading
from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.machine.recorded import Recorded
from tests.support.machine.simulation import Simulation


def trace(*, has_content=False, **simulator):
    recording = Recorded(has_content=has_content, route="/openai", principal="ada")
    it = Simulation("openai", wrapped=recording.wrapped, **simulator)
    it.run(1.0)
    it.say("My name is Ada.")
    it.run(5.0)
    it.say("Where is the parcel?")
    it.run(5.0)
    it.speak(0.5, 1.0)
    it.run(20.0)
    it.hang_up()
    opened = recording.opened()
    printer = Printer(has_content=has_content)
    return heading(opened.header), [line for step in opened.steps() for line in printer.lines(step)]


@pytest.fixture(scope="module")
def lines():
    return trace()[1]


@pytest.mark.parametrize(
    "line",
    [
        "client    opened",
        "client    ──▶ Settings,",
        "client    ──▶ audio, 4800 bytes",
        "client    ◀── SettingsApplied,",
        "client    ◀── ConversationText,",
        "client    ◀── audio,",
        "client    closed: closed by the peer 1000",
        "upstream1 dial: gpt-realtime",
        "upstream1 opened",
        "upstream1 ──▶ session.created,",
        "upstream1 ◀── session.update,",
        "upstream1 ◀── input_audio_buffer.append,",
        "upstream1 ──▶ response.output_audio.delta,",
        "work      start tool:",
        "work      tool:",
        "log       CONFIGURING -> READY",
        "session   end: 1000",
    ],
)
def test_a_trace_has_a_line_for_each_event_of_both_wires(lines, line):
    assert any(line in printed for printed in lines)


def test_causes_have_the_time_since_the_beginning_and_effects_none(lines):
    assert lines[0].split()[:3] == ["0.000", "client", "opened"]
    times = [float(line[:9]) for line in lines if line[:9].strip()]
    assert times == sorted(times)
    assert lines[1][:9].isspace()


def test_a_trace_shows_content_only_where_it_was_recorded(lines):
    assert not any("Ada" in line for line in lines)
    assert any('"My name is Ada."' in line for line in trace(has_content=True)[1])


def test_the_heading_names_the_session_and_what_was_recorded():
    told, _ = trace()
    assert "on /openai by ada" in told
    assert "without content, without audio" in told


def test_a_loss_is_a_line_with_its_decision():
    _, printed = trace(faults=(Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.CLOSE),))
    assert any("upstream1 lost: closed" in line and line.endswith("restart") for line in printed)
    assert any("upstream2 dial:" in line for line in printed)
