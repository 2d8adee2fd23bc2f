"""What the agent says word for word: a greeting, or what the client puts into its mouth."""

import orjson
import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    ANY,
    APPLIED,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    asks_for,
    assistant,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    said,
    settings,
    statement_created,
    text_done,
    transcript_done,
    user,
)

CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}
RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
STARTED_TO_SPEAK = {"type": "UserStartedSpeaking"}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
CREATE = {"type": "response.create"}
LOST = Loss(kind=LossKind.CLOSED, code=1006)
HELLO = "Hello there. What can I do for you?"
SECOND = bytes(48000)


def greeted(profile="converse", **options):
    """A session whose greeting is asked for."""
    book = Playbook(profile, **options).opened().client(settings(greeting=HELLO))
    return book.upstream(CREATED).forget().upstream(UPDATED)


def theirs(kind="response.output_item.added"):
    item = {"id": "theirs", "type": "message", "role": "assistant", "content": [{"transcript": "Hallo!"}]}
    return {"type": kind, "response_id": "resp_1", "item": item}


# A greeting.


def test_a_greeting_is_a_turn_with_audio_and_its_text_is_the_one_that_was_given():
    book = greeted().expect(APPLIED, assistant(HELLO), upstream=[asks_for(HELLO)])
    book.upstream(statement_created(), theirs(), delta(b"\1\1")).expect(b"\1\1")
    book.upstream(transcript_done("Hallo!", "theirs"), theirs("conversation.item.done")).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, upstream=[said(HELLO)])
    assert [turn["content"] for turn in book.history] == [HELLO]


def test_a_greeting_may_be_spoken_to_the_component_too():
    book = Playbook("openai", greeting="spoken").opened().client(settings(greeting=HELLO)).upstream(CREATED)
    book.forget().upstream(UPDATED).expect(APPLIED, STARTED, assistant(HELLO), upstream=[asks_for(HELLO)])
    book.upstream(statement_created(), delta(b"\1\1"), response_done()).expect(
        b"\1\1", AUDIO_DONE, DONE, upstream=[said(HELLO)]
    )


def test_the_item_of_a_greeting_is_acknowledged_and_neither_told_nor_answered():
    book = greeted().upstream(statement_created(), response_done())
    item_id = book.events_to_upstream[-1]["item"]["id"]
    done = {**item_added(item_id, "assistant"), "type": "conversation.item.done"}
    done["item"]["content"] = [{"type": "output_text", "text": HELLO}]
    book.forget().upstream(item_added(item_id, "assistant"), done).expect()


def test_what_the_user_asks_meanwhile_is_answered_after_the_greeting():
    book = greeted().forget().upstream(statement_created()).client({"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.expect(user("hello"), upstream=[{"item": {"role": "user"}}])
    book.upstream(item_added(item_id)).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, upstream=[said(HELLO), CREATE])


def test_a_text_agent_greets_in_writing_and_its_turn_ends():
    given = settings(greeting=HELLO, think={"outputModalities": ["text"]})
    book = Playbook("converse").opened().client(given).upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, assistant(HELLO), AUDIO_DONE, upstream=[said(HELLO)])


def test_a_session_with_a_context_is_not_greeted():
    given = settings(greeting=HELLO, context={"messages": [{"role": "user", "content": "hello"}]})
    book = Playbook("converse").opened().client(given).upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, upstream=[{"item": {"role": "user"}}])


def test_an_upstream_that_cannot_say_it_still_ends_the_turn():
    book = greeted()
    event_id = book.events_to_upstream[0]["event_id"]
    book.forget().upstream(error("unknown_parameter", "no", event_id=event_id, param="response.conversation"))
    book.expect(
        {"type": "Error", "description": "no (response.conversation)", "code": "unknown_parameter"},
        AUDIO_DONE,
        upstream=[said(HELLO)],
    )


