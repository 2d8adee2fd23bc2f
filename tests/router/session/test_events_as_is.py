"""OpenAI client events that a client of `/openai` sends as they are."""

import pytest

from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    ANY,
    APPLIED,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    call_done,
    error,
    item_added,
    response_created,
    response_done,
    text_done,
)

UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
ITEM = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
}
CREATE = {"type": "response.create"}
APPEND = {"type": "input_audio_buffer.append", "audio": "AAAA"}


def test_a_session_update_stands_for_settings():
    book = Playbook().opened().client(UPDATE)
    book.expect()
    book.upstream({"type": "session.created"}).expect(upstream=[UPDATE])
    book.upstream({"type": "session.updated"}).expect(APPLIED)


def test_a_conversation_in_openai_events_is_answered_in_our_messages():
    book = Playbook().ready(UPDATE)
    book.client(ITEM, CREATE).expect(upstream=[ITEM, CREATE])
    book.upstream(item_added("x"), response_created(), text_done("Hello."), response_done())
    book.expect(STARTED, assistant("Hello."), AUDIO_DONE, DONE)


def test_a_response_create_waits_until_none_is_active():
    book = Playbook().ready(UPDATE).upstream(response_created())
    book.client({**CREATE, "response": {"instructions": "x"}}).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=[{"response": {"instructions": "x"}}])


def test_a_response_create_that_the_upstream_refuses_is_told_and_costs_nothing_else():
    book = Playbook().ready().client({**CREATE, "response": {"max_output_tokens": 1}})
    event_id = book.events_to_upstream[-1]["event_id"]
    book.forget().upstream(error("integer_above_max_value", event_id=event_id))
    assert book.frames_to_client[0]["code"] == "integer_above_max_value"
    book.forget().client(CREATE).expect(upstream=[CREATE])


def test_only_so_many_response_creates_wait():
    book = Playbook(early_messages=1).ready().upstream(response_created()).client(CREATE).forget().client(CREATE)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]


def test_response_creates_that_wait_have_only_so_many_bytes_together():
    long = {**CREATE, "response": {"instructions": "x" * 800}}
    book = Playbook(early_bytes=2000).ready().upstream(response_created()).client(long, long).forget().client(long)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]


def test_every_response_create_survives_a_restart_in_its_order():
    asked = [{**CREATE, "response": {"instructions": name}} for name in "abc"]
    book = Playbook().ready(UPDATE).client(asked[0]).upstream(response_created()).client(*asked[1:]).forget()
    book.upstream_closes(decision=Decision.RESTART).upstream_opens().upstream({"type": "session.created"}).forget()
    book.upstream({"type": "session.updated"})
    for name in "abc":
        (event,) = [event for event in book.events_to_upstream if event["type"] == "response.create"]
        assert event["response"]["instructions"] == name
        book.forget().upstream(response_created(name), response_done(name))


def test_an_append_waits_for_session_updated():
    book = Playbook().opened().client(APPEND).expect()
    book.client(UPDATE, APPEND).forget().upstream({"type": "session.created"}).forget()
    book.upstream({"type": "session.updated"}).expect(APPLIED, upstream=[APPEND, APPEND])


def test_an_assistant_s_item_of_the_client_is_not_told_back():
    said = {"id": "mine", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
    book = Playbook().ready(UPDATE).client({"type": "conversation.item.create", "item": said}).forget()
    book.upstream({"type": "conversation.item.done", "item": said}).expect()


def test_what_a_client_deletes_no_other_upstream_is_told():
    item = {**ITEM["item"], "id": "mine"}
    book = Playbook().ready(UPDATE).client({**ITEM, "item": item}, ITEM).forget()
    delete = {"type": "conversation.item.delete", "item_id": "mine"}
    book.client(delete).expect(upstream=[delete])
    assert list(book.session.state.ledger.items_after()) == [ITEM["item"]]


def test_a_call_may_be_answered_in_openai_events():
    book = Playbook().ready(UPDATE).upstream(response_created(), call_done()).forget()
    output = {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    }
    book.client(output).upstream(response_done()).expect(upstream=[output])
    book.client(CREATE).expect(upstream=[CREATE])
    book.upstream(response_created("r2"), text_done("42"), response_done("r2")).expect(
        STARTED, assistant("42"), AUDIO_DONE, DONE
    )


@pytest.mark.parametrize("event", [UPDATE, ITEM, CREATE, APPEND, {"type": "response.cancel"}])
def test_on_converse_they_are_unparsable(event):
    book = Playbook("converse").ready().client(event)
    assert book.frames_to_client[0]["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert book.events_to_upstream == []


@pytest.mark.parametrize("kind", ["output_audio_buffer.clear", "session.close", "conversation.item.retrieve"])
def test_other_events_are_not_forwarded(kind):
    book = Playbook().ready().client({"type": kind})
    assert book.frames_to_client[0]["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert book.events_to_upstream == []


def test_a_second_session_update_is_acknowledged_like_the_first():
    book = Playbook().ready().client(UPDATE).expect(upstream=[UPDATE])
    book.upstream({"type": "session.updated"}).expect(APPLIED)


@pytest.mark.parametrize("given", [None, {"type": "server_vad", "create_response": False}])
def test_a_client_that_takes_the_end_of_turns_into_its_own_hands_is_not_answered_unasked(given):
    update = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": given}}}}
    book = Playbook().ready().client(update).upstream({"type": "session.updated"}).forget()
    commit, committed = ({"type": f"input_audio_buffer.{kind}"} for kind in ("commit", "committed"))
    book.client(bytes(9600), commit).upstream({**committed, "item_id": "u"}).forget()
    assert Wait.FIRST_EVENT.value not in book.timers
    book.client(CREATE).expect(upstream=[CREATE]).upstream(response_created(), response_done()).forget()
    book.upstream_closes(decision=Decision.RESTART).upstream_opens().forget().upstream({"type": "session.created"})
    assert [event["session"]["audio"]["input"]["turn_detection"] for event in book.events_to_upstream] == [ANY, given]


def test_a_client_may_give_the_end_of_turns_back():
    book = Playbook().ready()
    for given in ({"type": "server_vad", "threshold": 0.7}, None, {"type": "semantic_vad"}):
        audio = {"input": {"turn_detection": given}}
        book.client({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        book.upstream({"type": "session.updated"})
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"})
    assert Wait.FIRST_EVENT.value in book.timers
