"""Texts that the agent speaks word for word: a greeting, or an injected message."""

import orjson
import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.beginnings import SECOND, assistant_texts
from tests.support.machine.playbook import (
    ANY,
    APPLIED,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    assistant_item,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    statement_created,
    text_done,
    transcript_done,
    user,
    verbatim_create,
)

CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}
RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
STOP_PLAYING = {"type": "UserStartedSpeaking"}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
CREATE = {"type": "response.create"}
LOST = Loss(kind=LossKind.CLOSED, code=1006)
HELLO = "Hello there. What can I do for you?"


def greeted(profile="converse", **options):
    """Return a session whose greeting is requested."""
    book = Playbook(profile, **options).opened().client(settings(greeting=HELLO))
    return book.upstream(CREATED).forget().upstream(UPDATED)


def upstream_item(kind="response.output_item.added"):
    item = {"id": "theirs", "type": "message", "role": "assistant", "content": [{"transcript": "Hallo!"}]}
    return {"type": kind, "response_id": "resp_1", "item": item}


def finish_speech(book):
    book.upstream({"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900})
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"})
    completed = "conversation.item.input_audio_transcription.completed"
    return book.upstream({"type": completed, "item_id": "u", "transcript": "Hm?"}).forget()


# A greeting.


def test_a_greeting_is_a_turn_with_audio_and_the_given_text():
    book = greeted().expect(APPLIED, assistant(HELLO), upstream=[verbatim_create(HELLO)])
    book.upstream(statement_created(), upstream_item(), delta(b"\1\1")).expect(b"\1\1")
    book.upstream(transcript_done("Hallo!", "theirs"), upstream_item("conversation.item.done")).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, upstream=[assistant_item(HELLO)])
    assert [turn["content"] for turn in book.history] == [HELLO]


def test_a_greeting_may_be_spoken_to_the_component_too():
    book = Playbook("openai", greeting="spoken").opened().client(settings(greeting=HELLO)).upstream(CREATED)
    book.forget().upstream(UPDATED).expect(APPLIED, STARTED, assistant(HELLO), upstream=[verbatim_create(HELLO)])
    book.upstream(statement_created(), delta(b"\1\1"), response_done()).expect(
        b"\1\1", AUDIO_DONE, DONE, upstream=[assistant_item(HELLO)]
    )


def test_the_item_of_a_greeting_is_acknowledged_and_neither_sent_nor_answered():
    book = greeted().upstream(statement_created(), response_done())
    item_id = book.events_to_upstream[-1]["item"]["id"]
    done = {**item_added(item_id, "assistant"), "type": "conversation.item.done"}
    done["item"]["content"] = [{"type": "output_text", "text": HELLO}]
    book.forget().upstream(item_added(item_id, "assistant"), done).expect()


def test_a_question_during_the_greeting_is_answered_after_it():
    book = greeted().forget().upstream(statement_created()).client({"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.expect(user("hello"), upstream=[{"item": {"role": "user"}}])
    book.upstream(item_added(item_id)).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, upstream=[assistant_item(HELLO), CREATE])


def test_a_text_agent_greets_in_writing_and_its_turn_ends():
    given = settings(greeting=HELLO, think={"outputModalities": ["text"]})
    book = Playbook("converse").opened().client(given).upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, assistant(HELLO), AUDIO_DONE, upstream=[assistant_item(HELLO)])


def test_a_session_with_a_context_is_not_greeted():
    given = settings(greeting=HELLO, context={"messages": [{"role": "user", "content": "hello"}]})
    book = Playbook("converse").opened().client(given).upstream(CREATED).forget()
    book.upstream(UPDATED).expect(APPLIED)


def test_an_upstream_that_refuses_the_response_still_ends_the_turn():
    book = greeted()
    event_id = book.events_to_upstream[0]["event_id"]
    book.forget().upstream(error("unknown_parameter", "no", event_id=event_id, param="response.conversation"))
    book.expect(
        {"type": "Error", "description": "no (response.conversation)", "code": "unknown_parameter"},
        AUDIO_DONE,
        upstream=[assistant_item(HELLO)],
    )


def test_an_upstream_that_returns_no_metadata_speaks_the_text_anyway():
    book = greeted().forget().upstream(response_created(), delta(b"\1\1"), text_done("Hallo!"), response_done())
    book.expect(b"\1\1", AUDIO_DONE, upstream=[assistant_item(HELLO)])


def test_an_upstream_that_announces_no_response_ends_the_text_with_its_transcript():
    book = greeted().forget().upstream(delta(b"\1\1"), transcript_done("Hallo!"))
    book.expect(b"\1\1", AUDIO_DONE, upstream=[assistant_item(HELLO)])


def test_a_text_that_the_upstream_cuts_short_counts_as_spoken():
    details = {"type": "incomplete", "reason": "content_filter"}
    book = greeted().forget().upstream(statement_created(), response_done(status="incomplete", status_details=details))
    assert book.events_to_upstream[-1]["item"]["content"][0]["text"] == HELLO
    assert book.frames_to_client[-1] == AUDIO_DONE


# Interruption.


def test_an_interrupted_greeting_is_cancelled_by_its_id_and_its_heard_words_are_kept():
    book = greeted().upstream(statement_created(), delta(SECOND)).forget().after(1.0).upstream(SPEECH_STARTED)
    heard = "Hello there."
    cancel = {"type": "response.cancel", "response_id": "resp_1"}
    book.expect(STOP_PLAYING, upstream=[cancel, assistant_item(heard)])
    book.upstream(delta(SECOND), response_done(status="cancelled")).expect(AUDIO_DONE)
    book.upstream_is_lost(LOST).expect(RESTARTED).restarted(upstream=[assistant_item(heard)])


def test_a_greeting_that_is_interrupted_after_a_restart_keeps_the_words_heard_before_it_too():
    """The upstream is lost in the middle of it, and then the user interrupts its rest."""
    book = greeted().upstream(statement_created(), delta(SECOND)).upstream_is_lost(LOST).forget()
    book.restarted(upstream=[verbatim_create("What can I do for you?")]).upstream(statement_created("r2"))
    book.upstream(delta(SECOND, "r2")).forget().after(3.0).upstream(SPEECH_STARTED)
    cancel = {"type": "response.cancel", "response_id": "r2"}
    book.expect(STOP_PLAYING, upstream=[cancel, assistant_item("Hello there. What can I do")])


def test_a_greeting_that_was_generated_whole_keeps_only_its_heard_words():
    book = greeted().upstream(statement_created(), delta(SECOND * 4), response_done())
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget().after(2.0).upstream(SPEECH_STARTED)
    delete = {"type": "conversation.item.delete", "item_id": item_id}
    book.expect(STOP_PLAYING, upstream=[delete, assistant_item("Hello there. What")])
    book.upstream_is_lost(LOST).expect(RESTARTED).restarted(upstream=[assistant_item("Hello there. What")])


def test_a_second_interruption_of_a_greeting_adds_no_words_that_the_caller_did_not_hear():
    book = greeted().upstream(statement_created(), delta(SECOND * 2)).after(1.0).upstream(SPEECH_STARTED)
    heard = assistant_texts(book)
    book.forget().upstream({**SPEECH_STARTED, "item_id": "v"}).expect(STOP_PLAYING)
    assert assistant_texts(book) == heard == ["Hello there."]


def test_a_greeting_of_which_nothing_was_heard_leaves_no_item():
    book = greeted().upstream(statement_created()).forget().upstream(SPEECH_STARTED)
    book.expect(STOP_PLAYING, upstream=[{"type": "response.cancel", "response_id": "resp_1"}])
    book.upstream(response_done(status="cancelled")).expect(AUDIO_DONE)


def test_a_greeting_that_is_interrupted_before_it_begins_is_cancelled_when_it_begins():
    book = greeted().forget().upstream(SPEECH_STARTED).expect(STOP_PLAYING)
    book.upstream(statement_created()).expect(upstream=[{"type": "response.cancel", "response_id": "resp_1"}])
    book.upstream(delta(b"\1\1"), response_done(status="cancelled")).expect(AUDIO_DONE)


def test_the_answer_to_the_user_may_begin_before_an_interrupted_greeting_has_ended():
    book = greeted().upstream(statement_created(), delta(SECOND), SPEECH_STARTED)
    finish_speech(book).upstream(response_created("answer")).expect(AUDIO_DONE)
    book.upstream(delta(b"\1\1"), response_done(status="cancelled")).expect()
    book.upstream(delta(b"\2\2", "answer"), {**text_done("Yes."), "response_id": "answer"}, response_done("answer"))
    assert b"\2\2" in book.frames_to_client
    assert book.frames_to_client[-1] == AUDIO_DONE


def test_an_answer_that_the_upstream_begins_beside_a_given_text_takes_its_place():
    book = greeted().upstream(statement_created(), delta(SECOND)).forget().after(0.5)
    book.upstream(response_created("answer"))
    assert book.frames_to_client == [AUDIO_DONE]
    assert [event["type"] for event in book.events_to_upstream] == ["response.cancel", "conversation.item.create"]
    book.forget().upstream(delta(b"\2\2", "answer"), response_done("answer")).expect(b"\2\2", AUDIO_DONE)


def test_an_answer_that_begins_first_takes_the_place_of_a_given_text_which_is_cancelled():
    book = greeted().upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    book.upstream(response_created("answer")).expect(AUDIO_DONE)
    book.upstream(statement_created("late")).expect(upstream=[{"type": "response.cancel", "response_id": "late"}])
    book.upstream(delta(b"\1\1", "late"), delta(b"\2\2", "answer"), response_done("answer"))
    book.expect(b"\2\2", AUDIO_DONE)


@pytest.mark.parametrize("late", [response_done("resp_2", status="cancelled"), transcript_done("Hello")])
def test_late_events_of_a_cancelled_text_end_no_later_response(late):
    book = greeted().upstream(SPEECH_STARTED, {"type": "input_audio_buffer.committed", "item_id": "u"})
    book.upstream(response_created("resp_1"), statement_created("resp_2"))
    book.client({"type": "InjectUserMessage", "content": "And?"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_done("resp_1")).forget()
    book.upstream({"response_id": "resp_2", **late} if "response" in late else {**late, "response_id": "resp_2"})
    book.expect().upstream(response_created("resp_3"), delta(b"\1\1", "resp_3")).expect(b"\1\1")


def test_a_given_text_that_begins_after_the_answer_in_its_place_is_cancelled_too():
    book = greeted().upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    book.upstream(response_created("answer"), response_done("answer", status="cancelled")).forget()
    book.upstream(statement_created("late")).expect(upstream=[{"type": "response.cancel", "response_id": "late"}])
    said_late = {**transcript_done("Hello", "late_item"), "response_id": "late"}
    book.upstream(delta(b"\1\1", "late"), said_late, response_done("late")).expect()


# Loss and failure.


def test_a_greeting_whose_upstream_is_lost_before_it_is_heard_is_spoken_again_and_not_sent_again():
    book = greeted().upstream(statement_created()).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted(upstream=[verbatim_create(HELLO)])
    book.upstream(statement_created("r2"), delta(b"\1\1", "r2"), response_done("r2"))
    book.expect(b"\1\1", AUDIO_DONE, upstream=[assistant_item(HELLO)])


def test_a_greeting_whose_upstream_is_lost_meanwhile_is_continued():
    book = greeted().upstream(statement_created(), delta(SECOND)).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted(upstream=[verbatim_create("What can I do for you?")])
    book.upstream(statement_created("r2"), delta(b"\1\1", "r2"), response_done("r2"))
    book.expect(b"\1\1", AUDIO_DONE, upstream=[assistant_item(HELLO)])
    assert [turn["content"] for turn in book.history] == [HELLO]


def test_a_greeting_that_was_cut_off_is_not_continued_with_interrupted_answer_stop():
    book = greeted(interrupted_answer="stop").upstream(statement_created(), delta(SECOND)).forget()
    book.upstream_is_lost(LOST).expect(AUDIO_DONE, RESTARTED).restarted(upstream=[assistant_item("Hello there.")])


def test_a_greeting_whose_upstream_is_lost_at_its_end_is_complete():
    book = greeted().upstream(statement_created(), delta(SECOND * 4)).forget()
    book.upstream_is_lost(LOST).expect(AUDIO_DONE, RESTARTED).restarted(upstream=[assistant_item(HELLO)])


def test_waiting_texts_and_questions_survive_a_restart():
    book = greeted().upstream(statement_created()).client({"type": "InjectUserMessage", "content": "hello"})
    book.client({"type": "InjectAgentMessage", "message": "One moment.", "behavior": "queue"})
    book.forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted(upstream=[{"item": {"role": "user"}}, verbatim_create(HELLO)])
    book.upstream(statement_created("r2"), response_done("r2")).expect(AUDIO_DONE, upstream=[assistant_item(HELLO)])
    book.fire(Wait.ITEM_ACK)
    metadata = book.events_to_upstream[-1]["response"]["metadata"]
    begun = {"id": "r3", "status": "in_progress", "metadata": metadata}
    book.expect(upstream=[CREATE]).upstream({"type": "response.created", "response": begun}, response_done("r3"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])
    book.upstream(statement_created("r4"), response_done("r4")).expect(
        AUDIO_DONE, upstream=[assistant_item("One moment.")]
    )


def test_a_failed_text_is_requested_again_and_then_of_another_upstream():
    failed = {"type": "failed", "error": {"type": "server_error", "code": None, "message": "oh"}}
    book = greeted().forget().upstream(statement_created(), response_done(status="failed", status_details=failed))
    book.expect(upstream=[verbatim_create(HELLO)])
    book.upstream(statement_created("r2"), response_done("r2", status="failed", status_details=failed))
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.REFUSED, cause="server_error"))]


