"""The signs that a call of two backends has to be stored, whichever machine serves it."""

import pytest

from actors import messages as engine
from router.session.machine import Session
from tests.router.fronts.failover.test_machine import answers, at_deepgram, at_openai
from tests.support.machine.two_backends import DEEPGRAM, OPENAI

FRAME = bytes(640)


@pytest.mark.parametrize(("begin", "other"), [(at_openai, DEEPGRAM), (at_deepgram, OPENAI)])
def test_a_fail_over_calls_for_a_record_and_no_count_goes_back(begin, other):
    call = begin()
    marks = call.call.marks
    seen = [(marks.record_due, marks.words_due)]
    for step in (call.loses, lambda: call.opens(other), call.loses, lambda: call.opens(1 - other)):
        step()
        assert call.call.marks is marks
        seen.append((marks.record_due, marks.words_due))
    records = [records for records, _ in seen]
    assert records == sorted(records)
    assert records[2] > records[1]
    assert records[4] > records[3]
    assert [words for _, words in seen] == sorted(words for _, words in seen)


def test_each_text_for_the_client_calls_for_a_record():
    call = at_openai()
    due = call.call.marks.record_due
    call.feed(engine.ClientBinaryReceived(FRAME))
    assert call.call.marks.record_due == due
    answers(call, "I see.")
    assert call.call.marks.record_due > due


def test_words_of_the_session_are_stored_and_deepgram_has_none():
    call = at_openai()
    marks = call.call.marks
    marks.note_stored()
    item = {"response_id": "resp_2", "item_id": "item_2", "output_index": 0, "content_index": 0}
    call.hears("response.created", response={"id": "resp_2"})
    call.hears("response.output_audio_transcript.delta", **item, delta="I see the sea and the ships.")
    marks.note_stored()
    call.hears("response.output_audio_transcript.delta", **item, delta=" And the sun.")
    assert marks.take_words() == " And the sun."
    assert marks.words_bytes == Session.words_bytes
    assert (at_deepgram().call.marks.take_words(), marks.was_audio, marks.is_exact) == ("", False, False)


def test_audio_of_a_silent_user_alone_may_be_dropped_at_either_backend():
    call = at_deepgram()
    drops = call.call.marks.may_drop_audio
    assert drops()
    call.hears("UserStartedSpeaking").feed(engine.ClientBinaryReceived(FRAME))
    assert not drops()
    call.loses().openai()
    assert not drops()
    assert at_openai().call.marks.may_drop_audio()
