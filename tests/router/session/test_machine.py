"""The machine, which looks inputs up in the tables."""

import pytest

from actors import messages
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    APPLIED,
    SETTINGS,
    Playbook,
    error,
    item_added,
    response_created,
    response_done,
    transcript_delta,
    user,
)

QUESTION = {"type": "InjectUserMessage", "content": "hello?"}


def test_a_session_does_nothing_after_its_end():
    book = Playbook().ready().upstream_closes().forget()
    book.client(QUESTION, b"\0\0", "{").upstream(error("late"))
    assert book.commands == []


def test_an_input_of_an_unknown_generation_is_counted_and_ignored():
    book = Playbook().ready()
    for generation in (0, 2):
        book.feed(messages.UpstreamTextReceived(generation, '{"type":"error","error":{"message":"old"}}')).expect()
    assert book.session.describe()["ignored"] == 2


def test_early_inputs_are_taken_in_their_order_as_the_session_becomes_ready():
    book = Playbook().opened().client(SETTINGS, QUESTION, b"\1\1" * 480).expect(user("hello?"))
    book.upstream({"type": "session.created"}).forget().upstream({"type": "session.updated"})
    kinds = ["conversation.item.create", "input_audio_buffer.append"]
    assert [event["type"] for event in book.events_to_upstream] == kinds
    assert book.frames_to_client == [APPLIED]


@pytest.mark.parametrize("event", [transcript_delta("Hi"), {"type": "response.dance"}])
def test_any_event_of_an_answering_upstream_restarts_its_deadline(event):
    book = Playbook().ready().upstream(response_created())
    del book.timers[Wait.NEXT_EVENT.value]
    assert Wait.NEXT_EVENT.value in book.upstream(event).timers
    assert Wait.NEXT_EVENT.value not in book.upstream(response_done()).timers


def test_no_deadline_runs_before_a_requested_response_has_begun_but_the_one_of_its_begin():
    book = Playbook().ready().client(QUESTION)
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), {"type": "response.dance"})
    assert Wait.FIRST_EVENT.value in book.timers
    assert Wait.NEXT_EVENT.value not in book.timers


def test_a_joint_rule_may_end_the_session():
    book = Playbook().ready().feed(messages.DrainBegan(30.0))
    assert book.session.state.lifecycle.name == "ENDED"


def test_a_session_describes_itself():
    facts = Playbook("converse").ready().session.describe()
    assert (facts["profile"], facts["lifecycle"], facts["response"]) == ("converse", "ready", "none")
    assert (facts["generation"], facts["rollovers"], facts["ignored"]) == (1, 0, 0)


def test_a_session_that_continues_a_call_forgets_its_own_past_and_waits_at_the_given_upstream():
    book = Playbook("converse").ready()
    session, limited = book.session, book.session.state.limited
    book.client({"type": "InjectUserMessage", "content": "Hello."})
    commands = session.begin_at(7, limited, book.now_s)
    assert session.state.limited is limited
    assert (session.state.upstream.generation, len(list(session.state.ledger.items_after()))) == (7, 0)
    assert not any(isinstance(it, messages.OpenUpstream) for it in commands)
    book.commands.clear()
    book.feed(messages.UpstreamOpened(7, 0, book.unix_s)).client(SETTINGS)
    book.upstream({"type": "session.created", "session": {}}, {"type": "session.updated", "session": {}})
    assert [it["type"] for it in book.frames_to_client] == ["SettingsApplied"]


def test_the_text_of_a_client_s_message_stays_no_longer_than_its_turn():
    book = Playbook().ready()
    assert book.session.context.client_text == ""
