"""Function calls."""

import pytest

from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    STARTED,
    THINKING,
    Playbook,
    assistant,
    call_done,
    request,
    response_created,
    response_done,
    text_done,
    transcript_done,
)

CREATE = {"type": "response.create"}


def called(profile="openai", *calls):
    book = Playbook(profile).ready().upstream(response_created())
    return book.forget().upstream(*(calls or [call_done("call_1", "lookup", '{"k":1}')]))


def answer(**fields):
    return {"type": "FunctionCallResponse", **fields}


def test_a_call_is_requested_and_then_shown():
    called().expect(request("call_1", "lookup", '{"k":1}'), assistant('Function call: lookup({"k":1})'))


def test_on_converse_a_call_is_requested_only():
    called("converse").expect(request("call_1", "lookup", '{"k":1}'))


def test_with_a_transcript_before_it_the_client_sees_text_request_text():
    book = Playbook().ready().upstream(response_created()).forget()
    book.upstream(transcript_done("Let me see."), call_done()).expect(
        STARTED, assistant("Let me see."), request("call_1", "lookup", "{}"), assistant("Function call: lookup({})")
    )


def test_the_name_is_taken_from_the_item_where_the_event_has_none():
    item = {"id": "fc", "type": "function_call", "name": "lookup", "call_id": "call_1"}
    added = {"type": "response.output_item.added", "response_id": "resp_1", "item": item}
    event = call_done(item_id="fc")
    del event["name"]
    book = called("converse", added, event)
    book.expect(request("call_1", "lookup", "{}"))


def test_a_call_is_requested_once():
    called("converse", call_done(), call_done()).expect(request("call_1", "lookup", "{}"))


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"content": "42"}, "42"),
        ({"content": {"a": 1}}, '{"a":1}'),
        ({"result": {"a": 1}}, '{"a":1}'),
        ({"error": "broken"}, '{"error":"broken"}'),
        ({}, "null"),
    ],
)
def test_an_answer_goes_upstream_and_a_response_is_asked_for_when_none_is_active(fields, output):
    book = called().upstream(response_done()).forget()
    book.client(answer(id="call_1", name="lookup", **fields)).expect(
        THINKING,
        upstream=[{"item": {"type": "function_call_output", "call_id": "call_1", "output": output}}, CREATE],
    )


def test_an_answer_during_the_response_waits_for_its_end_only_with_the_question():
    book = called().forget()
    book.client(answer(id="call_1", name="lookup", content="42")).expect(
        THINKING, upstream=[{"item": {"type": "function_call_output"}}]
    )
    book.upstream(response_done()).expect(upstream=[CREATE])


def test_the_turn_ends_after_the_follow_up_and_not_while_a_call_is_outstanding():
    book = called().upstream(response_done())
    book.forget().client(answer(id="call_1", name="lookup", content="42")).forget()
    book.upstream(response_created("resp_2"), text_done("It is 42."), response_done("resp_2"))
    book.expect(STARTED, assistant("It is 42."), AUDIO_DONE, DONE)


def test_with_several_calls_one_response_is_asked_for_when_all_are_answered():
    book = called("converse", call_done("a", "f"), call_done("b", "g")).upstream(response_done()).forget()
    book.client(answer(id="b", name="g", content="2")).expect(THINKING, upstream=[{"item": {"call_id": "b"}}])
    book.client(answer(name="f", content="1")).expect(THINKING, upstream=[{"item": {"call_id": "a"}}, CREATE])


def test_an_answer_that_nobody_waits_for_is_answered_and_not_forwarded():
    book = called().upstream(response_done()).client(answer(id="call_1", content="1")).forget()
    for late in (answer(id="call_1", content="2"), answer(id="call_7", content="2"), answer(name="nothing")):
        book.client(late)
        assert book.frames_to_client[0]["code"] == "UNKNOWN_FUNCTION_CALL"
        assert book.events_to_upstream == []
        book.forget()


def test_a_call_that_is_never_answered_is_given_up():
    book = called("converse").upstream(response_done()).forget().fire(Wait.TOOL_ANSWER)
    output = '{"error":"lookup timed out after 30 s"}'
    assert book.frames_to_client[0]["code"] == "FUNCTION_CALL_FAILED"
    assert [event["type"] for event in book.events_to_upstream] == ["conversation.item.create", "response.create"]
    assert book.events_to_upstream[0]["item"]["output"] == output


def test_a_call_of_a_cancelled_response_is_dropped():
    book = Playbook().ready().upstream(response_created(), response_done(status="cancelled")).forget()
    book.upstream(call_done()).expect()