def test_a_text_that_was_interrupted_and_failed_before_it_began_is_cancelled_when_it_begins():
    book = greeted().forget().upstream(SPEECH_STARTED, response_done(status="failed"))
    book.expect(STOP_PLAYING, AUDIO_DONE)
    book.upstream(statement_created()).expect(upstream=[{"type": "response.cancel", "response_id": "resp_1"}])


def test_a_text_that_fails_at_its_very_end_is_complete():
    failed = {"type": "failed", "error": {"type": "server_error", "code": None, "message": "oh"}}
    book = greeted().upstream(statement_created(), delta(SECOND * 4)).forget()
    book.upstream(response_done(status="failed", status_details=failed)).expect(
        AUDIO_DONE, upstream=[assistant_item(HELLO)]
    )


def test_a_text_that_was_complete_after_a_loss_is_corrected_to_its_heard_words():
    """The upstream is lost when all audio was generated, and the user interrupts the playback."""
    book = greeted().upstream(statement_created(), delta(SECOND * 4)).forget()
    book.upstream_is_lost(LOST).forget().restarted(upstream=[assistant_item(HELLO)])
    book.after(1.0).upstream(SPEECH_STARTED)
    assert book.events_to_upstream[0]["type"] == "conversation.item.delete"
    book.expect(STOP_PLAYING, upstream=[{"type": "conversation.item.delete"}, assistant_item("Hello")])


@pytest.mark.parametrize("wait", [Wait.FIRST_EVENT, Wait.NEXT_EVENT, Wait.RESPONSE])
def test_an_upstream_that_falls_silent_over_a_given_text_is_abandoned(wait):
    book = greeted()
    if wait is not Wait.FIRST_EVENT:
        book.upstream(statement_created())
    book.forget().fire(wait)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause=wait.value))]


def test_a_client_that_leaves_cancels_its_greeting():
    book = greeted().upstream(statement_created()).forget()
    book.feed(messages.ClientClosed(ConnectionClosed(ending=Ending.RESET, code=1006)))
    assert book.events_to_upstream == [{"type": "response.cancel", "response_id": "resp_1"}]


def test_the_standby_upstream_gets_the_spoken_text_when_it_takes_over():
    book = greeted().upstream(statement_created(), response_done()).forget().fire(Wait.ROLLOVER)
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    book.forget().feed(messages.UpstreamOpened(command.generation, 0, book.unix_s))
    for event in (CREATED, UPDATED):
        book.feed(messages.UpstreamTextReceived(command.generation, orjson.dumps(event).decode()))
    assert [event.get("item", {}).get("content", [{}])[0].get("text") for event in book.events_to_upstream][-1] == HELLO
