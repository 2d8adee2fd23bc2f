"""A response answers its own request, although the order of events says nothing, or it begins too late."""

import pytest

from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    AUDIO_DONE,
    call_done,
    error,
    item_added,
    settings,
    transcribed,
    transcript_delta,
    transcript_done,
)
from tests.support.machine.timed_playbook import (
    BYTES_PER_S,
    FRAME,
    TimedPlaybook,
    already_active,
    committed,
    created,
    output_item,
    outside,
    speech,
    spoken,
    started,
    stopped,
)

PROFILES = ("openai", "converse")
LONG_S = 60.0
FUNCTIONS = {"think": {"provider": {"type": "open_ai"}, "functions": [{"name": "lookup"}]}}


def inject(behavior="queue"):
    return {"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": behavior}


def texts_after(book, response_id, item_id):
    """Return what the client has of a response that says these words now, at its end."""
    begin = book.here
    book.says("At noon.", 0.1, response_id=response_id, item_id=item_id).ends(response_id)
    return book.texts(since=begin)


def unacknowledged(book):
    """Ask two questions, neither of which the upstream acknowledges in time, and then speak."""
    book.types("One?", acknowledged=False).types("Two?", acknowledged=False).fire(Wait.ITEM_ACK)
    return book.upstream(*speech("u1"))


@pytest.mark.parametrize("echoes", [True, False])
def test_an_answer_to_speech_covers_no_question_in_flight_that_was_not_acknowledged(echoes):
    book = TimedPlaybook().ready()
    book = unacknowledged(book.echoes() if echoes else book).begins_itself()
    book.upstream(started("u2")).ends("resp_v", "cancelled", status_details={"reason": "turn_detected"})
    assert Wait.FIRST_EVENT.value in book.timers
    begin = book.restarted_after()
    book.run(LONG_S)
    assert len(book.asked(since=begin)) == 1


def test_a_question_that_was_acknowledged_late_is_answered_by_the_next_response():
    book = unacknowledged(TimedPlaybook().ready()).acknowledge().begins("resp_1", echo=False)
    book.says("At noon.").ends().run(10.0)
    assert book.session.state.pending.in_flight is None
    assert len(book.asked()) == 1


def test_the_late_answer_to_speech_that_a_request_replaces_is_not_taken_for_a_given_text():
    book = TimedPlaybook("converse").ready().hears("u1").client(inject("interrupt"))
    book.upstream(started("u2")).begins_itself("resp_1", "item_1").upstream(stopped("u2"), committed("u2"))
    book.ends("resp_1", "cancelled").begins_itself("resp_2", "item_2")
    assert "At noon." not in texts_after(book, "resp_2", "item_2")  # it waits for the transcripts
    assert book.upstream(transcribed("One.", "u1"), transcribed("Two.", "u2")).texts()[-1] == "At noon."


def test_an_answer_to_speech_that_a_commit_by_hand_crossed_is_not_taken_for_a_given_text():
    book = TimedPlaybook("converse").ready().client(FRAME, inject("queue")).upstream(started("u1"))
    book.client({"type": "ForceEndTurn"}).upstream(stopped("u1"), committed("u1"), transcribed("When?", "u1"))
    unmarked = created("resp_v", None)
    del unmarked["response"]["conversation_id"]
    book.upstream(unmarked, output_item("resp_v", "item_v"))
    assert texts_after(book, "resp_v", "item_v") == ["At noon."]


def test_an_answer_to_speech_beside_two_commits_by_hand_is_not_taken_for_a_given_text():
    commit = {"type": "input_audio_buffer.commit"}
    book = TimedPlaybook().ready().client(FRAME).upstream(started("u1")).client(inject("interrupt"))
    book.upstream(stopped("u1")).client(commit).upstream(committed("u1")).client(commit)
    unmarked = created("resp_v", None)
    del unmarked["response"]["conversation_id"]
    book.upstream(unmarked, output_item("resp_v", "item_v"), transcribed("When?", "u1"))
    assert texts_after(book, "resp_v", "item_v") == ["At noon."]


@pytest.mark.parametrize("profile", PROFILES)
def test_an_answer_that_was_cancelled_without_an_interruption_is_requested_again(profile):
    book = TimedPlaybook(profile).ready().types("When?").begins().ends("resp_1", "cancelled").run(1.0)
    assert len(book.asked()) == 2
    assert book.answers("At noon.", response_id="resp_2").texts()[-1] == "At noon."


def test_an_answer_that_the_client_cancelled_is_not_requested_again():
    book = TimedPlaybook().ready().types("When?").begins().client({"type": "response.cancel"})
    book.ends("resp_1", "cancelled").run(1.0)
    assert len(book.asked()) == 1


