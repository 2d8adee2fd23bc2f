"""A function call is answered or ends in a message; its deadline begins when the client has the request."""

import pytest

from tests.support.machine.playbook import call_done, settings
from tests.support.machine.timed_playbook import FRAME, TimedPlaybook, created, spoken

LONG_S = 300.0
APPROVAL = {
    "id": "mcpr_1",
    "type": "mcp_approval_request",
    "server_label": "parcels",
    "name": "cancel_order",
    "arguments": '{"order":7}',
}


def called_behind(audio_s):
    """Call a function behind a long answer, whose audio comes in a fraction of its length."""
    book = TimedPlaybook("converse").ready(settings(think={"functions": [{"name": "note_consent"}]}))
    book.types("Read me the terms and note my consent.").begins("resp_1", "item_1")
    for _ in range(audio_s):
        book.upstream(spoken(1.0)).run(0.16)
    return book.upstream(call_done("call_1", "note_consent")).ends("resp_1")


def run_until_requested(book):
    for _ in range(round(LONG_S)):
        if book.received("FunctionCallRequest"):
            return book
        book.run(1.0)
    raise AssertionError("the call is never requested")


@pytest.mark.parametrize("audio_s", [10, 75, 200])
def test_a_call_is_not_given_up_before_the_client_is_asked(audio_s):
    book = called_behind(audio_s)
    run_until_requested(book).run(1.0)
    assert book.received("Warning") == []
    answer = {"type": "FunctionCallResponse", "id": "call_1", "name": "note_consent", "content": "noted"}
    book.client(answer)
    assert book.received("Error") == []
    assert [item["output"] for item in book.items() if item["type"] == "function_call_output"] == ["noted"]


@pytest.mark.parametrize("audio_s", [10, 75, 200])
def test_a_client_that_answers_no_call_has_its_whole_time(audio_s):
    book = run_until_requested(called_behind(audio_s))
    book.run(28.0)
    assert book.received("Warning") == []
    book.run(5.0)
    assert [message["code"] for message in book.received("Warning")] == ["FUNCTION_CALL_FAILED"]


def test_a_slow_function_costs_no_upstream_where_the_response_is_not_announced():
    book = TimedPlaybook("converse").ready(settings(think={"functions": [{"name": "lookup"}]})).types("When?")
    book.upstream(call_done("call_1", "lookup")).run(25.0)
    assert book.losses() == []
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).run(1.0)
    assert len(book.asked()) == 2


# Mend 6: a call of the upstream's own tools that needs an approval.


def asks_for_approval(book):
    book.hears("u1", "Cancel my order.").upstream(created("resp_1", None))
    book.upstream(
        {"type": "response.output_item.added", "response_id": "resp_1", "item": APPROVAL},
        {"type": "conversation.item.added", "item": APPROVAL},
        {"type": "conversation.item.done", "item": APPROVAL},
        {"type": "response.output_item.done", "response_id": "resp_1", "item": APPROVAL},
    )
    return book.ends("resp_1")


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_call_that_needs_an_approval_is_answered_or_declined_in_time(profile):
    book = asks_for_approval(TimedPlaybook(profile).ready()).run(LONG_S, microphone=FRAME)
    assert book.received("FunctionCallRequest") or book.received("Warning") or book.received("Error")
    answers = [item for item in book.items() if item["type"] == "mcp_approval_response"]
    assert [(it["approval_request_id"], it["approve"]) for it in answers] == [("mcpr_1", False)]
    assert book.asked() or book.losses()


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_turn_of_a_call_that_needs_an_approval_does_not_end_before_it_is_answered(profile):
    book = asks_for_approval(TimedPlaybook(profile).ready())
    if book.received("FunctionCallRequest"):
        assert book.received("AgentAudioDone") == []
    else:
        assert [item["type"] for item in book.items()][-1:] == ["mcp_approval_response"]


def test_a_client_of_openai_may_approve_with_its_own_item():
    book = asks_for_approval(TimedPlaybook().ready())
    approval = {"id": "a_1", "type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    book.client({"type": "conversation.item.create", "item": approval}, {"type": "response.create"})
    book.run(LONG_S, microphone=FRAME)
    answers = [item["approve"] for item in book.items() if item["type"] == "mcp_approval_response"]
    assert True in answers
