"""The lines of a conversation, with and without a terminal."""

from router.command.talk.screen import CLEAR, Screen


def screen(**options):
    written = []
    return Screen(written.append, **{"is_terminal": False, "has_colors": False} | options), written


def test_a_line_begins_with_the_speaker():
    shown, written = screen()
    shown.say("you", "hello")
    shown.say("agent", "Hello yourself.")
    assert written == ["    you  hello\n", "  agent  Hello yourself.\n"]


def test_the_times_of_an_answer_are_on_one_line():
    shown, written = screen()
    shown.times({"stt_latency": 0.2, "ttt_text_latency": 1.314, "total_latency": None}, 2.5)
    assert written == ["         transcript 200 ms · first words 1.31 s · spoken for 2.5 s\n"]


def test_a_time_of_a_few_milliseconds_is_no_zero():
    shown, written = screen()
    shown.times({"stt_latency": 0.0002, "total_latency": 0.0031}, 0.0)
    assert written == ["         transcript under 1 ms · first sound 3 ms\n"]


def test_the_state_is_shown_on_a_terminal_alone():
    shown, written = screen()
    shown.state("the agent is thinking …")
    assert written == []


def test_a_line_replaces_the_state():
    shown, written = screen(is_terminal=True)
    shown.state("the agent is thinking …")
    shown.state("the agent is thinking …")
    shown.say("agent", "Hello.")
    shown.say("agent", "Again.")
    assert written == [f"{CLEAR}         the agent is thinking …", f"{CLEAR}  agent  Hello.\n", "  agent  Again.\n"]


def test_colors_surround_the_speaker_where_they_are_on():
    shown, written = screen(has_colors=True)
    shown.say("error", "it is over")
    assert written == ["\x1b[1;31m  error\x1b[0m  it is over\n"]
