"""The upstream that follows before a session expires."""

import orjson
import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.session.deadlines import Wait
from tests.support.machine.beginnings import asked, dial_standby, feed_standby, message_item
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    call_done,
    error,
    response_created,
    response_done,
    text_done,
    transcribed,
    user,
)
from tests.support.machine.timed_playbook import speech

RESTART = Decision.RESTART


def test_the_next_upstream_is_prepared_before_a_session_expires_and_takes_over_between_turns():
    book = asked().upstream(response_created()).forget()
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created", "session": {}})
    assert [(c.generation, e["type"]) for c, e in zip(book.commands, book.events_to_upstream, strict=True)] == [
        (generation, "session.update")
    ]
    book.forget()
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    assert [c.generation for c in book.commands] == [generation]
    book.expect(upstream=[message_item("user", "hello")])
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."))
    book.upstream(response_done())
    assert messages.CloseUpstream(1) in book.commands
    book.expect(AUDIO_DONE, DONE, upstream=[message_item("assistant", "Hi.")])
    assert book.generation == generation
    book.client({"type": "InjectUserMessage", "content": "again"}).expect(
        user("again"), upstream=[message_item("user", "again")]
    )
    assert book.session.describe()["rollovers"] == 1


def test_a_standby_upstream_that_fails_is_tried_again_and_the_client_is_warned_once():
    book = Playbook().ready()
    warning = {"type": "Warning", "code": "MAXIMUM_SESSION_LENGTH_APPROACHING", "description": ANY}
    verdict = Verdict(decision=RESTART)
    for expected in ([warning], []):
        generation = dial_standby(book)
        book.feed(messages.UpstreamLost(generation, Loss(kind=LossKind.NOT_DIALLED), verdict)).expect(*expected)
        assert book.timers["rollover"] == 10.0
    assert dial_standby(book) == generation + 1


def test_the_standby_upstream_is_sent_nothing_after_the_session_s_end():
    book = Playbook().ready().fire(Wait.ROLLOVER)
    generation = book.session.state.standby.generation
    book.upstream_closes().forget()
    created = orjson.dumps({"type": "session.created"}).decode()
    book.feed(messages.UpstreamTextReceived(generation, created)).expect()


def test_an_operator_who_pauses_the_upstream_moves_the_session_between_two_turns():
    book = asked().upstream(response_created()).forget()
    book.feed(messages.MoveRequested())
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    assert command.is_standby
    book.feed(messages.UpstreamOpened(command.generation, 1, book.unix_s)).forget()
    feed_standby(book, command.generation, {"type": "session.created", "session": {}})
    feed_standby(book, command.generation, {"type": "session.updated", "session": {}})
    book.forget().upstream(text_done("Hi."), response_done())
    assert messages.CloseUpstream(1) in book.commands
    assert book.session.describe()["position"] == 1


def test_a_standby_upstream_without_session_created_is_configured_all_the_same():
    book = Playbook().ready()
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s)).expect()
    book.fire(Wait.UNANNOUNCED).expect(upstream=[{"type": "session.update"}])
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    assert book.generation == generation


@pytest.mark.parametrize("is_updated", [False, True])
def test_a_late_session_created_of_a_standby_upstream_counts(is_updated):
    book = asked().upstream(response_created())
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s)).fire(Wait.UNANNOUNCED)
    if is_updated:
        feed_standby(book, generation, {"type": "session.updated", "session": {}})
    feed_standby(book, generation, {"type": "session.created", "session": {"expires_at": 1_700_003_600}})
    assert book.session.state.standby.expires_at == 1_700_003_600


def test_the_time_of_a_lost_standby_upstream_configures_no_other():
    book = Playbook().ready()
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    book.feed(messages.UpstreamLost(generation, Loss(kind=LossKind.CLOSED, code=1006), Verdict(decision=RESTART)))
    assert Wait.UNANNOUNCED.value not in book.timers


def seeded():
    """Bring a standby upstream up beside an answer. It has the ledger, and has acknowledged nothing of it."""
    book = asked().upstream(response_created())
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created", "session": {}})
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    return book, generation


def owed_acknowledgements(book):
    return book.session.describe()["owed"]["acknowledgements"]


def test_the_deadline_of_a_standby_upstream_ends_where_it_takes_over_at_once():
    book, _ = seeded()
    book.client({"type": "UpdatePrompt", "prompt": "Be kind."}).upstream({"type": "session.updated", "session": {}})
    assert Wait.STANDBY.value in book.timers
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000))
    assert Wait.STANDBY.value not in book.timers


def test_a_standby_upstream_gets_an_item_that_it_refused_again_when_it_takes_over():
    book, generation = seeded()
    refusal = error("invalid_value", event_id=book.events_to_upstream[-1]["item"]["id"])
    feed_standby(book, generation, refusal)
    assert len(book.session.state.standby.items) == 0
    book.forget().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000))
    (again,) = book.events_to_upstream
    assert again["type"] == "conversation.item.create"
    refusal = error("invalid_value", event_id=again["event_id"])
    book.forget().upstream(refusal).expect({"type": "Error", "code": "invalid_value", "description": ANY})
    assert owed_acknowledgements(book) == 0
    assert not book.session.state.pending


