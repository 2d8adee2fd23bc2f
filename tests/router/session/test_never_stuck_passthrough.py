"""A session that a client opened with its own `session.update` is kept alive like one that Settings opened.

So is a session whose client sends OpenAI's own events beside Deepgram's messages.
"""

import pytest

from tests.support.machine.playbook import AUDIO_DONE, call_done
from tests.support.machine.timed_playbook import (
    BYTES_PER_S,
    FRAME,
    TimedPlaybook,
    committed,
    spoken,
    started,
    stopped,
    transcription,
)

DETECTIONS = {
    "the upstream's default": {},
    "server_vad": {"turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True}},
    "semantic_vad": {"turn_detection": {"type": "semantic_vad"}},
}
COMMIT = {"type": "input_audio_buffer.commit"}
CREATE = {"type": "response.create"}
LONG_S = 60.0

detections = pytest.mark.parametrize("detection", DETECTIONS.values(), ids=DETECTIONS)


def opened_with(heard):
    """Open a session with `audio.input` of the client's own."""
    session = {"type": "realtime", "instructions": "Be brief.", "audio": {"input": heard}}
    return TimedPlaybook().ready({"type": "session.update", "session": session})


def answering(book):
    """Answer speech; the upstream sends 20 s of audio at once."""
    book.hears("u1").begins_itself("resp_1", "item_1")
    for _ in range(20):
        book.upstream(spoken(1.0))
    return book


# It opened the session.


@detections
def test_an_upstream_that_does_not_answer_speech_is_given_up(detection):
    book = opened_with(detection).hears("u1").run(LONG_S, microphone=FRAME)
    assert len(book.losses()) == 1


@detections
def test_a_spoken_question_outlives_an_upstream_that_closes_before_it_answers(detection):
    book = opened_with(detection).run(1.0, microphone=b"\x01\x02" * 2400).hears("u1")
    begin = book.restarted_after(1000)
    assert [item["type"] for item in book.items(since=begin)] == ["message"]
    assert len(book.asked(since=begin)) == 1


@detections
def test_nothing_of_an_answer_is_played_once_the_user_interrupts(detection):
    book = answering(opened_with(detection)).run(2.0)
    begin = book.here
    book.upstream(started("u2"), spoken(1.0)).ends("resp_1", "cancelled", status_details={"reason": "turn_detected"})
    book.run(LONG_S, microphone=FRAME)
    assert book.audio_bytes(since=begin) == 0


@detections
def test_an_answer_that_the_user_interrupts_is_truncated_at_what_was_heard(detection):
    book = answering(opened_with(detection)).run(2.0)
    begin = book.here
    book.upstream(started("u2"))
    (truncated,) = book.sent("conversation.item.truncate", since=begin)
    assert (truncated["item_id"], truncated["audio_end_ms"]) == ("item_1", 2000)


@detections
def test_audio_that_is_held_back_is_dropped_once_the_user_interrupts(detection):
    book = answering(opened_with(detection))
    for _ in range(40):
        book.upstream(spoken(1.0))
    book.run(2.0)
    begin = book.here
    book.upstream(started("u2")).run(LONG_S, microphone=FRAME)
    assert book.audio_bytes(since=begin) == 0


@detections
def test_the_user_s_speech_cancels_the_calls_that_the_client_runs(detection):
    book = opened_with(detection).hears("u1").begins_itself("resp_1").upstream(call_done("call_1", "lookup"))
    book.ends("resp_1").upstream(started("u2"))
    (cancelled,) = book.received("FunctionCallCancelled")
    assert [it["id"] for it in cancelled["functions"]] == ["call_1"]


def test_the_user_s_words_come_before_the_answer_to_them_where_they_are_transcribed():
    book = opened_with({"transcription": {"model": "gpt-realtime-whisper"}}).hears("u1")
    book.begins_itself("resp_1", "item_1").says("At noon.").run(0.5)
    book.upstream(transcription("When?")).ends("resp_1")
    said = [(it["role"], it["content"]) for it in book.received("ConversationText")]
    assert said == [("user", "When?"), ("assistant", "At noon.")]


def test_an_answer_waits_for_no_words_where_none_are_asked_for():
    book = opened_with({}).hears("u1").begins_itself("resp_1", "item_1").says("At noon.")
    assert book.texts() == ["At noon."]


def test_a_client_that_ends_turns_itself_is_owed_no_answer_before_it_asks():
    book = opened_with({"turn_detection": None}).client(FRAME, FRAME, COMMIT).upstream(committed())
    book.run(LONG_S, microphone=FRAME)
    assert book.losses() == []


def test_a_client_that_asks_for_answers_itself_is_owed_none_before_it_asks():
    book = opened_with({"turn_detection": {"type": "server_vad", "create_response": False}}).hears("u1")
    book.run(LONG_S, microphone=FRAME)
    assert book.losses() == []


def test_a_detector_that_the_client_switches_off_later_owes_no_answer():
    book = opened_with({})
    book.client(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
    )
    book.upstream({"type": "session.updated", "session": {}})
    book.client(FRAME, FRAME, COMMIT).upstream(committed()).run(LONG_S, microphone=FRAME)
    assert book.losses() == []


# It sends events of its own in a session that Settings opened.


def test_a_response_that_a_client_asks_for_behind_its_own_commit_is_asked_for_at_once():
    book = TimedPlaybook().ready().run(1.0, microphone=FRAME).upstream(started())
    book.client(COMMIT, CREATE).upstream(committed())
    assert len(book.asked()) == 1
    book.begins("resp_1", "item_1").says("Yes.").ends("resp_1").run(LONG_S, microphone=FRAME)
    assert book.losses() == []
    assert len(book.asked()) == 1


def test_an_upstream_owes_no_answer_to_a_client_s_own_commit():
    book = TimedPlaybook().ready().run(1.0, microphone=FRAME).upstream(started())
    book.client(COMMIT).upstream(committed()).run(LONG_S, microphone=FRAME)
    assert book.losses() == []


def test_an_answer_to_a_detected_turn_is_waited_for_although_a_client_s_commit_came_too_late():
    book = TimedPlaybook().ready().run(1.0, microphone=FRAME).upstream(started(), stopped())
    book.client(COMMIT).upstream(committed())
    book.upstream({"type": "error", "error": {"code": "input_audio_buffer_commit_empty", "message": "too small"}})
    book.run(LONG_S, microphone=FRAME)
    assert len(book.losses()) == 1


def test_an_answer_that_the_client_itself_requests_is_one_turn():
    book = TimedPlaybook().ready().run(1.0, microphone=FRAME).upstream(started())
    book.client(COMMIT, CREATE).upstream(committed(), transcription("Now?"))
    book.begins("resp_1", "item_1").says("Now.", 1.0).ends("resp_1")
    assert book.frames().count(AUDIO_DONE) == 1
    assert book.audio_bytes() == BYTES_PER_S