def test_the_cancel_of_a_response_that_was_not_announced_names_it():
    book = TimedPlaybook().ready().types("When?").upstream(output_item("resp_1", "item_1"), started("u1"))
    assert [event["response_id"] for event in book.sent("response.cancel")] == ["resp_1"]


def test_a_response_that_was_neither_announced_nor_is_awaited_has_an_end():
    book = TimedPlaybook().ready().client(FRAME).upstream(started("u1")).client({"type": "ForceEndTurn"})
    book.upstream(stopped("u1"), committed("u1")).begins_itself()
    book.client({"type": "response.cancel"}).ends("resp_v", "cancelled")
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1)
    book.upstream(transcribed("When?", "u1"))
    assert book.texts() == ["At noon."]
    assert book.frames().count(AUDIO_DONE) == 2


def test_a_given_text_that_speech_overtook_is_silent_although_it_is_not_announced():
    book = TimedPlaybook().ready().client(inject("default"), FRAME).hears("u1", "When?").begins_itself()
    book.says("At noon.", 0.1, response_id="resp_v", item_id="item_v").ends("resp_v")
    begin = book.here
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t")
    assert book.frames(since=begin) == []
    assert [event["response_id"] for event in book.sent("response.cancel", since=begin)] == ["resp_t"]


def test_a_given_text_that_speech_overtook_is_silent_although_its_begin_comes_twice():
    book = TimedPlaybook().ready().client(inject("interrupt"), FRAME).hears("u1", "When?").begins_itself()
    begin = book.here
    book.upstream(outside("resp_t"), outside("resp_t"))
    book.says("At noon.", 0.1, response_id="resp_v", item_id="item_v").ends("resp_v")
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t").ends("resp_t")
    assert book.texts(since=begin) == ["At noon."]


def test_an_answer_to_speech_does_not_end_a_client_s_own_request_outside_the_conversation():
    own = {"type": "response.create", "response": {"conversation": "none", "metadata": {"topic": "weather"}}}
    book = TimedPlaybook().ready().client(own, FRAME).hears("u1", "When?").begins_itself()
    book.says("At noon.", 0.1, response_id="resp_v", item_id="item_v").ends("resp_v")
    assert Wait.FIRST_EVENT.value in book.timers
    # Nothing is doubtful: the next response answers the question.
    book.upstream(outside("resp_w")).ends("resp_w").types("And then?", acknowledged=False).fire(Wait.ITEM_ACK)
    book.begins(echo=False).says("Later.", 0.1).ends()
    assert Wait.FIRST_EVENT.value not in book.timers


def test_a_request_that_the_unended_response_of_a_client_keeps_off_is_sent_again_at_its_end():
    own = {"type": "response.create", "response": {"conversation": "none", "metadata": {"topic": "weather"}}}
    book = TimedPlaybook().ready().client(own)
    said = {"type": "response.output_text.done", "response_id": "resp_w", "item_id": "item_w", "text": "Rain."}
    book.upstream(output_item("resp_w", "item_w"), said).client(inject())
    already_active(book)
    begin = book.here
    book.ends("resp_w")
    assert len(book.sent("response.create", since=begin)) == 1


def test_the_end_of_an_unannounced_answer_behind_an_unannounced_call_does_not_end_the_next_request():
    book = TimedPlaybook().ready(settings(**FUNCTIONS)).client(FRAME).upstream(started("u1")).types("Where?")
    book.upstream(stopped("u1")).fire(Wait.COMMIT)
    book.upstream(call_done(response_id="resp_c"), committed("u1"))
    said = {"type": "response.output_audio_transcript.done", "response_id": "resp_v", "item_id": "item_v"}
    book.upstream({**said, "transcript": "At noon."})
    assert Wait.FIRST_EVENT.value in book.timers
    book.ends("resp_v")
    assert Wait.FIRST_EVENT.value in book.timers


def overtaken():
    """Have speech overtake a given text, and then ask a question."""
    book = TimedPlaybook("converse").ready().client(inject("default"), FRAME).hears("u1", "When?").begins_itself()
    return book.ends("resp_v").types("And then?")


def test_a_given_text_that_speech_overtook_is_not_taken_for_the_answer_to_the_next_question():
    book = overtaken()
    begin = book.here
    book.upstream(output_item("resp_t", "item_t"))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t").ends("resp_t", "cancelled")
    assert book.frames(since=begin) == []
    assert [event["response_id"] for event in book.sent("response.cancel", since=begin)] == ["resp_t"]
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1).ends()
    assert book.texts(since=begin) == ["At noon."]
    assert len(book.asked()) == 1


def test_a_question_behind_a_given_text_that_was_refused_late_is_answered():
    book = overtaken()
    begin = book.here
    book.upstream(error("invalid_value", event_id=book.sent("response.create")[0]["event_id"]))
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1).ends()
    assert book.texts(since=begin) == ["At noon."]