def test_a_standby_upstream_gets_an_item_again_that_it_refused_without_its_event():
    book, generation = seeded()
    question = book.events_to_upstream[-1]["item"]
    feed_standby(book, generation, error("invalid_value", param="item.content[0].text"))
    assert len(book.session.state.standby.items) == 0
    book.forget().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000))
    assert [event["item"] for event in book.events_to_upstream] == [question]


@pytest.mark.parametrize("is_transcribed", [True, False])
def test_a_standby_upstream_gets_speech_that_it_refused_again_when_it_takes_over(is_transcribed):
    book = Playbook().ready().client(bytes(4800)).upstream(*speech("u1"))
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created", "session": {}})
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    given = book.events_to_upstream[-1]["item"]
    feed_standby(book, generation, error("invalid_value", event_id=given["id"]))
    if is_transcribed:
        book.upstream(transcribed("When?", "u1"))
    book.forget().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000))
    (again,) = [event["item"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    assert again["id"] == given["id"]
    assert again["content"] == ([{"type": "input_text", "text": "When?"}] if is_transcribed else given["content"])


def test_a_refusal_that_a_standby_upstream_sends_twice_does_not_refuse_the_item_that_it_gets_again():
    book, generation = seeded()
    question = book.events_to_upstream[-1]["item"]
    refusal = error("invalid_value", event_id=question["id"])
    feed_standby(book, generation, refusal)
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000)).upstream(refusal)
    assert owed_acknowledgements(book) == 1
    book.forget().upstream({"type": "conversation.item.added", "item": question})
    book.expect(upstream=[{"type": "response.create"}])


def test_a_standby_upstream_that_refused_a_call_gets_the_call_and_its_output_again():
    book = asked().upstream(response_created(), call_done(), response_done())
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created", "session": {}})
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    _, call, output = (event["item"] for event in book.events_to_upstream[-3:])
    feed_standby(book, generation, error("invalid_value", event_id=call["id"]))
    book.forget().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000))
    again = [event["item"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    assert again == [call, output]
    # The upstream refuses the output that came behind the refused call.
    book.forget().upstream(error("invalid_value", event_id=output["id"]))
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000)).configured()
    kinds = [event["item"]["type"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    assert kinds == ["message", "function_call", "function_call_output"]


def test_a_standby_upstream_loses_an_item_that_the_upstream_in_use_refused():
    book = Playbook().ready()
    generation = dial_standby(book)
    book.client({"type": "InjectUserMessage", "content": "When?"})
    question = book.events_to_upstream[-1]["item"]
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created", "session": {}})
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    assert book.events_to_upstream[-1]["item"] == question
    book.forget().upstream(error("invalid_value", event_id=question["id"]))
    book.expect(
        {"type": "Error", "code": "invalid_value", "description": ANY},
        upstream=[{"type": "conversation.item.delete", "item_id": question["id"]}],
    )


def test_an_item_without_an_id_that_an_upstream_refuses_at_its_takeover_reaches_no_other():
    content = [{"type": "input_text", "text": "When?"}]
    item = {"type": "message", "role": "user", "content": content}
    book = Playbook().ready().client({"type": "conversation.item.create", "item": item})
    book.forget().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000)).configured()
    (again,) = book.events_to_upstream
    assert again["item"]["content"] == content
    book.upstream(error("invalid_value", event_id=again["event_id"]))
    book.forget().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000)).configured()
    assert book.events_to_upstream == []


def test_an_update_of_its_time_on_standby_that_an_upstream_refuses_late_is_no_longer_awaited():
    book, _ = seeded()
    book.client({"type": "UpdatePrompt", "prompt": "Be kind."}).upstream({"type": "session.updated", "session": {}})
    update = book.events_to_upstream[-1]
    refusal = error("invalid_value", event_id=update["event_id"])
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000)).forget()
    book.upstream(refusal).expect({"type": "Error", "code": "invalid_value", "description": ANY})
    assert book.session.state.upstream.pending_updates == 0
    book.upstream(refusal)
    book.forget().client({"type": "UpdatePrompt", "prompt": "Be brief."})
    book.upstream({"type": "session.updated", "session": {}})
    assert {"type": "PromptUpdated"} in book.frames_to_client


@pytest.mark.parametrize("has_item", [True, False])
def test_a_question_awaits_its_item_at_a_standby_upstream_that_takes_over(has_item):
    book, generation = seeded()
    question = book.events_to_upstream[-1]["item"]
    acknowledgement = {"type": "conversation.item.added", "item": question}
    if has_item:
        feed_standby(book, generation, acknowledgement)
    book.forget().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000))
    creates = [{"type": "response.create"}]
    book.expect({"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}, upstream=creates * has_item)
    assert (Wait.ITEM_ACK.value in book.timers) is not has_item
    book.upstream(acknowledgement).expect(upstream=creates * (not has_item))


def test_a_standby_upstream_that_acknowledges_its_configuration_twice_owes_nothing():
    book, generation = seeded()
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    assert book.session.state.standby.pending_updates == 0