def test_an_upstream_that_echoes_no_metadata_says_it_all_the_same():
    book = greeted().forget().upstream(response_created(), delta(b"\1\1"), text_done("Hallo!"), response_done())
    book.expect(b"\1\1", AUDIO_DONE, upstream=[said(HELLO)])


def test_an_upstream_that_announces_no_response_ends_it_with_its_text():
    book = greeted().forget().upstream(delta(b"\1\1"), transcript_done("Hallo!"))
    book.expect(b"\1\1", AUDIO_DONE, upstream=[said(HELLO)])


def test_a_statement_that_is_cut_short_by_the_upstream_is_taken_as_said():
    details = {"type": "incomplete", "reason": "content_filter"}
    book = greeted().forget().upstream(statement_created(), response_done(status="incomplete", status_details=details))
    assert book.events_to_upstream[-1]["item"]["content"][0]["text"] == HELLO
    assert book.frames_to_client[-1] == AUDIO_DONE


# Interrupted.


def test_a_greeting_that_is_interrupted_is_cancelled_by_its_id_and_what_was_heard_is_remembered():
    book = greeted().upstream(statement_created(), delta(SECOND)).forget().after(1.0).upstream(SPEECH_STARTED)
    heard = "Hello there."
    cancel = {"type": "response.cancel", "response_id": "resp_1"}
    book.expect(STARTED_TO_SPEAK, upstream=[cancel, said(heard)])
    book.upstream(delta(SECOND), response_done(status="cancelled")).expect(AUDIO_DONE)
    book.upstream_is_lost(LOST).expect(RESTARTED).restarted(upstream=[said(heard)])


def test_of_a_greeting_that_is_interrupted_twice_over_all_that_was_heard_is_remembered():
    """An upstream is lost over it, and then the user interrupts its rest."""
    book = greeted().upstream(statement_created(), delta(SECOND)).upstream_is_lost(LOST).forget()
    book.restarted(upstream=[asks_for("What can I do for you?")]).upstream(statement_created("r2"))
    book.upstream(delta(SECOND, "r2")).forget().after(3.0).upstream(SPEECH_STARTED)
    cancel = {"type": "response.cancel", "response_id": "r2"}
    book.expect(STARTED_TO_SPEAK, upstream=[cancel, said("Hello there. What can I do")])


def test_of_a_greeting_that_was_made_and_not_heard_only_what_was_heard_stays_in_the_conversation():
    book = greeted().upstream(statement_created(), delta(SECOND * 4), response_done())
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget().after(2.0).upstream(SPEECH_STARTED)
    delete = {"type": "conversation.item.delete", "item_id": item_id}
    book.expect(STARTED_TO_SPEAK, upstream=[delete, said("Hello there. What")])
    book.upstream_is_lost(LOST).expect(RESTARTED).restarted(upstream=[said("Hello there. What")])


def test_a_greeting_of_which_nothing_was_heard_was_not_said():
    book = greeted().upstream(statement_created()).forget().upstream(SPEECH_STARTED)
    book.expect(STARTED_TO_SPEAK, upstream=[{"type": "response.cancel", "response_id": "resp_1"}])
    book.upstream(response_done(status="cancelled")).expect(AUDIO_DONE)


def test_a_greeting_that_is_interrupted_before_it_began_is_cancelled_when_it_begins():
    book = greeted().forget().upstream(SPEECH_STARTED).expect(STARTED_TO_SPEAK)
    book.upstream(statement_created()).expect(upstream=[{"type": "response.cancel", "response_id": "resp_1"}])
    book.upstream(delta(b"\1\1"), response_done(status="cancelled")).expect(AUDIO_DONE)