def doubtful():
    """Have the upstream begin a response while it owes two answers, and then inject a text: no metadata tells which."""
    book = TimedPlaybook("converse").ready().types("When?").hears("u1", "And where?").begins_itself()
    book.says("Here.", 0.1, response_id="resp_v", item_id="item_v").ends("resp_v")
    return book.run(1.0).client(inject("queue"))


def test_the_second_of_two_owed_answers_is_not_taken_for_a_given_text():
    book = doubtful()
    begin = book.here
    book.upstream(created("resp_1", None), output_item("resp_1", "item_1"))
    book.says("At noon.", 1.0).ends("resp_1", "cancelled")
    assert book.frames(since=begin) == []
    assert [event["response_id"] for event in book.sent("response.cancel", since=begin)] == ["resp_1"]
    book.upstream(outside("resp_t"), output_item("resp_t", "item_t"))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t").ends("resp_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert book.frames(since=begin)[-1] == AUDIO_DONE


def test_the_second_of_two_owed_answers_is_not_taken_for_a_given_text_although_it_is_not_announced():
    book = doubtful()
    begin = book.here
    book.says("At noon.", 1.0).ends("resp_1", "cancelled")
    assert book.frames(since=begin) == []
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert book.frames(since=begin)[-1] == AUDIO_DONE


def test_no_second_answer_is_awaited_where_the_upstream_refused_its_request():
    book = doubtful()
    begin = book.here
    book.upstream(error("invalid_value", event_id=book.asked()[0]["event_id"]))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S


@pytest.mark.parametrize("is_ended_by_hand", [True, False])
def test_an_answer_to_speech_that_is_not_announced_leaves_nothing_owed(is_ended_by_hand):
    book = TimedPlaybook().ready().client(FRAME).upstream(started("u1"))
    book = book.client({"type": "ForceEndTurn"}) if is_ended_by_hand else book
    book.upstream(stopped("u1"), committed("u1"))
    if is_ended_by_hand:
        book.upstream(error("input_audio_buffer_commit_empty"))
    book.upstream(output_item("resp_1", "item_1"), transcribed("When?", "u1")).says("At noon.", 0.1).run(LONG_S)
    assert book.texts() == ["At noon."]
    assert book.losses() == []


CALLED = [call_done("call_1")]
SAID = [output_item("resp_1", "item_1"), transcript_done("At noon.", "item_1")]
WHOLE = [transcript_done("At noon.", "item_1")]


@pytest.mark.parametrize(("answer", "first"), [(SAID, 0), (SAID, 1), (WHOLE, 0), (CALLED, 0), (CALLED, 1)])
def test_speech_that_is_committed_while_an_unannounced_response_is_in_progress_gets_an_answer(answer, first):
    book = TimedPlaybook().ready(settings(**FUNCTIONS)).types("When?").upstream(started("u1"), stopped("u1"))
    book.upstream(*answer[:first], committed("u1"), transcribed("And where?", "u1"), *answer[first:])
    if answer is CALLED:
        book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    assert len(book.asked()) == 2
    book.upstream(output_item("resp_2", "item_2")).says("In Bonn.", response_id="resp_2", item_id="item_2").run(LONG_S)
    assert book.losses() == []
    assert book.texts()[-1] == "In Bonn."


def test_an_answer_to_speech_that_is_not_announced_covers_no_question():
    book = TimedPlaybook().ready().hears("u1", "When?").types("And where?")
    book.upstream(output_item("resp_v", "item_v")).says("At noon.", 0.1, response_id="resp_v", item_id="item_v")
    assert len(book.run(1.0).asked()) == 1


@pytest.mark.parametrize("is_lost", [True, False])
def test_an_answer_to_speech_that_is_not_announced_and_fails_before_its_text_is_requested_again(is_lost):
    book = TimedPlaybook().ready().hears("u1", "When?").upstream(output_item("resp_v", "item_v"))
    begin = book.here
    if is_lost:
        book.restarted_after()
    else:
        book.ends("resp_v", "failed")
    assert len(book.run(1.0).asked(since=begin)) == 1


def test_a_question_in_flight_is_asked_once_although_another_response_fails_before_it_begins():
    book = TimedPlaybook().ready().echoes().types("When?").begins_itself()
    begin = book.here
    book.ends("resp_v", "failed").run(1.0)
    assert Wait.FIRST_EVENT.value in book.timers
    assert book.answers("At noon.", response_id="resp_2").run(LONG_S).texts(since=begin) == ["At noon."]
    assert book.asked(since=begin) == []


