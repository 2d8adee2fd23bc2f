"""The client's own OpenAI events on `/openai`."""

import pytest

from actors.restart import Decision
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

OWN_UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
ITEM = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
}

CREATE = {"type": "response.create"}
APPEND = {"type": "input_audio_buffer.append", "audio": "AAAA"}


def test_a_session_update_takes_the_place_of_settings():
    book = Playbook().opened().client(OWN_UPDATE)
    book.expect()
    book.upstream({"type": "session.created"}).expect(upstream=[OWN_UPDATE])
    book.upstream({"type": "session.updated"}).expect(APPLIED)


def test_a_conversation_in_openai_events_is_answered_in_deepgram_s_messages():
    book = Playbook().ready(OWN_UPDATE)
    book.client(ITEM, CREATE).expect(upstream=[ITEM, CREATE])
    book.upstream(item_added("x"), response_created(), text_done("Hello."), response_done())
    book.expect(STARTED, assistant("Hello."), AUDIO_DONE, DONE)


def test_a_response_create_waits_until_none_is_active():
    book = Playbook().ready(OWN_UPDATE).upstream(response_created())
    book.client({**CREATE, "response": {"instructions": "x"}}).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=[{"response": {"instructions": "x"}}])


def test_a_refused_response_create_is_reported_and_has_no_other_effect():
    book = Playbook().ready().client({**CREATE, "response": {"max_output_tokens": 1}})
    event_id = book.events_to_upstream[-1]["event_id"]
    book.forget().upstream(error("integer_above_max_value", event_id=event_id))
    assert book.frames_to_client[0]["code"] == "integer_above_max_value"
    book.forget().client(CREATE).expect(upstream=[CREATE])


def test_every_response_create_survives_a_restart_in_its_order():
    asked = [{**CREATE, "response": {"instructions": name}} for name in "abc"]
    book = Playbook().ready(OWN_UPDATE).client(asked[0]).upstream(response_created()).client(*asked[1:]).forget()
    book.upstream_closes(decision=Decision.RESTART).upstream_opens().upstream({"type": "session.created"}).forget()
    book.upstream({"type": "session.updated"})
    for name in "abc":
        (event,) = [event for event in book.events_to_upstream if event["type"] == "response.create"]
        assert event["response"]["instructions"] == name
        book.forget().upstream(response_created(name), response_done(name))


def test_a_client_s_own_assistant_item_is_not_echoed():
    item = {"id": "mine", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
    book = Playbook().ready(OWN_UPDATE).client({"type": "conversation.item.create", "item": item}).forget()
    book.upstream({"type": "conversation.item.done", "item": item}).expect()


def test_an_item_that_a_client_deletes_reaches_no_other_upstream():
    item = {**ITEM["item"], "id": "mine"}
    book = Playbook().ready(OWN_UPDATE).client({**ITEM, "item": item}, ITEM).forget()
    delete = {"type": "conversation.item.delete", "item_id": "mine"}
    book.client(delete).expect(upstream=[delete])
    (kept,) = book.session.state.ledger.items_after()
    assert kept == {**ITEM["item"], "id": ANY}


def test_a_call_may_be_answered_in_openai_events():
    book = Playbook().ready(OWN_UPDATE).upstream(response_created(), call_done()).forget()
    output = {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    }
    book.client(output).upstream(response_done()).expect(upstream=[output])
    book.client(CREATE).expect(upstream=[CREATE])
    book.upstream(response_created("r2"), text_done("42"), response_done("r2")).expect(
        STARTED, assistant("42"), AUDIO_DONE, DONE
    )


@pytest.mark.parametrize("event", [OWN_UPDATE, ITEM, CREATE, APPEND, {"type": "response.cancel"}])
def test_on_converse_openai_events_are_unparsable(event):
    book = Playbook("converse").ready().client(event)
    assert book.frames_to_client[0]["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert book.events_to_upstream == []


@pytest.mark.parametrize("kind", ["output_audio_buffer.clear", "session.close", "conversation.item.retrieve"])
def test_other_events_are_not_forwarded(kind):
    book = Playbook().ready().client({"type": kind})
    assert book.frames_to_client[0]["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert book.events_to_upstream == []
