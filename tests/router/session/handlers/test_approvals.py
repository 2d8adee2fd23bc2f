"""Calls of the upstream's own tools, which need an approval."""

import pytest

from actors.restart import Decision
from router.session.deadlines import Wait
from router.session.state.calls import MAX_OUTSTANDING
from tests.support.machine.playbook import AUDIO_DONE, Playbook, request, response_created, response_done, settings

APPROVAL = {
    "id": "mcpr_1",
    "type": "mcp_approval_request",
    "server_label": "parcels",
    "name": "cancel",
    "arguments": "{}",
}


def asked_for_approval(profile="openai", **agent):
    """Return a session whose upstream asks for an approval, behind a response that has ended."""
    book = Playbook(profile).ready(settings(**agent)).upstream(response_created()).forget()
    for kind in ("conversation.item.added", "conversation.item.done"):
        book.upstream({"type": kind, "item": APPROVAL})
    return book.upstream(response_done())


def approvals(book):
    items = [event["item"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    return [item["approve"] for item in items if item["type"] == "mcp_approval_response"]


@pytest.mark.parametrize(
    ("content", "is_approved"),
    [("true", True), ('{"approve": true}', True), ("false", False), ("yes", False), ('{"approve": 1}', False)],
)
def test_a_client_approves_a_call_of_the_upstream_s_own_tools(content, is_approved):
    book = asked_for_approval()
    assert request("mcpr_1", "parcels.cancel", "{}") in book.frames_to_client
    assert AUDIO_DONE not in book.frames_to_client
    book.forget().client({"type": "FunctionCallResponse", "id": "mcpr_1", "name": "x", "content": content})
    assert approvals(book) == [is_approved]
    assert book.events_to_upstream[-1]["type"] == "response.create"


def test_an_approval_that_no_client_can_give_is_declined_at_once():
    book = asked_for_approval("converse")
    assert approvals(book) == [False]
    assert [it["code"] for it in book.frames_to_client if it["type"] == "Warning"] == ["FUNCTION_CALL_FAILED"]


def test_a_client_that_runs_functions_is_asked_on_converse_too():
    book = asked_for_approval("converse", think={"functions": [{"name": "lookup"}]})
    assert request("mcpr_1", "parcels.cancel", "{}") in book.frames_to_client


def test_the_user_s_speech_declines_an_approval():
    book = asked_for_approval().forget().upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"})
    assert approvals(book) == [False]
    assert "FunctionCallCancelled" in [it["type"] for it in book.frames_to_client]


def test_an_approval_ends_with_its_upstream_and_the_next_one_is_asked_again():
    book = asked_for_approval().forget()
    book.upstream_closes(decision=Decision.RESTART)
    assert book.frames_to_client[0]["type"] == "FunctionCallCancelled"
    book.forget().upstream_opens().upstream({"type": "session.created"}, {"type": "session.updated"})
    assert [event["type"] for event in book.events_to_upstream] == ["session.update", "response.create"]
    book.forget().client({"type": "FunctionCallResponse", "id": "mcpr_1", "name": "x", "content": "true"}).expect()


def test_an_item_of_the_client_s_own_answers_an_approval():
    item = {"id": "a_1", "type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    book = asked_for_approval().forget().client({"type": "conversation.item.create", "item": item})
    assert approvals(book) == [True]
    assert Wait.TOOL_ANSWER.value not in book.timers
    assert list(book.session.state.ledger.items_after()) == []


def test_an_approval_beyond_the_bound_of_calls_is_declined():
    book = Playbook("openai").ready().upstream(response_created())
    for at in range(MAX_OUTSTANDING + 1):
        book.forget().upstream({"type": "conversation.item.added", "item": {**APPROVAL, "id": f"mcpr_{at}"}})
    assert approvals(book) == [False]
    book.forget().upstream(response_done())
    assert [frame["code"] for frame in book.frames_to_client if "code" in frame] == ["FUNCTION_CALL_FAILED"]