def test_a_cut_answer_is_continued_behind_a_question_in_flight():
    book = TimedPlaybook().ready().echoes().types("When?").begins_itself()
    begin = book.here
    book.upstream(transcript_delta("It is noon. And it is", "item_v", "resp_v"), spoken(1.0, "resp_v", "item_v"))
    book.ends("resp_v", "failed").run(1.0)
    assert book.asked(since=begin) == []
    book.answers("At noon.", response_id="resp_2", item_id="item_2").run(1.0)
    assert len(book.asked(since=begin)) == 1


def test_the_late_end_of_a_failed_response_does_not_end_the_next():
    book = TimedPlaybook().ready().types("One?").client({"type": "response.create"}).begins("resp_1")
    book.ends("resp_1", "failed").ends("resp_1", "failed").run(1.0)
    assert book.session.state.pending.in_flight is not None
    assert Wait.FIRST_EVENT.value in book.timers


@pytest.mark.parametrize("acknowledged", [True, False])
def test_an_answer_to_speech_covers_the_output_of_a_function_that_was_acknowledged(acknowledged):
    book = TimedPlaybook().ready(settings(**FUNCTIONS)).types("When?").begins().upstream(call_done()).ends()
    book.types("And then?", acknowledged=False)
    question = book.sent("conversation.item.create")[-1]["item"]["id"]
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.upstream(started("u1"), stopped("u1"), item_added(question))
    book = book.acknowledge() if acknowledged else book
    begin = book.here
    book.upstream(committed("u1")).begins_itself().ends("resp_v").run(1.0)
    assert len(book.asked(since=begin)) == (0 if acknowledged else 1)


# A response that begins too late.


def answered_with_speech():
    """Let the answer to speech cover a question in flight. Return the metadata of that question's request."""
    book = TimedPlaybook().ready().echoes().types("One?")
    metadata = book.asked()[-1]["response"]["metadata"]
    return book.hears("u1", "When?").begins_itself().ends("resp_v"), metadata


def late(*questions):
    """Begin the response to the covered question all the same, with these questions in flight."""
    book, metadata = answered_with_speech()
    for question in questions:
        book.types(question)
    return book.upstream(created("resp_1", metadata))


def test_no_response_is_requested_before_a_response_that_began_too_late_has_ended():
    book = late()
    begin = book.here
    book.types("Two?").run(1.0)
    assert book.asked(since=begin) == []
    book.ends("resp_1", "cancelled")
    assert len(book.asked(since=begin)) == 1


def test_a_response_that_began_too_late_is_cancelled_and_silent():
    book = late()
    begin = book.here
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 1.0).ends("resp_1", "cancelled").run(LONG_S)
    assert [event["response_id"] for event in book.sent("response.cancel")] == ["resp_1"]
    assert (book.frames(since=begin), book.losses()) == ([], [])


@pytest.mark.parametrize("is_refused_first", [True, False])
def test_a_request_that_a_response_which_began_too_late_keeps_off_is_sent_again_at_its_end(is_refused_first):
    book, metadata = answered_with_speech()
    book.types("Two?")
    if is_refused_first:
        already_active(book).upstream(created("resp_1", metadata))
    else:
        already_active(book.upstream(created("resp_1", metadata)))
    begin = book.here
    book.ends("resp_1", "cancelled")
    assert len(book.asked(since=begin)) == 1
    book.answers("At noon.", response_id="resp_2", item_id="item_2").run(LONG_S)
    assert book.texts(since=begin) == ["At noon."]
    assert book.frames(since=begin).count(AUDIO_DONE) == 1
    assert book.losses() == []


def test_a_request_beside_a_response_that_began_too_late_is_answered():
    book = late("Two?").ends("resp_1", "cancelled")
    begin = book.here
    assert Wait.FIRST_EVENT.value in book.timers
    book.answers("At noon.", response_id="resp_2", item_id="item_2").run(LONG_S)
    assert book.texts(since=begin) == ["At noon."]
    assert book.frames().count(AUDIO_DONE) == 3
    assert len(book.asked()) == 3


def test_a_question_beside_a_response_that_began_too_late_is_asked_at_the_next_upstream():
    book = late("Two?")
    here = book.here
    begin = book.restarted_after()
    assert AUDIO_DONE not in book.frames(since=here)
    assert len(book.asked(since=begin)) == 1


def test_a_given_text_is_spoken_beside_a_response_that_began_too_late():
    book, metadata = answered_with_speech()
    book.client(inject("queue")).upstream(created("resp_1", metadata))
    begin = book.here
    book.upstream(outside("resp_t", book.sent("response.create")[-1]["response"]["metadata"]))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t").ends("resp_1", "cancelled").ends("resp_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert book.frames(since=begin).count(AUDIO_DONE) == 1
    assert [event["response_id"] for event in book.sent("response.cancel")] == ["resp_1"]
