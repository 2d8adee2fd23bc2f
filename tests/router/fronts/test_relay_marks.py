"""The signs that a relay's memory has to be stored."""

import pytest

from actors import messages as engine
from router.fronts.relay_marks import RelayMarks


@pytest.mark.parametrize(
    ("commands", "is_due"),
    [
        ([engine.SendToClient('{"type":"AgentThinking"}')], True),
        ([engine.StartTimer("t", 1.0), engine.EndSession(1000, "")], True),
        ([engine.SendToClient(b"audio")], False),
        ([engine.SendToUpstream("{}", 1)], False),
        ([], False),
    ],
    ids=["a text", "the end", "audio", "for the upstream", "nothing"],
)
def test_a_text_and_the_end_call_for_a_record_and_nothing_else_does(commands, is_due):
    marks = RelayMarks(bool)
    marks.note(commands)
    assert bool(marks.record_due) is is_due


def test_the_relay_has_no_words_behind_a_record():
    marks = RelayMarks(lambda: True)
    marks.note_stored()
    assert (marks.words_due, marks.take_words(), marks.was_audio, marks.may_drop_audio()) == (0, "", False, True)
