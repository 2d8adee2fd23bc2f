"""The user's typed messages."""

import pytest

from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.beginnings import ask, assistant_texts, speaking, truncate
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    item_added,
    response_created,
    response_done,
    text_done,
    user,
)

STOP_PLAYING = {"type": "UserStartedSpeaking"}
CANCEL = {"type": "response.cancel", "response_id": "resp_1"}
CANCELLED = response_done(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
CREATE = {"type": "response.create"}


def test_a_text_turn_over_openai_is_answered_in_the_component_s_order():
    book = Playbook().ready().client({"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[0]["item"]["id"]
    book.expect(user("hello"), upstream=[{"item": {"content": [{"type": "input_text", "text": "hello"}]}}])
    book.upstream(item_added(item_id)).expect(upstream=[{"type": "response.create"}])
    book.upstream({**item_added(item_id), "type": "conversation.item.done"}).expect()
    book.upstream(response_created()).expect()
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."))
    book.upstream(response_done()).expect(AUDIO_DONE, DONE)


@pytest.mark.parametrize(
    "acknowledgement", ["conversation.item.added", "conversation.item.created", "conversation.item.done"]
)
def test_a_response_is_requested_only_once_the_upstream_has_the_item(acknowledgement):
    book = Playbook().ready()
    item_id = ask(book)
    book.expect()
    book.upstream({**item_added(item_id), "type": acknowledgement}).expect(upstream=[CREATE])


def test_a_further_message_does_not_postpone_the_deadline_of_the_first():
    book = Playbook().ready()
    first = ask(book)
    del book.timers[Wait.ITEM_ACK.value]
    second = ask(book)
    assert Wait.ITEM_ACK.value not in book.timers
    book.upstream(item_added(first))
    assert Wait.ITEM_ACK.value in book.timers
    book.upstream(item_added(second))
    assert Wait.ITEM_ACK.value not in book.timers


# Interruption in writing.


def test_a_message_interrupts_the_speaking_agent():
    book = speaking().after(2.5).client({"type": "InjectUserMessage", "content": "Stop."})
    heard = assistant("One two three four five six seven")
    book.expect(STOP_PLAYING, heard, user("Stop."), upstream=[CANCEL, truncate(2500), {"item": {"role": "user"}}])
    book.upstream(CANCELLED).expect(AUDIO_DONE, DONE)


def test_the_message_that_interrupted_is_answered_once_the_old_answer_has_ended():
    book = speaking().after(1).client({"type": "InjectUserMessage", "content": "Stop."})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget().upstream(item_added(item_id)).expect()
    book.upstream(CANCELLED).expect(AUDIO_DONE, DONE, upstream=[{"type": "response.create"}])


def test_a_message_to_a_thinking_agent_interrupts_nothing():
    book = Playbook().ready().upstream(response_created()).client({"type": "InjectUserMessage", "content": "And?"})
    book.expect(user("And?"), upstream=[{"item": {"role": "user"}}])


def test_a_message_during_a_restart_interrupts_the_audio_that_is_still_playing():
    book = speaking().upstream_closes(decision=Decision.RESTART).forget()
    book.client({"type": "InjectUserMessage", "content": "Stop."}).expect(user("Stop."))
    book.after(1.0).upstream_opens().upstream({"type": "session.created", "session": {}}).forget()
    book.upstream({"type": "session.updated", "session": {}})
    assert book.frames_to_client == [STOP_PLAYING, AUDIO_DONE, DONE]
    assert assistant_texts(book) == ["One two three"]
    stop = book.events_to_upstream[-1]["item"]
    assert stop["content"][0]["text"] == "Stop."
    book.forget().upstream({"type": "conversation.item.added", "item": stop})
    assert [(event["type"], list(event["response"])) for event in book.events_to_upstream] == [
        ("response.create", ["metadata"])
    ]
