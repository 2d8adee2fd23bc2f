"""Requests of responses: one at a time, and refused ones."""

from actors import messages
from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.beginnings import answering, ask
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    error,
    item_added,
    response_created,
    response_done,
    text_done,
)

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
SPEECH_STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
CREATE = {"type": "response.create"}
UPDATED = {"type": "session.updated", "session": {}}
PROMPT = {"type": "UpdatePrompt", "prompt": "Speak French."}


def test_no_response_is_requested_while_one_is_active():
    book = answering()
    book.upstream(item_added(ask(book, "and?"))).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_a_response_that_the_upstream_began_by_itself_is_waited_for():
    book = Playbook().ready().upstream(response_created("vad"))
    book.upstream(item_added(ask(book))).expect()
    book.upstream(response_done("vad")).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_no_response_is_requested_while_the_user_speaks_or_awaits_an_answer():
    book = Playbook().ready().upstream(SPEECH_STARTED).client({"type": "InjectUserMessage", "content": "Also:"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
    book.upstream(SPEECH_STOPPED, COMMITTED).expect({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.9})
    book.upstream(response_created()).upstream(response_done()).expect(AUDIO_DONE, DONE)


def test_a_response_waits_for_the_updates_that_were_requested_before_it():
    book = Playbook().ready().client(PROMPT, {"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget().upstream(item_added(item_id)).expect()
    book.upstream(UPDATED).expect({"type": "PromptUpdated"}, upstream=[{"type": "response.create"}])


def test_an_unknown_active_response_is_waited_for_and_its_error_absorbed():
    book = Playbook().ready()
    book.upstream(item_added(ask(book))).expect(upstream=[CREATE])
    book.upstream(error("conversation_already_has_active_response")).expect()
    book.upstream(response_done("theirs")).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_an_active_response_that_delayed_an_earlier_question_does_not_delay_a_later_one():
    book = Playbook().ready()
    book.upstream(item_added(ask(book)), error("conversation_already_has_active_response", event_id="earlier")).forget()
    book.upstream(response_created(), text_done("Hi."), response_done()).expect(
        STARTED, assistant("Hi."), AUDIO_DONE, DONE
    )


def test_a_response_that_is_refused_ends_the_turn():
    book = Playbook().ready()
    book.upstream(item_added(ask(book)))
    event_id = book.events_to_upstream[0]["event_id"]
    book.forget().upstream(error("invalid_value", "no", event_id=event_id))
    book.expect({"type": "Error", "description": "no", "code": "invalid_value"}, AUDIO_DONE, DONE)
    book.upstream(item_added(ask(book))).expect(upstream=[CREATE])


def test_an_upstream_that_never_answers_is_abandoned():
    book = Playbook().ready()
    book.upstream(item_added(ask(book))).forget().fire(Wait.FIRST_EVENT)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause="first_event"))]
