"""The response to a doubtful request."""

import pytest

from router.session.deadlines import Wait
from tests.support.machine.playbook import call_done, settings, transcribed
from tests.support.machine.timed_playbook import TimedPlaybook, committed, created, output_item, started, stopped

FUNCTIONS = settings(think={"provider": {"type": "open_ai"}, "functions": [{"name": "lookup"}]})
WHOLE = {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "At noon."}]}
LONG_S = 60.0


def doubtful():
    """Have the upstream begin a response while it owes an answer to speech, too: no metadata tells whose it is."""
    book = TimedPlaybook().ready(FUNCTIONS).upstream(started("u1")).types("When?").upstream(stopped("u1"))
    book.fire(Wait.COMMIT).upstream(committed("u1"), transcribed("And where?", "u1"))
    return book.upstream(created("resp_v", None))


def with_output():
    """Let that response call a function, and request the answer to its output."""
    book = doubtful().upstream(call_done(response_id="resp_v"))
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).ends("resp_v")
    assert len(book.asked()) == 2
    return book


def announced(book):
    return book.upstream(created("resp_1", None)).says("At noon.", 0.1).ends()


def unannounced(book):
    return book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1).ends()


def whole_text(book):
    said = {"response_id": "resp_1", "item_id": "item_1", "transcript": "At noon."}
    return book.upstream({"type": "response.output_audio_transcript.done", **said}).ends()


def whole_item(book):
    return book.upstream({"type": "conversation.item.done", "item": {"id": "item_1", **WHOLE}}).ends()


def again(book):
    return book.upstream(created("resp_2", None)).says("Here.", response_id="resp_2", item_id="item_2").ends("resp_2")


@pytest.mark.parametrize("is_acknowledged", [False, True])
@pytest.mark.parametrize("answers", [announced, unannounced, whole_text, whole_item])
def test_the_response_to_a_doubtful_request_does_not_answer_the_output_behind_it(answers, is_acknowledged):
    book = with_output()
    book = answers(book.acknowledge() if is_acknowledged and answers is not announced else book)
    assert book.texts() == ["At noon."]
    assert Wait.FIRST_EVENT.value in book.timers
    assert again(book.acknowledge()).run(LONG_S).texts() == ["At noon.", "Here."]
    assert book.losses() == []
    assert len(book.asked()) == 2


@pytest.mark.parametrize("answers", [announced, unannounced, whole_text, whole_item])
def test_an_output_behind_a_doubtful_request_is_answered_by_the_next_upstream_if_this_one_is_silent(answers):
    book = answers(with_output())
    begin = book.here
    assert book.run(LONG_S).losses() == ["first_event"]
    book.restarted_after()
    assert len(book.run(1.0).asked(since=begin)) == 1


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_the_mere_end_of_the_response_to_a_doubtful_request_leaves_the_request_behind_it_in_flight(status):
    book = with_output().acknowledge().ends("resp_1", status)
    assert Wait.FIRST_EVENT.value in book.timers
    assert again(book).run(LONG_S).texts() == ["Here."]
    assert book.losses() == []
    assert len(book.asked()) == 2


def test_a_response_behind_the_acknowledgement_of_an_output_answers_it():
    assert announced(with_output().acknowledge()).run(LONG_S).losses() == []


def test_the_response_to_a_doubtful_request_may_call_a_function_without_an_announcement():
    book = with_output().upstream(call_done("call_2"))
    book.client({"type": "FunctionCallResponse", "id": "call_2", "name": "lookup", "content": "43"})
    assert len(book.asked()) == 2
    assert Wait.FIRST_EVENT.value in book.timers
    assert len(again(book.acknowledge()).asked()) == 3


@pytest.mark.parametrize("answers", [announced, unannounced])
def test_a_request_is_doubtful_until_a_response_that_nothing_else_asked_for(answers):
    book = answers(doubtful().says("Here.", response_id="resp_v", item_id="item_v").ends("resp_v")).types("And then?")
    book.says("Later.", response_id="resp_2", item_id="item_2").run(LONG_S)
    assert book.texts() == ["Here.", "At noon.", "Later."]
    assert book.losses() == []