def spoke(book):
    book.upstream({"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900})
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"})
    completed = "conversation.item.input_audio_transcription.completed"
    return book.upstream({"type": completed, "item_id": "u", "transcript": "Hm?"}).forget()


def test_the_answer_to_the_user_may_begin_before_an_interrupted_greeting_has_ended():
    book = greeted().upstream(statement_created(), delta(SECOND), SPEECH_STARTED)
    spoke(book).upstream(response_created("answer")).expect(AUDIO_DONE)
    book.upstream(delta(b"\1\1"), response_done(status="cancelled")).expect()
    book.upstream(delta(b"\2\2", "answer"), {**text_done("Yes."), "response_id": "answer"}, response_done("answer"))
    assert b"\2\2" in book.frames_to_client
    assert book.frames_to_client[-1] == AUDIO_DONE


def test_an_answer_that_the_upstream_begins_beside_a_statement_takes_its_place():
    book = greeted().upstream(statement_created(), delta(SECOND)).forget().after(0.5)
    book.upstream(response_created("answer"))
    assert book.frames_to_client == [AUDIO_DONE]
    assert [event["type"] for event in book.events_to_upstream] == ["response.cancel", "conversation.item.create"]
    book.forget().upstream(delta(b"\2\2", "answer"), response_done("answer")).expect(b"\2\2", AUDIO_DONE)


def test_an_answer_that_begins_before_a_statement_has_begun_takes_its_place_and_the_statement_is_cancelled():
    book = greeted().upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    book.upstream(response_created("answer")).expect(AUDIO_DONE)
    book.upstream(statement_created("late")).expect(upstream=[{"type": "response.cancel", "response_id": "late"}])
    book.upstream(delta(b"\1\1", "late"), delta(b"\2\2", "answer"), response_done("answer"))
    book.expect(b"\2\2", AUDIO_DONE)


@pytest.mark.parametrize("late", [response_done("resp_2", status="cancelled"), transcript_done("Hello")])
def test_what_is_still_to_come_of_one_that_was_cancelled_ends_no_later_response(late):
    book = greeted().upstream(SPEECH_STARTED, {"type": "input_audio_buffer.committed", "item_id": "u"})
    book.upstream(response_created("resp_1"), statement_created("resp_2"))
    book.client({"type": "InjectUserMessage", "content": "And?"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_done("resp_1")).forget()
    book.upstream({"response_id": "resp_2", **late} if "response" in late else {**late, "response_id": "resp_2"})
    book.expect().upstream(response_created("resp_3"), delta(b"\1\1", "resp_3")).expect(b"\1\1")


def test_a_statement_that_begins_when_its_place_is_taken_and_left_again_is_cancelled_too():
    book = greeted().upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    book.upstream(response_created("answer"), response_done("answer", status="cancelled")).forget()
    book.upstream(statement_created("late")).expect(upstream=[{"type": "response.cancel", "response_id": "late"}])
    said_late = {**transcript_done("Hello", "late_item"), "response_id": "late"}
    book.upstream(delta(b"\1\1", "late"), said_late, response_done("late")).expect()


# Lost.


def test_a_greeting_whose_upstream_is_lost_before_it_is_heard_is_said_again_and_its_text_is_not_told_again():
    book = greeted().upstream(statement_created()).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted(upstream=[asks_for(HELLO)])
    book.upstream(statement_created("r2"), delta(b"\1\1", "r2"), response_done("r2"))
    book.expect(b"\1\1", AUDIO_DONE, upstream=[said(HELLO)])


def test_a_greeting_whose_upstream_is_lost_over_it_is_gone_on_with():
    book = greeted().upstream(statement_created(), delta(SECOND)).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted(upstream=[asks_for("What can I do for you?")])
    book.upstream(statement_created("r2"), delta(b"\1\1", "r2"), response_done("r2"))
    book.expect(b"\1\1", AUDIO_DONE, upstream=[said(HELLO)])
    assert [turn["content"] for turn in book.history] == [HELLO]


def test_a_greeting_that_was_cut_off_may_be_left_at_that():
    book = greeted(interrupted_answer="stop").upstream(statement_created(), delta(SECOND)).forget()
    book.upstream_is_lost(LOST).expect(AUDIO_DONE, RESTARTED).restarted(upstream=[said("Hello there.")])


def test_a_greeting_whose_upstream_is_lost_at_its_end_is_complete():
    book = greeted().upstream(statement_created(), delta(SECOND * 4)).forget()
    book.upstream_is_lost(LOST).expect(AUDIO_DONE, RESTARTED).restarted(upstream=[said(HELLO)])


def test_what_waits_to_be_said_and_to_be_answered_survives_a_restart():
    book = greeted().upstream(statement_created()).client({"type": "InjectUserMessage", "content": "hello"})
    book.client({"type": "InjectAgentMessage", "message": "One moment.", "behavior": "queue"})
    book.forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted(upstream=[{"item": {"role": "user"}}, asks_for(HELLO)])
    book.upstream(statement_created("r2"), response_done("r2"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[said(HELLO), asks_for("One moment.")])
    book.upstream(statement_created("r3"), response_done("r3")).expect(AUDIO_DONE, upstream=[said("One moment.")])
    book.fire(Wait.ITEM_ACK).expect(upstream=[CREATE])


def test_a_statement_that_fails_is_asked_for_again_and_then_of_another_upstream():
    failed = {"type": "failed", "error": {"type": "server_error", "code": None, "message": "oh"}}
    book = greeted().forget().upstream(statement_created(), response_done(status="failed", status_details=failed))
    book.expect(upstream=[asks_for(HELLO)])
    book.upstream(statement_created("r2"), response_done("r2", status="failed", status_details=failed))
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.REFUSED, cause="server_error"))]


def test_a_statement_that_was_interrupted_and_failed_before_it_began_is_cancelled_when_it_begins_all_the_same():
    book = greeted().forget().upstream(SPEECH_STARTED, response_done(status="failed"))
    book.expect(STARTED_TO_SPEAK, AUDIO_DONE)
    book.upstream(statement_created()).expect(upstream=[{"type": "response.cancel", "response_id": "resp_1"}])


def test_a_statement_that_fails_at_its_very_end_is_complete():
    failed = {"type": "failed", "error": {"type": "server_error", "code": None, "message": "oh"}}
    book = greeted().upstream(statement_created(), delta(SECOND * 4)).forget()
    book.upstream(response_done(status="failed", status_details=failed)).expect(AUDIO_DONE, upstream=[said(HELLO)])


def test_what_was_left_at_that_is_taken_back_as_far_as_it_was_not_heard():
    """The upstream is lost when all was made, and the user interrupts what is still to be heard."""
    book = greeted().upstream(statement_created(), delta(SECOND * 4)).forget()
    book.upstream_is_lost(LOST).forget().restarted(upstream=[said(HELLO)])
    book.after(1.0).upstream(SPEECH_STARTED)
    assert book.events_to_upstream[0]["type"] == "conversation.item.delete"
    book.expect(STARTED_TO_SPEAK, upstream=[{"type": "conversation.item.delete"}, said("Hello")])


@pytest.mark.parametrize("wait", [Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE])
def test_an_upstream_that_falls_silent_over_it_is_given_up(wait):
    book = greeted()
    if wait is not Wait.FIRST_EVENT:
        book.upstream(statement_created())
    book.forget().fire(wait)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause=wait.value))]


def test_a_client_that_is_gone_cancels_its_greeting():
    book = greeted().upstream(statement_created()).forget()
    book.feed(messages.ClientClosed(ConnectionClosed(ending=Ending.RESET, code=1006)))
    assert book.events_to_upstream == [{"type": "response.cancel", "response_id": "resp_1"}]


def test_an_upstream_that_follows_is_told_what_was_said():
    book = greeted().upstream(statement_created(), response_done()).forget().fire(Wait.ROLLOVER)
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    book.forget().feed(messages.UpstreamOpened(command.generation, 0, book.unix_s))
    for event in (CREATED, UPDATED):
        book.feed(messages.UpstreamTextReceived(command.generation, orjson.dumps(event).decode()))
    assert [event.get("item", {}).get("content", [{}])[0].get("text") for event in book.events_to_upstream][-1] == HELLO
